//! Which copies are kept, and when do they go? As the upkeep decides it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ids::{Epoch, Incident, SnapshotId, VolumeId, VolumeName};
use crate::plan;
use crate::spec::GroupSpec;
use crate::world::{Standing, VolumeState, World};

/// One set of snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// What it holds is at least this old.
    pub started: Timestamp,
    pub complete: bool,
    /// Taken when nothing could write; else as after a power cut.
    pub clean: bool,
    /// Of the lineage that counts now.
    pub newest_lineage: bool,
    pub incident: Option<Incident>,
    pub snapshots: Vec<SnapshotId>,
    pub goes: Goes,
}

/// When something is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum Goes {
    /// Nobody but a person deletes it.
    Never,
    /// When so many newer sets are complete; with one taken every
    /// `snapshot_every`, at about this time.
    After { newer_sets: usize, about: Timestamp },
    /// Not before this time.
    NotBefore { at: Timestamp },
    /// The volume in use was made from it.
    WithItsVolume,
    /// As soon as somebody does the upkeep.
    Now,
    /// It is not complete yet.
    WhenComplete,
}

/// A volume that a newer epoch has replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldVolume {
    pub volume: VolumeId,
    pub name: VolumeName,
    pub epoch: Epoch,
    pub zone: String,
    pub goes: Goes,
}

pub(super) fn copies(world: &World, spec: &GroupSpec) -> Vec<Copied> {
    let sets = plan::sets(world, spec).unwrap_or_default();
    let keep = spec.policy.keep_snapshots.max(1);
    let newest = sets.iter().find(|set| set.complete).map(|set| set.started);
    let needed = sources_in_use(world);
    let mut complete = 0;
    let mut told = Vec::new();
    for set in sets {
        let goes = if !set.complete {
            Goes::WhenComplete
        } else if set.incident.is_none() {
            Goes::Never
        } else if complete < keep {
            let newer_sets = keep - complete;
            Goes::After {
                newer_sets,
                about: after(newest, spec.policy.snapshot_every, newer_sets),
            }
        } else if set.snapshots.iter().any(|id| needed.contains(&id)) {
            Goes::WithItsVolume
        } else {
            Goes::Now
        };
        complete += usize::from(set.complete);
        told.push(Copied {
            started: set.started,
            complete: set.complete,
            clean: set.clean,
            newest_lineage: set.newest_lineage,
            incident: set.incident,
            snapshots: set.snapshots,
            goes,
        });
    }
    told
}

fn after(newest: Option<Timestamp>, every: SignedDuration, sets: usize) -> Timestamp {
    let times = i32::try_from(sets).unwrap_or(i32::MAX);
    let later = every.checked_mul(times);
    newest
        .zip(later)
        .and_then(|(newest, later)| newest.checked_add(later).ok())
        .unwrap_or(Timestamp::MAX)
}

fn sources_in_use(world: &World) -> Vec<&SnapshotId> {
    let volumes = world.volumes.known().into_iter().flatten();
    volumes
        .filter(|(_, volume)| matches!(volume.standing, Standing::Active(_)))
        .filter_map(|(_, volume)| volume.source.as_ref())
        .collect()
}

pub(super) fn old_volumes(world: &World, spec: &GroupSpec) -> Vec<OldVolume> {
    let Some(volumes) = world.volumes.known() else {
        return Vec::new();
    };
    let gone = |state| matches!(state, VolumeState::Deleting | VolumeState::Deleted);
    let mut old = Vec::new();
    for wanted in &spec.volumes {
        let own = || {
            let all = volumes.values();
            all.filter(|v| v.name.as_ref() == Some(&wanted.name) && !gone(v.state))
        };
        let current = own()
            .filter(|volume| matches!(volume.standing, Standing::Active(_)))
            .max_by_key(|volume| volume.epoch);
        let Some(current) = current else { continue };
        let term = match &current.standing {
            Standing::Active(Some(term)) => Some(term.since),
            _ => None,
        };
        for volume in own().filter(|volume| volume.id != current.id) {
            let from = term.map(|since| since.max(volume.created));
            let at = from.and_then(|from| from.checked_add(spec.policy.keep_old_volume).ok());
            old.push(OldVolume {
                volume: volume.id.clone(),
                name: wanted.name.clone(),
                epoch: volume.epoch,
                zone: volume.zone.to_string(),
                goes: at.map_or(Goes::Never, |at| Goes::NotBefore { at }),
            });
        }
    }
    old.sort_by_key(|volume| (volume.epoch, volume.volume.clone()));
    old
}
