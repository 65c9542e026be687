//! What happens inside an instance of the drill? The emulated guest, seen as
//! the machine a runner sits on.
//!
//! What an instance does inside itself is no API call, so it is the one thing
//! that cannot be rehearsed behind the wire. The facts about the instance still
//! come from its metadata service, spoken to in its own protocol.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rehome_region::{Delay, GuestError, Region, Request};

use super::connector::Shared;
use crate::host::{Host, HostError};
use crate::ids::{InstanceId, VolumeId, VolumeName, Zone};
use crate::spec::{Filesystem, GroupSpec, VolumeSpec};
use crate::world::{Disk, Here, Mounted, Workload};

const METADATA: &str = "169.254.169.254";
/// How often an instance without an agent looks for its disks while it boots.
const LOOK_FOR_DISKS: Duration = Duration::from_secs(1);

/// How long a session with the metadata service lasts, in seconds.
const SESSION_S: i64 = 21_600;

/// One emulated instance, from the inside.
#[derive(Clone)]
pub struct Guest {
    shared: Shared,
    instance: String,
    /// The session's token, and when it is to be renewed.
    session: RefCell<Option<(String, Timestamp)>>,
    /// Id and zone, which never change.
    identity: OnceCell<(InstanceId, Zone)>,
}

impl Host for Guest {
    async fn look(&self, spec: &GroupSpec) -> Result<Here, HostError> {
        let (instance, zone) = self.identity()?;
        let leaving = self.leaving();
        let region = self.shared.lock();
        Ok(Here {
            instance,
            zone,
            leaving,
            disks: disks(&region, &self.instance),
            mounts: mounts(&region, &self.instance, spec),
            workload: workload(&region, &self.instance, spec),
        })
    }

    async fn quiesce(&self, spec: &GroupSpec) -> Result<(), HostError> {
        for unit in spec.workload.units.iter().rev() {
            if !self
                .shared
                .lock()
                .guest_units(&self.instance)
                .get(unit)
                .copied()
                .unwrap_or(false)
            {
                continue;
            }
            self.spend(Delay::UnitStop).await;
            let now = self.shared.time.now();
            let stopped = self
                .shared
                .lock()
                .guest_stop_unit(&self.instance, unit, now);
            self.done(stopped)?;
        }
        for volume in spec.volumes.iter().rev() {
            let Some(path) = volume.mount.as_deref().map(text) else {
                continue;
            };
            if !self
                .shared
                .lock()
                .guest_mounts(&self.instance)
                .contains_key(&path)
            {
                continue;
            }
            self.spend(Delay::Unmount).await;
            let now = self.shared.time.now();
            let unmounted = self.shared.lock().guest_unmount(&self.instance, &path, now);
            self.done(unmounted)?;
        }
        Ok(())
    }

    async fn format(&self, volume: &VolumeId, filesystem: Filesystem) -> Result<(), HostError> {
        let disks = disks(&self.shared.lock(), &self.instance);
        match disks.get(volume) {
            Some(Disk {
                filesystem: None, ..
            }) => {}
            Some(Disk {
                filesystem: Some(found),
                ..
            }) => {
                return Err(refused(format!(
                    "{volume} is not blank: probing finds {found}"
                )));
            }
            None => return Err(refused(format!("{volume} does not show as a disk"))),
        }
        self.spend(Delay::Format).await;
        let now = self.shared.time.now();
        let name = filesystem.name();
        let formatted = self
            .shared
            .lock()
            .guest_format(&self.instance, volume.as_str(), name, now);
        self.done(formatted)
    }

    async fn mount(&self, spec: &VolumeSpec, volume: &VolumeId) -> Result<(), HostError> {
        let Some(path) = spec.mount.as_deref().map(text) else {
            return Ok(());
        };
        self.spend(Delay::Mount).await;
        let now = self.shared.time.now();
        let mounted = self
            .shared
            .lock()
            .guest_mount(&self.instance, volume.as_str(), &path, now);
        self.done(mounted)
    }

    async fn start_workload(&self, spec: &GroupSpec) -> Result<(), HostError> {
        for unit in &spec.workload.units {
            if self
                .shared
                .lock()
                .guest_units(&self.instance)
                .get(unit)
                .copied()
                .unwrap_or(false)
            {
                continue;
            }
            self.spend(Delay::UnitStart).await;
            let now = self.shared.time.now();
            let started = self
                .shared
                .lock()
                .guest_start_unit(&self.instance, unit, now);
            self.done(started)?;
        }
        Ok(())
    }
}

impl Guest {
    pub fn new(shared: Shared, instance: &str) -> Self {
        Self {
            shared,
            instance: instance.to_owned(),
            session: RefCell::default(),
            identity: OnceCell::new(),
        }
    }

    fn identity(&self) -> Result<(InstanceId, Zone), HostError> {
        if let Some(known) = self.identity.get() {
            return Ok(known.clone());
        }
        let instance = self.required("meta-data/instance-id")?;
        let zone = self.required("meta-data/placement/availability-zone")?;
        let identity = (InstanceId::new(instance), Zone::new(zone));
        Ok(self.identity.get_or_init(|| identity).clone())
    }

    /// What an image without rehome does at boot: wait for its disks, format
    /// what is blank, mount, start. The instance's end ends it.
    pub async fn boot_without_agent(&self, spec: &GroupSpec) {
        loop {
            if self.bring_up(spec).await.is_ok_and(|up| up) {
                return;
            }
            tokio::time::sleep(LOOK_FOR_DISKS).await;
        }
    }

    async fn bring_up(&self, spec: &GroupSpec) -> Result<bool, HostError> {
        for volume in &spec.volumes {
            let Some((disk, blank)) = self.disk_at(&volume.device) else {
                return Ok(false);
            };
            let here = self.look(spec).await?;
            if here.mounts.contains_key(&volume.name) {
                continue;
            }
            if blank {
                self.format(&disk, volume.filesystem).await?;
            }
            self.mount(volume, &disk).await?;
        }
        self.start_workload(spec).await?;
        Ok(true)
    }

    /// The disk at a device name, and whether it is blank.
    fn disk_at(&self, device: &str) -> Option<(VolumeId, bool)> {
        let devices = self.shared.lock().guest_devices(&self.instance);
        let found = devices.into_iter().find(|found| found.device == device)?;
        Some((VolumeId::new(found.volume), found.filesystem.is_none()))
    }

    async fn spend(&self, kind: Delay) {
        let delay = self.shared.lock().guest_delay(&self.instance, kind);
        tokio::time::sleep(delay).await;
    }

    fn done(&self, result: Result<(), GuestError>) -> Result<(), HostError> {
        self.shared.ring();
        result.map_err(|error| refused(error.to_string()))
    }

    /// Why this instance must go, if it was told to.
    fn leaving(&self) -> Option<String> {
        if let Some(notice) = self.metadata("meta-data/spot/instance-action") {
            return Some(format!("spot notice {notice}"));
        }
        let target = self.metadata("meta-data/autoscaling/target-lifecycle-state")?;
        (target == "Terminated").then(|| "Auto Scaling terminates it".to_owned())
    }

    fn required(&self, path: &str) -> Result<String, HostError> {
        self.metadata(path)
            .ok_or_else(|| refused(format!("the metadata service does not answer {path}")))
    }

    fn metadata(&self, path: &str) -> Option<String> {
        let token = self.token()?;
        self.ask("GET", path, ("x-aws-ec2-metadata-token", token))
    }

    fn token(&self) -> Option<String> {
        let now = self.shared.time.now();
        if let Some((token, renew)) = self.session.borrow().as_ref()
            && now < *renew
        {
            return Some(token.clone());
        }
        let life = (
            "x-aws-ec2-metadata-token-ttl-seconds",
            SESSION_S.to_string(),
        );
        let token = self.ask("PUT", "api/token", life)?;
        let renew = now.checked_add(SignedDuration::from_secs(SESSION_S / 2));
        let session = (token.clone(), renew.unwrap_or(Timestamp::MAX));
        self.session.replace(Some(session));
        Some(token)
    }

    fn ask(&self, method: &str, path: &str, header: (&str, String)) -> Option<String> {
        let request = Request {
            method: method.to_owned(),
            host: METADATA.to_owned(),
            path: format!("/latest/{path}"),
            headers: BTreeMap::from([(header.0.to_owned(), header.1)]),
            ..Request::default()
        };
        let now = self.shared.time.now();
        let response = self.shared.lock().handle(&self.instance, &request, now);
        let body = String::from_utf8(response.body).ok()?;
        (response.status == 200).then(|| body.trim().to_owned())
    }
}

fn refused(why: String) -> HostError {
    HostError::Refused(why)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn disks(region: &Region, instance: &str) -> BTreeMap<VolumeId, Disk> {
    let devices = region.guest_devices(instance).into_iter();
    devices
        .map(|found| {
            let disk = Disk {
                path: found.device,
                filesystem: found.filesystem,
            };
            (VolumeId::new(found.volume), disk)
        })
        .collect()
}

fn mounts(region: &Region, instance: &str, spec: &GroupSpec) -> BTreeMap<VolumeName, Mounted> {
    let mounts = region.guest_mounts(instance);
    let configured = spec.volumes.iter().filter_map(|volume| {
        let path = text(volume.mount.as_deref()?);
        let mounted = Mounted::Volume(VolumeId::new(mounts.get(&path)?.as_str()));
        Some((volume.name.clone(), mounted))
    });
    configured.collect()
}

fn workload(region: &Region, instance: &str, spec: &GroupSpec) -> Workload {
    let units = region.guest_units(instance);
    let stopped: Vec<&str> = spec
        .workload
        .units
        .iter()
        .filter(|unit| !units.get(*unit).copied().unwrap_or(false))
        .map(String::as_str)
        .collect();
    if spec.workload.units.is_empty() {
        Workload::None
    } else if stopped.is_empty() {
        Workload::Healthy
    } else if stopped.len() == spec.workload.units.len() {
        Workload::Stopped
    } else {
        Workload::Unhealthy(format!("{} is not running", stopped.join(", ")))
    }
}
