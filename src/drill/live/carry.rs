//! What the region says has changed, and the real thing has not yet: who
//! carries it out, and when? Within the call that changed it, before the
//! caller has its answer.
//!
//! The other way round, the region learns here what the guests did by
//! themselves: mounted, unmounted, started, stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rehome_region::model::{InstanceState, Power, Volume};
use rehome_region::{Notice, Region, Request, Truth, Witness};

use super::LiveError;
use super::machine::{Image, Machine};
use super::nest::Nest;
use super::store::Store;
use super::tool;

/// The real side of the region.
#[derive(Debug)]
pub(super) struct World {
    parts: Mutex<Parts>,
    nest: Nest,
    image: Image,
    filesystem: String,
    units: Vec<String>,
}

#[derive(Debug)]
struct Parts {
    store: Store,
    /// Volumes and snapshots that have a file.
    kept: BTreeSet<String>,
    machines: BTreeMap<String, Machine>,
    /// Elastic IP → the instance that has it.
    homes: BTreeMap<String, String>,
    /// An agent is to be killed as soon as it has made a certain call.
    strike: Option<Strike>,
    struck: Option<Struck>,
    /// The first thing that could not be carried out: the drill ends.
    broken: Option<LiveError>,
}

/// Whom to strike, and when.
#[derive(Debug)]
pub(super) struct Strike {
    /// This instance, or any other one.
    pub(super) instance: String,
    pub(super) is_other: bool,
    /// Right after this call.
    pub(super) action: &'static str,
}

/// Whose agent was killed, and was a file system frozen then?
#[derive(Clone, Debug)]
pub(super) struct Struck {
    pub(super) instance: String,
    pub(super) frozen: bool,
}

impl Strike {
    fn is_due(&self, caller: &str, request: &Request) -> bool {
        let wanted = format!("Action={}", self.action);
        let mut pairs = request.body.split(|byte| *byte == b'&');
        (caller == self.instance) != self.is_other && pairs.any(|pair| pair == wanted.as_bytes())
    }
}

impl World {
    pub(super) fn new(nest: Nest, image: Image, filesystem: &str, units: &[String]) -> Self {
        let parts = Parts {
            store: Store::new(&nest.store),
            kept: BTreeSet::new(),
            machines: BTreeMap::new(),
            homes: BTreeMap::new(),
            strike: None,
            struck: None,
            broken: None,
        };
        Self {
            parts: Mutex::new(parts),
            nest,
            image,
            filesystem: filesystem.to_owned(),
            units: units.to_owned(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the drill cannot go on, if it cannot.
    pub(super) fn take_broken(&self) -> Option<LiveError> {
        self.parts().broken.take()
    }

    /// Something that a person who looks at the machine could tell.
    pub(super) fn look<T>(&self, instance: &str, at: impl Fn(&Machine) -> T) -> Option<T> {
        self.parts().machines.get(instance).map(at)
    }

    pub(super) fn has(&self, instance: &str) -> bool {
        self.parts().machines.contains_key(instance)
    }

    /// Kills an agent right after it made a call.
    pub(super) fn arm(&self, strike: Strike) {
        let mut parts = self.parts();
        parts.strike = Some(strike);
        parts.struck = None;
    }

    pub(super) fn struck(&self) -> Option<Struck> {
        self.parts().struck.clone()
    }

    /// The machine is dead at once, and its disks are as they were.
    pub(super) fn cut_power(&self, instance: &str) -> Result<(), LiveError> {
        self.parts().cut_power(instance)
    }

    /// Every cable of these machines is pulled, or plugged in.
    pub(super) fn set_network(&self, instances: &[String], up: bool) -> Result<(), LiveError> {
        let parts = self.parts();
        let mut machines = instances.iter().filter_map(|id| parts.machines.get(id));
        machines.try_for_each(|machine| machine.set_network(up))
    }

    fn carry(&self, region: &mut Region) -> Result<(), LiveError> {
        let notices = region.take_notices();
        let truth = region.truth();
        let mut parts = self.parts();
        for notice in notices {
            match notice {
                Notice::Booted { instance } => {
                    let address = truth.instances.get(&instance);
                    let address = address.and_then(|found| found.private_ips.first());
                    let address = address.map(String::as_str).unwrap_or_default();
                    let machine = Machine::start(&self.nest, &self.image, &instance, address)?;
                    parts.machines.insert(instance, machine);
                }
                Notice::Halted { instance } => parts.cut_power(&instance)?,
            }
        }
        parts.carry_files(&truth)?;
        parts.carry_attachments(&truth)?;
        parts.carry_addresses(&truth)
    }
}

impl Witness for World {
    fn before(&self, region: &mut Region, now: Timestamp) {
        let parts = self.parts();
        for (id, machine) in &parts.machines {
            let mounts = machine.mounts();
            let state = |unit: &String| (unit.clone(), machine.unit(unit) == "active");
            let units: BTreeMap<String, bool> = self.units.iter().map(state).collect();
            report(region, id, &mounts, &units, &self.filesystem, now);
        }
    }

    fn after(&self, region: &mut Region, call: Option<(&str, &Request)>, _: Timestamp) {
        if let Err(error) = self.carry(region) {
            self.parts().broken.get_or_insert(error);
        }
        let Some((caller, request)) = call else {
            return;
        };
        let mut parts = self.parts();
        if !parts
            .strike
            .as_ref()
            .is_some_and(|s| s.is_due(caller, request))
        {
            return;
        }
        // One that cannot be hit now is hit at its next such call.
        let frozen = parts.machines.get(caller).and_then(Machine::kill_agent);
        if let Some(frozen) = frozen {
            parts.strike = None;
            parts.struck = Some(Struck {
                instance: caller.to_owned(),
                frozen,
            });
        }
    }
}

/// Tells the region what a guest did by itself since the last time. It refuses
/// what cannot be, and what it refuses will be told again.
fn report(
    region: &mut Region,
    id: &str,
    mounts: &BTreeMap<String, String>,
    units: &BTreeMap<String, bool>,
    filesystem: &str,
    now: Timestamp,
) {
    let known = region.guest_units(id);
    let news: Vec<(&String, bool)> = units
        .iter()
        .filter(|(unit, runs)| known.get(*unit).copied().unwrap_or(false) != **runs)
        .map(|(unit, runs)| (unit, *runs))
        .collect();
    for (unit, _) in news.iter().filter(|(_, runs)| !runs) {
        let _ = region.guest_stop_unit(id, unit, now);
    }
    for (path, volume) in region.guest_mounts(id) {
        if mounts.get(&path) != Some(&volume) {
            let _ = region.guest_unmount(id, &path, now);
        }
    }
    let known = region.guest_mounts(id);
    let devices = region.guest_devices(id);
    for (path, volume) in mounts.iter().filter(|(path, _)| !known.contains_key(*path)) {
        let disk = devices.iter().find(|device| device.volume == *volume);
        if disk.is_some_and(|disk| disk.filesystem.is_none()) {
            let _ = region.guest_format(id, volume, filesystem, now);
        }
        let _ = region.guest_mount(id, volume, path, now);
    }
    for (unit, _) in news.iter().filter(|(_, runs)| *runs) {
        let _ = region.guest_start_unit(id, unit, now);
    }
}

/// Root disks are played by the machine's own.
fn is_data(volume: &Volume, truth: &Truth) -> bool {
    let attachment = volume.attachment.as_ref();
    !attachment.is_some_and(|attachment| {
        let instance = truth.instances.get(&attachment.instance);
        instance.is_some_and(|instance| instance.root_device == attachment.device)
    })
}

impl Parts {
    /// A snapshot is cloned while the call that asked for it is under way.
    fn carry_files(&mut self, truth: &Truth) -> Result<(), LiveError> {
        let volumes = truth
            .volumes
            .values()
            .filter(|volume| is_data(volume, truth));
        for volume in volumes.filter(|volume| !self.kept.contains(&volume.id)) {
            match volume.snapshot.as_ref().filter(|id| self.store.has(id)) {
                Some(snapshot) => self.store.copy(snapshot, &volume.id, volume.size_gib)?,
                None => self.store.create_blank(&volume.id, volume.size_gib)?,
            }
        }
        for snapshot in truth.snapshots.values() {
            if !self.kept.contains(&snapshot.id) && self.store.has(&snapshot.volume) {
                self.store.copy(&snapshot.volume, &snapshot.id, 0)?;
            }
        }
        let there = truth.volumes.keys().chain(truth.snapshots.keys());
        let there: BTreeSet<String> = there.filter(|id| self.store.has(id)).cloned().collect();
        for gone in self.kept.difference(&there).filter(|id| self.store.has(id)) {
            self.store.remove(gone)?;
        }
        self.kept = there;
        Ok(())
    }

    /// A disk shows while its attachment is complete, and until it has ended.
    fn carry_attachments(&mut self, truth: &Truth) -> Result<(), LiveError> {
        for (id, machine) in &mut self.machines {
            let wanted: BTreeSet<&str> = truth
                .volumes
                .values()
                .filter(|volume| is_data(volume, truth))
                .filter(|volume| {
                    let attachment = volume.attachment.as_ref();
                    attachment.is_some_and(|a| a.instance == *id && a.state.as_str() != "attaching")
                })
                .map(|volume| volume.id.as_str())
                .collect();
            let present: BTreeSet<String> = machine.disks().map(str::to_owned).collect();
            for volume in present.iter().filter(|id| !wanted.contains(id.as_str())) {
                // Taken away from under a mount: what is written now is lost.
                if machine.mounts().values().any(|mounted| mounted == volume)
                    && self.store.has(volume)
                {
                    self.store.cut(volume)?;
                }
                machine.unplug(volume)?;
            }
            for volume in wanted.into_iter().filter(|id| !present.contains(*id)) {
                machine.plug(volume, self.store.plug(volume)?)?;
            }
        }
        Ok(())
    }

    /// The address leaves one machine, answers on the other, and the way there
    /// is changed in one stroke.
    fn carry_addresses(&mut self, truth: &Truth) -> Result<(), LiveError> {
        for address in truth.addresses.values() {
            let ip = &address.public_ip;
            let home = self.homes.get(ip);
            let target = address
                .instance
                .as_ref()
                .filter(|id| self.machines.contains_key(*id));
            if home == target {
                continue;
            }
            if let Some(machine) = home.and_then(|id| self.machines.get_mut(id)) {
                machine.set_address(ip, false)?;
            }
            let host = format!("{ip}/32");
            match target.cloned() {
                Some(id) => {
                    let next = truth.instances.get(&id).and_then(|i| i.private_ips.first());
                    let next = next.map(String::as_str).unwrap_or_default();
                    if let Some(machine) = self.machines.get_mut(&id) {
                        machine.set_address(ip, true)?;
                    }
                    tool::run(&["ip", "route", "replace", &host, "via", next])?;
                    self.homes.insert(ip.clone(), id);
                }
                None => {
                    tool::run(&["ip", "route", "delete", &host])?;
                    self.homes.remove(ip);
                }
            }
        }
        Ok(())
    }

    /// The network first: what is not on the disks now was promised to nobody.
    fn cut_power(&mut self, instance: &str) -> Result<(), LiveError> {
        let Some(mut machine) = self.machines.remove(instance) else {
            return Ok(());
        };
        machine.set_network(false)?;
        for volume in machine.disks().filter(|id| self.store.has(id)) {
            self.store.cut(volume)?;
        }
        machine.stop()
    }
}

/// The instances of a zone that have power.
pub(super) fn powered_in(truth: &Truth, zone: &str) -> Vec<String> {
    let there = truth.instances.values().filter(|instance| {
        instance.zone == zone
            && instance.guest.power == Power::Up
            && instance.state != InstanceState::Terminated
    });
    there.map(|instance| instance.id.clone()).collect()
}
