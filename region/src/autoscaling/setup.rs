//! A group as a scenario describes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::members;
use super::model::{Group, Hook, LaunchSource, Maintenance, TemplateVolume, Transition, Verdict};
use crate::Region;
use crate::record::Tags;

#[derive(Clone, Debug, Default)]
pub struct GroupSetup {
    pub name: String,
    pub min: u64,
    pub max: u64,
    pub desired: u64,
    /// All of the region's, if none is named.
    pub zones: Vec<String>,
    pub hooks: Vec<HookSetup>,
    pub grace_period_s: u64,
    pub launch_before_terminate: bool,
    /// An abandoned terminate hook leaves the instance `Terminating:Retained`.
    pub retain_on_abandon: bool,
    /// New instances get these tags as well.
    pub tags: Tags,
    pub data_volumes_in_template: Vec<TemplateVolume>,
}

#[derive(Clone, Debug)]
pub struct HookSetup {
    pub name: String,
    /// `autoscaling:EC2_INSTANCE_LAUNCHING` or `autoscaling:EC2_INSTANCE_TERMINATING`.
    pub transition: String,
    pub heartbeat_timeout_s: u64,
    /// `ABANDON` or `CONTINUE`.
    pub default_result: String,
}

impl HookSetup {
    pub fn launching(heartbeat_timeout_s: u64) -> HookSetup {
        HookSetup {
            name: "launch".to_owned(),
            transition: Transition::Launching.as_str().to_owned(),
            heartbeat_timeout_s,
            default_result: Verdict::Abandon.as_str().to_owned(),
        }
    }

    pub fn terminating(heartbeat_timeout_s: u64) -> HookSetup {
        HookSetup {
            name: "terminate".to_owned(),
            transition: Transition::Terminating.as_str().to_owned(),
            heartbeat_timeout_s,
            default_result: Verdict::Continue.as_str().to_owned(),
        }
    }

    /// A transition or result that does not exist is read as the commonest one.
    fn into_hook(self) -> Hook {
        Hook {
            transition: Transition::parse(&self.transition).unwrap_or(Transition::Launching),
            default_result: Verdict::parse(&self.default_result).unwrap_or(Verdict::Abandon),
            name: self.name,
            heartbeat_timeout_s: self.heartbeat_timeout_s,
            target: None,
            role: None,
            metadata: None,
        }
    }
}

impl GroupSetup {
    pub(crate) fn into_group(self, arn: String, now: Timestamp) -> Group {
        let hooks = self
            .hooks
            .into_iter()
            .map(|hook| (hook.name.clone(), hook.into_hook()))
            .collect();
        let maintenance = self.launch_before_terminate.then_some(Maintenance {
            min_healthy: 100,
            max_healthy: 200,
        });
        Group {
            source: LaunchSource::Configuration(format!("{}-config", self.name)),
            name: self.name,
            arn,
            min: self.min,
            max: self.max,
            desired: self.desired,
            zones: self.zones,
            subnets: None,
            next_zone: None,
            last_zone: None,
            balanced_only: false,
            hooks,
            members: BTreeMap::new(),
            propagated: self.tags.keys().cloned().collect(),
            tags: self.tags,
            activities: Vec::new(),
            created: now,
            cooldown_s: 300,
            grace_period_s: self.grace_period_s,
            health_check_type: "EC2".to_owned(),
            maintenance,
            retain_on_abandon: self.retain_on_abandon,
            capacity_rebalance: false,
            suspended: BTreeSet::new(),
            warm_pool: None,
            handovers: Vec::new(),
            data_volumes: self.data_volumes_in_template,
            launch_failures: 0,
            no_launch_before: None,
            failed_zones: BTreeSet::new(),
            deleting: false,
            serial: 0,
        }
    }
}

impl Region {
    /// Creates a group, or replaces nothing: one of that name stays as it is.
    pub fn create_group(&mut self, mut setup: GroupSetup, now: Timestamp) {
        self.advance(now);
        let now = self.now;
        if setup.zones.is_empty() {
            setup.zones.clone_from(&self.settings.zones);
        }
        if !self.model.groups.contains_key(&setup.name) {
            let arn = super::group_arn(self, &setup.name);
            let group = setup.into_group(arn, now);
            members::open(self, group, now);
        }
    }

    /// Forces the zone of the group's next launches; `None` leaves it to the balance again.
    pub fn set_next_zone(&mut self, group: &str, zone: Option<&str>) {
        if let Some(group) = self.model.groups.get_mut(group) {
            group.next_zone = zone.map(str::to_owned);
        }
    }
}
