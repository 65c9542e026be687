//! `rehome bootstrap`: once, at boot. Who am I? Bring my belongings here, mount
//! them, start what lives on them, and complete the launch.

use jiff::Timestamp;
use serde::Serialize;

use super::tell::Entry;
use super::{Failure, clock, configuration, groups, print, print_json, tell};
use crate::aws::Aws;
use crate::cli::Bootstrap;
use crate::host::Identity;
use crate::host::linux::LinuxHost;
use crate::ids::InstanceId;
use crate::plan::Wait;
use crate::reconcile::{Ended, Runner};
use crate::spec::GroupSpec;

/// How it went, for `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    group: &'a str,
    instance: &'a str,
    zone: &'a str,
    settled: bool,
    seconds: f64,
    did: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    waits: Vec<Waiting>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    says: String,
    #[serde(flatten)]
    wait: Wait,
}

pub(super) async fn run(options: &Bootstrap) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let spec = only_group(groups(config, options.group.as_deref())?)?;
    let clock = clock();
    let start = clock.now();
    let deadline = start.checked_add(options.timeout).unwrap_or(Timestamp::MAX);
    let aws = Aws::from_env().await?;
    let host = LinuxHost::new();
    let identity = host
        .identity()
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?
        .clone();
    let (teller, entries) = if options.json {
        tell::record()
    } else {
        print(&format!(
            "{}: this is {} in {}\n",
            spec.name, identity.instance, identity.zone
        ))?;
        (tell::console(start), std::rc::Rc::default())
    };
    let mut runner = Runner {
        aws,
        host: Some(host),
        clock: clock.clone(),
        teller,
    };
    let ended = runner.until_settled(&spec, deadline).await;
    let ended = refuse_strangers(ended, &identity.instance);
    let seconds = clock.now().duration_since(start).as_secs_f64();
    if options.json {
        let did = entries.borrow().clone();
        print_json(&report(&spec, &identity, seconds, did, &ended))?;
    }
    conclude(&spec, seconds, ended, options)
}

/// The belongings may well be in their place, but then they are not here, and
/// whoever started this must not go on as if they were.
fn refuse_strangers(ended: Ended, here: &InstanceId) -> Ended {
    let group = match &ended {
        Ended::Settled(world) => world.group.known(),
        _ => None,
    };
    let Some(group) = group.filter(|group| !group.members.contains_key(here)) else {
        return ended;
    };
    let members: Vec<&str> = group.members.keys().map(InstanceId::as_str).collect();
    Ended::Failed(format!(
        "{here} is no member of this group, so nothing was brought here; its members are: {}",
        members.join(", ")
    ))
}

fn only_group(groups: Vec<GroupSpec>) -> Result<GroupSpec, Failure> {
    let names: Vec<String> = groups.iter().map(|group| group.name.to_string()).collect();
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next()) {
        (Some(group), None) => Ok(group),
        _ => Err(Failure::Usage(format!(
            "the configuration has several groups; say which one this instance belongs to with --group NAME, one of {}",
            names.join(", ")
        ))),
    }
}

fn report<'a>(
    spec: &'a GroupSpec,
    identity: &'a Identity,
    seconds: f64,
    did: Vec<Entry>,
    ended: &Ended,
) -> Report<'a> {
    let (error, waits) = match ended {
        Ended::Settled(_) => (None, Vec::new()),
        Ended::OutOfTime { waits, last_error } => (last_error.clone(), waits.clone()),
        Ended::Failed(why) => (Some(why.clone()), Vec::new()),
    };
    Report {
        group: spec.name.as_str(),
        instance: identity.instance.as_str(),
        zone: identity.zone.as_str(),
        settled: matches!(ended, Ended::Settled(_)),
        seconds,
        did,
        error,
        waits: waits
            .into_iter()
            .map(|wait| Waiting {
                says: wait.to_string(),
                wait,
            })
            .collect(),
    }
}

fn conclude(
    spec: &GroupSpec,
    seconds: f64,
    ended: Ended,
    options: &Bootstrap,
) -> Result<(), Failure> {
    match ended {
        Ended::Settled(_) if options.json => Ok(()),
        Ended::Settled(_) => print(&format!("{}: settled after {seconds:.1} s\n", spec.name)),
        Ended::Failed(why) => Err(Failure::Failed(format!("{}: {why}", spec.name))),
        Ended::OutOfTime { waits, last_error } => Err(Failure::OutOfTime(out_of_time(
            spec, &waits, last_error, options,
        ))),
    }
}

fn out_of_time(
    spec: &GroupSpec,
    waits: &[Wait],
    last_error: Option<String>,
    options: &Bootstrap,
) -> String {
    let mut text = format!(
        "{}: not settled within {:#}; running it again goes on",
        spec.name, options.timeout
    );
    for wait in waits {
        text.push_str(&format!("\n  waits: {wait}"));
    }
    if let Some(error) = last_error {
        text.push_str(&format!("\n  last error: {error}"));
    }
    // Where it asked is half of why nobody answered.
    if let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL") {
        text.push_str(&format!(
            "\n  AWS was asked at {endpoint} (AWS_ENDPOINT_URL)"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spec;

    #[test]
    fn several_groups_need_a_name() {
        let group = |name: &str| {
            format!(
                "[[group]]\nname = \"{name}\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n"
            )
        };
        let config = spec::parse("x", &format!("{}{}", group("a"), group("b"))).unwrap();
        let both = groups(config.clone(), None).unwrap();
        let says = only_group(both).unwrap_err().to_string();
        assert!(says.ends_with("with --group NAME, one of a, b"), "{says}");
        let one = groups(config.clone(), Some("b")).unwrap();
        assert_eq!(only_group(one).unwrap().name.as_str(), "b");
        let says = groups(config, Some("c")).unwrap_err().to_string();
        assert_eq!(
            says,
            "there is no group \"c\" in the configuration; it has a, b"
        );
    }
}
