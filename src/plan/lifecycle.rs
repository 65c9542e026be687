//! When a lifecycle action is completed, and which are kept open until then.

use jiff::SignedDuration;

use super::Seat;
use super::addresses;
use super::make::may_have_strays;
use super::release::ends_as_fence;
use super::scene::{Keeper, SaturatingTime, Scene};
use super::step::{Action, Hold, Plan, Reason, Step};
use super::volumes::{Placed, hangs, missing_volume};
use super::workload;
use crate::ids::{InstanceId, VolumeName};
use crate::world::{Hook, InstanceState, Lifecycle, Member, Standing, Transition, World};

/// Once its successor is in service, Auto Scaling ends the older member within moments;
/// the launch of the successor may take minutes more than its term.
const RELIEVED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn complete(scene: &Scene<'_>, world: &World, placed: &Placed<'_>, plan: &mut Plan) {
    for (id, member) in &scene.group.members {
        let (transition, done) = match &member.lifecycle {
            Lifecycle::PendingWait if scene.holder.is_some_and(|h| h.id == id) => {
                (Transition::Launch, launched(scene, world, placed))
            }
            // Another member at its launch hook becomes the holder or goes
            // away; either way it is not completed here.
            Lifecycle::PendingWait => (Transition::Launch, false),
            Lifecycle::TerminatingWait => (Transition::Terminate, may_end(scene, id)),
            // The warm pool moves nothing, so there is nothing to wait for.
            Lifecycle::Warmed(state) if state.ends_with("Pending:Wait") => {
                (Transition::Launch, true)
            }
            Lifecycle::Warmed(state) if state.ends_with("Terminating:Wait") => {
                (Transition::Terminate, true)
            }
            _ => {
                transient(scene, id, member, plan);
                continue;
            }
        };
        let ours = is_ours(scene, id, transition);
        // Whoever will have to close it one day does not let it run out until then.
        let becomes_ours = transition == Transition::Terminate && serves_others(scene);
        if !ours && !becomes_ours {
            continue;
        }
        let Some(hook) = hook(&scene.group.hooks, transition, plan) else {
            continue;
        };
        let action = Action {
            hook: hook.name.clone(),
            transition,
            instance: id.clone(),
        };
        if done && ours {
            plan.step(Step::Complete { action });
            continue;
        }
        // Another instance in its place ends what nobody may end by force: its
        // action is let run out, and Auto Scaling replaces it. So it is where the
        // instance is down, which Auto Scaling may not see before its hook is over.
        if transition == Transition::Launch && (hangs(scene, id) || is_down(scene, id)) {
            continue;
        }
        plan.keep_open.push(action);
        // Whoever has nothing else to do is there when it becomes his.
        if !ours && plan.is_settled() {
            let instance = id.clone();
            let due = scene.fence_due(Some(id));
            plan.wait_until(Reason::PredecessorLetsGo { instance }, None, due);
        }
        // Whoever waits for it has to look for it.
        if let Some(volume) = unseen(scene).filter(|_| ours && transition == Transition::Terminate)
        {
            plan.wait_until(missing_volume(volume), None, scene.lost_from());
        }
    }
}

fn is_down(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let state = scene.instances.get(id).map(|instance| instance.state);
    state.is_some_and(|state| !matches!(state, InstanceState::Pending | InstanceState::Running))
}

/// The volume whose newest data is not to be seen, and may be there all the same.
fn unseen<'a>(scene: &Scene<'a>) -> Option<&'a VolumeName> {
    let is_lost = scene.lost_from().is_some_and(|due| scene.now >= due);
    let lineages = scene.volumes_in_order().filter(|_| !is_lost);
    let mut unseen = lineages.filter(|(_, l)| l.current.is_none() && l.ever_had_data());
    unseen.next().map(|(volume, _)| &volume.name)
}

/// Where nothing can be decided, every open action this runner may know of is
/// kept open: a time-out would decide, and wrongly.
pub(super) fn keep_open(world: &World, seat: &Seat, plan: &mut Plan) {
    let Some(group) = world.group.known() else {
        return;
    };
    // It may become the holder, and then it closes what others left open.
    let here = seat.at.as_ref().and_then(|at| group.members.get(at));
    let stays = here.is_some_and(|member| member.lifecycle.is_candidate());
    for (id, member) in &group.members {
        let transition = match member.lifecycle {
            Lifecycle::PendingWait => Transition::Launch,
            Lifecycle::TerminatingWait => Transition::Terminate,
            _ => continue,
        };
        let is_other = seat.at.as_ref().is_some_and(|at| at != id);
        if is_other && !(stays && transition == Transition::Terminate) {
            continue;
        }
        if let Some(hook) = hook(&group.hooks, transition, plan) {
            plan.keep_open.push(Action {
                hook: hook.name.clone(),
                transition,
                instance: id.clone(),
            });
        }
    }
}

/// A member on its way to or from its hook is not settled.
fn transient(scene: &Scene<'_>, id: &InstanceId, member: &Member, plan: &mut Plan) {
    let is_holder = scene.holder.is_some_and(|h| h.id == id) && scene.may_serve_holder();
    let comes = is_holder
        && matches!(
            member.lifecycle,
            Lifecycle::Pending | Lifecycle::PendingProceed
        );
    // On its way to the hook that somebody will have to close; so is who was relieved,
    // since the group wants one member.
    let leaves = match member.lifecycle {
        Lifecycle::Terminating => true,
        Lifecycle::InService => plan.is_settled() && was_relieved(scene, id),
        _ => false,
    };
    let closes = leaves && serves_others(scene) && has_hook(scene, Transition::Terminate);
    // This machine knows that it goes before Auto Scaling's describe does.
    let goes = scene
        .here
        .is_some_and(|h| h.instance == *id && h.leaving.is_some())
        && !member.lifecycle.is_leaving()
        || scene.sits_at(id) && member.lifecycle == Lifecycle::Terminating;
    if comes || closes || goes {
        plan.wait(Reason::Lifecycle {
            instance: id.clone(),
        });
    }
}

/// The holder came in its place a moment ago. One that Auto Scaling does not end after
/// all, whatever keeps it, keeps nothing waiting.
fn was_relieved(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let Some(holder) = scene.holder.filter(|holder| holder.id != id) else {
        return false;
    };
    let terms = scene.lineages.values().filter_map(|l| l.current);
    let began = terms.filter_map(|volume| match &volume.standing {
        Standing::Active(term) => term.as_ref().map(|term| term.since),
        Standing::New | Standing::Superseded => None,
    });
    let came = began.chain(holder.called()).max();
    came.is_some_and(|came| scene.now < came.saturating_add_or_max(RELIEVED_WITHIN))
}

/// Belongings in place and healthy; without an agent, in place.
fn launched(scene: &Scene<'_>, world: &World, placed: &Placed<'_>) -> bool {
    #[cfg(feature = "mutants")]
    if super::mutant::is(super::mutant::Mutant::CompleteEarly) {
        return true;
    }
    workload::serves(scene, placed) && addresses::in_place(scene, world)
}

/// Which volume it is, and who has it, has to be known before that. An instance that
/// has ended has let go; the end of one that is stopped may take the volume with it.
fn may_end(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let instance = scene.instances.get(id);
    let has_ended = instance.is_some_and(|i| i.state == InstanceState::Terminated);
    if !has_ended && (unseen(scene).is_some() || may_have_strays(scene)) {
        return false;
    }
    has_let_go(scene, id) || ends_as_fence(scene, id)
}

/// Its volumes are quiet, or with another one already, and their captures *started*:
/// a snapshot holds the moment it was asked for, so waiting for its end would only
/// cost time.
fn has_let_go(scene: &Scene<'_>, id: &InstanceId) -> bool {
    let up_since = scene.instances.get(id).map(|instance| instance.launched);
    scene
        .lineages
        .values()
        .filter_map(|l| Some((l, l.current?)))
        .all(|(lineage, volume)| {
            if lineage.is_disputed() {
                return false;
            }
            let has_it = matches!(scene.keeper(volume), Keeper::Other(other, _) if other == id);
            let was_its_term =
                matches!(&volume.standing, Standing::Active(Some(t)) if t.holder == *id);
            if !has_it && !was_its_term {
                return true;
            }
            // An heir in the same zone takes it at once, and begins its term later.
            let has_left = volume.attachments.iter().all(|a| a.instance != *id);
            (has_left || scene.is_quiet(volume)) && lineage.capture(up_since).is_some()
        })
        && !still_in_use_here(scene, id)
}

/// Also an older copy that is still mounted on this machine has to be let go.
fn still_in_use_here(scene: &Scene<'_>, id: &InstanceId) -> bool {
    scene
        .here
        .is_some_and(|here| here.instance == *id && !here.mounts.is_empty())
}

/// Who completes, or keeps open, what: the instance itself; for one that is
/// down or has no agent, the holder or a controller.
fn is_ours(scene: &Scene<'_>, id: &InstanceId, transition: Transition) -> bool {
    if scene.sits_at(id) {
        return true;
    }
    let others = serves_others(scene);
    match transition {
        // Only the machine itself can say that its workload is healthy.
        Transition::Launch => others && !scene.spec.agent,
        Transition::Terminate => {
            let overdue = scene
                .fence_due(Some(id))
                .is_some_and(|due| scene.now >= due);
            let down = scene
                .instances
                .get(id)
                .is_none_or(|i| i.state != InstanceState::Running);
            others && (!scene.spec.agent || down || overdue)
        }
    }
}

/// Does this runner close actions in another's stead?
fn serves_others(scene: &Scene<'_>) -> bool {
    scene.seat.at.is_none() || scene.holds_here()
}

fn has_hook(scene: &Scene<'_>, transition: Transition) -> bool {
    let mut hooks = scene.group.hooks.iter();
    hooks.any(|hook| hook.transition == transition)
}

/// The group's hook for this transition; of several, the one named after rehome.
fn hook<'a>(hooks: &'a [Hook], transition: Transition, plan: &mut Plan) -> Option<&'a Hook> {
    let all: Vec<&Hook> = hooks
        .iter()
        .filter(|h| h.transition == transition)
        .collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(one),
        several => {
            let mut named = several.iter().filter(|h| h.name.contains("rehome"));
            match (named.next(), named.next()) {
                (Some(hook), None) => Some(hook),
                _ => {
                    plan.hold(Hold::WhichHook {
                        transition,
                        count: several.len(),
                    });
                    None
                }
            }
        }
    }
}
