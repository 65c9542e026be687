//! When a holder's term begins: from then on its lineage is the newest.

use std::collections::BTreeMap;

use super::scene::{Heir, Scene};
use super::step::{Activation, Plan, Step};
use super::volumes::Placed;
use crate::ids::{Epoch, VolumeName};
use crate::spec::VolumeSpec;
use crate::world::{Attachment, AttachmentState, Standing, Volume};

/// A term has to begin unless the present one is the holder's and still good:
/// once its data was captured as final, going on in the same term would make
/// that capture look newer than it is.
pub(super) fn needs_term(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    spec: &VolumeSpec,
    volume: &Volume,
) -> bool {
    let Standing::Active(Some(term)) = &volume.standing else {
        return true;
    };
    let marked = scene
        .group
        .markers
        .get(&spec.name)
        .is_some_and(|m| *m >= volume.epoch);
    let spent = scene.lineages.get(&spec.name).is_some_and(|l| {
        let mut captures = l.captures();
        captures.any(|(_, snapshot)| snapshot.volume == volume.id)
    });
    term.holder != *heir.id || !marked || spent || is_outranked(scene, spec, volume)
}

/// A copy that was made beside this one, and is not the one that the holder has, began
/// a term of a higher epoch: what is written here would pass for older.
fn is_outranked(scene: &Scene<'_>, spec: &VolumeSpec, volume: &Volume) -> bool {
    let lineage = scene.lineages.get(&spec.name);
    lineage.is_some_and(|l| Some(volume.epoch) < l.top)
}

/// The epoch of the term that is to begin on it.
fn epoch(scene: &Scene<'_>, spec: &VolumeSpec, volume: &Volume) -> Epoch {
    match scene.lineages.get(&spec.name) {
        Some(lineage) if is_outranked(scene, spec, volume) => lineage.next,
        _ => volume.epoch,
    }
}

/// Begin the holder's term on all volumes at once (so that their next captures
/// share one incident) if there is room for them, and tell how far they are.
pub(super) fn activate<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    chosen: &BTreeMap<&'a VolumeName, &'a Volume>,
    has_room: bool,
    placed: &mut Placed<'a>,
    plan: &mut Plan,
) {
    let mut terms = Vec::new();
    let mut due = false;
    let mut ready = true;
    for (spec, _) in scene.volumes_in_order() {
        let Some(volume) = chosen.get(&spec.name).copied() else {
            continue;
        };
        let attached = volume
            .attachments
            .first()
            .is_some_and(|a| a.state == AttachmentState::Attached);
        if attached {
            placed.attached.insert(&spec.name, volume);
        }
        terms.push(Activation {
            name: spec.name.clone(),
            volume: volume.id.clone(),
            epoch: epoch(scene, spec, volume),
            marked: scene.group.markers.get(&spec.name).copied(),
        });
        if needs_term(scene, heir, spec, volume) {
            due = true;
            ready &= is_formatted(scene, spec, volume) && has_its_place(scene, volume);
        } else if attached {
            placed.active.insert(&spec.name, volume);
        }
    }
    let all = chosen.len() == scene.spec.volumes.len();
    placed.complete = all && placed.active.len() == chosen.len();
    if all && ready && due && has_room {
        plan.step(Step::Activate {
            holder: heir.id.clone(),
            since: scene.now,
            volumes: terms,
        });
    }
}

/// Two runners may each have restored a copy. A device takes one volume, so of the
/// two only that one begins a term which came to its place. Where no agent mounts
/// it, the instance may write as soon as it has it: there the term comes first.
fn has_its_place(scene: &Scene<'_>, volume: &Volume) -> bool {
    let comes = |a: &Attachment| {
        matches!(
            a.state,
            AttachmentState::Attaching | AttachmentState::Attached
        )
    };
    !scene.spec.agent || volume.standing != Standing::New || volume.attachments.iter().any(comes)
}

/// A blank volume that is to be mounted gets its file system before its term:
/// once active, nothing is ever formatted.
fn is_formatted(scene: &Scene<'_>, spec: &VolumeSpec, volume: &Volume) -> bool {
    if !scene.spec.agent || spec.mount.is_none() || !is_blank(volume) {
        return true;
    }
    scene
        .here
        .and_then(|h| h.disks.get(&volume.id))
        .is_some_and(|disk| disk.filesystem.is_some())
}

/// Made by rehome without a source, and never in use.
pub(super) fn is_blank(volume: &Volume) -> bool {
    volume.standing == Standing::New && volume.source.is_none()
}
