//! Did real processes keep the promises? Sits beside a region on a port, plays
//! the operating system of its instances, and judges at the end.
//!
//! The instances run an image without rehome: it formats a blank disk, mounts
//! what stands at the configured devices, and starts its units.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rehome_region::model::{InstanceState, Volume};
use rehome_region::{Region, Request, Truth, What, Witness};
use serde::Serialize;

use super::judge as court;
use super::ledger::Ledger;
use super::promises::{Conditions, Evidence, judge};
use crate::report::Verdict;
use crate::spec::{AddressSpec, GroupSpec};
use crate::tags;

pub struct Jury {
    groups: Vec<GroupSpec>,
    seen: Mutex<Seen>,
}

/// Whatever there ever was, as it was last seen: AWS forgets.
#[derive(Default)]
struct Seen {
    zones: BTreeMap<String, String>,
    volumes: BTreeMap<String, Volume>,
    /// How far the record has been read.
    read: usize,
}

/// What is found of one group.
#[derive(Debug, Serialize)]
pub struct Sentence {
    pub group: String,
    /// What is not in its place.
    pub unsettled: Vec<String>,
    /// How often somebody began to write to a volume of the group.
    pub terms: usize,
    pub promises: Vec<Verdict>,
}

impl Sentence {
    pub fn is_good(&self) -> bool {
        self.unsettled.is_empty() && self.promises.iter().all(|verdict| verdict.held)
    }
}

impl Witness for Jury {
    fn before(&self, _: &mut Region, _: Timestamp) {}

    fn after(&self, region: &mut Region, _: Option<(&str, &Request)>, now: Timestamp) {
        let truth = {
            let mut seen = self.seen();
            let entries = region.record().entries();
            let fresh = entries.get(seen.read..).unwrap_or_default();
            let news = fresh.iter().any(|entry| is_news(&entry.what));
            seen.read = entries.len();
            if !news {
                return;
            }
            let truth = region.truth();
            seen.take(&truth);
            truth
        };
        for spec in &self.groups {
            self.bring_up(region, &truth, spec, now);
        }
    }
}

impl Seen {
    fn take(&mut self, truth: &Truth) {
        let zones = truth.instances.iter();
        let zones = zones.map(|(id, instance)| (id.clone(), instance.zone.clone()));
        self.zones.extend(zones);
        let volumes = truth.volumes.iter();
        self.volumes
            .extend(volumes.map(|(id, volume)| (id.clone(), volume.clone())));
    }
}

impl Jury {
    pub fn new(groups: Vec<GroupSpec>) -> Self {
        Self {
            groups,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On every machine that runs: what the image does as soon as it can.
    fn bring_up(&self, region: &mut Region, truth: &Truth, spec: &GroupSpec, now: Timestamp) {
        let running = truth
            .instances
            .values()
            .filter(|instance| instance.state == InstanceState::Running);
        for machine in running {
            let mut ready = !spec.volumes.is_empty();
            for volume in &spec.volumes {
                let disks = region.guest_devices(&machine.id);
                let disk = disks
                    .into_iter()
                    .find(|disk| disk.device == volume.device && is_of(truth, &disk.volume, spec));
                let Some(disk) = disk else {
                    ready = false;
                    continue;
                };
                // Each is tried again at the next news: the machine may still boot.
                if disk.filesystem.is_none() {
                    let kind = volume.filesystem.name();
                    ready &= region
                        .guest_format(&machine.id, &disk.volume, kind, now)
                        .is_ok();
                }
                if let Some(path) = &volume.mount {
                    let path = path.to_string_lossy();
                    let there = region.guest_mounts(&machine.id).contains_key(path.as_ref());
                    ready &= there
                        || region
                            .guest_mount(&machine.id, &disk.volume, &path, now)
                            .is_ok();
                }
            }
            for unit in spec.workload.units.iter().filter(|_| ready) {
                if region.guest_units(&machine.id).get(unit) != Some(&true) {
                    let _ = region.guest_start_unit(&machine.id, unit, now);
                }
            }
        }
    }

    /// Judges everything that happened until now.
    pub fn judge(&self, region: &mut Region, now: Timestamp) -> Vec<Sentence> {
        region.advance(now);
        self.after(region, None, now);
        let truth = region.truth();
        let mut seen = self.seen();
        seen.take(&truth);
        let entries = region.record().entries();
        let ledger = Ledger::replay(entries);
        let dark = court::dark_zones(entries);
        let sentence = |spec: &GroupSpec| {
            let addresses = addresses(spec, &truth);
            let unsettled = court::unsettled(&truth, spec, &dark, &addresses);
            let promises = judge(&Evidence {
                spec,
                entries,
                ledger: &ledger,
                truth: &truth,
                volumes: &seen.volumes,
                zones: &seen.zones,
                addresses: &addresses,
                unsettled: &unsettled,
                conditions: Conditions::default(),
                must_settle: true,
                naps: &[],
                late: &[],
            });
            let terms = ledger.terms.iter();
            let terms = terms.filter(|term| is_of_group(seen.volumes.get(&term.volume), spec));
            Sentence {
                group: spec.name.to_string(),
                terms: terms.count(),
                unsettled,
                promises,
            }
        };
        self.groups.iter().map(sentence).collect()
    }
}

/// After this a machine may have something to do, or something new is there.
fn is_news(what: &What) -> bool {
    matches!(
        what,
        What::InstanceState { .. }
            | What::Booted { .. }
            | What::VolumeCreated { .. }
            | What::Tagged { .. }
            | What::Attached { .. }
    )
}

fn is_of(truth: &Truth, volume: &str, spec: &GroupSpec) -> bool {
    is_of_group(truth.volumes.get(volume), spec)
}

fn is_of_group(volume: Option<&Volume>, spec: &GroupSpec) -> bool {
    let group = volume.and_then(|volume| volume.tags.get(tags::GROUP));
    group.is_some_and(|group| group == spec.name.as_str())
}

fn addresses(spec: &GroupSpec, truth: &Truth) -> Vec<String> {
    let meant = |address: &AddressSpec| match address {
        AddressSpec::Allocation(id) => Some(id.to_string()),
        AddressSpec::Tag { key, value } => {
            let mut all = truth.addresses.iter();
            let found = all.find(|(_, of)| of.tags.get(key) == Some(value));
            found.map(|(id, _)| id.clone())
        }
    };
    spec.addresses.iter().filter_map(meant).collect()
}
