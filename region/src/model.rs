//! What there is in the region: plain state, no behaviour.
//!
//! EC2 owns instances, volumes, snapshots and addresses; Auto Scaling owns
//! groups. Each side changes only what it owns and asks the other by function:
//!
//! - Auto Scaling starts and ends machines with `ec2::instances::{launch, stop,
//!   start, terminate}` and never writes an instance's state itself;
//! - EC2 tells Auto Scaling of every change of an instance, after it happened, by
//!   `autoscaling::instance_changed`, once, and of an outage by
//!   `autoscaling::zone_changed`;
//! - whoever begins to take a serving instance away says so first by
//!   `critical_path::begin`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

pub use crate::autoscaling::model::{Activity, Group, Hook, LifecycleAction, Member};
pub use crate::cloudwatch::{Alarm, Datapoint};
pub use crate::ec2::templates::LaunchTemplate;
pub use crate::sqs::Queue;

use crate::latency::Delay;
pub use crate::record::Tags;

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub instances: BTreeMap<String, Instance>,
    pub volumes: BTreeMap<String, Volume>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub addresses: BTreeMap<String, Address>,
    pub groups: BTreeMap<String, Group>,
    pub templates: BTreeMap<String, LaunchTemplate>,
    pub queues: BTreeMap<String, Queue>,
    pub alarms: BTreeMap<String, Alarm>,
    /// The newest value of each metric that was put.
    pub metrics: BTreeMap<String, Datapoint>,
    pub dark_zones: BTreeSet<String>,
    /// The newest acknowledged write of each service and mount path.
    pub acknowledged: BTreeMap<(String, String), Acknowledged>,
    /// History → where it came from.
    pub branches: BTreeMap<u64, Branch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub counter: u64,
    /// The branch of history it was written in.
    pub history: u64,
}

/// Where a branch of history left another one. Every time somebody begins to
/// write to a volume, a branch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    pub parent: u64,
    pub counter: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
}

impl InstanceState {
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
        }
    }

    pub fn code(self) -> u8 {
        match self {
            InstanceState::Pending => 0,
            InstanceState::Running => 16,
            InstanceState::ShuttingDown => 32,
            InstanceState::Terminated => 48,
            InstanceState::Stopping => 64,
            InstanceState::Stopped => 80,
        }
    }

    /// Neither terminated nor on the way there.
    pub fn lives(self) -> bool {
        !matches!(
            self,
            InstanceState::ShuttingDown | InstanceState::Terminated
        )
    }
}

#[derive(Clone, Debug)]
pub struct Instance {
    pub id: String,
    pub zone: String,
    pub state: InstanceState,
    /// Counts the orders to start, stop and terminate: an earlier order's end
    /// does nothing once a later one was given.
    pub order: u64,
    /// Whose service this machine runs: its Auto Scaling group, or the name a
    /// standby pair goes by. Mount paths of one service share their history.
    pub service: Option<String>,
    pub image: String,
    pub kind: String,
    pub tags: Tags,
    pub launched: Timestamp,
    /// When it was told to stop or to terminate; a start forgets it.
    pub told_to_end: Option<Timestamp>,
    /// Reads by id say `NotFound` before.
    pub visible: Timestamp,
    /// The primary one first.
    pub private_ips: Vec<String>,
    /// What it got at launch; an Elastic IP releases it.
    pub public_ip: Option<String>,
    pub interface: String,
    pub subnet: String,
    pub root_device: String,
    pub guest: Guest,
    /// EC2's status checks.
    pub impaired: bool,
    /// Against termination by EC2's API; Auto Scaling's way is not barred.
    pub protected: bool,
    /// Against being stopped by EC2's API.
    pub stop_protected: bool,
    /// A shutdown from inside terminates it.
    pub shutdown_terminates: bool,
    /// The instance profile, by ARN or name.
    pub profile: Option<String>,
    /// When a spot interruption notice says it will end.
    pub spot_notice: Option<Timestamp>,
    pub token: Option<String>,
    /// The latest draw of each kind, for the critical path.
    pub drawn: BTreeMap<Delay, Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    Off,
    Booting,
    Up,
    /// Kernel panic: it runs no more, and EC2 still says `running`.
    Crashed,
}

/// The operating system inside an instance.
#[derive(Clone, Debug)]
pub struct Guest {
    pub power: Power,
    /// Path → volume.
    pub mounts: BTreeMap<String, String>,
    /// Unit → running?
    pub units: BTreeMap<String, bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumeState {
    Creating,
    Available,
    InUse,
    Error,
}

impl VolumeState {
    pub fn as_str(self) -> &'static str {
        match self {
            VolumeState::Creating => "creating",
            VolumeState::Available => "available",
            VolumeState::InUse => "in-use",
            VolumeState::Error => "error",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Volume {
    pub id: String,
    pub zone: String,
    pub state: VolumeState,
    pub size_gib: u64,
    /// gp2, gp3, io1 …
    pub kind: String,
    pub iops: Option<u64>,
    pub throughput: Option<u64>,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub snapshot: Option<String>,
    pub attachment: Option<Attachment>,
    pub tags: Tags,
    pub created: Timestamp,
    pub visible: Timestamp,
    pub content: Content,
    pub writer: Option<Writer>,
    /// How it last became quiet, for the critical path.
    pub released: Option<Released>,
    /// DeleteVolume says `VolumeInUse` for a moment after the detach.
    pub deletable: Timestamp,
    pub last_snapshot: Option<Timestamp>,
    pub drawn: BTreeMap<Delay, Duration>,
}

/// What is on a volume, as far as anybody can judge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub filesystem: Option<String>,
    pub counter: u64,
    /// The branch of history: two copies that were both written differ here.
    pub history: u64,
}

/// Somebody writes to the volume, ten times a second.
#[derive(Clone, Debug)]
pub struct Writer {
    pub instance: String,
    pub path: String,
    /// Writes up to here are in the content already.
    pub since: Timestamp,
    /// Its zone is dark: it waits for its disk.
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// By DetachVolume, from a running instance.
    Detached,
    /// By DetachVolume, from an instance that had been stopped.
    Fenced,
    /// By the end of its instance.
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachmentState {
    Attaching,
    Attached,
    Detaching,
    /// Detaching, and the guest has it mounted.
    Busy,
}

impl AttachmentState {
    pub fn as_str(self) -> &'static str {
        match self {
            AttachmentState::Attaching => "attaching",
            AttachmentState::Attached => "attached",
            AttachmentState::Detaching => "detaching",
            AttachmentState::Busy => "busy",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub instance: String,
    pub device: String,
    pub state: AttachmentState,
    pub since: Timestamp,
    pub delete_on_termination: bool,
    /// Which attach or detach this is: an earlier one's end does nothing.
    pub order: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotState {
    Pending,
    Completed,
    Error,
}

impl SnapshotState {
    pub fn as_str(self) -> &'static str {
        match self {
            SnapshotState::Pending => "pending",
            SnapshotState::Completed => "completed",
            SnapshotState::Error => "error",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: String,
    pub owner: String,
    pub volume: String,
    pub zone: String,
    pub state: SnapshotState,
    pub started: Timestamp,
    pub completed: Option<Timestamp>,
    pub size_gib: u64,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub description: String,
    pub tags: Tags,
    pub visible: Timestamp,
    pub content: Content,
    /// The volume was attached to an instance that could write.
    pub writer_active: bool,
    /// It will go to `error`; for a set, all of it.
    pub fails: bool,
    /// The other snapshots of one CreateSnapshots call.
    pub set: Vec<String>,
    pub drawn: BTreeMap<Delay, Duration>,
}

#[derive(Clone, Debug)]
pub struct Address {
    pub allocation: String,
    pub public_ip: String,
    pub tags: Tags,
    pub instance: Option<String>,
    pub interface: Option<String>,
    pub private_ip: Option<String>,
    pub association: Option<String>,
    /// From here on packets take the new way.
    pub settled: Timestamp,
}
