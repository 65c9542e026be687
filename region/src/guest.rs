//! What does the operating system inside an instance do? Devices, mounts, units.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::Region;
use crate::latency::Delay;

/// A disk as the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestDevice {
    pub volume: String,
    pub device: String,
    pub filesystem: Option<String>,
    pub size_gib: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    #[error("{instance} is not up")]
    NotUp { instance: String },
    #[error("{volume} is not attached to {instance}")]
    NotAttached { instance: String, volume: String },
    #[error("{volume} is mounted")]
    Mounted { volume: String },
    #[error("{volume} has no file system")]
    NoFilesystem { volume: String },
    #[error("{path} is in use already")]
    PathTaken { path: String },
    #[error("nothing is mounted at {path}")]
    NotMounted { path: String },
    #[error("{path} is busy: {unit} is running")]
    Busy { path: String, unit: String },
}

impl Region {
    /// How long the guest takes for this; drawn for `instance`, so that the
    /// critical path knows it. The caller sleeps, then calls the function itself.
    pub fn guest_delay(&mut self, instance: &str, kind: Delay) -> Duration {
        let drawn = self.draw(kind);
        if let Some(instance) = self.model.instances.get_mut(instance) {
            instance.drawn.insert(kind, drawn);
        }
        drawn
    }

    /// The disks whose attachment is complete; the root disk too.
    pub fn guest_devices(&self, _instance: &str) -> Vec<GuestDevice> {
        Vec::new()
    }

    pub fn guest_format(
        &mut self,
        _instance: &str,
        _volume: &str,
        _filesystem: &str,
        _now: Timestamp,
    ) -> Result<(), GuestError> {
        Ok(())
    }

    pub fn guest_mount(
        &mut self,
        _instance: &str,
        _volume: &str,
        _path: &str,
        _now: Timestamp,
    ) -> Result<(), GuestError> {
        Ok(())
    }

    pub fn guest_unmount(
        &mut self,
        _instance: &str,
        _path: &str,
        _now: Timestamp,
    ) -> Result<(), GuestError> {
        Ok(())
    }

    /// Path → volume.
    pub fn guest_mounts(&self, instance: &str) -> BTreeMap<String, String> {
        self.model
            .instances
            .get(instance)
            .map(|i| i.guest.mounts.clone())
            .unwrap_or_default()
    }

    pub fn guest_start_unit(
        &mut self,
        _instance: &str,
        _unit: &str,
        _now: Timestamp,
    ) -> Result<(), GuestError> {
        Ok(())
    }

    pub fn guest_stop_unit(
        &mut self,
        _instance: &str,
        _unit: &str,
        _now: Timestamp,
    ) -> Result<(), GuestError> {
        Ok(())
    }

    pub fn guest_units(&self, instance: &str) -> BTreeMap<String, bool> {
        self.model
            .instances
            .get(instance)
            .map(|i| i.guest.units.clone())
            .unwrap_or_default()
    }
}
