//! How a predecessor lets go, or is made to, and how what it leaves is captured.

use jiff::Timestamp;

use super::lineage::Lineage;
use super::scene::{Keeper, SaturatingTime, Scene};
use super::step::{Plan, Reason, Retired, Step};
use crate::ids::{InstanceId, VolumeId};
use crate::spec::{GroupSpec, Kind, VolumeSpec};
use crate::world::{
    AttachmentState, Consistency, Here, Instance, InstanceState, Mounted, SnapshotState, Standing,
    Volume, VolumeState, Workload, World,
};

/// How much longer than its time-out a stop may take before it is forced.
const FORCE_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_mins(3);

/// Since an instance was told to stop, a detach that is under way has ended long
/// ago, or is stuck: AWS does not say when it began.
pub(super) const LETS_GO_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(2);

/// All that a leaving machine can do without seeing anything else.
pub(super) fn own_house(world: &World, spec: &GroupSpec, plan: &mut Plan) {
    if let Some(here) = &world.here
        && here.leaving.is_some()
        && is_serving(here, spec)
    {
        plan.step(Step::Quiesce);
    }
}

/// Everything between "somebody else has it" and "it is quiet and captured".
pub(super) fn let_go(scene: &Scene<'_>, plan: &mut Plan) {
    let busy_here = leave_here(scene, plan);
    for (spec, lineage) in scene.volumes_in_order() {
        let Some(volume) = lineage.current.filter(|_| !lineage.is_disputed()) else {
            continue;
        };
        match scene.keeper(volume) {
            Keeper::Holder => {}
            Keeper::Free => capture(scene, spec, lineage, volume, None, plan),
            Keeper::Other(id, _) if scene.sits_at(id) => {
                if !busy_here && goes_from_here(scene) {
                    leave_volume(volume, id, plan);
                }
            }
            Keeper::Other(id, instance) => {
                free(scene, spec, lineage, volume, id, instance, plan);
            }
        }
    }
}

/// On a machine that is not, or no longer, the holder: stop and unmount.
/// Returns whether that is still to be done.
fn leave_here(scene: &Scene<'_>, plan: &mut Plan) -> bool {
    let Some(here) = scene.here else { return false };
    let stays = match scene.holder {
        Some(holder) => *holder.id == here.instance && !has_superseded(scene, here),
        None => !goes_from_here(scene),
    };
    if stays || !is_serving(here, scene.spec) {
        return false;
    }
    plan.step(Step::Quiesce);
    true
}

/// Where nobody is to have it, as while Auto Scaling lets its member stand by,
/// this machine keeps what it has unless it goes itself.
fn goes_from_here(scene: &Scene<'_>) -> bool {
    scene.holder.is_some() || scene.here.is_some_and(|here| is_leaving(scene, here))
}

fn is_leaving(scene: &Scene<'_>, here: &Here) -> bool {
    here.leaving.is_some()
        || scene
            .group
            .members
            .get(&here.instance)
            .is_some_and(|m| m.lifecycle.is_leaving())
}

/// A newer epoch is active somewhere else: what is mounted here lost. Not what has
/// only lost its tags.
fn has_superseded(scene: &Scene<'_>, here: &Here) -> bool {
    let lost = |name, id: &VolumeId| {
        scene.lineages.get(name).is_some_and(|lineage| {
            let mut others = lineage.others.iter().filter(|v| v.id == *id);
            others.any(|v| lineage.current.is_some() || !v.is_undated())
        })
    };
    here.mounts.iter().any(|(name, mounted)| match mounted {
        Mounted::Foreign(_) => false,
        Mounted::Volume(id) => lost(name, id),
    })
}

fn is_serving(here: &Here, spec: &GroupSpec) -> bool {
    let mounted = here
        .mounts
        .values()
        .any(|m| matches!(m, Mounted::Volume(_)));
    // Without units there is nothing to stop, whatever the health command says.
    let running = !spec.volumes.is_empty()
        && !spec.workload.units.is_empty()
        && matches!(here.workload, Workload::Unhealthy(_) | Workload::Healthy);
    mounted || running
}

/// Detach from this machine, once nothing here uses the volume.
pub(super) fn leave_volume(volume: &Volume, here: &InstanceId, plan: &mut Plan) {
    match volume.attachments.first().map(|a| a.state) {
        Some(AttachmentState::Attached) => plan.step(Step::Detach {
            volume: volume.id.clone(),
            instance: here.clone(),
            force: false,
        }),
        Some(_) => plan.wait(Reason::Detaching {
            volume: volume.id.clone(),
        }),
        None => {}
    }
}

/// Somebody else has the newest data: wait for it to let go, fence it when its
/// time is over, and take the volume when it is down.
fn free(
    scene: &Scene<'_>,
    spec: &VolumeSpec,
    lineage: &Lineage<'_>,
    volume: &Volume,
    predecessor: &InstanceId,
    instance: Option<&Instance>,
    plan: &mut Plan,
) {
    if scene.is_quiet(volume) {
        capture(scene, spec, lineage, volume, Some(predecessor), plan);
        take_from_fenced(scene, lineage, volume, predecessor, plan);
        return;
    }
    let ours_to_fence = scene.holds_here() || scene.seat.at.is_none();
    match instance.map(|i| i.state) {
        Some(InstanceState::Stopping | InstanceState::ShuttingDown) => {
            let overdue = scene
                .fence_due(Some(predecessor))
                .map(|due| due.saturating_add_or_max(FORCE_AFTER));
            let stuck = instance.is_some_and(|i| i.state == InstanceState::Stopping)
                && overdue.is_some_and(|at| scene.now >= at);
            if stuck && ours_to_fence {
                plan.step(Step::Fence {
                    instance: predecessor.clone(),
                    force: true,
                });
            }
            plan.wait_until(
                Reason::Fencing {
                    instance: predecessor.clone(),
                },
                None,
                overdue.filter(|at| scene.now < *at).or(scene.give_up_due()),
            );
        }
        _ => fence_when_due(scene, predecessor, ours_to_fence, plan),
    }
}

fn fence_when_due(
    scene: &Scene<'_>,
    predecessor: &InstanceId,
    ours_to_fence: bool,
    plan: &mut Plan,
) {
    let is_leaving = scene
        .group
        .members
        .get(predecessor)
        .is_some_and(|m| m.lifecycle.is_leaving());
    let due = if !scene.spec.agent && is_leaving {
        // Nobody on it would let go by itself.
        Some(Timestamp::MIN)
    } else {
        scene.fence_due(Some(predecessor))
    };
    if due.is_some_and(|due| scene.now >= due) && ours_to_fence {
        if !ends_as_fence(scene, predecessor) {
            plan.step(Step::Fence {
                instance: predecessor.clone(),
                force: false,
            });
        }
        plan.wait_until(
            Reason::Fencing {
                instance: predecessor.clone(),
            },
            due.filter(|due| *due > Timestamp::MIN),
            scene.give_up_due().filter(|at| scene.now < *at),
        );
    } else {
        plan.wait_until(
            Reason::PredecessorLetsGo {
                instance: predecessor.clone(),
            },
            scene.holder.and_then(|h| h.called()),
            due.filter(|due| scene.now < *due),
        );
    }
}

/// EC2 refused to stop it when its time was over, and its group is to end it: that
/// is a fence, too, if its volumes outlive it. They are captured then.
pub(super) fn ends_as_fence(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let goes = scene.group.members.get(id);
    let goes = goes.is_some_and(|member| member.lifecycle.is_leaving());
    let runs_on = scene
        .instances
        .get(id)
        .is_some_and(|i| i.unstoppable && i.state == InstanceState::Running);
    let is_disputed = scene.lineages.values().any(Lineage::is_disputed);
    let attachments = scene.volumes.values().flat_map(|v| &v.attachments);
    let mut own = attachments.filter(|a| a.instance == *id);
    goes && runs_on && !is_disputed && own.all(|a| !a.delete_on_termination)
}

/// A volume on an instance that is down is quiet, but still attached: its heir
/// in the same zone needs it free. And a member of a pair is started again, by a
/// person perhaps while its heir is still restoring: whatever starts at boot
/// would start on it. Its capture comes first.
fn take_from_fenced(
    scene: &Scene<'_>,
    lineage: &Lineage<'_>,
    volume: &Volume,
    predecessor: &InstanceId,
    plan: &mut Plan,
) {
    let stays = matches!(scene.spec.kind, Kind::Pair { .. });
    let wanted = stays || scene.holder.is_some_and(|h| h.member.zone == volume.zone);
    let captured = lineage.capture(scene.up_since(volume)).is_some();
    if !wanted || !captured || !scene.may_serve_holder() {
        return;
    }
    detach_from_down(scene, volume, predecessor, plan);
}

/// Takes a volume from an instance that is down; by force where that is stuck,
/// since nothing is cached there that force would lose.
pub(super) fn detach_from_down(
    scene: &Scene<'_>,
    volume: &Volume,
    instance: &InstanceId,
    plan: &mut Plan,
) {
    let told = scene.instances.get(instance).and_then(|i| i.told_to_end);
    let is_late = told.is_none_or(|at| scene.now >= at.saturating_add_or_max(LETS_GO_WITHIN));
    let force = match volume.attachments.first().map(|a| a.state) {
        Some(AttachmentState::Attached) => Some(false),
        Some(AttachmentState::Busy) => Some(true),
        Some(AttachmentState::Detaching) if is_late => Some(true),
        // It never came to be attached, and nobody takes it back any more.
        Some(AttachmentState::Attaching) if is_late => Some(false),
        Some(AttachmentState::Detaching | AttachmentState::Attaching) | None => None,
    };
    if let Some(force) = force {
        plan.step(Step::Detach {
            volume: volume.id.clone(),
            instance: instance.clone(),
            force,
        });
    }
    plan.wait(Reason::Detaching {
        volume: volume.id.clone(),
    });
}

/// Snapshot a quiet volume whose term has ended, once.
fn capture(
    scene: &Scene<'_>,
    spec: &VolumeSpec,
    lineage: &Lineage<'_>,
    volume: &Volume,
    quiet_on: Option<&InstanceId>,
    plan: &mut Plan,
) {
    let last_holder = match &volume.standing {
        Standing::Active(Some(term)) => Some(&term.holder),
        _ => quiet_on,
    };
    let goes_on = scene
        .holder
        .is_some_and(|h| Some(h.id) == last_holder && h.member.zone == volume.zone);
    let restorable = matches!(volume.state, VolumeState::Available | VolumeState::InUse);
    if goes_on || !restorable || lineage.capture(scene.up_since(volume)).is_some() {
        return;
    }
    if let Some(until) = stands_back(scene, last_holder) {
        plan.wait_until(
            Reason::AnotherRunner {
                what: "the capture",
            },
            None,
            until,
        );
        return;
    }
    make_way(lineage, volume, plan);
    plan.step(Step::Capture {
        name: spec.name.clone(),
        volume: volume.id.clone(),
        epoch: volume.epoch,
        incident: lineage.capture_name(scene.up_since(volume)),
        consistency: Consistency::Clean,
        quiet_on: quiet_on.cloned(),
        shape: volume.shape.clone(),
        tags: volume.tags.clone(),
    });
}

/// EBS counts what failed among the five snapshots of a volume that it has under way.
fn make_way(lineage: &Lineage<'_>, volume: &Volume, plan: &mut Plan) {
    let failed = lineage.snapshots.iter().filter(|s| {
        s.volume == volume.id && s.state == SnapshotState::Failed && s.incident.is_some()
    });
    for snapshot in failed {
        plan.step(Step::DeleteSnapshot {
            snapshot: snapshot.id.clone(),
            why: Retired::Failed,
        });
    }
}

/// Whose turn is the capture? CreateSnapshot has no client token, so runners
/// queue up instead of racing: the predecessor's own agent, the heir, a
/// controller. `Some(until)` says that somebody else stands before this one.
#[allow(clippy::option_option)] // somebody is first, perhaps without a deadline
fn stands_back(scene: &Scene<'_>, last_holder: Option<&InstanceId>) -> Option<Option<Timestamp>> {
    if last_holder.is_some_and(|id| scene.sits_at(id)) {
        return None;
    }
    let due = scene.fence_due(last_holder);
    let agent_may_live = scene.spec.agent
        && last_holder.is_some_and(|id| {
            match (scene.instances.get(id), scene.group.members.get(id)) {
                (Some(instance), _) => instance.state == InstanceState::Running,
                // A member that EC2 does not describe may well be alive.
                (None, member) => member.is_some(),
            }
        });
    if agent_may_live && due.is_none_or(|due| scene.now < due) {
        return Some(due);
    }
    if scene.may_serve_holder() {
        None
    } else {
        Some(due)
    }
}
