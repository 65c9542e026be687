//! `rehome check`: would a failover of each group work?

mod face;

use std::io::{self, IsTerminal as _};
use std::path::Path;

use serde::Serialize;

use super::{Failure, clock, configuration, groups, print, print_json, seat};
use crate::aws::Aws;
use crate::check::{self, Facts, MachineFacts, Report};
use crate::cli::Check;
use crate::host::Host as _;
use crate::host::instance_by_firmware;
use crate::host::linux::LinuxHost;
use crate::ids::InstanceId;
use crate::plan::{self, Plan, Seat};
use crate::spec::{GroupSpec, Kind};
use crate::world::World;

#[derive(Debug, Serialize)]
struct Reports<'a> {
    groups: &'a [Report],
}

pub(super) async fn run(options: &Check) -> Result<(), Failure> {
    let file = options.configuration.config.as_deref();
    let config = configuration(file)?;
    let queue = config.wake.sqs_queue_url.clone();
    let specs = groups(config, options.group.as_deref())?;
    let aws = Aws::from_env().await?;
    let (mut worlds, host) = tokio::join!(aws.observe_all(&specs), seat::instance());
    let mut reports = Vec::new();
    for spec in &specs {
        let world = worlds.remove(&spec.name).unwrap_or_else(World::unseen);
        let report = one(&aws, host.as_ref(), spec, world, queue.as_deref()).await;
        reports.push(with_file(report, file));
    }
    if options.json {
        print_json(&Reports { groups: &reports })?;
    } else {
        let colour = face::colour(io::stdout().is_terminal());
        let faces: Vec<String> = reports
            .iter()
            .zip(&specs)
            .map(|(report, spec)| face::report(report, spec, colour))
            .collect();
        print(&faces.join("\n"))?;
    }
    conclude(&reports)
}

async fn one(
    aws: &Aws,
    host: Option<&LinuxHost>,
    spec: &GroupSpec,
    mut world: World,
    queue: Option<&str>,
) -> Report {
    let machine = match host {
        Some(host) => ask_machine(host, spec, &mut world).await,
        None => None,
    };
    let plan = plan_of_holder(&world, spec);
    let mut facts = aws.inspect(spec, world, plan, queue).await;
    facts.machine = machine;
    if host.is_none() {
        facts.mute = instance_by_firmware().filter(|id| is_of_group(&facts, spec, id));
    }
    check::check(&facts, spec, clock().now())
}

/// A member, or of a pair.
fn is_of_group(facts: &Facts, spec: &GroupSpec, id: &InstanceId) -> bool {
    let group = facts.world.group.known();
    let member = group.is_some_and(|group| group.members.contains_key(id));
    let named = matches!(&spec.kind, Kind::Pair { members } if members.contains(id));
    spec.agent && (member || named)
}

/// What the holder itself would decide: what holds *it* up matters.
fn plan_of_holder(world: &World, spec: &GroupSpec) -> Plan {
    let now = clock().now();
    let afar = plan::plan(world, spec, &Seat::default(), now);
    let at = afar.holder.clone();
    plan::plan(world, spec, &Seat { at }, now)
}

/// On one of the group's instances, that instance says more than EC2 does.
async fn ask_machine(
    host: &LinuxHost,
    spec: &GroupSpec,
    world: &mut World,
) -> Option<MachineFacts> {
    if !seat::is_taken(host, spec, world).await {
        return None;
    }
    match host.look(spec).await {
        Ok(here) => world.here = Some(here),
        Err(error) => tracing::warn!(%error, "this machine could not be looked at"),
    }
    host.survey(spec).await.ok()
}

/// A command that is to be copied names the file that was checked.
fn with_file(mut report: Report, file: Option<&Path>) -> Report {
    let said = file.map_or_else(String::new, |file| format!(" --config {}", file.display()));
    for finding in &mut report.findings {
        if let Some(mend) = &mut finding.mend {
            *mend = mend.replace(" --config FILE", &said);
        }
    }
    report
}

fn conclude(reports: &[Report]) -> Result<(), Failure> {
    let mut broken = Vec::new();
    for report in reports.iter().filter(|report| !report.works) {
        broken.push(match report.wrong {
            0 => format!(
                "{}: what a failover rests on could not be read",
                report.group
            ),
            wrong => format!(
                "{}: a failover would not work ({wrong} wrong)",
                report.group
            ),
        });
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(broken.join("; "))),
    }
}
