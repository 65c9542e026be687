//! What the user declares: the configuration, checked.
//!
//! `parse` (in `spec/parse.rs`) turns TOML into this shape, or into one message
//! that names file, line, key and what is allowed.

mod error;
mod group;
mod parse;
mod reader;
mod volume;

use std::fmt;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Serialize;

pub use self::error::ConfigError;
pub use self::parse::{load, parse};
use crate::ids::{AllocationId, GroupName, InstanceId, VolumeName};
use crate::world::Shape;

/// A whole configuration: at least one group, no two of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    pub groups: Vec<GroupSpec>,
    pub wake: Wake,
}

/// One stateful instance's worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSpec {
    pub name: GroupName,
    pub kind: Kind,
    /// Does the instance run rehome itself?
    pub agent: bool,
    pub addresses: Vec<AddressSpec>,
    pub volumes: Vec<VolumeSpec>,
    pub workload: WorkloadSpec,
    pub alarms: Vec<String>,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// An Auto Scaling group of one.
    Asg,
    /// A primary and a stopped standby, in order of preference.
    Pair { members: Vec<InstanceId> },
}

/// How an Elastic IP is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum AddressSpec {
    Allocation(AllocationId),
    Tag { key: String, value: String },
}

impl fmt::Display for AddressSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocation(id) => write!(f, "allocation id {id}"),
            Self::Tag { key, value } => write!(f, "tag {key} = {value}"),
        }
    }
}

/// One data volume that follows the holder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeSpec {
    pub name: VolumeName,
    /// A name EBS accepts for a data volume: `/dev/sd[f-p]`, `/dev/xvd[b-c][a-z]`.
    pub device: String,
    /// Without it the volume is attached and nothing more.
    pub mount: Option<PathBuf>,
    pub filesystem: Filesystem,
    /// For the very first, blank volume. Without a size none is ever made.
    pub first: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    Ext4,
    Xfs,
}

impl Filesystem {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// What lives on the volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkloadSpec {
    /// Started in this order after the mounts, stopped in reverse before.
    pub units: Vec<String>,
    /// An argv, not a shell line. Empty: running units are healthy.
    pub health: Vec<String>,
}

/// The numbers a person decides. Every duration is positive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// The recovery point objective of a failure that takes the volume along.
    pub snapshot_every: SignedDuration,
    /// How many complete periodic sets are kept; at least 1.
    pub keep_snapshots: usize,
    /// How long a superseded volume stays after its successor became active.
    pub keep_old_volume: SignedDuration,
    /// How much may be lost without asking a person.
    pub max_data_loss: SignedDuration,
    /// How long a predecessor may take to let go by itself before the fence.
    pub quiesce_timeout: SignedDuration,
    /// How long the newest data may be out of reach before an older set is considered.
    pub capture_timeout: SignedDuration,
    /// How long an alarm must ring before it moves anything.
    pub confirm_for: SignedDuration,
    /// The least time between two moves that alarms cause.
    pub cooldown: SignedDuration,
    /// How many moves alarms may cause within an hour; at least 1.
    pub moves_per_hour: usize,
    /// Are the file systems held still while a live set of snapshots is begun?
    pub freeze: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            snapshot_every: SignedDuration::from_mins(15),
            keep_snapshots: 7,
            keep_old_volume: SignedDuration::from_hours(24),
            max_data_loss: SignedDuration::from_hours(1),
            quiesce_timeout: SignedDuration::from_secs(60),
            capture_timeout: SignedDuration::from_mins(30),
            confirm_for: SignedDuration::from_secs(60),
            cooldown: SignedDuration::from_mins(10),
            moves_per_hour: 3,
            freeze: false,
        }
    }
}

/// What wakes the daemon besides its own machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wake {
    pub sqs_queue_url: Option<String>,
    pub poll_every: SignedDuration,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            sqs_queue_url: None,
            poll_every: SignedDuration::from_secs(15),
        }
    }
}
