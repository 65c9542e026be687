//! What does the operating system inside an instance do? Devices, mounts, units.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::latency::Delay;
use crate::model::{AttachmentState, Content, Instance, Power, Volume};
use crate::{Notice, Region, What, content, critical_path, ec2};

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
    #[error("the zone of {instance} is dark: its disks do not answer")]
    Dark { instance: String },
    #[error("{volume} is not attached to {instance}")]
    NotAttached { instance: String, volume: String },
    #[error("{volume} is mounted at {path}")]
    Mounted { volume: String, path: String },
    #[error("{volume} has no file system")]
    NoFilesystem { volume: String },
    #[error("{path} is in use by {volume}")]
    PathTaken { path: String, volume: String },
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
    pub fn guest_devices(&self, instance: &str) -> Vec<GuestDevice> {
        let disks = self.model.volumes.values().filter_map(|volume| {
            let attachment = volume.attachment.as_ref()?;
            let there =
                attachment.instance == instance && attachment.state == AttachmentState::Attached;
            there.then(|| GuestDevice {
                volume: volume.id.clone(),
                device: attachment.device.clone(),
                filesystem: volume.content.filesystem.clone(),
                size_gib: volume.size_gib,
            })
        });
        disks.collect()
    }

    /// Makes a file system; what was there is gone.
    pub fn guest_format(
        &mut self,
        instance: &str,
        volume: &str,
        filesystem: &str,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.advance(now);
        self.unmounted_disk(instance, volume)?;
        let had_data = self.disk(instance, volume)?.content.filesystem.is_some();
        if let Some(found) = self.model.volumes.get_mut(volume) {
            found.content = Content {
                filesystem: Some(filesystem.to_owned()),
                ..Content::default()
            };
        }
        self.log(
            now,
            instance,
            What::Formatted {
                volume: volume.to_owned(),
                had_data,
            },
        );
        Ok(())
    }

    pub fn guest_mount(
        &mut self,
        instance: &str,
        volume: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.advance(now);
        self.unmounted_disk(instance, volume)?;
        if self.disk(instance, volume)?.content.filesystem.is_none() {
            return Err(GuestError::NoFilesystem {
                volume: volume.to_owned(),
            });
        }
        let machine = self.up(instance)?;
        if let Some(other) = machine.guest.mounts.get(path) {
            return Err(GuestError::PathTaken {
                path: path.to_owned(),
                volume: other.clone(),
            });
        }
        machine
            .guest
            .mounts
            .insert(path.to_owned(), volume.to_owned());
        let what = What::Mounted {
            instance: instance.to_owned(),
            volume: volume.to_owned(),
            path: path.to_owned(),
        };
        self.log(now, instance, what);
        self.guest_changed(instance, now);
        Ok(())
    }

    /// Fails while any unit runs: which unit uses which path nobody can know.
    pub fn guest_unmount(
        &mut self,
        instance: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.advance(now);
        let machine = self.up(instance)?;
        if let Some((unit, _)) = machine.guest.units.iter().find(|(_, running)| **running) {
            return Err(GuestError::Busy {
                path: path.to_owned(),
                unit: unit.clone(),
            });
        }
        let Some(volume) = machine.guest.mounts.remove(path) else {
            return Err(GuestError::NotMounted {
                path: path.to_owned(),
            });
        };
        let what = What::Unmounted {
            instance: instance.to_owned(),
            volume: volume.clone(),
            path: path.to_owned(),
        };
        self.log(now, instance, what);
        ec2::attachments::unmounted(self, &volume, now);
        self.guest_changed(instance, now);
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
        instance: &str,
        unit: &str,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.set_unit(instance, unit, true, now)
    }

    pub fn guest_stop_unit(
        &mut self,
        instance: &str,
        unit: &str,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.set_unit(instance, unit, false, now)
    }

    /// Unit → running?
    pub fn guest_units(&self, instance: &str) -> BTreeMap<String, bool> {
        self.model
            .instances
            .get(instance)
            .map(|i| i.guest.units.clone())
            .unwrap_or_default()
    }

    fn set_unit(
        &mut self,
        instance: &str,
        unit: &str,
        running: bool,
        now: Timestamp,
    ) -> Result<(), GuestError> {
        self.advance(now);
        self.up(instance)?
            .guest
            .units
            .insert(unit.to_owned(), running);
        self.guest_changed(instance, now);
        Ok(())
    }

    /// Mounts made while a unit runs are written to at once, too.
    fn guest_changed(&mut self, instance: &str, now: Timestamp) {
        content::reconsider(self, instance, now);
        critical_path::look(self, now);
    }

    fn up(&mut self, instance: &str) -> Result<&mut Instance, GuestError> {
        let dark = &self.model.dark_zones;
        let machine = self
            .model
            .instances
            .get_mut(instance)
            .filter(|i| i.guest.power == Power::Up);
        let machine = machine.ok_or_else(|| GuestError::NotUp {
            instance: instance.to_owned(),
        })?;
        if dark.contains(&machine.zone) {
            return Err(GuestError::Dark {
                instance: instance.to_owned(),
            });
        }
        Ok(machine)
    }

    fn disk(&self, instance: &str, volume: &str) -> Result<&Volume, GuestError> {
        let found = self.model.volumes.get(volume).filter(|v| {
            v.attachment
                .as_ref()
                .is_some_and(|a| a.instance == instance && a.state == AttachmentState::Attached)
        });
        found.ok_or_else(|| GuestError::NotAttached {
            instance: instance.to_owned(),
            volume: volume.to_owned(),
        })
    }

    fn unmounted_disk(&mut self, instance: &str, volume: &str) -> Result<(), GuestError> {
        let mounts = self.up(instance)?.guest.mounts.clone();
        self.disk(instance, volume)?;
        match mounts.into_iter().find(|(_, mounted)| mounted == volume) {
            Some((path, _)) => Err(GuestError::Mounted {
                volume: volume.to_owned(),
                path,
            }),
            None => Ok(()),
        }
    }
}

/// The operating system is gone: nothing runs, nothing is mounted.
pub(crate) fn power_off(region: &mut Region, instance: &str, left: Power, now: Timestamp) {
    let Some(machine) = region.model.instances.get_mut(instance) else {
        return;
    };
    let was = std::mem::replace(&mut machine.guest.power, left);
    for running in machine.guest.units.values_mut() {
        *running = false;
    }
    // A dead kernel lets go of nothing: its volumes stay busy.
    let mounts = if left == Power::Crashed {
        BTreeMap::new()
    } else {
        std::mem::take(&mut machine.guest.mounts)
    };
    content::reconsider(region, instance, now);
    for volume in mounts.values() {
        ec2::attachments::unmounted(region, volume, now);
    }
    if matches!(was, Power::Up | Power::Booting) {
        region.log(
            now,
            instance,
            What::GuestDown {
                instance: instance.to_owned(),
            },
        );
        region.notices.push(Notice::Halted {
            instance: instance.to_owned(),
        });
    }
}
