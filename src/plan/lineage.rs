//! Which copy of the data is the newest, and which set of snapshots?
//!
//! Newest data = highest epoch that was ever active, then latest start time.
//! Start time alone is wrong: a zone that comes back delivers a *later*
//! snapshot of *older* data.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::claims;
use crate::ids::{Epoch, Incident, SnapshotId, VolumeId, VolumeName};
use crate::spec::GroupSpec;
use crate::world::{Consistency, Group, Snapshot, SnapshotState, Standing, Volume, VolumeState};

/// All there is of one volume name.
#[derive(Debug)]
pub(super) struct Lineage<'a> {
    /// The highest epoch that was ever active; none if there never was data.
    pub(super) top: Option<Epoch>,
    /// The next epoch nobody has ever seen.
    pub(super) next: Epoch,
    /// The volume that carries the newest data, if it still exists. Of a lower epoch than
    /// the top where a copy that was made beside it, for the same heir, has that.
    pub(super) current: Option<&'a Volume>,
    /// More than one volume claims to be it, and none can be shown to be right.
    pub(super) contested: bool,
    /// The move that ends the present term: whose it is and when it began. All
    /// volumes of a group are activated together, so they share it.
    pub(super) incident: Incident,
    /// Every other volume of that name.
    pub(super) others: Vec<&'a Volume>,
    /// Every snapshot of that name.
    pub(super) snapshots: Vec<&'a Snapshot>,
}

impl<'a> Lineage<'a> {
    pub(super) fn of(
        name: &VolumeName,
        group: &Group,
        spec: &GroupSpec,
        volumes: &'a BTreeMap<VolumeId, Volume>,
        snapshots: &'a BTreeMap<SnapshotId, Snapshot>,
    ) -> Self {
        let named: Vec<&Volume> = volumes
            .values()
            .filter(|v| v.name.as_ref() == Some(name) && !is_gone(v))
            .collect();
        let snapshots: Vec<&Snapshot> = snapshots
            .values()
            .filter(|s| s.name.as_ref() == Some(name))
            .collect();
        let marker = group.markers.get(name).copied();
        let top = top(marker, &named, &snapshots);
        let highest = named
            .iter()
            .map(|v| v.epoch)
            .chain(snapshots.iter().map(|s| s.epoch))
            .chain(top)
            .max();
        let active = |v: &&&Volume| matches!(v.standing, Standing::Active(_));
        let claims: Vec<&Volume> = named
            .iter()
            .filter(active)
            .filter(|v| Some(v.epoch) == top)
            .copied()
            .collect();
        let rivals = claims::with_rivals(&claims, named.iter().filter(active).copied());
        let winner = claims::winner(&rivals, &snapshots, group, spec)
            .or_else(|| claims::winner(&claims, &snapshots, group, spec))
            .filter(|winner| {
                let is_there = !winner.attachments.is_empty();
                is_there || !claims::is_belied(&claims, &rivals, &snapshots)
            });
        let current = winner.or_else(|| claims.first().copied());
        let others = named
            .iter()
            .filter(|v| current.is_none_or(|c| c.id != v.id))
            .copied()
            .collect();
        Self {
            incident: incident(current),
            top,
            next: highest.map_or(Epoch(1), Epoch::next),
            contested: current.is_some() && winner.is_none(),
            current,
            others,
            snapshots,
        }
    }

    /// There was data of this name once.
    pub(super) fn ever_had_data(&self) -> bool {
        #[cfg(feature = "mutants")]
        if super::mutant::is(super::mutant::Mutant::BlankWithoutMarker) {
            return self.current.is_some();
        }
        self.top.is_some() || !self.snapshots.is_empty()
    }

    /// Which volume has the newest data, or who has that volume, is for a person
    /// to say: until then it is left as it is, wherever it is.
    pub(super) fn is_disputed(&self) -> bool {
        let on = |volume: &Volume| volume.attachments.len();
        self.contested || self.current.is_some_and(|volume| on(volume) > 1)
    }

    /// The snapshot that holds what the current volume held when its term ended.
    ///
    /// A capture counts only if the volume has not been in use again since: it
    /// belongs to the present term, started after `up_since`, when whoever may
    /// have written was last started, and none was taken after a later start.
    pub(super) fn capture(&self, up_since: Option<Timestamp>) -> Option<&'a Snapshot> {
        let usable = self
            .captures()
            .filter(|(_, s)| s.state.is_usable())
            .filter(|(_, s)| up_since.is_none_or(|up| s.started > up));
        let key = |s: &Snapshot| (s.state != SnapshotState::Completed, s.started, s.id.clone());
        usable
            .min_by_key(|(start, s)| (std::cmp::Reverse(*start), key(s)))
            .map(|(_, s)| s)
    }

    /// Every snapshot of the current volume that is of this move, and after
    /// which start within the term it was taken.
    pub(super) fn captures(&self) -> impl Iterator<Item = (Option<i64>, &'a Snapshot)> + '_ {
        let volume = self.current.map(|volume| &volume.id);
        let of_volume = self
            .snapshots
            .iter()
            .filter(move |s| Some(&s.volume) == volume);
        of_volume.filter_map(|s| Some((start_within(&self.incident, s.incident.as_ref()?)?, *s)))
    }

    /// Clean captures of the newest lineage that are not complete yet.
    pub(super) fn uploading(&self) -> impl Iterator<Item = &'a Snapshot> + '_ {
        let of_newest = |s: &&Snapshot| {
            self.top == Some(s.epoch)
                && s.state == SnapshotState::Pending
                && s.consistency == Consistency::Clean
        };
        self.snapshots.iter().copied().filter(of_newest)
    }

    /// How a capture of this move is to be named. An instance that was started
    /// once more within its term may have written again: what is captured then
    /// is no second copy of what was captured before, and no set has both.
    pub(super) fn capture_name(&self, up_since: Option<Timestamp>) -> Incident {
        let term = match self.current.map(|volume| &volume.standing) {
            Some(Standing::Active(Some(term))) => term,
            _ => return self.incident.clone(),
        };
        match up_since.filter(|up| *up > term.since) {
            Some(up) => Incident::new(format!("{}/{}", self.incident, up.as_millisecond())),
            None => self.incident.clone(),
        }
    }

    /// Does it say that it is of a term which is over on its volume?
    pub(super) fn is_of_ended_term(&self, snapshot: &Snapshot) -> bool {
        let mut all = self.current.iter().chain(&self.others);
        let volume = all.find(|volume| volume.id == snapshot.volume);
        let goes_on = |volume: &&&Volume| matches!(volume.standing, Standing::Active(Some(_)));
        let present = volume.filter(goes_on).map(|volume| incident(Some(volume)));
        present.is_some_and(|present| {
            let of = snapshot.incident.as_ref();
            of.is_some_and(|of| start_within(&present, of).is_none())
        })
    }
}

/// The start a capture's name speaks of; none if it is of another move.
#[allow(clippy::option_option)] // of this move, perhaps after another start
fn start_within(of: &Incident, name: &Incident) -> Option<Option<i64>> {
    match name.as_str().strip_prefix(of.as_str())? {
        "" => Some(None),
        again => again.strip_prefix('/')?.parse().ok().map(Some),
    }
}

fn incident(current: Option<&Volume>) -> Incident {
    match current.map(|v| &v.standing) {
        Some(Standing::Active(Some(term))) => {
            Incident::new(format!("{}/{}", term.holder, term.since.as_millisecond()))
        }
        // No term yet: the group's life before rehome, or no data at all.
        _ => Incident::new("before"),
    }
}

fn is_gone(volume: &Volume) -> bool {
    matches!(volume.state, VolumeState::Deleting | VolumeState::Deleted)
}

/// The marker and the volumes say what was active. A snapshot alone does not:
/// somebody may have copied a volume that never was. Only where nothing else
/// is left (the Auto Scaling group was made anew, the volumes are gone) do
/// snapshots speak. A superseded volume alone speaks of the newer one that took
/// over, though neither that one nor its marker is seen yet.
fn top(marker: Option<Epoch>, volumes: &[&Volume], snapshots: &[&Snapshot]) -> Option<Epoch> {
    let newest = |of: fn(&Standing) -> bool| {
        let those = volumes.iter().filter(|v| of(&v.standing));
        those.map(|v| v.epoch).max()
    };
    let active = newest(|standing| matches!(standing, Standing::Active(_)));
    let superseded = newest(|standing| *standing == Standing::Superseded);
    let unseen = superseded.filter(|epoch| active < Some(*epoch));
    active
        .max(unseen.map(Epoch::next))
        .max(marker)
        .or_else(|| snapshots.iter().map(|s| s.epoch).max())
}

/// Snapshots that were taken together, one for every volume name that has data.
#[derive(Clone, Debug)]
pub(super) struct Set<'a> {
    /// The earliest start in the set: what it holds is at least this old.
    pub(super) started: Timestamp,
    pub(super) snapshots: BTreeMap<&'a VolumeName, &'a Snapshot>,
    /// Of the highest epoch that was ever active, for every name.
    pub(super) is_newest_lineage: bool,
}

impl Set<'_> {
    pub(super) fn is_complete(&self) -> bool {
        self.snapshots
            .values()
            .all(|s| s.state == SnapshotState::Completed)
    }
}

/// Every whole set, the newest first: lineage decides, then start time.
pub(super) fn sets<'a>(lineages: &BTreeMap<&'a VolumeName, Lineage<'a>>) -> Vec<Set<'a>> {
    let names: Vec<&VolumeName> = lineages
        .iter()
        .filter(|(_, lineage)| lineage.ever_had_data())
        .map(|(name, _)| *name)
        .collect();
    let mut by_key: BTreeMap<String, BTreeMap<&VolumeName, &Snapshot>> = BTreeMap::new();
    for name in &names {
        let Some(lineage) = lineages.get(name) else {
            continue;
        };
        let mut snapshots = lineage.snapshots.clone();
        snapshots.sort_by_key(|snapshot| rank(snapshot));
        for snapshot in snapshots {
            let set = by_key.entry(set_key(snapshot)).or_default();
            set.entry(name).or_insert(snapshot);
        }
    }
    let mut sets: Vec<Set<'a>> = by_key
        .into_values()
        .filter(|set| set.len() == names.len())
        .filter_map(|snapshots| whole(snapshots, lineages))
        .collect();
    sets.sort_by_key(|set| std::cmp::Reverse(age_key(set)));
    sets
}

fn whole<'a>(
    snapshots: BTreeMap<&'a VolumeName, &'a Snapshot>,
    lineages: &BTreeMap<&'a VolumeName, Lineage<'a>>,
) -> Option<Set<'a>> {
    let started = snapshots.values().map(|s| s.started).min()?;
    if snapshots.values().any(|s| !s.state.is_usable()) {
        return None;
    }
    let is_newest_lineage = snapshots.iter().all(|(name, snapshot)| {
        lineages
            .get(name)
            .is_some_and(|l| l.top == Some(snapshot.epoch))
    });
    Some(Set {
        started,
        snapshots,
        is_newest_lineage,
    })
}

/// Volumes of one group move together, so the sum of the epochs orders sets
/// even when one volume joined the group later than another.
fn age_key(set: &Set<'_>) -> (u64, Timestamp) {
    #[cfg(feature = "mutants")]
    if super::mutant::is(super::mutant::Mutant::NewestByStartTime) {
        return (0, set.started);
    }
    let epochs = set
        .snapshots
        .values()
        .fold(0_u64, |sum, s| sum.saturating_add(s.epoch.0));
    (epochs, set.started)
}

/// A snapshot that belongs to no move of ours is a set of its own.
fn set_key(snapshot: &Snapshot) -> String {
    snapshot
        .incident
        .as_ref()
        .map_or_else(|| snapshot.id.to_string(), ToString::to_string)
}

/// Usable first, then complete, then the earliest: the others are duplicates.
fn rank(snapshot: &Snapshot) -> (SnapshotRank, Timestamp, &SnapshotId) {
    let state = match snapshot.state {
        SnapshotState::Completed => SnapshotRank::Completed,
        SnapshotState::Pending => SnapshotRank::Pending,
        SnapshotState::Failed | SnapshotState::Unusable => SnapshotRank::Unusable,
    };
    (state, snapshot.started, &snapshot.id)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SnapshotRank {
    Completed,
    Pending,
    Unusable,
}
