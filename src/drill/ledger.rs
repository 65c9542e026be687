//! Who had what, and when? The region's record, replayed into lives.
//!
//! Everything here comes from the region's own record and truth, never from
//! what a runner says of itself: it is what the promises are judged by.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rehome_region::record::Tags;
use rehome_region::{Entry, What};

use crate::spec::GroupSpec;
use crate::tags;

/// The replayed record.
#[derive(Debug, Default)]
pub struct Ledger {
    pub volumes: BTreeMap<String, VolumeLife>,
    pub snapshots: BTreeMap<String, SnapshotLife>,
    /// Who wrote to which volume, in the order in which they began.
    pub terms: Vec<Term>,
    /// Member → its lifecycle states, in order.
    pub lifecycles: BTreeMap<String, Vec<(Timestamp, String)>>,
    /// Member → its EC2 states, in order.
    pub states: BTreeMap<String, Vec<(Timestamp, String)>>,
    /// Zone → when it was dark.
    pub dark: BTreeMap<String, Vec<(Timestamp, Option<Timestamp>)>>,
    /// Volume → when it was attached to whom, until when.
    pub attachments: BTreeMap<String, Vec<Stay>>,
}

#[derive(Debug, Default)]
pub struct VolumeLife {
    pub created: Option<Timestamp>,
    pub zone: String,
    pub source: Option<String>,
    pub tags: Tags,
    /// When a term first began on it.
    pub begun: Option<Timestamp>,
    pub deleted: Option<Timestamp>,
}

#[derive(Debug)]
pub struct SnapshotLife {
    pub volume: String,
    pub by: String,
    pub started: Timestamp,
    pub counter: u64,
    pub tags: Tags,
    pub completed: Option<Timestamp>,
    pub deleted: Option<Timestamp>,
}

/// One writer's time with one volume.
#[derive(Clone, Debug)]
pub struct Term {
    pub instance: String,
    pub volume: String,
    pub path: String,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
    pub lost_writes: u64,
    pub lost: Duration,
}

#[derive(Clone, Debug)]
pub struct Stay {
    pub instance: String,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

impl Ledger {
    pub fn replay(entries: &[Entry]) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.take(entry);
        }
        ledger
    }

    fn take(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.what {
            What::Lifecycle { instance, to, .. } => {
                self.lifecycles
                    .entry(instance.clone())
                    .or_default()
                    .push((at, to.clone()));
            }
            What::InstanceState { instance, to, .. } => {
                self.states
                    .entry(instance.clone())
                    .or_default()
                    .push((at, to.clone()));
            }
            What::ZoneDown { zone } => {
                self.dark.entry(zone.clone()).or_default().push((at, None));
            }
            What::ZoneUp { zone } => {
                if let Some(last) = self.dark.entry(zone.clone()).or_default().last_mut() {
                    last.1 = Some(at);
                }
            }
            What::WriterStarted {
                instance,
                volume,
                path,
                lost_writes,
                lost,
                ..
            } => {
                self.terms.push(Term {
                    instance: instance.clone(),
                    volume: volume.clone(),
                    path: path.clone(),
                    from: at,
                    until: None,
                    lost_writes: *lost_writes,
                    lost: *lost,
                });
            }
            What::WriterStopped {
                instance, volume, ..
            } => self.end_term(instance, volume, at),
            _ => self.take_storage(entry),
        }
    }

    fn take_storage(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.what {
            What::VolumeCreated {
                volume,
                zone,
                source,
                tags,
            } => {
                let life = self.volumes.entry(volume.clone()).or_default();
                life.created = Some(at);
                life.zone.clone_from(zone);
                life.source.clone_from(source);
                life.tags.extend(tags.clone());
            }
            What::VolumeDeleted { volume } => {
                self.volumes.entry(volume.clone()).or_default().deleted = Some(at);
            }
            What::SnapshotStarted {
                snapshot,
                volume,
                counter,
                tags,
                ..
            } => {
                let life = SnapshotLife {
                    volume: volume.clone(),
                    by: entry.who.clone(),
                    started: at,
                    counter: *counter,
                    tags: tags.clone(),
                    completed: None,
                    deleted: None,
                };
                self.snapshots.insert(snapshot.clone(), life);
            }
            What::SnapshotCompleted { snapshot } => {
                if let Some(life) = self.snapshots.get_mut(snapshot) {
                    life.completed = Some(at);
                }
            }
            What::SnapshotDeleted { snapshot } => {
                if let Some(life) = self.snapshots.get_mut(snapshot) {
                    life.deleted = Some(at);
                }
            }
            What::Tagged {
                resource,
                key,
                value,
            } => self.tag(resource, key, value, at),
            _ => self.take_attachment(entry),
        }
    }

    fn take_attachment(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.what {
            What::Attached { volume, instance } => {
                let stay = Stay {
                    instance: instance.clone(),
                    from: at,
                    until: None,
                };
                self.attachments
                    .entry(volume.clone())
                    .or_default()
                    .push(stay);
            }
            What::Detached { volume, instance } => {
                let stays = self
                    .attachments
                    .entry(volume.clone())
                    .or_default()
                    .iter_mut();
                for stay in stays.filter(|s| s.instance == *instance && s.until.is_none()) {
                    stay.until = Some(at);
                }
            }
            _ => {}
        }
    }

    fn tag(&mut self, resource: &str, key: &str, value: &str, at: Timestamp) {
        let (key, value) = (key.to_owned(), value.to_owned());
        if let Some(snapshot) = self.snapshots.get_mut(resource) {
            snapshot.tags.insert(key, value);
        } else if let Some(volume) = self.volumes.get_mut(resource) {
            if key == tags::STATE && value == tags::STATE_ACTIVE {
                volume.begun.get_or_insert(at);
            }
            volume.tags.insert(key, value);
        }
    }

    fn end_term(&mut self, instance: &str, volume: &str, at: Timestamp) {
        let open = self.terms.iter_mut().rev().find(|term| {
            term.instance == instance && term.volume == volume && term.until.is_none()
        });
        if let Some(term) = open {
            term.until = Some(at);
        }
    }

    pub fn zone_of_volume(&self, volume: &str) -> Option<&str> {
        self.volumes.get(volume).map(|life| life.zone.as_str())
    }

    /// Was this zone dark at that time?
    pub fn is_dark(&self, zone: &str, at: Timestamp) -> bool {
        let nights = self.dark.get(zone).into_iter().flatten();
        nights
            .clone()
            .any(|(from, to)| *from <= at && to.is_none_or(|to| at <= to))
    }

    /// When the zone last came back before that time.
    pub fn lit_before(&self, zone: &str, at: Timestamp) -> Option<Timestamp> {
        let nights = self.dark.get(zone).into_iter().flatten();
        nights
            .filter_map(|(_, to)| *to)
            .filter(|to| *to <= at)
            .max()
    }

    pub fn lifecycle_at(&self, instance: &str, at: Timestamp) -> Option<&str> {
        state_at(self.lifecycles.get(instance)?, at)
    }

    /// All that the instance was within this time, also in passing.
    pub fn lifecycles_within(
        &self,
        instance: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = &str> {
        let states = self.lifecycles.get(instance).into_iter().flatten();
        let began = move |(since, _): &&(Timestamp, String)| *since > from && *since <= until;
        let changes = states.filter(began).map(|(_, state)| state.as_str());
        self.lifecycle_at(instance, from).into_iter().chain(changes)
    }

    /// Can nothing write on it any more? A stopped instance that is terminated
    /// was down before.
    pub fn is_down(&self, instance: &str, at: Timestamp) -> bool {
        let states = self.states.get(instance).into_iter().flatten().rev();
        let last = states
            .filter(|(since, state)| *since <= at && state != "shutting-down")
            .map(|(_, state)| state.as_str())
            .next();
        matches!(last, Some("stopped" | "terminated"))
    }

    /// The first time after this that it was.
    pub fn down_after(&self, instance: &str, from: Timestamp) -> Option<Timestamp> {
        let mut states = self.states.get(instance).into_iter().flatten();
        let (since, _) = states.find(|(since, state)| {
            *since >= from && matches!(state.as_str(), "stopped" | "terminated")
        })?;
        Some(*since)
    }

    pub fn has_ended(&self, instance: &str, at: Timestamp) -> bool {
        let mut states = self.states.get(instance).into_iter().flatten();
        states.any(|(since, state)| *since <= at && state == "terminated")
    }

    /// A disk that was never the group's: a root volume.
    pub fn is_foreign(&self, volume: &str) -> bool {
        let life = self.volumes.get(volume);
        !life.is_some_and(|life| life.tags.contains_key(tags::VOLUME))
            && !self.terms.iter().any(|term| term.volume == volume)
    }

    /// The volumes that were written at this path, each once, in the order in
    /// which they came into use: the true line of succession.
    pub fn succession(&self, path: &str, until: Timestamp) -> Vec<&str> {
        let mut line: Vec<&str> = Vec::new();
        for term in self
            .terms
            .iter()
            .filter(|t| t.path == path && t.from <= until)
        {
            if !line.contains(&term.volume.as_str()) {
                line.push(&term.volume);
            }
        }
        line
    }

    pub fn first_written(&self, volume: &str) -> Option<Timestamp> {
        self.terms
            .iter()
            .find(|term| term.volume == volume)
            .map(|term| term.from)
    }

    /// Which instance had the volume at that time.
    pub fn attached_to(&self, volume: &str, at: Timestamp) -> Option<&str> {
        let stays = self.attachments.get(volume)?;
        let stay = stays
            .iter()
            .rev()
            .find(|s| s.from <= at && s.until.is_none_or(|u| at < u))?;
        Some(&stay.instance)
    }
}

impl Term {
    pub fn is_open_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

fn state_at(states: &[(Timestamp, String)], at: Timestamp) -> Option<&str> {
    let (_, state) = states.iter().rev().find(|(since, _)| *since <= at)?;
    Some(state)
}

/// The mount point of each configured volume that has one, by volume name.
pub fn paths(spec: &GroupSpec) -> BTreeMap<&str, String> {
    let mounted = spec.volumes.iter().filter_map(|volume| {
        let path = volume.mount.as_deref()?.to_string_lossy().into_owned();
        Some((volume.name.as_str(), path))
    });
    mounted.collect()
}
