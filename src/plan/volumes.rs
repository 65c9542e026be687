//! How the newest data comes to the holder: re-attached, restored, or blank.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::fallback::{older_set, restore_set};
use super::lineage::Lineage;
use super::make::{Next, at_device, blank, restored, without_tags};
use super::pair::was_started_with;
use super::release::{LETS_GO_WITHIN, leave_volume};
use super::scene::{Heir, Keeper, LAG, SaturatingTime, Scene};
use super::step::{Hold, Plan, Reason, Step};
use super::terms::{activate, needs_term};
use crate::ids::{InstanceId, VolumeId, VolumeName};
use crate::spec::{Kind, VolumeSpec};
use crate::world::{
    Attachment, AttachmentState, Lifecycle, Mounted, Snapshot, SnapshotState, Standing, Volume,
    VolumeState, Workload,
};

/// An attachment that takes longer than 90 s is stuck (the figure of the EBS CSI
/// driver); five minutes more, by which this clock may be ahead.
const ATTACHES_WITHIN: SignedDuration = SignedDuration::from_secs(90 + 300);

/// For so long after that a member counts as one that is being called in.
const CALLED_IN_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// By how much the clock of whoever began a term may be off AWS's.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

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

pub(super) fn bring<'a>(scene: &Scene<'a>, plan: &mut Plan) -> Placed<'a> {
    let mut placed = Placed {
        let_go: scene
            .lineages
            .values()
            .all(|lineage| match lineage.current {
                Some(volume) => {
                    scene.is_quiet(volume) || matches!(scene.keeper(volume), Keeper::Holder)
                }
                // Who has a volume that is not to be seen, cannot be told.
                None => !lineage.ever_had_data(),
            }),
        ..Placed::default()
    };
    let Some(heir) = scene.holder else {
        return placed;
    };
    if is_disputed(scene, plan) {
        placed.let_go = false;
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
        // Until a person has decided, whoever is out of reach may still serve.
        let Some(set) = older_set(scene, heir, name, plan) else {
            return placed;
        };
        placed.let_go = true;
        wanted = restore_set(scene, heir, &set, plan);
    }
    let chosen = settle(scene, wanted, plan);
    let has_room = attach_all(scene, heir, &chosen, plan);
    activate(scene, heir, &chosen, has_room, &mut placed, plan);
    tell_rivals(scene, &placed, plan);
    placed
}

/// Once the holder has let go of its own, nothing tells it from a rival that began
/// the same term: what lost says so before.
fn tell_rivals(scene: &Scene<'_>, placed: &Placed<'_>, plan: &mut Plan) {
    for (name, volume) in &placed.active {
        let others = scene
            .lineages
            .get(*name)
            .into_iter()
            .flat_map(|l| &l.others);
        let claims = |other: &&&Volume| {
            matches!(other.standing, Standing::Active(_)) && other.epoch == volume.epoch
        };
        for rival in others.filter(claims).filter(|v| v.attachments.is_empty()) {
            plan.step(Step::Supersede {
                volume: rival.id.clone(),
            });
        }
    }
}

/// Claims that only a person can settle.
fn is_disputed(scene: &Scene<'_>, plan: &mut Plan) -> bool {
    let mut disputed = false;
    for (spec, lineage) in scene.volumes_in_order() {
        if lineage.contested {
            plan.hold(Hold::TwoLineages {
                volume: spec.name.clone(),
                epoch: lineage.top.unwrap_or_default(),
            });
        }
        if let Some(volume) = lineage.current.filter(|v| v.attachments.len() > 1) {
            plan.hold(Hold::DoublyAttached {
                volume: volume.id.clone(),
            });
        }
        disputed |= lineage.is_disputed();
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
            missing(scene, heir, spec, lineage, plan)
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
        Keeper::Free if goes_on && its_agent_let_go(scene, captured) => {
            plan.wait(Reason::AnotherRunner {
                what: "taking back what the holder's own agent let go of",
            });
            Next::Wait
        }
        Keeper::Free if volume.zone == heir.member.zone && (captured.is_some() || goes_on) => {
            Next::Use(volume)
        }
        _ if volume.zone == heir.member.zone => {
            // Its predecessor still has it; `release` says what is waited for.
            if given_up && !scene.is_quiet(volume) && !scene.is_in_reach(volume) {
                out_of_reach(scene, lineage, plan)
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
            // A capture that could begin late, as when a zone comes back, has as
            // much time as any other.
            Some(snapshot) if scene.now < scene.capture_due(snapshot) => {
                completes(scene, snapshot, plan);
                Next::Wait
            }
            _ if given_up && !scene.is_in_reach(volume) => out_of_reach(scene, lineage, plan),
            _ => Next::Wait,
        },
    }
}

fn completes(scene: &Scene<'_>, snapshot: &Snapshot, plan: &mut Plan) {
    plan.wait_until(
        Reason::Snapshotting {
            snapshot: snapshot.id.clone(),
            progress: snapshot.progress,
        },
        Some(snapshot.started),
        Some(scene.capture_due(snapshot)),
    );
}

/// An agent may know better than anybody why it let go: of a spot notice, for
/// one. It alone takes a volume back from itself, as long as it can be alive:
/// not when the instance outlived by far what it was captured for.
fn its_agent_let_go(scene: &Scene<'_>, captured: Option<&Snapshot>) -> bool {
    let long_ago = captured.is_some_and(|s| scene.now >= s.started.saturating_add_or_max(LAG));
    scene.spec.agent && !scene.holds_here() && !long_ago
}

/// There was data, and no volume of its epoch is seen: gone, or a describe
/// lags, which is told apart by time; or it has lost its tags, by whatever hand.
fn missing<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &VolumeSpec,
    lineage: &Lineage<'a>,
    plan: &mut Plan,
) -> Next<'a> {
    let Some(instance) = heir.instance else {
        plan.wait(heir.boots());
        return Next::Wait;
    };
    let called = heir.appointed.unwrap_or(instance.launched);
    let due = scene.lost_from();
    if due.is_none_or(|due| scene.now < due) {
        plan.wait_until(missing_volume(&spec.name), Some(called), due);
        return Next::Wait;
    }
    if let Some(hold) = without_tags(scene, spec, lineage) {
        plan.hold(hold);
        return Next::Wait;
    }
    // The volume went with its instance; what it held may be on its way.
    out_of_reach(scene, lineage, plan)
}

/// Whatever became of the volume and of who had it, and whether that can be seen just
/// now: a clean capture of it that is on its way is waited for.
fn out_of_reach<'a>(scene: &Scene<'a>, lineage: &Lineage<'a>, plan: &mut Plan) -> Next<'a> {
    let mut uploads = lineage.uploading();
    match uploads.find(|s| scene.now < scene.capture_due(s)) {
        Some(snapshot) => {
            completes(scene, snapshot, plan);
            Next::Wait
        }
        None => Next::OutOfReach,
    }
}

pub(super) fn missing_volume(name: &VolumeName) -> Reason {
    Reason::Lagging {
        what: format!(
            "the volume that carries the newest {:?} data",
            name.as_str()
        ),
    }
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
            Next::Make(step) => plan.step(*step),
            Next::Wait | Next::OutOfReach => {}
        }
    }
    debug_assert!(chosen.len() <= scene.spec.volumes.len());
    chosen
}

/// Is there room for all of them? What cannot come begins no term: whoever serves
/// from something else would be told that it lost.
fn attach_all(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    chosen: &BTreeMap<&VolumeName, &Volume>,
    plan: &mut Plan,
) -> bool {
    let mut has_room = true;
    for (spec, _) in scene.volumes_in_order() {
        let Some(volume) = chosen.get(&spec.name) else {
            continue;
        };
        match volume.attachments.first().map(|a| a.state) {
            Some(AttachmentState::Attached) => {}
            Some(AttachmentState::Attaching) => attaching(scene, heir, volume, plan),
            // It was on its way here, and was taken back.
            Some(AttachmentState::Detaching | AttachmentState::Busy)
                if volume.standing == Standing::New =>
            {
                make_room(scene, heir, volume, plan);
            }
            Some(AttachmentState::Detaching | AttachmentState::Busy) => {
                leaving(scene, heir, spec, volume, plan);
            }
            None => has_room &= attach(scene, heir, spec, volume, plan),
        }
    }
    has_room
}

/// A stuck attachment ends only when it is taken back; then it is tried anew.
fn attaching(scene: &Scene<'_>, heir: Heir<'_>, volume: &Volume, plan: &mut Plan) {
    let since = volume.attachments.first().and_then(|a| a.since);
    let due = since.map(|since| since.saturating_add_or_max(ATTACHES_WITHIN));
    if due.is_some_and(|due| scene.now >= due) {
        plan.step(Step::TakeBack {
            volume: volume.id.clone(),
            instance: heir.id.clone(),
        });
    }
    plan.wait_until(
        Reason::Attaching {
            volume: volume.id.clone(),
        },
        since,
        due,
    );
}

/// What was taken back because it did not come may be stuck on its way out, too.
/// That it never came, so that nothing is lost by force, only the machine itself
/// can say; where no agent is on it, only that it is down. A group ends it and
/// launches another; a member of a pair is stopped, and called in once more.
fn leaving(scene: &Scene<'_>, heir: Heir<'_>, spec: &VolumeSpec, volume: &Volume, plan: &mut Plan) {
    let never_came = scene.holds_here()
        && scene.here.is_some_and(|here| {
            !here.disks.contains_key(&volume.id) && !here.mounts.contains_key(&spec.name)
        });
    if is_mounted_in_vain(scene, heir, spec, volume) {
        plan.step(Step::Quiesce);
    }
    let is_pair = matches!(scene.spec.kind, Kind::Pair { .. });
    if is_pair && heir.runs() && hangs(scene, heir.id) && came_lately(scene, heir.id) {
        plan.step(Step::Fence {
            instance: heir.id.clone(),
            force: false,
        });
    }
    let due = leaves_until(volume).filter(|_| never_came);
    if due.is_some_and(|due| scene.now >= due) {
        plan.step(Step::TakeBack {
            volume: volume.id.clone(),
            instance: heir.id.clone(),
        });
    }
    plan.wait_until(
        Reason::Detaching {
            volume: volume.id.clone(),
        },
        None,
        due.filter(|due| scene.now < *due),
    );
}

/// A detach that was sent minutes ago may be carried out when its volume has come and is
/// mounted. While that is so it is not detached either, and nothing can be started on it:
/// it is let go of, and comes anew. Whoever serves from it goes on.
fn is_mounted_in_vain(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    spec: &VolumeSpec,
    volume: &Volume,
) -> bool {
    // Without units nobody knows what uses it, once it serves.
    let rests = |workload: &Workload| match workload {
        Workload::Stopped => true,
        Workload::None => heir.member.lifecycle != Lifecycle::InService,
        Workload::Healthy | Workload::Unhealthy(_) => false,
    };
    scene.holds_here()
        && scene.here.is_some_and(|here| {
            rests(&here.workload)
                && here.mounts.get(&spec.name) == Some(&Mounted::Volume(volume.id.clone()))
        })
}

/// When a volume should have come, and should have left after it did not.
fn leaves_until(volume: &Volume) -> Option<Timestamp> {
    let since = volume.attachments.first()?.since?;
    let came = since.saturating_add_or_max(ATTACHES_WITHIN);
    Some(came.saturating_add_or_max(LETS_GO_WITHIN))
}

/// Is a volume stuck on its way off this instance, where nobody can say whether
/// force would lose something?
pub(super) fn hangs(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let leaves = |a: &Attachment| {
        a.instance == *id && matches!(a.state, AttachmentState::Detaching | AttachmentState::Busy)
    };
    let mut current = scene.lineages.values().filter_map(|l| l.current);
    !scene.spec.agent
        && current.any(|volume| {
            let is_late = leaves_until(volume).is_some_and(|due| scene.now >= due);
            is_late && volume.attachments.first().is_some_and(leaves)
        })
}

/// Has it had nothing for long that it may serve from? One whose volume a person detaches
/// by hand, or that gets another volume, goes on serving.
fn came_lately(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let currents = scene.lineages.values().filter_map(|l| l.current);
    currents
        .filter(|volume| volume.attachments.iter().any(|a| a.instance == *id))
        .all(|volume| {
            let due = leaves_until(volume);
            due.is_some_and(|due| scene.now < due.saturating_add_or_max(CALLED_IN_WITHIN))
        })
}

/// What the instance is said to have may lag behind what the volume itself says.
fn has_left(scene: &Scene<'_>, id: &VolumeId) -> bool {
    scene
        .volumes
        .get(id)
        .is_some_and(|volume| volume.attachments.is_empty())
}

/// One of the group's own volumes that no term ever began on: it was attached
/// ahead of time, and then another set was chosen. Nothing can be mounted on it.
fn never_active<'a>(scene: &Scene<'a>, id: &VolumeId) -> Option<&'a Volume> {
    scene
        .volumes
        .get(id)
        .filter(|volume| volume.standing == Standing::New)
}

/// Nothing can be lost of it by force, where its detach is stuck. AWS does not say
/// when that began; it was attached before.
fn make_room(scene: &Scene<'_>, heir: Heir<'_>, unused: &Volume, plan: &mut Plan) {
    let Some(attachment) = unused.attachments.first() else {
        return;
    };
    let since = attachment.since.unwrap_or(unused.created);
    let due = since.saturating_add_or_max(ATTACHES_WITHIN);
    let force = match attachment.state {
        AttachmentState::Attached | AttachmentState::Attaching => false,
        AttachmentState::Detaching | AttachmentState::Busy if scene.now >= due => true,
        AttachmentState::Detaching | AttachmentState::Busy => {
            let volume = unused.id.clone();
            return plan.wait_until(Reason::Detaching { volume }, None, Some(due));
        }
    };
    plan.step(Step::Displace {
        volume: unused.id.clone(),
        instance: heir.id.clone(),
        force,
    });
}

/// A copy that lost, and that this machine, the holder, says is not mounted: one that
/// somebody told to leave, or that began the holder's own term when it came. Any other
/// may be somebody's rescue.
fn lost_copy<'a>(scene: &Scene<'a>, spec: &VolumeSpec, id: &VolumeId) -> Option<&'a Volume> {
    let heir = scene.holder?;
    let is_unmounted = scene.here.is_some_and(|here| here.mounts.is_empty());
    if !scene.holds_here() || !is_unmounted || spec.mount.is_none() {
        return None;
    }
    let leaves =
        |a: &Attachment| matches!(a.state, AttachmentState::Detaching | AttachmentState::Busy);
    let lineage = scene.lineages.get(&spec.name)?;
    let mut others = lineage.others.iter().copied();
    let lost = others.find(|v| v.id == *id && Some(v.epoch) < lineage.top)?;
    let goes = |a: &Attachment| leaves(a) || came_with_its_term(heir, lost, a);
    lost.attachments.first().is_some_and(goes).then_some(lost)
}

/// Did it come for the holder's own term? A person who attaches one by hand does so long
/// after its term, and begins none.
fn came_with_its_term(heir: Heir<'_>, volume: &Volume, at: &Attachment) -> bool {
    let Standing::Active(Some(term)) = &volume.standing else {
        return false;
    };
    let latest = term.since.saturating_add_or_max(CLOCKS_DIFFER);
    term.holder == *heir.id && at.since.is_some_and(|since| since <= latest)
}

/// It is in the place of the data that won. Its detach may have been stuck since
/// before the machine was started; by force, nothing of it is lost. One that came lately
/// is given the time that any other has to leave: AWS does not say when that began.
fn cast_off(heir: Heir<'_>, lost: &Volume, now: Timestamp, plan: &mut Plan) {
    let mut at = lost.attachments.iter().map(|at| at.state);
    if at.any(|at| at == AttachmentState::Attached) {
        return leave_volume(lost, heir.id, plan);
    }
    let due = heir
        .instance
        .map(|i| i.launched.saturating_add_or_max(LETS_GO_WITHIN))
        .max(leaves_until(lost));
    if due.is_some_and(|due| now >= due) {
        plan.step(Step::TakeBack {
            volume: lost.id.clone(),
            instance: heir.id.clone(),
        });
    }
    let volume = lost.id.clone();
    plan.wait(Reason::Detaching { volume });
}

/// Is its place free, as far as can be told?
fn attach(
    scene: &Scene<'_>,
    heir: Heir<'_>,
    spec: &VolumeSpec,
    volume: &Volume,
    plan: &mut Plan,
) -> bool {
    if !heir.runs() {
        plan.wait(heir.boots());
        return true;
    }
    let taken = heir
        .instance
        .and_then(|i| at_device(i, &spec.device))
        .filter(|found| **found != volume.id && !has_left(scene, found));
    if let Some(found) = taken {
        if let Some(unused) = never_active(scene, found) {
            make_room(scene, heir, unused, plan);
            return true;
        }
        if let Some(lost) = lost_copy(scene, spec, found) {
            cast_off(heir, lost, scene.now, plan);
            return true;
        }
        if was_started_with(scene, heir, found) {
            plan.step(Step::Fence {
                instance: heir.id.clone(),
                force: false,
            });
            plan.wait(Reason::Fencing {
                instance: heir.id.clone(),
            });
            return false;
        }
        plan.hold(Hold::DeviceTaken {
            volume: spec.name.clone(),
            instance: heir.id.clone(),
            device: spec.device.clone(),
            found: found.clone(),
        });
        return false;
    }
    // Without an agent the instance may write as soon as it sees the disk, so
    // the term has to begin first.
    if scene.spec.agent || !needs_term(scene, heir, spec, volume) {
        plan.step(Step::Attach {
            volume: volume.id.clone(),
            instance: heir.id.clone(),
            device: spec.device.clone(),
        });
    }
    true
}
