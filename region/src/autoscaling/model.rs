//! What Auto Scaling knows: groups, members, hooks and open actions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::record::Tags;

#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub arn: String,
    pub min: u64,
    pub max: u64,
    pub desired: u64,
    pub zones: Vec<String>,
    /// Where the next launch goes, whatever the balance says.
    pub next_zone: Option<String>,
    pub hooks: BTreeMap<String, Hook>,
    pub members: BTreeMap<String, Member>,
    pub tags: Tags,
    pub activities: Vec<Activity>,
}

#[derive(Clone, Debug)]
pub struct Hook {
    pub name: String,
    /// `autoscaling:EC2_INSTANCE_LAUNCHING` or `…_TERMINATING`.
    pub transition: String,
    pub heartbeat_timeout_s: u64,
    /// `ABANDON` or `CONTINUE`.
    pub default_result: String,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub instance: String,
    pub zone: String,
    /// `Pending:Wait`, `InService` …
    pub lifecycle: String,
    pub healthy: bool,
    pub action: Option<LifecycleAction>,
}

/// A hook that is open for a member.
#[derive(Clone, Debug)]
pub struct LifecycleAction {
    pub hook: String,
    pub token: String,
    pub opened: Timestamp,
    pub deadline: Timestamp,
    pub heartbeats: u32,
}

#[derive(Clone, Debug)]
pub struct Activity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub status: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
}
