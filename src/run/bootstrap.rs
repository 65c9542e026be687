//! `rehome bootstrap`: once, at boot. Who am I? Bring my belongings here, mount
//! them, start what lives on them, and complete the launch.

use jiff::Timestamp;
use serde::Serialize;

use super::tell::Entry;
use super::{Failure, arrival, clock, configuration, groups, print, print_json, seat, tell};
use crate::aws::Aws;
use crate::cli::Bootstrap;
use crate::host::Identity;
use crate::host::linux::LinuxHost;
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
    /// Nothing is brought here before it is taken into service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warm_pool: bool,
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
    let identity = seat::patiently(&clock, deadline, async || host.identity().await.cloned())
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
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
    let warm = arrival::is_in_warm_pool(&runner, deadline).await;
    let ended = if warm {
        arrival::enter_warm_pool(&runner, &spec, &identity.instance, deadline).await?
    } else {
        arrival::settle(&mut runner, &spec, &identity.instance, deadline).await
    };
    let seconds = clock.now().duration_since(start).as_secs_f64();
    if options.json {
        let did = entries.borrow().clone();
        print_json(&report(&spec, &identity, seconds, did, &ended, warm))?;
    }
    conclude(&spec, seconds, ended, warm, options)
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
    warm_pool: bool,
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
        warm_pool,
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
    warm: bool,
    options: &Bootstrap,
) -> Result<(), Failure> {
    match ended {
        Ended::Settled(_) if options.json => Ok(()),
        Ended::Settled(_) if warm => print(&format!(
            "{}: in the warm pool, ready after {seconds:.1} s; its belongings come when it is taken into service\n",
            spec.name
        )),
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
