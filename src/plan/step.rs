//! The vocabulary of actions, and of reasons not to act.
//!
//! A step leaves no choice to whoever carries it out, and it names what must
//! still be so (expected holder, attachment, epoch), so that a plan that has
//! gone stale can never move anything backwards. The steps of one plan do not
//! depend on each other: they may be carried out all at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{
    AllocationId, Epoch, Incident, InstanceId, SnapshotId, VolumeId, VolumeName, Zone,
};
use crate::spec::{AddressSpec, Filesystem};
use crate::world::{Consistency, Shape, Term, Transition};

/// What to do now, what is waited for, or that all is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[must_use = "a plan that nobody carries out moves nothing"]
pub struct Plan {
    pub steps: Vec<Step>,
    pub waits: Vec<Wait>,
    /// What may be done at leisure, and only by a runner that stays:
    /// periodic snapshots, retiring what is no longer needed.
    pub upkeep: Vec<Step>,
    /// Lifecycle actions that must be kept open while there is work or a hold.
    pub keep_open: Vec<Action>,
    /// Who should have the belongings, as far as can be said.
    pub holder: Option<InstanceId>,
    /// An older set takes the place of the newest data: only on a new look.
    #[serde(skip)]
    pub forsakes: bool,
}

impl Plan {
    /// Belongings are with the holder, actions completed, nothing left to do.
    pub fn is_settled(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }
}

/// An open lifecycle action, named the way the API wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Action {
    pub hook: String,
    pub transition: Transition,
    pub instance: InstanceId,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    // -- on this machine
    /// Stop the workload, sync, unmount every mounted belonging.
    Quiesce,
    /// Make a file system on a volume this group made blank. The host refuses
    /// if probing finds anything on it.
    Format {
        name: VolumeName,
        volume: VolumeId,
        filesystem: Filesystem,
    },
    Mount {
        name: VolumeName,
        volume: VolumeId,
    },
    StartWorkload,

    // -- instances
    /// Make a predecessor quiet from outside: stop it.
    Fence {
        instance: InstanceId,
        force: bool,
    },
    /// Start a stopped standby.
    StartInstance {
        instance: InstanceId,
    },
    /// Tell Auto Scaling that the member is sick.
    ReportUnhealthy {
        instance: InstanceId,
        /// Every move that alarms caused and that still counts, with this one.
        moves: Vec<Timestamp>,
    },
    /// Make the other member of a pair its holder, written on both members
    /// before anything is moved.
    Appoint {
        heir: InstanceId,
        since: Timestamp,
        /// The appointment it replaces: any other means that somebody was faster.
        over: Option<Term>,
        cause: Cause,
        /// As for `ReportUnhealthy`.
        moves: Vec<Timestamp>,
    },
    /// Write this appointment on the member of a pair where that failed.
    NoteHolder {
        on: InstanceId,
        appointed: Term,
        /// As for `ReportUnhealthy`.
        moves: Vec<Timestamp>,
    },

    // -- volumes and snapshots
    /// `force` only when the instance it is attached to is down.
    Detach {
        volume: VolumeId,
        instance: InstanceId,
        force: bool,
    },
    /// Detach a copy that no term ever began on, from where another belongs. Refused
    /// once a term did: then it may be in use.
    Displace {
        volume: VolumeId,
        instance: InstanceId,
        force: bool,
    },
    /// Detach what has been `attaching` for so long that it is stuck; by force what
    /// is stuck on its way back, and was never seen by the instance.
    TakeBack {
        volume: VolumeId,
        instance: InstanceId,
    },
    /// Snapshot one volume. `Clean` claims quiet: the runner checks by id that
    /// nothing is attached but `quiet_on`, right before the call.
    Capture {
        name: VolumeName,
        volume: VolumeId,
        epoch: Epoch,
        incident: Incident,
        consistency: Consistency,
        /// The stopped or terminated instance it may still be attached to.
        quiet_on: Option<InstanceId>,
        shape: Shape,
        tags: BTreeMap<String, String>,
    },
    /// One crash-consistent set of these live volumes of an instance, in one
    /// call, without whatever else is attached there.
    SnapshotLive {
        instance: InstanceId,
        incident: Incident,
        volumes: Vec<LiveVolume>,
    },
    /// Write on a snapshot of a live set what its volume knows; or on one that was
    /// to be a quiet capture that it is a live one.
    Label {
        snapshot: SnapshotId,
        of: LiveVolume,
        incident: Incident,
    },
    CreateVolume {
        name: VolumeName,
        zone: Zone,
        epoch: Epoch,
        incident: Incident,
        /// None: blank, for a group that never had data.
        source: Option<SnapshotId>,
        shape: Shape,
        tags: BTreeMap<String, String>,
    },
    Attach {
        volume: VolumeId,
        instance: InstanceId,
        device: String,
    },
    /// Begin a term: from here on this lineage is the newest. Written on the
    /// volumes and then on the group, before anything is mounted.
    Activate {
        holder: InstanceId,
        since: Timestamp,
        volumes: Vec<Activation>,
    },
    /// Note on a volume that a newer epoch has taken over.
    Supersede {
        volume: VolumeId,
    },
    DeleteVolume {
        volume: VolumeId,
        why: Retired,
    },
    DeleteSnapshot {
        snapshot: SnapshotId,
        why: Retired,
    },

    // -- addresses and lifecycle
    /// One call, never disassociate first.
    Associate {
        allocation: AllocationId,
        instance: InstanceId,
        /// Where it is now; anything else means somebody was faster.
        from: Option<InstanceId>,
        /// Interface and private address, when the instance is to carry several.
        to: Option<(String, String)>,
    },
    /// Complete a lifecycle action with CONTINUE.
    Complete {
        action: Action,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveVolume {
    pub name: VolumeName,
    pub volume: VolumeId,
    pub epoch: Epoch,
    pub shape: Shape,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activation {
    pub name: VolumeName,
    pub volume: VolumeId,
    pub epoch: Epoch,
    /// The group's marker as it was seen.
    pub marked: Option<Epoch>,
}

impl Activation {
    /// The group's marker does not stand at this epoch yet.
    #[must_use]
    pub fn is_to_be_marked(&self) -> bool {
        self.marked < Some(self.epoch)
    }
}

/// Why a pair gets another holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// This alarm rang long enough.
    Alarm(String),
    /// The holder is terminated.
    Gone,
    /// The holder was told that it goes.
    Leaving,
    /// A person asked for it.
    Asked,
}

/// Why something may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retired {
    /// A newer epoch is active, and the keep time is over.
    Superseded,
    /// Made for a move that ended otherwise; it was never active.
    NeverActive,
    /// The policy keeps fewer.
    BeyondKeep,
    /// Another capture of the same volume and move is kept.
    Duplicate,
    /// EBS could not take it.
    Failed,
}

/// Why nothing happens (yet).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wait {
    pub reason: Reason,
    pub since: Option<Timestamp>,
    /// When the plan will decide otherwise if nothing changes.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    // -- the world moves on by itself
    /// No member may have the belongings yet.
    NoHolder,
    /// The holder is still booting, or not at its hook yet.
    HolderBoots {
        instance: InstanceId,
    },
    /// The predecessor's own agent is expected to let go.
    PredecessorLetsGo {
        instance: InstanceId,
    },
    /// Another runner stands first in line for this.
    AnotherRunner {
        what: &'static str,
    },
    /// The holder's own agent serves, and this runner would step in later.
    AgentServes,
    Fencing {
        instance: InstanceId,
    },
    Detaching {
        volume: VolumeId,
    },
    Snapshotting {
        snapshot: SnapshotId,
        progress: u8,
    },
    Creating {
        volume: VolumeId,
    },
    Attaching {
        volume: VolumeId,
    },
    /// Attached, but the kernel does not show the disk yet.
    DiskAppears {
        volume: VolumeId,
    },
    /// The workload was started and does not say it is healthy yet.
    Health {
        says: String,
    },
    /// The member is not at its hook yet, or has not moved on yet.
    Lifecycle {
        instance: InstanceId,
    },
    /// What was seen cannot be the whole truth: a describe lags.
    Lagging {
        what: String,
    },
    /// An alarm rings, not long enough yet.
    Confirming {
        alarm: String,
    },
    /// An alarm rings, and alarms have moved the group often enough for now.
    Flapping {
        alarm: String,
        moves: usize,
    },
    /// Something could not be read.
    Unknown {
        what: &'static str,
        why: String,
    },
    // -- a person has to decide: nothing changes until then
    Hold(Hold),
}

impl Step {
    /// The same for the same step of a later plan, whatever the time is then.
    pub fn key(&self) -> String {
        match self {
            Self::Activate {
                holder, volumes, ..
            } => format!("activate {holder} {volumes:?}"),
            Self::SnapshotLive { instance, .. } => format!("snapshot live {instance}"),
            Self::Appoint { heir, .. } => format!("appoint {heir}"),
            Self::ReportUnhealthy { instance, .. } => format!("report {instance}"),
            other => format!("{other:?}"),
        }
    }
}

impl Reason {
    /// The same while the same thing is waited for, however far it is.
    pub fn key(&self) -> String {
        match self {
            Self::Snapshotting { snapshot, .. } => format!("snapshotting {snapshot}"),
            Self::Health { .. } => "health".to_owned(),
            Self::Unknown { what, .. } => format!("unknown {what}"),
            Self::Hold(Hold::DataLoss { volume, .. }) => format!("data loss {volume}"),
            other => format!("{other:?}"),
        }
    }
}

/// What rehome will not decide alone. Each says what a person can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "hold", rename_all = "snake_case")]
pub enum Hold {
    /// Desired is above one, or there are more members than can be explained.
    TooManyMembers {
        desired: u32,
        candidates: usize,
    },
    /// The holder of a pair was stopped, and nobody asked for another.
    HolderStopped {
        instance: InstanceId,
    },
    /// A person asked for the holder that there is.
    HoldsAlready {
        instance: InstanceId,
    },
    /// The holder of a pair is gone, or sick, and the other member cannot take over.
    NoStandby {
        instance: InstanceId,
        why: String,
    },
    /// The newest data is out of reach and the newest set is too old.
    DataLoss {
        volume: VolumeName,
        newest_set: Option<Timestamp>,
        loses_seconds: Option<i64>,
    },
    /// The instance has an untagged volume at a configured device.
    AdoptFirst {
        volume: VolumeName,
        instance: InstanceId,
        device: String,
        found: VolumeId,
    },
    /// Something of the group does not say which volume's data it is.
    Nameless {
        volume: VolumeName,
        found: String,
    },
    /// The newest data is not to be seen, and this may be it: it lacks the tags
    /// that would say so.
    Untagged {
        volume: VolumeName,
        found: VolumeId,
        epoch: Epoch,
    },
    /// A volume that never had data, beside data of a name that is not configured.
    Renamed {
        volume: VolumeName,
        found: VolumeName,
    },
    /// Something that is not ours sits at the configured device.
    DeviceTaken {
        volume: VolumeName,
        instance: InstanceId,
        device: String,
        found: VolumeId,
    },
    /// No volume, no snapshot, and no size to make a blank one of.
    NoFirstVolume {
        volume: VolumeName,
    },
    /// Two volumes claim to be the newest data.
    TwoLineages {
        volume: VolumeName,
        epoch: Epoch,
    },
    /// One volume on two instances.
    DoublyAttached {
        volume: VolumeId,
    },
    AddressMissing {
        address: AddressSpec,
    },
    AddressAmbiguous {
        address: AddressSpec,
        count: usize,
    },
    /// The instance has fewer private addresses than the group has Elastic IPs.
    PrivateAddresses {
        instance: InstanceId,
        needs: usize,
        has: usize,
    },
    /// Something else is mounted there.
    MountTaken {
        volume: VolumeName,
        by: String,
    },
    /// The volume came back with something on it that is not the configured
    /// file system, or with none although it is not blank.
    WrongFilesystem {
        volume: VolumeName,
        found: Option<String>,
    },
    /// Several hooks of one transition, none of them named after rehome.
    WhichHook {
        transition: Transition,
        count: usize,
    },
    /// The data volume, or what it came from, is in a state only AWS or a person can mend.
    BadVolume {
        volume: VolumeId,
    },
}
