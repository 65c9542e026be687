//! What is done at leisure: periodic snapshots, and deleting what nobody needs.
//!
//! The newest restorable set, and anything an ongoing move needs, is never
//! deleted; the planner comes here only when the group is settled.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::lineage::{Lineage, Set, sets};
use super::scene::{SaturatingTime, Scene};
use super::step::{LiveVolume, Plan, Retired, Step};
use super::volumes::Placed;
use crate::ids::{Incident, SnapshotId};
use crate::world::{Consistency, Snapshot, SnapshotState, Standing, Volume, VolumeState};

/// How much is deleted in one turn at the most.
const AT_ONCE: usize = 5;

/// How many sets may be on their way. EBS takes five snapshots of a volume at a
/// time, and a capture must not be refused for them.
const ON_THEIR_WAY: usize = 2;

/// EC2 tells when an attachment or an instance began in whole seconds.
const WHOLE_SECONDS: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn upkeep(scene: &Scene<'_>, placed: &Placed<'_>, plan: &mut Plan) {
    if !placed.complete {
        return;
    }
    let sets = sets(&scene.lineages);
    let begun: Vec<Step> = snapshot(scene, placed, &sets).into_iter().collect();
    let labels = labels(scene).take(AT_ONCE);
    let retired = volumes(scene).chain(snapshots(scene, &sets)).take(AT_ONCE);
    plan.upkeep = begun.into_iter().chain(labels).chain(retired).collect();
}

/// A set that is taken in one call is labelled in others, which may have failed;
/// and what is belied gets the label that is true.
fn labels<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = Step> + 'a {
    scene.lineages.values().flat_map(|lineage| {
        let usable = lineage.snapshots.iter().filter(|s| s.state.is_usable());
        usable.filter_map(|s| {
            if is_belied(scene, lineage, s) {
                label(s, live_at(s.started))
            } else if s.labelled {
                None
            } else {
                label(s, s.incident.clone()?)
            }
        })
    })
}

fn label(snapshot: &Snapshot, incident: Incident) -> Option<Step> {
    Some(Step::Label {
        snapshot: snapshot.id.clone(),
        of: LiveVolume {
            name: snapshot.name.clone()?,
            volume: snapshot.volume.clone(),
            epoch: snapshot.epoch,
            shape: snapshot.shape.clone(),
            tags: snapshot.tags.clone(),
        },
        incident,
    })
}

/// A capture whose call hung, or whose sender stood still, may be carried out when
/// the next holder writes already. It is called clean, and is a moment of a life.
fn is_belied(scene: &Scene<'_>, lineage: &Lineage<'_>, snapshot: &Snapshot) -> bool {
    snapshot.consistency == Consistency::Clean
        && (was_in_use(scene, lineage, snapshot) || came_second(lineage, snapshot))
}

/// It began when an instance that was up had the volume.
fn was_in_use(scene: &Scene<'_>, lineage: &Lineage<'_>, snapshot: &Snapshot) -> bool {
    let Some(volume) = lineage.current.filter(|v| v.id == snapshot.volume) else {
        return false;
    };
    let begun_before = |at: Timestamp| at.saturating_add_or_max(WHOLE_SECONDS) < snapshot.started;
    volume.attachments.iter().any(|on| {
        let instance = scene.instances.get(&on.instance);
        on.since.is_some_and(begun_before)
            && instance.is_some_and(|i| !i.state.is_down() && begun_before(i.launched))
    })
}

/// The next term of its volume began on another capture of the same move: whether it
/// had begun when this one was taken, nobody can tell any more.
fn came_second(lineage: &Lineage<'_>, snapshot: &Snapshot) -> bool {
    let came_first = |other: &&Snapshot| {
        other.volume == snapshot.volume
            && other.incident == snapshot.incident
            && other.state == SnapshotState::Completed
            && other.started < snapshot.started
    };
    lineage.is_of_ended_term(snapshot) && lineage.snapshots.iter().any(came_first)
}

/// The incident of a set that is taken at this moment of a life.
fn live_at(moment: Timestamp) -> Incident {
    Incident::new(format!("live/{}", moment.as_millisecond()))
}

/// The next periodic set, all volumes in one call.
fn snapshot(scene: &Scene<'_>, placed: &Placed<'_>, sets: &[Set<'_>]) -> Option<Step> {
    let newest = sets
        .iter()
        .filter(|s| s.is_newest_lineage)
        .map(|s| s.started)
        .max();
    let since = placed
        .active
        .values()
        .filter_map(|v| match &v.standing {
            Standing::Active(Some(term)) => Some(term.since),
            _ => None,
        })
        .max()?;
    let due = newest
        .unwrap_or(since)
        .max(since)
        .saturating_add_or_max(scene.spec.policy.snapshot_every);
    if scene.now < due || is_busy(scene, placed) {
        return None;
    }
    live(scene, placed)
}

/// Have as many sets been begun as may be on their way at once?
fn is_busy(scene: &Scene<'_>, placed: &Placed<'_>) -> bool {
    placed.active.values().any(|volume| {
        let all = scene.snapshots.values();
        let of_volume = all.filter(|s| s.volume == volume.id && s.state == SnapshotState::Pending);
        of_volume.count() >= ON_THEIR_WAY
    })
}

/// A set of everything the holder has in use, begun now.
pub(super) fn live(scene: &Scene<'_>, placed: &Placed<'_>) -> Option<Step> {
    let holder = scene.holder?;
    Some(Step::SnapshotLive {
        instance: holder.id.clone(),
        incident: live_at(scene.now),
        volumes: placed
            .active
            .iter()
            .map(|(name, v)| LiveVolume {
                name: (*name).clone(),
                volume: v.id.clone(),
                epoch: v.epoch,
                shape: v.shape.clone(),
                tags: v.tags.clone(),
            })
            .collect(),
    })
}

/// Volumes that a newer epoch has replaced, or that were never used.
fn volumes<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = Step> + 'a {
    scene.volumes_in_order().flat_map(move |(_, lineage)| {
        lineage
            .others
            .iter()
            .filter_map(move |v| retire_volume(scene, lineage, v))
    })
}

fn retire_volume(scene: &Scene<'_>, lineage: &Lineage<'_>, volume: &Volume) -> Option<Step> {
    let current = lineage.current?;
    let Standing::Active(Some(term)) = &current.standing else {
        return None;
    };
    let kept_until = term
        .since
        .max(volume.created)
        .saturating_add_or_max(scene.spec.policy.keep_old_volume);
    let rests = volume.state == VolumeState::Available && volume.attachments.is_empty();
    // One of the same epoch is a rival that lost: see `claims`.
    let older = volume.epoch <= current.epoch || volume.standing == Standing::New;
    if scene.now >= kept_until && rests && older && source_is_complete(lineage, current) {
        return Some(Step::DeleteVolume {
            volume: volume.id.clone(),
            why: if volume.standing == Standing::New {
                Retired::NeverActive
            } else {
                Retired::Superseded
            },
        });
    }
    let unmarked = matches!(volume.standing, Standing::Active(_)) && older;
    unmarked.then(|| Step::Supersede {
        volume: volume.id.clone(),
    })
}

/// Until the snapshot a volume was made from is complete, the old volume is
/// the only whole copy.
fn source_is_complete(lineage: &Lineage<'_>, current: &Volume) -> bool {
    current.source.as_ref().is_none_or(|source| {
        lineage
            .snapshots
            .iter()
            .find(|s| s.id == *source)
            .is_none_or(|s| s.state == SnapshotState::Completed)
    })
}

/// Whole sets beyond what the policy keeps, and second captures of one move.
fn snapshots<'a>(scene: &'a Scene<'_>, sets: &[Set<'a>]) -> impl Iterator<Item = Step> + 'a {
    // What does not say itself whose data it is, is none to rely on.
    let labelled = |set: &&Set<'_>| set.snapshots.values().all(|s| s.labelled);
    let complete: Vec<&Set<'_>> = sets
        .iter()
        .filter(|s| s.is_complete())
        .filter(labelled)
        .collect();
    #[allow(unused_mut)]
    let mut keep = scene.spec.policy.keep_snapshots.max(1);
    #[cfg(feature = "mutants")]
    if super::mutant::is(super::mutant::Mutant::DeleteNewest) {
        keep = 0;
    }
    let newest = complete.first().map(|s| s.started);
    let oldest_kept = match keep.checked_sub(1) {
        Some(last) => complete.get(last).map(|s| s.started),
        None => Some(Timestamp::MAX),
    };
    let kept: BTreeSet<SnapshotId> = complete
        .iter()
        .take(keep)
        .flat_map(|s| s.snapshots.values())
        .map(|s| s.id.clone())
        .collect();
    let in_sets: BTreeSet<SnapshotId> = sets
        .iter()
        .flat_map(|s| s.snapshots.values())
        .map(|s| s.id.clone())
        .collect();
    scene.lineages.values().flat_map(move |lineage| {
        let (kept, in_sets) = (kept.clone(), in_sets.clone());
        let needed = lineage.current.and_then(|c| c.source.clone());
        lineage
            .snapshots
            .iter()
            // What nobody tagged with a move was not made by rehome.
            .filter(|s| s.incident.is_some())
            .filter(|s| matches!(s.state, SnapshotState::Completed | SnapshotState::Failed))
            .filter(move |s| !kept.contains(&s.id) && Some(&s.id) != needed.as_ref())
            // What began after it may be the newest data there is, by whatever name:
            // a capture that was carried out late, for one.
            .filter(move |s| newest.is_some_and(|newest| s.started <= newest))
            .filter(|s| !is_belied(scene, lineage, s))
            .filter_map(move |s| {
                let why = if s.state == SnapshotState::Failed {
                    Retired::Failed
                } else if is_duplicate(lineage, s, &in_sets) {
                    Retired::Duplicate
                } else if oldest_kept.is_some_and(|oldest| s.started < oldest) {
                    Retired::BeyondKeep
                } else {
                    return None;
                };
                Some(Step::DeleteSnapshot {
                    snapshot: s.id.clone(),
                    why,
                })
            })
    })
}

/// Another usable capture of the same volume and move stands in the set.
fn is_duplicate(
    lineage: &Lineage<'_>,
    snapshot: &Snapshot,
    in_sets: &BTreeSet<SnapshotId>,
) -> bool {
    !in_sets.contains(&snapshot.id)
        && lineage.snapshots.iter().any(|other| {
            other.id != snapshot.id
                && other.volume == snapshot.volume
                && other.incident == snapshot.incident
                && other.state == SnapshotState::Completed
                && in_sets.contains(&other.id)
        })
}
