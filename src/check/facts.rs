//! What does a check look at, beside the world that a run looks at? Plain data,
//! no SDK type. Every part may be unknown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::ids::{InstanceId, VolumeName, Zone};
use crate::plan::Plan;
use crate::world::{InstanceState, Seen, Transition, World};

/// Everything about one group.
#[derive(Clone, Debug)]
pub struct Facts {
    pub world: World,
    /// What a run would do now: a hold in it is something only a person can mend.
    pub plan: Plan,
    pub hooks: Seen<Vec<HookSetup>>,
    /// None: there is no such Auto Scaling group.
    pub setup: Seen<Option<GroupSetup>>,
    pub subnets: Seen<Vec<Subnet>>,
    /// None: the group names one that does not exist.
    pub template: Seen<Option<Template>>,
    /// The members, and whoever holds an address or a volume.
    pub bodies: Seen<BTreeMap<InstanceId, Body>>,
    /// Of the members of a pair.
    pub protection: BTreeMap<InstanceId, Seen<Protection>>,
    pub alarms: Seen<BTreeMap<String, AlarmSetup>>,
    /// None: no queue is configured. False: it does not exist.
    pub queue: Option<Seen<bool>>,
    pub asked: Vec<Asked>,
    pub reached: Vec<Reached>,
    /// None: this machine is no instance of the group.
    pub machine: Option<MachineFacts>,
    /// This machine, as its firmware names it, where its metadata service says
    /// nothing.
    pub mute: Option<InstanceId>,
}

// ------------------------------------------------------------- the group

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSetup {
    pub name: String,
    pub transition: Transition,
    pub heartbeat: SignedDuration,
    /// However often a heartbeat is sent, the action ends after this.
    pub global: SignedDuration,
    /// `ABANDON` or `CONTINUE`.
    pub default_result: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSetup {
    pub min: u32,
    pub max: u32,
    pub desired: u32,
    pub zones: Vec<Zone>,
    /// Empty: the default subnet of each zone.
    pub subnets: Vec<String>,
    pub balanced_only: bool,
    pub suspended: BTreeSet<String>,
    /// Minimum and maximum healthy percentage.
    pub maintenance: Option<(i32, i32)>,
    pub capacity_rebalance: bool,
    pub warm_pool: Option<WarmPool>,
    /// `IgnoreUnhealthy`: nobody is replaced in a zone that was shifted away from.
    pub ignores_unhealthy: bool,
    /// Its policy of mixed instances takes Spot ones.
    pub takes_spot: bool,
    pub source: LaunchSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmPool {
    pub reuse_on_scale_in: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaunchSource {
    Template {
        /// `lt-…`, or its name where there is no id.
        template: String,
        version: String,
    },
    Configuration(String),
    #[default]
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: Zone,
    pub free_addresses: u32,
    pub gives_public_ip: bool,
}

/// What a new instance of the group is made like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Its name or id, and the version that is used.
    pub name: String,
    pub version: String,
    pub mappings: Vec<Mapping>,
    pub profile: Option<String>,
    /// None: what the account's default is.
    pub metadata_endpoint: Option<bool>,
    pub metadata_tokens_required: Option<bool>,
    /// None: the template does not say, so the subnet decides.
    pub public_ip: Option<bool>,
    /// The decoded user data; None: it has none.
    pub user_data: Option<String>,
    /// Keys of the tags that it puts on volumes.
    pub volume_tags: BTreeSet<String>,
    /// It asks for Spot instances.
    pub is_spot: bool,
    /// EC2 is told not to stop what is made of it.
    pub bars_stop: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub device: String,
    /// False: an instance store, or a device that is left out.
    pub is_volume: bool,
    pub delete_on_termination: bool,
}

// ---------------------------------------------------------- the instances

/// What an instance is like, beside what the world says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub state: Option<InstanceState>,
    pub zone: Option<Zone>,
    pub kind: Option<String>,
    pub network: Option<String>,
    pub security_groups: BTreeSet<String>,
    pub profile: Option<String>,
    pub root_device: Option<String>,
    /// `ebs` or `instance-store`.
    pub root_kind: Option<String>,
    pub mappings: Vec<Mapping>,
    pub metadata_endpoint: Option<bool>,
    pub metadata_tokens_required: Option<bool>,
    pub metadata_tags: Option<bool>,
    /// The Auto Scaling group it is a member of.
    pub group: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    pub against_termination: bool,
    pub against_stop: bool,
    /// A shutdown from inside terminates it.
    pub shutdown_terminates: bool,
}

// --------------------------------------------------------------- alarms

#[derive(Clone, Debug, PartialEq)]
pub struct AlarmSetup {
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    pub since: Option<Timestamp>,
    /// None: a composite alarm, or one on an expression.
    pub metric: Option<MetricSetup>,
    pub composite: bool,
    /// ARNs of what it sets off when it rings, and when it is over.
    pub actions: Vec<String>,
    pub ok_actions: Vec<String>,
    /// False: its actions are switched off.
    pub acts: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetricSetup {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
    pub period_s: i32,
    pub evaluation_periods: i32,
    pub comparison: String,
    pub threshold: Option<f64>,
    /// `missing`, `breaching`, `notBreaching`, `ignore`.
    pub treat_missing: String,
}

// ----------------------------------------------------------- permissions

/// May this be done, with the credentials in use?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub action: &'static str,
    /// On what it was asked for.
    pub on: String,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allowed,
    Denied,
    /// AWS cannot be asked, or did not say.
    Unknown(String),
}

/// Does this API answer from here at all?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// As in the name of an endpoint: `ec2`, `autoscaling`, `monitoring`.
    pub service: &'static str,
    /// Why it does not answer.
    pub silence: Option<String>,
}

// ---------------------------------------------------------- this machine

#[derive(Clone, Debug, PartialEq)]
pub struct MachineFacts {
    pub instance: InstanceId,
    /// The units of the workload, then rehome's own.
    pub units: Seen<Vec<UnitFacts>>,
    pub points: BTreeMap<VolumeName, PointFacts>,
    /// Programs that are needed and not there.
    pub missing_programs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFacts {
    pub name: String,
    /// rehome's own, not the workload's.
    pub own: bool,
    pub installed: bool,
    /// `enabled`, `disabled`, `static`, `masked` …
    pub enabled: String,
    pub active: bool,
    /// It refuses to start where its volume is not mounted.
    pub asserts_mount: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointFacts {
    pub path: String,
    pub state: PointState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointState {
    /// Something is mounted there; the world says what.
    Mounted,
    Empty,
    /// It is made when it is needed.
    Missing,
    /// A folder with something in it, on the root disk.
    Filled,
    NotAFolder,
}
