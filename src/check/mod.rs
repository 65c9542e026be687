//! Would a failover of this group work? Facts go in, findings come out: pure,
//! like the planner, and without a step: this room changes nothing.
//!
//! Each part of the set-up has a file that judges it. What could not be read is
//! a finding of its own, and never one that says something is wrong.

mod addresses;
mod alarms;
mod facts;
mod finding;
mod group;
mod hooks;
mod machine;
mod mend;
mod pair;
mod permissions;
mod snapshots;
mod template;
#[cfg(test)]
mod tests;
mod volumes;

use jiff::Timestamp;
use serde::Serialize;

pub use self::facts::{
    AlarmSetup, Answer, Asked, Body, Facts, GroupSetup, HookSetup, LaunchSource, MachineFacts,
    Mapping, MetricSetup, PointFacts, PointState, Protection, Reached, Subnet, Template, UnitFacts,
    WarmPool,
};
pub use self::finding::{Finding, Part, Verdict};
use crate::spec::{GroupSpec, Kind};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub group: String,
    /// Nothing is wrong, and everything that a failover rests on could be read.
    pub works: bool,
    pub wrong: usize,
    pub warnings: usize,
    pub unknown: usize,
    /// The instance of the group that was asked about itself, if it was.
    pub machine: Option<String>,
    pub findings: Vec<Finding>,
}

/// Everything that can be said of one group now.
pub fn check(facts: &Facts, spec: &GroupSpec, now: Timestamp) -> Report {
    let mut findings = Vec::new();
    match &spec.kind {
        Kind::Asg => {
            findings.extend(hooks::judge(facts, spec));
            findings.extend(group::judge(facts, spec));
            findings.extend(template::judge(facts, spec));
        }
        Kind::Pair { members } => findings.extend(pair::judge(facts, spec, members)),
    }
    findings.extend(volumes::judge(facts, spec));
    findings.extend(snapshots::judge(facts, spec, now));
    findings.extend(addresses::judge(facts, spec));
    findings.extend(alarms::judge(facts, spec, now));
    findings.extend(permissions::judge(facts, spec));
    findings.extend(machine::judge(facts, spec));
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let wrong = count(Verdict::Wrong);
    Report {
        group: spec.name.to_string(),
        works: wrong == 0 && essentials_are_known(facts, spec),
        wrong,
        warnings: count(Verdict::Warning),
        unknown: count(Verdict::Unknown),
        machine: facts.machine.as_ref().map(|m| m.instance.to_string()),
        findings,
    }
}

/// Without these nobody can say that a failover works: a run needs them, too.
fn essentials_are_known(facts: &Facts, spec: &GroupSpec) -> bool {
    let world = &facts.world;
    let volumes = spec.volumes.is_empty()
        || (world.volumes.known().is_some() && world.snapshots.known().is_some());
    let addresses = spec.addresses.is_empty() || world.addresses.known().is_some();
    let alarms = spec.alarms.is_empty() || world.alarms.known().is_some();
    world.group.known().is_some()
        && world.instances.known().is_some()
        && volumes
        && addresses
        && alarms
}
