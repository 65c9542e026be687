//! This machine: who it is, its disks, its mounts, its workload.
//!
//! `linux` is the real one. A drill puts the emulated region's guest in its
//! place: what an instance does inside itself is no API call, so it is the one
//! thing that cannot be emulated behind the wire.

mod command;
mod disks;
mod error;
mod formatting;
mod freeze;
mod grow;
mod imds;
pub mod linux;
mod mountinfo;
mod mounts;
mod nodes;
mod point;
mod probe;
mod survey;
mod units;
mod users;

use std::collections::{BTreeMap, BTreeSet};

pub use self::error::HostError;
pub use self::freeze::{Freeze, hold};
pub use self::imds::Identity;
pub use self::survey::instance_by_firmware;

use crate::ids::VolumeId;
use crate::spec::{Filesystem, GroupSpec, VolumeSpec};
use crate::world::Here;

/// What a runner asks of the machine it runs on. Every call is idempotent and
/// bounded in time.
#[allow(async_fn_in_trait)] // one thread, no Send needed
pub trait Host {
    /// Does a look cost nothing? One that starts processes does.
    const LOOKS_FREELY: bool = true;

    /// Who and where am I, am I told to go, which disks and mounts are there,
    /// how is the workload. Touches nothing.
    async fn look(&self, spec: &GroupSpec) -> Result<Here, HostError>;

    /// What EC2 says is attached to this instance, by device name. True: a look
    /// at this machine may now see more than the last one did.
    fn learn(&self, _attached: &BTreeMap<VolumeId, String>) -> bool {
        false
    }

    /// Puts right what a process that was killed here may have left behind.
    async fn recover(&self, _spec: &GroupSpec) -> Result<(), HostError> {
        Ok(())
    }

    /// Only why this machine is to go, if it is: for whoever asks often.
    async fn leaving(&self, spec: &GroupSpec) -> Result<Option<String>, HostError> {
        Ok(self.look(spec).await?.leaving)
    }

    /// What EC2 announces for this instance: maintenance, a higher risk that it
    /// is taken away. None of it is an order to go.
    async fn announced(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// Stop the units in reverse order, sync, unmount every configured mount
    /// point that holds a belonging.
    async fn quiesce(&self, spec: &GroupSpec) -> Result<(), HostError>;

    /// Make a file system, only if probing finds positively nothing on the disk.
    async fn format(&self, volume: &VolumeId, filesystem: Filesystem) -> Result<(), HostError>;

    /// Mount the disk of this volume, found by its serial number, where the
    /// spec says; grow the file system if the disk is larger.
    async fn mount(&self, spec: &VolumeSpec, volume: &VolumeId) -> Result<(), HostError>;

    /// Start the units in order. Returns when they are started, not when they
    /// are healthy: `look` says that.
    async fn start_workload(&self, spec: &GroupSpec) -> Result<(), HostError>;

    /// Holds the mounted belongings still, until the answer is let go.
    async fn freeze(&self, _spec: &GroupSpec) -> Result<Freeze, HostError> {
        Ok(Freeze::none())
    }
}
