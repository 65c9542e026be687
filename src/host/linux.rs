//! The real machine: an EC2 instance under Linux.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disks::{self, Attached, EbsDisk, Layout};
use super::error::HostError;
use super::freeze::{self, Freeze};
use super::imds::{Identity, Imds};
use super::mounts::{self, At};
use super::{Host, formatting, grow, nodes, probe, units};
use crate::ids::{VolumeId, VolumeName};
use crate::spec::{Filesystem, GroupSpec, VolumeSpec};
use crate::world::{Disk, Here, Mounted};

#[derive(Debug)]
pub struct LinuxHost {
    imds: Imds,
    /// What EC2 last said this instance has.
    attached: RefCell<Attached>,
    /// The program that holds a freeze: this very one, even if its file was
    /// replaced meanwhile.
    guard: PathBuf,
}

impl LinuxHost {
    pub fn new() -> Self {
        Self::with_guard("/proc/self/exe")
    }

    /// With another program's `freeze-guard`.
    pub fn with_guard(program: impl Into<PathBuf>) -> Self {
        Self {
            imds: Imds::new(),
            attached: RefCell::default(),
            guard: program.into(),
        }
    }

    /// Who and where this machine is; asked once, and known from then on.
    pub async fn identity(&self) -> Result<&Identity, HostError> {
        self.imds.identity().await
    }

    /// Where Auto Scaling wants to have this instance, if it wants anything.
    pub async fn target_state(&self) -> Result<Option<String>, HostError> {
        self.imds.target_state().await
    }

    fn disks(&self) -> Result<Vec<EbsDisk>, HostError> {
        disks::list(sys(), &self.attached.borrow())
    }

    /// The disk of this volume, with its device node.
    async fn find(&self, volume: &VolumeId) -> Result<EbsDisk, HostError> {
        let mut disks = self.disks()?.into_iter();
        let Some(disk) = disks.find(|disk| disk.volume == *volume) else {
            return Err(HostError::Refused(format!(
                "no disk of this machine is known to be {volume}"
            )));
        };
        nodes::ready(&disk).await?;
        Ok(disk)
    }

    async fn look_at_disks(&self, spec: &GroupSpec) -> Result<Seen, HostError> {
        let found = self.disks()?;
        let mounts = mounts::now()?;
        let mut disks = BTreeMap::new();
        for disk in &found {
            // What is mounted need not be probed, and cannot change under us.
            let mounted = mounts.iter().find(|mount| mount.device == disk.number);
            let filesystem = match mounted {
                Some(mount) => Some(mount.filesystem.clone()),
                None => match content(disk).await {
                    // Not there yet: whoever waits for it looks again.
                    Err(HostError::Refused(why)) => {
                        tracing::debug!(%why, "a disk is not ready");
                        continue;
                    }
                    // One strange disk must not hide the others: it is never blank.
                    Err(error) => Some(error.to_string()),
                    Ok(found) => found,
                },
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
}

impl Default for LinuxHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LinuxHost {
    const LOOKS_FREELY: bool = false;

    async fn look(&self, spec: &GroupSpec) -> Result<Here, HostError> {
        let identity = self.imds.identity().await?;
        // A machine that mounts nothing is asked nothing about its disks.
        let (disks, mounts) = if mount_points(spec).next().is_some() {
            self.look_at_disks(spec).await?
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

    fn learn(&self, attached: &Attached) -> bool {
        if *self.attached.borrow() == *attached {
            return false;
        }
        self.attached.replace(attached.clone());
        disks::is_xen(sys())
    }

    async fn recover(&self, spec: &GroupSpec) -> Result<(), HostError> {
        if !spec.policy.freeze {
            return Ok(());
        }
        let mounts = mounts::now()?;
        let points = mount_points(spec).map(|(_, point)| point);
        let mounted = points.filter(|point| mounts::is_mounted(&mounts, point));
        freeze::thaw(&mounted.collect::<Vec<_>>()).await
    }

    async fn leaving(&self, _: &GroupSpec) -> Result<Option<String>, HostError> {
        Ok(self.imds.leaving().await)
    }

    async fn announced(&self) -> BTreeSet<String> {
        self.imds.announced().await
    }

    async fn quiesce(&self, spec: &GroupSpec) -> Result<(), HostError> {
        // Nothing stops, and nothing is written out, on a frozen file system.
        self.recover(spec).await?;
        units::stop(&spec.workload, spec.policy.quiesce_timeout.unsigned_abs()).await?;
        if mount_points(spec).next().is_none() {
            return Ok(());
        }
        let disks = self.disks()?;
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
        let disk = self.find(volume).await?;
        match (content(&disk).await?, disk.layout) {
            (None, Layout::Whole) => {}
            // It was made already, and the answer was lost.
            (Some(found), Layout::Whole) if found == filesystem.name() => return Ok(()),
            (found, _) => {
                return Err(HostError::Refused(format!(
                    "{volume} is not formatted, because probing {} finds {}",
                    disk.path.display(),
                    found.as_deref().unwrap_or("that it is a partition")
                )));
            }
        }
        formatting::make(&disk, filesystem).await
    }

    async fn mount(&self, spec: &VolumeSpec, volume: &VolumeId) -> Result<(), HostError> {
        let Some(point) = spec.mount.as_deref() else {
            return Ok(());
        };
        let disk = self.find(volume).await?;
        let disks = [disk.clone()];
        match mounts::look(&mounts::now()?, &disks, point, mounts::device_exists) {
            At::Disk(_) => return Ok(()),
            At::Gone => mounts::clear(point).await?,
            At::Nothing => {}
            At::Foreign(found) => {
                return Err(HostError::Refused(format!(
                    "{volume} is not mounted, because {found} is mounted at {}",
                    point.display()
                )));
            }
        }
        refuse_unless_sound(&disk, spec.filesystem).await?;
        let short = grow::falls_short(&disk, spec.filesystem);
        mounts::mount(&disk, point, spec.filesystem).await?;
        formatting::end(volume);
        if let Some(from) = short {
            grow::fill(&disk, point, spec.filesystem, from).await;
        }
        Ok(())
    }

    async fn start_workload(&self, spec: &GroupSpec) -> Result<(), HostError> {
        let disks = self.disks()?;
        let mounts = mounts::now()?;
        for (name, point) in mount_points(spec) {
            let there = mounts::look(&mounts, &disks, point, mounts::device_exists);
            if !matches!(there, At::Disk(_)) {
                return Err(HostError::Refused(format!(
                    "the workload is not started, because the volume {name} is not mounted at {}",
                    point.display()
                )));
            }
        }
        units::start(&spec.workload).await
    }

    async fn freeze(&self, spec: &GroupSpec) -> Result<Freeze, HostError> {
        let (disks, mounts) = (self.disks()?, mounts::now()?);
        let held = |point: &&Path| {
            let at = mounts::look(&mounts, &disks, point, mounts::device_exists);
            matches!(at, At::Disk(_))
        };
        let points: Vec<&Path> = mount_points(spec).map(|(_, point)| point).collect();
        let points: Vec<&Path> = points.into_iter().filter(held).collect();
        Freeze::begin(&self.guard, &points).await
    }
}

fn sys() -> &'static Path {
    Path::new("/sys")
}

fn mount_points(spec: &GroupSpec) -> impl DoubleEndedIterator<Item = (&VolumeName, &Path)> {
    let points = spec.volumes.iter();
    points.filter_map(|volume| Some((&volume.name, volume.mount.as_deref()?)))
}

async fn content(disk: &EbsDisk) -> Result<Option<String>, HostError> {
    nodes::ready(disk).await?;
    if let Layout::Partitions(several) = disk.layout {
        return Ok(Some(format!("{several} partitions")));
    }
    let found = probe::filesystem(&disk.path).await?;
    let half_made = found.as_deref().is_some_and(probe::is_unfinished);
    if half_made && formatting::was_cut_off(&disk.volume) {
        return Ok(None);
    }
    Ok(found)
}

async fn refuse_unless_sound(disk: &EbsDisk, filesystem: Filesystem) -> Result<(), HostError> {
    let found = content(disk).await?;
    if found.as_deref() != Some(filesystem.name()) {
        return Err(HostError::Refused(format!(
            "{} is not mounted, because it has {} where the configuration says {}",
            disk.volume,
            found.as_deref().unwrap_or("no file system"),
            filesystem.name()
        )));
    }
    let device = disk.path.to_string_lossy();
    let damage = probe::damage(&disk.path, filesystem)
        .map_err(|error| HostError::system(format!("cannot read {device}"), error))?;
    match damage {
        None => Ok(()),
        Some(why) => Err(HostError::Refused(format!(
            "{} is not mounted, because its {} says that {why}; {}",
            disk.volume,
            filesystem.name(),
            mounts::mends(filesystem, &device)
        ))),
    }
}

type Seen = (BTreeMap<VolumeId, Disk>, BTreeMap<VolumeName, Mounted>);
