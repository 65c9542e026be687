//! What AWS, and this machine, report about one group: plain data, no SDK type.
//!
//! A part that could not be read, or not completely, is *unknown*, which is
//! never the same as absent: nothing irreversible is planned on it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ids::{
    AllocationId, Epoch, Incident, InstanceId, SnapshotId, VolumeId, VolumeName, Zone,
};

/// One look at everything that concerns one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct World {
    pub group: Seen<Group>,
    /// The members of the group, and whatever else holds a belonging.
    pub instances: Seen<BTreeMap<InstanceId, Instance>>,
    /// Every volume that carries the group's tag.
    pub volumes: Seen<BTreeMap<VolumeId, Volume>>,
    /// Every snapshot that carries the group's tag.
    pub snapshots: Seen<BTreeMap<SnapshotId, Snapshot>>,
    /// In the order of the configuration: what each `[[group.address]]` found.
    pub addresses: Seen<Vec<AddressFound>>,
    /// The state of each configured alarm, by its name.
    pub alarms: Seen<BTreeMap<String, Alarm>>,
    /// This machine, where the runner sits on an instance.
    pub here: Option<Here>,
}

impl World {
    /// Before anything was looked at: nothing is known.
    pub fn unseen() -> Self {
        fn not_yet<T>() -> Seen<T> {
            Seen::Unknown("not looked at yet".to_owned())
        }
        Self {
            group: not_yet(),
            instances: not_yet(),
            volumes: not_yet(),
            snapshots: not_yet(),
            addresses: not_yet(),
            alarms: not_yet(),
            here: None,
        }
    }
}

/// A part of the world, or why it could not be seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Seen<T> {
    Known(T),
    Unknown(String),
}

impl<T> Seen<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

// ---------------------------------------------------------------- the group

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Group {
    /// How many instances Auto Scaling wants; 1 for a pair.
    pub desired: u32,
    pub members: BTreeMap<InstanceId, Member>,
    /// The highest epoch that was ever active, by volume name: it says
    /// "initialised", and unmasks a describe that lags behind.
    pub markers: BTreeMap<VolumeName, Epoch>,
    pub hooks: Vec<Hook>,
    /// Whom the members of a pair name as their holder, and since when. Auto
    /// Scaling decides that for its groups itself.
    pub appointed: Option<Term>,
    /// Members of a pair that name another one, or nobody: the note failed there.
    pub unnoted: Vec<InstanceId>,
    /// When alarms moved the group, as far back as it counts; oldest first.
    pub moves: Vec<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    pub lifecycle: Lifecycle,
    pub zone: Zone,
    pub healthy: bool,
}

/// Auto Scaling's `LifecycleState`, folded to what matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Lifecycle {
    Pending,
    PendingWait,
    PendingProceed,
    InService,
    Standby,
    Terminating,
    TerminatingWait,
    TerminatingProceed,
    /// Kept by the instance lifecycle policy after an abandoned terminate hook.
    TerminatingRetained,
    Terminated,
    /// In, entering or leaving the warm pool; the whole state, as reported.
    Warmed(String),
    /// Detaching, EnteringStandby, ReplacingRootVolume… and what AWS adds next.
    Other(String),
}

impl Lifecycle {
    /// May this member be, or become, the holder?
    pub fn is_candidate(&self) -> bool {
        matches!(
            self,
            Self::Pending | Self::PendingWait | Self::PendingProceed | Self::InService
        )
    }

    /// Is Auto Scaling taking this member away?
    pub fn is_leaving(&self) -> bool {
        matches!(
            self,
            Self::Terminating
                | Self::TerminatingWait
                | Self::TerminatingProceed
                | Self::TerminatingRetained
                | Self::Terminated
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Transition {
    Launch,
    Terminate,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hook {
    pub name: String,
    pub transition: Transition,
    /// Each heartbeat starts a whole period of this length anew.
    pub heartbeat: SignedDuration,
}

// ------------------------------------------------------------ the instances

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instance {
    pub state: InstanceState,
    pub zone: Zone,
    /// When it was last started: EC2's `LaunchTime` moves at every start.
    pub launched: Timestamp,
    /// When it was told to stop or to end, where EC2 says so.
    pub told_to_end: Option<Timestamp>,
    /// EC2 refused to stop it, as it refuses it for one-time Spot requests, for
    /// instances without an EBS root, and under stop protection.
    pub unstoppable: bool,
    /// For a minute after it could not be read, as while its zone was dark, and after
    /// this process first saw it: what it was told meanwhile may be on its way.
    pub just_back: bool,
    /// The primary network interface and its private addresses, primary first.
    pub interface: Option<Interface>,
    /// What the instance itself has at its device names.
    pub devices: BTreeMap<String, VolumeId>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interface {
    pub id: String,
    pub private_ips: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
}

impl InstanceState {
    /// Nothing runs on it any more.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Stopped | Self::Terminated)
    }
}

// -------------------------------------------------- volumes and snapshots

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volume {
    pub id: VolumeId,
    /// `rehome:volume`; a tagged volume without it belongs to no configured name.
    pub name: Option<VolumeName>,
    pub epoch: Epoch,
    pub standing: Standing,
    pub state: VolumeState,
    pub zone: Zone,
    /// A volume has at most one attachment here: data volumes are never
    /// multi-attach. More than one is reported, and nothing is done.
    pub attachments: Vec<Attachment>,
    /// The snapshot it was made from; none for a blank one.
    pub source: Option<SnapshotId>,
    pub shape: Shape,
    pub created: Timestamp,
    /// The move it was made for (`rehome:incident`).
    pub incident: Option<Incident>,
    /// The user's own tags: everything but `aws:*` and `rehome:*`.
    pub tags: BTreeMap<String, String>,
}

impl Volume {
    /// In use, by its tags, and without an epoch or a term: it was adopted, or
    /// somebody took its tags away. Beside newer data only a person knows which.
    pub fn is_undated(&self) -> bool {
        self.standing == Standing::Active(None) && self.epoch == Epoch::default()
    }
}

/// What part a volume plays (`rehome:state`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// Made for a holder that has not begun to use it: never active.
    New,
    /// In use since the term began, or the group's own before rehome came
    /// (then without a term).
    Active(Option<Term>),
    /// Was active once; a newer epoch has taken over. A note for people: what
    /// decides is the epoch.
    Superseded,
}

/// One holder's time: with one volume, written before the volume is mounted; or
/// in a pair, written on both members before anything is moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Term {
    pub holder: InstanceId,
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum VolumeState {
    Creating,
    Available,
    InUse,
    Deleting,
    Deleted,
    Error,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    pub instance: InstanceId,
    pub device: String,
    pub state: AttachmentState,
    pub delete_on_termination: bool,
    /// When it was begun, where EC2 says so.
    pub since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AttachmentState {
    Attaching,
    Attached,
    Detaching,
    /// Still mounted while detaching.
    Busy,
}

/// What a volume is made like, and must keep when it moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// `gp3`, `io2`, …
    pub volume_type: Option<String>,
    pub size_gib: Option<u32>,
    pub iops: Option<u32>,
    /// MiB/s.
    pub throughput: Option<u32>,
    pub encrypted: Option<bool>,
    pub kms_key_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub volume: VolumeId,
    pub name: Option<VolumeName>,
    /// It says itself whose data it is; else its volume had to, which may be
    /// gone when that is needed.
    pub labelled: bool,
    pub epoch: Epoch,
    pub state: SnapshotState,
    /// Percent, as AWS reports it; coarse.
    pub progress: u8,
    /// The point in time it holds.
    pub started: Timestamp,
    /// When AWS had all of it; none while it has not, or does not say.
    pub completed: Option<Timestamp>,
    /// The move or the periodic set it was taken for; snapshots of one set share it.
    pub incident: Option<Incident>,
    pub consistency: Consistency,
    /// The source volume's shape and user tags, carried on the snapshot for
    /// the day when the volume itself is gone.
    pub shape: Shape,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SnapshotState {
    Pending,
    Completed,
    /// It holds nothing, and is one of the five that EBS has under way of its volume.
    Failed,
    /// Archived, or in the recycle bin: not restorable now.
    Unusable,
}

impl SnapshotState {
    /// It can be restored, or will be.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Pending | Self::Completed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Consistency {
    /// Nothing could write while it was taken.
    Clean,
    /// Taken of a live volume, or not known: as after a power cut.
    Crash,
}

// ----------------------------------------------------- addresses and alarms

/// What one `[[group.address]]` found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum AddressFound {
    One(Address),
    /// No such allocation, or no address with that tag.
    Missing,
    /// The tag fits several addresses.
    Ambiguous(Vec<AllocationId>),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Address {
    pub allocation: AllocationId,
    pub public_ip: String,
    pub instance: Option<InstanceId>,
    /// The private address it is bound to.
    pub private_ip: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// In state ALARM, with actions not suppressed.
    pub ringing: bool,
    /// When it came into its present state.
    pub since: Timestamp,
    /// The instances its metrics are about; none where it names none, as a
    /// composite alarm.
    pub about: BTreeSet<InstanceId>,
}

// ------------------------------------------------------------- this machine

/// What the runner's own machine reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Here {
    pub instance: InstanceId,
    pub zone: Zone,
    /// The instance was told that it goes: target lifecycle state, spot notice.
    pub leaving: Option<String>,
    /// Attached disks the kernel already shows, by volume.
    pub disks: BTreeMap<VolumeId, Disk>,
    /// What is mounted at the configured mount points.
    pub mounts: BTreeMap<VolumeName, Mounted>,
    pub workload: Workload,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The kernel's path of the device, found by the volume's serial number.
    pub path: String,
    /// What probing found on it; `None` is positively nothing.
    pub filesystem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Mounted {
    Volume(VolumeId),
    /// Something else sits on the mount point.
    Foreign(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Workload {
    /// Nothing is configured to run.
    None,
    /// Not every unit runs.
    Stopped,
    /// Every unit runs, but the health command says no.
    Unhealthy(String),
    Healthy,
}
