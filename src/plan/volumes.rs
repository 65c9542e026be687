//! How the newest data comes to the holder: re-attached, restored, or blank.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lineage::{Lineage, Set, sets};
use super::scene::{Heir, Keeper, LAG, SaturatingTime, Scene};
use super::step::{Activation, Hold, Plan, Reason, Step};
use crate::ids::{SnapshotId, VolumeId, VolumeName};
use crate::spec::VolumeSpec;
use crate::world::{
    AttachmentState, InstanceState, Lifecycle, Shape, SnapshotState, Standing, Volume, VolumeState,
};

/// How far the holder's volumes are.
#[derive(Default)]
pub(super) struct Placed<'a> {
    /// Attached to the holder, by name.
    pub(super) attached: BTreeMap<&'a VolumeName, &'a Volume>,
    /// Of these, those whose term is the holder's: they may be used.
    pub(super) active: BTreeMap<&'a VolumeName, &'a Volume>,
    /// Every configured volume is attached and active.
    pub(super) complete: bool,
    /// No predecessor serves any more, or it was given up.
    pub(super) let_go: bool,
}

/// What one volume name needs next.
enum Next<'a> {
    /// This volume is, or is to be, the holder's.
    Use(&'a Volume),
    /// Make one; the step says how.
    Make(Step),
    /// Nothing now; the reason stands in the plan.
    Wait,
    /// The newest data is out of reach, and its time is over.
    OutOfReach,
}

pub(super) fn bring<'a>(scene: &Scene<'a>, plan: &mut Plan) -> Placed<'a> {
    let mut placed = Placed {
        let_go: scene
            .lineages
            .values()
            .filter_map(|l| l.current)
            .all(|v| scene.is_quiet(v) || matches!(scene.keeper(v), Keeper::Holder)),
        ..Placed::default()
    };
    let Some(heir) = scene.holder else {
        return placed;
    };
    if is_disputed(scene, plan) {
        return placed;
    }
    let mut wanted = BTreeMap::new();
    let mut out_of_reach = None;
    for (spec, lineage) in scene.volumes_in_order() {
        match newest(scene, heir, spec, lineage, plan) {
            Next::OutOfReach => out_of_reach = out_of_reach.or(Some(&spec.name)),
            next => {
                wanted.insert(&spec.name, next);
            }
        }
    }
    if let Some(name) = out_of_reach {
        placed.let_go = true;
        match older_set(scene, heir, name, plan) {
            Some(set) => wanted = restore_set(scene, heir, &set, plan),
            None => return placed,
        }
    }
    let chosen = settle(scene, wanted, plan);
    attach_all(scene, heir, &chosen, plan);
    activate(scene, heir, &chosen, &mut placed, plan);
    placed
}

/// Claims that only a person can settle.
fn is_disputed(scene: &Scene<'_>, plan: &mut Plan) -> bool {
    let mut disputed = false;
    for (spec, lineage) in scene.volumes_in_order() {
        if lineage.disputed {
            plan.hold(Hold::TwoLineages {
                volume: spec.name.clone(),
                epoch: lineage.top.unwrap_or_default(),
            });
            disputed = true;
        }
        if let Some(volume) = lineage.current.filter(|v| v.attachments.len() > 1) {
            plan.hold(Hold::DoublyAttached {
                volume: volume.id.clone(),
            });
            disputed = true;
        }
    }
    disputed
}

/// The way to the newest data of one name.
fn newest<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &'a VolumeSpec,
    lineage: &Lineage<'a>,
    plan: &mut Plan,
) -> Next<'a> {
    let Some(volume) = lineage.current else {
        return if lineage.ever_had_data() {
            missing(scene, heir, spec, plan)
        } else {
            blank(scene, heir, spec, lineage, plan)
        };
    };
    let given_up = scene.give_up_due().is_some_and(|due| scene.now >= due);
    if matches!(volume.state, VolumeState::Error | VolumeState::Creating) {
        if given_up {
            return Next::OutOfReach;
        }
        plan.hold(Hold::BadVolume {
            volume: volume.id.clone(),
        });
        return Next::Wait;
    }
    let captured = lineage.capture(scene.up_since(volume));
    let goes_on = matches!(&volume.standing, Standing::Active(Some(t)) if t.holder == *heir.id);
    match scene.keeper(volume) {
        Keeper::Holder => Next::Use(volume),
        Keeper::Free if volume.zone == heir.member.zone && (captured.is_some() || goes_on) => {
            Next::Use(volume)
        }
        _ if volume.zone == heir.member.zone => {
            // Its predecessor still has it; `release` says what is waited for.
            if given_up && !scene.is_quiet(volume) {
                Next::OutOfReach
            } else {
                Next::Wait
            }
        }
        _ => match captured.filter(|_| scene.is_quiet(volume)) {
            Some(snapshot) if snapshot.state == SnapshotState::Completed => restored(
                scene,
                heir,
                spec,
                lineage,
                &snapshot.id,
                &volume.shape,
                &volume.tags,
            ),
            _ if given_up => Next::OutOfReach,
            Some(snapshot) => {
                plan.wait_until(
                    Reason::Snapshotting {
                        snapshot: snapshot.id.clone(),
                        progress: snapshot.progress,
                    },
                    Some(snapshot.started),
                    scene.give_up_due(),
                );
                Next::Wait
            }
            None => Next::Wait,
        },
    }
}

/// There was data, and no volume of its epoch is seen: gone, or a describe
/// lags. That is told apart by time.
fn missing<'a>(scene: &Scene<'a>, heir: Heir<'a>, spec: &VolumeSpec, plan: &mut Plan) -> Next<'a> {
    let Some(instance) = heir.instance else {
        plan.wait(Reason::HolderBoots {
            instance: heir.id.clone(),
        });
        return Next::Wait;
    };
    let patience = LAG.min(scene.spec.policy.capture_timeout);
    let due = instance.launched.saturating_add_or_max(patience);
    if scene.now >= due {
        return Next::OutOfReach;
    }
    plan.wait_until(
        Reason::Lagging {
            what: format!(
                "the volume that carries the newest {:?} data",
                spec.name.as_str()
            ),
        },
        Some(instance.launched),
        Some(due),
    );
    Next::Wait
}

/// A volume of the next epoch in the holder's zone: the one that was made for
/// this, or the step that makes it.
fn restored<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &VolumeSpec,
    lineage: &Lineage<'a>,
    source: &SnapshotId,
    shape: &Shape,
    tags: &BTreeMap<String, String>,
) -> Next<'a> {
    if let Some(volume) = prepared(scene, heir, lineage, Some(source)) {
        return Next::Use(volume);
    }
    #[cfg(feature = "mutants")]
    let forgotten = Shape::default();
    #[cfg(feature = "mutants")]
    let shape = if super::mutant::is(super::mutant::Mutant::ForgetShape) {
        &forgotten
    } else {
        shape
    };
    Next::Make(Step::CreateVolume {
        name: spec.name.clone(),
        zone: heir.member.zone.clone(),
        epoch: lineage.next,
        incident: lineage.incident.clone(),
        source: Some(source.clone()),
        shape: shape.clone(),
        tags: tags.clone(),
    })
}

/// A never-active volume that was made from this source for this zone.
fn prepared<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    lineage: &Lineage<'a>,
    source: Option<&SnapshotId>,
) -> Option<&'a Volume> {
    lineage
        .others
        .iter()
        .filter(|v| {
            v.standing == Standing::New
                && v.source.as_ref() == source
                && v.zone == heir.member.zone
                && lineage.top.is_none_or(|top| v.epoch > top)
                && v.state != VolumeState::Error
                && matches!(scene.keeper(v), Keeper::Free | Keeper::Holder)
        })
        .max_by_key(|v| (v.epoch, std::cmp::Reverse(v.id.clone())))
        .copied()
}

/// The very first volume, for a group that positively never had one.
fn blank<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &VolumeSpec,
    lineage: &Lineage<'a>,
    plan: &mut Plan,
) -> Next<'a> {
    if let Some(volume) = prepared(scene, heir, lineage, None) {
        return Next::Use(volume);
    }
    if heir.instance.is_none() {
        plan.wait(Reason::HolderBoots {
            instance: heir.id.clone(),
        });
        return Next::Wait;
    }
    if let Some(hold) = life_before(scene, spec) {
        plan.hold(hold);
        return Next::Wait;
    }
    if spec.first.size_gib.is_none() {
        plan.hold(Hold::NoFirstVolume {
            volume: spec.name.clone(),
        });
        return Next::Wait;
    }
    Next::Make(Step::CreateVolume {
        name: spec.name.clone(),
        zone: heir.member.zone.clone(),
        epoch: lineage.next,
        incident: lineage.incident.clone(),
        source: None,
        shape: spec.first.clone(),
        tags: BTreeMap::new(),
    })
}

/// Any member that has something untagged at the configured device had a life
/// before rehome: its data is to be adopted, never replaced.
fn life_before(scene: &Scene<'_>, spec: &VolumeSpec) -> Option<Hold> {
    scene.group.members.keys().find_map(|id| {
        let found = at_device(scene.instances.get(id)?, &spec.device)?;
        (!scene.volumes.contains_key(found)).then(|| Hold::AdoptFirst {
            volume: spec.name.clone(),
            instance: id.clone(),
            device: spec.device.clone(),
            found: found.clone(),
        })
    })
}

/// `/dev/sdf` and `/dev/xvdf` are one attachment point.
fn at_device<'a>(instance: &'a crate::world::Instance, device: &str) -> Option<&'a VolumeId> {
    let plain = |name: &str| name.replace("/dev/xvd", "/dev/sd");
    instance
        .devices
        .iter()
        .find(|(name, _)| plain(name) == plain(device))
        .map(|(_, volume)| volume)
}

/// The newest complete set, if what it loses is within what a person allowed.
fn older_set<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    name: &VolumeName,
    plan: &mut Plan,
) -> Option<Set<'a>> {
    let complete: Vec<Set<'a>> = sets(&scene.lineages)
        .into_iter()
        .filter(Set::is_complete)
        .collect();
    let set_started = complete.first().map(|s| s.started);
    // What an older lineage lost is not known: its last set may be young and
    // its data old. So only the newest lineage is taken without a person.
    let newest = complete
        .into_iter()
        .find(|s| s.is_newest_lineage || heeds_no_lineage());
    let set_started = newest.as_ref().map_or(set_started, |s| Some(s.started));
    let loses = newest
        .as_ref()
        .map(|set| last_write(scene, heir).duration_since(set.started));
    let allowed = loses.is_some_and(|l| l <= scene.spec.policy.max_data_loss || heeds_no_loss());
    if allowed {
        return newest;
    }
    plan.hold(Hold::DataLoss {
        volume: name.clone(),
        newest_set: set_started,
        loses_seconds: loses.map(|l| l.as_secs()),
    });
    None
}

#[cfg(feature = "mutants")]
fn heeds_no_lineage() -> bool {
    super::mutant::is(super::mutant::Mutant::NewestByStartTime) || heeds_no_loss()
}

#[cfg(not(feature = "mutants"))]
const fn heeds_no_lineage() -> bool {
    false
}

#[cfg(feature = "mutants")]
fn heeds_no_loss() -> bool {
    super::mutant::is(super::mutant::Mutant::IgnoreDataLoss)
}

#[cfg(not(feature = "mutants"))]
const fn heeds_no_loss() -> bool {
    false
}

/// Until when the lost data may have been written: until the heir was launched,
/// if it never served and no predecessor runs on; else until now.
fn last_write(scene: &Scene<'_>, heir: Heir<'_>) -> Timestamp {
    let still_runs = scene
        .lineages
        .values()
        .filter_map(|l| l.current)
        .flat_map(|v| &v.attachments)
        .filter(|a| a.instance != *heir.id)
        .any(|a| {
            scene
                .instances
                .get(&a.instance)
                .is_some_and(|i| i.state == InstanceState::Running)
                && scene
                    .group
                    .members
                    .get(&a.instance)
                    .is_some_and(|m| !m.lifecycle.is_leaving())
        });
    match heir.instance {
        Some(instance) if !still_runs && heir.member.lifecycle != Lifecycle::InService => {
            instance.launched
        }
        _ => scene.now,
    }
}

/// All volumes of one set, or none: half of an older state is no state.
fn restore_set<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    set: &Set<'a>,
    plan: &mut Plan,
) -> BTreeMap<&'a VolumeName, Next<'a>> {
    let mut wanted = BTreeMap::new();
    for (spec, lineage) in scene.volumes_in_order() {
        let next = match set.snapshots.get(&spec.name) {
            Some(snapshot) => {
                #[cfg(feature = "mutants")]
                let snapshot = &super::mutant::mixed(lineage, snapshot);
                let model = lineage.current;
                restored(
                    scene,
                    heir,
                    spec,
                    lineage,
                    &snapshot.id,
                    model.map_or(&snapshot.shape, |v| &v.shape),
                    model.map_or(&snapshot.tags, |v| &v.tags),
                )
            }
            // It joined the group later and never had data.
            None => blank(scene, heir, spec, lineage, plan),
        };
        wanted.insert(&spec.name, next);
    }
    wanted
}

/// Creates what is to be made; what exists already goes on.
fn settle<'a>(
    scene: &Scene<'a>,
    wanted: BTreeMap<&'a VolumeName, Next<'a>>,
    plan: &mut Plan,
) -> BTreeMap<&'a VolumeName, &'a Volume> {
    let mut chosen = BTreeMap::new();
    for (name, next) in wanted {
        match next {
            Next::Use(volume) if volume.state == VolumeState::Creating => {
                plan.wait_until(
                    Reason::Creating {
                        volume: volume.id.clone(),
                    },
                    Some(volume.created),
                    None,
                );
            }
            Next::Use(volume) => {
                chosen.insert(name, volume);
            }
            Next::Make(step) => plan.step(step),
            Next::Wait | Next::OutOfReach => {}
        }
    }
    debug_assert!(chosen.len() <= scene.spec.volumes.len());
    chosen
}

fn attach_all(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    chosen: &BTreeMap<&VolumeName, &Volume>,
    plan: &mut Plan,
) {
    for (spec, _) in scene.volumes_in_order() {
        let Some(volume) = chosen.get(&spec.name) else {
            continue;
        };
        match volume.attachments.first().map(|a| a.state) {
            Some(AttachmentState::Attached) => {}
            Some(AttachmentState::Attaching) => plan.wait(Reason::Attaching {
                volume: volume.id.clone(),
            }),
            Some(AttachmentState::Detaching | AttachmentState::Busy) => {
                plan.wait(Reason::Detaching {
                    volume: volume.id.clone(),
                });
            }
            None => attach(scene, heir, spec, volume, plan),
        }
    }
}

fn attach(scene: &Scene<'_>, heir: Heir<'_>, spec: &VolumeSpec, volume: &Volume, plan: &mut Plan) {
    if !heir.runs() {
        plan.wait(Reason::HolderBoots {
            instance: heir.id.clone(),
        });
        return;
    }
    // Without an agent the instance may write as soon as it sees the disk, so
    // the term has to begin first.
    if !scene.spec.agent && needs_term(scene, heir, spec, volume) {
        return;
    }
    let taken = heir
        .instance
        .and_then(|i| at_device(i, &spec.device))
        .filter(|found| **found != volume.id);
    if let Some(found) = taken {
        plan.hold(Hold::DeviceTaken {
            volume: spec.name.clone(),
            instance: heir.id.clone(),
            device: spec.device.clone(),
            found: found.clone(),
        });
        return;
    }
    plan.step(Step::Attach {
        volume: volume.id.clone(),
        instance: heir.id.clone(),
        device: spec.device.clone(),
    });
}

/// A term has to begin unless the present one is the holder's and still good:
/// once its data was captured as final, going on in the same term would make
/// that capture look newer than it is.
fn needs_term(scene: &Scene<'_>, heir: Heir<'_>, spec: &VolumeSpec, volume: &Volume) -> bool {
    let Standing::Active(Some(term)) = &volume.standing else {
        return true;
    };
    let marked = scene
        .group
        .markers
        .get(&spec.name)
        .is_some_and(|m| *m >= volume.epoch);
    let spent = scene.lineages.get(&spec.name).is_some_and(|l| {
        l.snapshots
            .iter()
            .any(|s| s.volume == volume.id && s.incident.as_ref() == Some(&l.incident))
    });
    term.holder != *heir.id || !marked || spent
}

/// Begin the holder's term on all volumes at once (so that their next captures
/// share one incident), and tell how far they are.
fn activate<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    chosen: &BTreeMap<&'a VolumeName, &'a Volume>,
    placed: &mut Placed<'a>,
    plan: &mut Plan,
) {
    let mut terms = Vec::new();
    let mut due = false;
    let mut formatted = true;
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
            epoch: volume.epoch,
            mark_group: scene.group.markers.get(&spec.name) < Some(&volume.epoch),
        });
        if needs_term(scene, heir, spec, volume) {
            due = true;
            formatted &= is_formatted(scene, spec, volume);
        } else if attached {
            placed.active.insert(&spec.name, volume);
        }
    }
    let all = chosen.len() == scene.spec.volumes.len();
    placed.complete = all && placed.active.len() == chosen.len();
    if all && formatted && due {
        plan.step(Step::Activate {
            holder: heir.id.clone(),
            since: scene.now,
            volumes: terms,
        });
    }
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
