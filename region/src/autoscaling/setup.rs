//! A group as a scenario describes it.

use crate::record::Tags;

#[derive(Clone, Debug, Default)]
pub struct GroupSetup {
    pub name: String,
    pub min: u64,
    pub max: u64,
    pub desired: u64,
    pub zones: Vec<String>,
    pub hooks: Vec<HookSetup>,
    pub grace_period_s: u64,
    pub launch_before_terminate: bool,
    pub tags: Tags,
}

#[derive(Clone, Debug)]
pub struct HookSetup {
    pub name: String,
    pub transition: String,
    pub heartbeat_timeout_s: u64,
    pub default_result: String,
}
