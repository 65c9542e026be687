//! The real machine: an EC2 instance under Linux.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::disks::{self, EbsDisk};
use super::error::HostError;
use super::imds::{Identity, Imds};
use super::mounts::{self, At};
use super::{Host, command, probe, units};
use crate::ids::{VolumeId, VolumeName};
use crate::spec::{Filesystem, GroupSpec, VolumeSpec};
use crate::world::{Disk, Here, Mounted};

/// A large disk takes its time even when most of the work is put off.
const FORMAT: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct LinuxHost {
    imds: Imds,
}

impl LinuxHost {
    pub fn new() -> Self {
        Self { imds: Imds::new() }
    }

    /// Who and where this machine is; asked once, and known from then on.
    pub async fn identity(&self) -> Result<&Identity, HostError> {
        self.imds.identity().await
    }
}

impl Default for LinuxHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LinuxHost {
    async fn look(&self, spec: &GroupSpec) -> Result<Here, HostError> {
        let identity = self.imds.identity().await?;
        // A machine that mounts nothing is asked nothing about its disks.
        let (disks, mounts) = if mount_points(spec).next().is_some() {
            look_at_disks(spec).await?
        } else {
            Default::default()
        };
        let (leaving, workload) = tokio::join!(self.imds.leaving(), units::look(&spec.workload));
        Ok(Here {
            instance: identity.instance.clone(),
            zone: identity.zone.clone(),
            leaving,
            disks,
            mounts,
            workload: workload?,
        })
    }

    async fn quiesce(&self, spec: &GroupSpec) -> Result<(), HostError> {
        units::stop(&spec.workload, spec.policy.quiesce_timeout.unsigned_abs()).await?;
        if mount_points(spec).next().is_none() {
            return Ok(());
        }
        let disks = disks::list(sys())?;
        for (_, point) in mount_points(spec).rev() {
            match mounts::look(&mounts::now()?, &disks, point, mounts::device_exists) {
                At::Disk(disk) => mounts::release(disk, point).await?,
                At::Gone => mounts::clear(point).await?,
                At::Nothing | At::Foreign(_) => {}
            }
        }
        Ok(())
    }

    async fn format(&self, volume: &VolumeId, filesystem: Filesystem) -> Result<(), HostError> {
        let disk = find(volume)?;
        match content(&disk).await? {
            None => {}
            // It was made already, and the answer was lost.
            Some(found) if found == filesystem.name() => return Ok(()),
            Some(found) => {
                return Err(HostError::Refused(format!(
                    "{volume} is not formatted, because probing {} finds {found}",
                    disk.path.display()
                )));
            }
        }
        // Never with a switch that forces: the tools refuse what is in use.
        let program = match filesystem {
            Filesystem::Ext4 => "mkfs.ext4",
            Filesystem::Xfs => "mkfs.xfs",
        };
        let device = disk.path.to_string_lossy();
        command::run_ok(&[program, "-q", &device], FORMAT).await?;
        Ok(())
    }

    async fn mount(&self, spec: &VolumeSpec, volume: &VolumeId) -> Result<(), HostError> {
        let Some(point) = spec.mount.as_deref() else {
            return Ok(());
        };
        let disk = find(volume)?;
        let disks = [disk.clone()];
        match mounts::look(&mounts::now()?, &disks, point, mounts::device_exists) {
            At::Disk(_) => {
                mounts::grow(&disk, point, spec.filesystem).await;
                return Ok(());
            }
            At::Gone => mounts::clear(point).await?,
            At::Nothing => {}
            At::Foreign(found) => {
                return Err(HostError::Refused(format!(
                    "{volume} is not mounted, because {found} is mounted at {}",
                    point.display()
                )));
            }
        }
        let found = content(&disk).await?;
        if found.as_deref() != Some(spec.filesystem.name()) {
            return Err(HostError::Refused(format!(
                "{volume} is not mounted, because it has {} where the configuration says {}",
                found.as_deref().unwrap_or("no file system"),
                spec.filesystem.name()
            )));
        }
        mounts::mount(&disk, point, spec.filesystem).await?;
        mounts::grow(&disk, point, spec.filesystem).await;
        Ok(())
    }

    async fn start_workload(&self, spec: &GroupSpec) -> Result<(), HostError> {
        units::start(&spec.workload).await
    }
}

fn sys() -> &'static Path {
    Path::new("/sys")
}

fn mount_points(spec: &GroupSpec) -> impl DoubleEndedIterator<Item = (&VolumeName, &Path)> {
    let points = spec.volumes.iter();
    points.filter_map(|volume| Some((&volume.name, volume.mount.as_deref()?)))
}

fn find(volume: &VolumeId) -> Result<EbsDisk, HostError> {
    let disks = disks::list(sys())?;
    disks
        .into_iter()
        .find(|disk| disk.volume == *volume)
        .ok_or_else(|| {
            HostError::Refused(format!(
                "no disk of this machine has the serial number of {volume}"
            ))
        })
}

async fn content(disk: &EbsDisk) -> Result<Option<String>, HostError> {
    if disk.partitioned {
        return Ok(Some("a partition table".to_owned()));
    }
    probe::filesystem(&disk.path).await
}

type Seen = (BTreeMap<VolumeId, Disk>, BTreeMap<VolumeName, Mounted>);

async fn look_at_disks(spec: &GroupSpec) -> Result<Seen, HostError> {
    let found = disks::list(sys())?;
    let mounts = mounts::now()?;
    let mut disks = BTreeMap::new();
    for disk in &found {
        // What is mounted need not be probed, and cannot change under us.
        let mounted = mounts.iter().find(|mount| mount.device == disk.number);
        let filesystem = match mounted {
            Some(mount) => Some(mount.filesystem.clone()),
            // One strange disk must not hide the others: it is never blank.
            None => content(disk)
                .await
                .unwrap_or_else(|error| Some(error.to_string())),
        };
        let path = disk.path.to_string_lossy().into_owned();
        disks.insert(disk.volume.clone(), Disk { path, filesystem });
    }
    let mut points = BTreeMap::new();
    for (name, point) in mount_points(spec) {
        let mounted = match mounts::look(&mounts, &found, point, mounts::device_exists) {
            At::Disk(disk) => Mounted::Volume(disk.volume.clone()),
            At::Foreign(what) => Mounted::Foreign(what),
            At::Nothing => continue,
            At::Gone => {
                tracing::warn!(mount = %point.display(), "the disk of a mount was taken away");
                continue;
            }
        };
        points.insert(name.clone(), mounted);
    }
    Ok((disks, points))
}
