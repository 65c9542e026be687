//! A primary and a standby: who holds, when the other one takes over, and how
//! it is called in.
//!
//! Nobody but rehome decides here, so the decision itself is remembered: an
//! appointment on both members, written before anything moves. Whatever happens
//! to its writer, every other runner goes on with it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::addresses;
use super::lineage::Lineage;
use super::release::{detach_from_down, leave_volume};
use super::scene::{Heir, SaturatingTime, Scene};
use super::step::{Cause, Hold, Plan, Reason, Step};
use super::volumes::Placed;
use crate::ids::{InstanceId, VolumeId, VolumeName};
use crate::spec::{GroupSpec, Kind};
use crate::world::{
    AddressFound, Attachment, AttachmentState, Group, Instance, InstanceState, Seen, Standing,
    Term, Volume, World,
};

/// How long it takes to write an appointment on both members, with repetitions.
const NOTED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// The holder of a pair, and when it was appointed, if it was.
pub(super) struct Chosen {
    pub(super) holder: InstanceId,
    pub(super) appointed: Option<Timestamp>,
}

/// The last one that was appointed, or that began a term. Before either: the
/// one that already has something, else the preferred one.
///
/// A term can be newer than every appointment that can be read: the member it
/// was written on last may be in a zone that is dark.
pub(super) fn holder(
    members: &[InstanceId],
    group: &Group,
    lineages: &BTreeMap<&VolumeName, Lineage<'_>>,
    addresses: &Seen<Vec<AddressFound>>,
) -> Option<Chosen> {
    let current = || lineages.values().filter_map(|l| l.current);
    let terms = current().filter_map(|volume| match &volume.standing {
        Standing::Active(term) => term.as_ref(),
        Standing::New | Standing::Superseded => None,
    });
    let noted = terms
        .chain(&group.appointed)
        .filter(|term| members.contains(&term.holder))
        .max_by_key(|term| term.since)
        .map(|term| &term.holder);
    let attached = || {
        let on = current().flat_map(|volume| &volume.attachments);
        on.map(|a| &a.instance).find(|id| members.contains(id))
    };
    let addressed = || {
        let found = addresses.known().into_iter().flatten();
        let on = found.filter_map(|found| match found {
            AddressFound::One(address) => address.instance.as_ref(),
            AddressFound::Missing | AddressFound::Ambiguous(_) => None,
        });
        on.into_iter().find(|id| members.contains(id))
    };
    let exists = |id: &&InstanceId| group.members.contains_key(*id);
    let holder = noted
        .or_else(attached)
        .or_else(addressed)
        .or_else(|| members.iter().find(exists))?;
    let own = |term: &&Term| term.holder == *holder;
    Some(Chosen {
        holder: holder.clone(),
        appointed: group.appointed.as_ref().filter(own).map(|term| term.since),
    })
}

/// All that a pair needs besides what every group needs.
pub(super) fn tend(scene: &Scene<'_>, world: &World, placed: &Placed<'_>, plan: &mut Plan) {
    if scene.forgotten.is_some() {
        return appoint_other(scene, Cause::Gone, None, plan);
    }
    let (Kind::Pair { .. }, Some(holder)) = (&scene.spec.kind, scene.holder) else {
        return;
    };
    let state = holder.instance.map(|i| i.state);
    let told_to_go = scene
        .here
        .is_some_and(|here| here.instance == *holder.id && here.leaving.is_some());
    match state {
        Some(InstanceState::ShuttingDown | InstanceState::Terminated) => {
            appoint_other(scene, Cause::Gone, None, plan);
            return;
        }
        _ if told_to_go => {
            appoint_other(scene, Cause::Leaving, None, plan);
            return;
        }
        Some(InstanceState::Stopping | InstanceState::Stopped) => {
            call_in(scene, world, placed, holder.id, state, plan);
        }
        Some(InstanceState::Pending) => plan.wait(Reason::HolderBoots {
            instance: holder.id.clone(),
        }),
        Some(InstanceState::Running) => {}
        None => plan.wait(Reason::Unknown {
            what: "holder",
            why: format!("EC2 does not describe {} now", holder.id),
        }),
    }
    relieve(scene, holder.id, plan);
    take_old_copies(scene, plan);
}

/// The volumes of an older lineage that this instance still has.
fn old_copies<'a>(scene: &Scene<'a>, instance: &InstanceId) -> Vec<&'a Volume> {
    let others = scene.lineages.values().flat_map(|lineage| {
        let lost = |v: &&&Volume| Some(v.epoch) < lineage.top && v.standing != Standing::New;
        lineage.others.iter().filter(lost).copied()
    });
    others
        .filter(|volume| volume.attachments.iter().any(|a| a.instance == *instance))
        .collect()
}

/// An appointed member without an agent that a person started while it still had a copy
/// that lost, on which whatever starts at boot goes on: once it is down it loses that,
/// and is started anew. One that got the copy later may be at its rescue.
pub(super) fn was_started_with(scene: &Scene<'_>, heir: Heir<'_>, id: &VolumeId) -> bool {
    let launched = heir.instance.map(|i| i.launched);
    let was_there = |on: &Attachment| on.since.is_some() && on.since <= launched;
    !scene.spec.agent
        && heir.appointed.is_some()
        && old_copies(scene, heir.id)
            .iter()
            .any(|volume| volume.id == *id && volume.attachments.iter().all(was_there))
}

/// A member outlives its fence, and with it the copy that lost: were it still
/// there at the next start, whatever starts at boot would start on it.
fn take_old_copies(scene: &Scene<'_>, plan: &mut Plan) {
    for (id, instance) in scene.instances {
        let is_down = instance.state.is_down();
        let ours = if scene.sits_at(id) {
            !scene.holds_here() && scene.here.is_some_and(|here| here.mounts.is_empty())
        } else {
            is_down && scene.may_serve_holder()
        };
        if !ours || !scene.group.members.contains_key(id) {
            continue;
        }
        for volume in old_copies(scene, id) {
            if is_down {
                detach_from_down(scene, volume, id, plan);
            } else {
                leave_volume(volume, id, plan);
            }
        }
    }
}

/// A stopped heir is started once, to take over. One that has taken over and
/// was stopped since is left alone: a person may be at work on it.
fn call_in(
    scene: &Scene<'_>,
    world: &World,
    placed: &Placed<'_>,
    heir: &InstanceId,
    state: Option<InstanceState>,
    plan: &mut Plan,
) {
    let has_come = if scene.spec.volumes.is_empty() {
        addresses::in_place(scene, world)
    } else {
        placed.complete
    };
    // Sent to stop before it was appointed, it was no person who had it at work.
    let appointed = scene.holder.and_then(|h| h.appointed);
    let told = scene.instances.get(heir).and_then(|i| i.told_to_end);
    let was_fenced = told.is_some_and(|told| Some(told) <= appointed);
    if has_come && !was_fenced || appointed.is_none() {
        plan.hold(Hold::HolderStopped {
            instance: heir.clone(),
        });
    } else if state == Some(InstanceState::Stopped) && old_copies(scene, heir).is_empty() {
        if !let_go_first(scene, heir, plan) {
            plan.step(Step::StartInstance {
                instance: heir.clone(),
            });
        }
    } else {
        plan.wait(Reason::Fencing {
            instance: heir.clone(),
        });
    }
}

/// A volume on its way off a member that is called back finishes that first. Its
/// detach may be stuck, and only while the member is down can nothing be lost by
/// force.
fn let_go_first(scene: &Scene<'_>, heir: &InstanceId, plan: &mut Plan) -> bool {
    let current = scene.lineages.values().filter_map(|l| l.current);
    let goes = |volume: &&Volume| {
        volume.attachments.first().is_some_and(|a| {
            let leaves = matches!(a.state, AttachmentState::Detaching | AttachmentState::Busy);
            leaves && a.instance == *heir
        })
    };
    let going: Vec<&Volume> = current.filter(goes).collect();
    for volume in &going {
        detach_from_down(scene, volume, heir, plan);
    }
    !going.is_empty()
}

/// Volumes make sure themselves that their predecessor is quiet. Where only
/// addresses move, the predecessor of an appointed holder is stopped all the
/// same: it is sick, and nobody should meet it again. So is one without an agent
/// that comes back from the dark, or was started by a person, and goes on with a
/// copy that lost. One that was started anew without such a copy is the standby.
fn relieve(scene: &Scene<'_>, holder: &InstanceId, plan: &mut Plan) {
    let Some(appointed) = scene.holder.and_then(|h| h.appointed) else {
        return;
    };
    let Some((id, other)) =
        other_member(scene.spec, holder).and_then(|id| scene.instances.get_key_value(id))
    else {
        return;
    };
    let anew = other.launched > appointed;
    // A copy that came to a standby later is somebody's who looks into it.
    let found = |volume: &&Volume| {
        !anew
            || volume
                .attachments
                .iter()
                .all(|a| a.since <= Some(other.launched))
    };
    let revived = !scene.spec.agent && old_copies(scene, id).iter().any(found);
    if anew && !revived {
        return;
    }
    let given_up = scene.give_up_due().filter(|_| !revived);
    // A zone that is dark does not stop it: after a while it is let be.
    if !(scene.spec.volumes.is_empty() || revived)
        || other.state.is_down()
        || other.state == InstanceState::ShuttingDown
        || given_up.is_some_and(|due| scene.now >= due)
    {
        return;
    }
    if other.state == InstanceState::Running && !scene.sits_at(id) {
        plan.step(Step::Fence {
            instance: id.clone(),
            force: false,
        });
    }
    plan.wait_until(
        Reason::Fencing {
            instance: id.clone(),
        },
        Some(appointed),
        given_up,
    );
}

/// The appointment of the other member, if it can take over.
pub(super) fn appoint_other(
    scene: &Scene<'_>,
    cause: Cause,
    moves: Option<Vec<Timestamp>>,
    plan: &mut Plan,
) {
    let holder = scene.holder.map(|holder| holder.id).or(scene.forgotten);
    let Some(heir) = holder.and_then(|holder| other_member(scene.spec, holder)) else {
        return;
    };
    match may_take_over(scene.instances.get(heir)) {
        Ok(()) => {
            // These serve the old holder: they would stop the new one, start one that
            // nobody needs, or send it traffic. What else there is goes on: an
            // appointment that cannot be noted must keep no data from being captured.
            plan.steps.retain(|step| match step {
                Step::Fence { instance, .. } => instance != heir,
                Step::StartInstance { .. } | Step::Associate { .. } => false,
                _ => true,
            });
            plan.step(Step::Appoint {
                heir: heir.clone(),
                since: scene.now.max(after_all_noted(scene, heir)),
                over: scene.group.appointed.clone(),
                cause,
                moves: moves.unwrap_or_else(|| scene.group.moves.clone()),
            });
        }
        Err(why) => plan.hold(Hold::NoStandby {
            instance: heir.clone(),
            why: why.to_owned(),
        }),
    }
}

/// Where an appointment failed to be written stands the one before it, which
/// would count again on the day when its heir cannot be read.
pub(super) fn notes_missing(scene: &Scene<'_>) -> Vec<Step> {
    let Some(appointed) = &scene.group.appointed else {
        return Vec::new();
    };
    // Whoever appointed it may be on the way from one member to the other.
    if scene.now < appointed.since.saturating_add_or_max(NOTED_WITHIN) {
        return Vec::new();
    }
    let stays = |id: &&InstanceId| may_take_over(scene.instances.get(*id)).is_ok();
    let lacking = scene.group.unnoted.iter().filter(stays);
    lacking
        .map(|on| Step::NoteHolder {
            on: on.clone(),
            appointed: appointed.clone(),
            moves: scene.group.moves.clone(),
        })
        .collect()
}

/// The newest appointment or term counts, whoever wrote it: by a clock that was
/// ahead of this one, perhaps. And an heir that is on its way down was sent there
/// before it is appointed, by EC2's clock as well.
fn after_all_noted(scene: &Scene<'_>, heir: &InstanceId) -> Timestamp {
    let sent_down = scene.instances.get(heir).and_then(|i| i.told_to_end);
    let terms = scene.lineages.values().filter_map(|l| l.current);
    terms
        .filter_map(|volume| match &volume.standing {
            Standing::Active(term) => term.as_ref(),
            Standing::New | Standing::Superseded => None,
        })
        .chain(&scene.group.appointed)
        .map(|term| term.since)
        .chain(sent_down)
        .map(|noted| noted.saturating_add_or_max(SignedDuration::from_millis(1)))
        .max()
        .unwrap_or(Timestamp::MIN)
}

fn may_take_over(instance: Option<&Instance>) -> Result<(), &'static str> {
    match instance.map(|i| i.state) {
        None => Err("EC2 does not describe it now"),
        Some(InstanceState::ShuttingDown | InstanceState::Terminated) => Err("it is terminated"),
        Some(_) => Ok(()),
    }
}

pub(super) fn other_member<'a>(spec: &'a GroupSpec, than: &InstanceId) -> Option<&'a InstanceId> {
    match &spec.kind {
        Kind::Pair { members } => members.iter().find(|id| *id != than),
        Kind::Asg => None,
    }
}
