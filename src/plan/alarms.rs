//! When an alarm takes the holder out of service.

use jiff::{SignedDuration, Timestamp};

use super::pair;
use super::scene::{Heir, SaturatingTime, Scene};
use super::step::{Cause, Hold, Plan, Reason, Step, Wait};
use crate::spec::Kind;
use crate::world::{Alarm, Instance, Lifecycle, Standing, World};

/// Over which time moves are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An alarm that has rung long enough, as CloudWatch itself says, makes Auto
/// Scaling replace the member, or the standby take over. It must be about no
/// other instance. If it is not about the holder alone, it must have begun after
/// this holder came: what rang for a predecessor says nothing about it. If it is,
/// the holder was called in sick, or failed before the alarm could be quiet.
pub(super) fn heed(scene: &Scene<'_>, world: &World, plan: &mut Plan) {
    let (Some(holder), Some(alarms)) = (scene.holder, world.alarms.known()) else {
        return;
    };
    let Some(came) = came(scene, holder) else {
        return;
    };
    for (name, alarm) in alarms {
        let is_old = alarm.since <= came && !is_about_alone(alarm, holder);
        if !is_about(alarm, holder) || is_old {
            continue;
        }
        let policy = &scene.spec.policy;
        let due = alarm
            .since
            .saturating_add_or_max(policy.confirm_for)
            .max(rested(scene, holder, came))
            .max(starts_until(scene, holder, plan));
        if scene.now < due {
            plan.wait_until(
                Reason::Confirming {
                    alarm: name.clone(),
                },
                Some(alarm.since),
                Some(due),
            );
        } else {
            answer(scene, holder, name, plan);
        }
    }
}

/// Since when this holder is judged by alarms; none where it is not.
fn came(scene: &Scene<'_>, holder: Heir<'_>) -> Option<Timestamp> {
    let launched = holder.instance.map(|i| i.launched);
    match scene.spec.kind {
        Kind::Asg if holder.member.lifecycle == Lifecycle::InService && holder.member.healthy => {
            launched
        }
        Kind::Asg => None,
        // In a dark zone it is not described, and its alarm rings all the more.
        Kind::Pair { .. } => Some(launched.max(holder.appointed).unwrap_or(Timestamp::MIN)),
    }
}

/// When a new holder's alarms may have been quieted by it: as long as its data
/// was on the way, whatever watches the service rang.
fn rested(scene: &Scene<'_>, holder: Heir<'_>, came: Timestamp) -> Timestamp {
    let current = scene.lineages.values().filter_map(|l| l.current);
    let terms = current.filter_map(|volume| match &volume.standing {
        Standing::Active(Some(term)) if term.holder == *holder.id => Some(term.since),
        _ => None,
    });
    terms
        .fold(came, Timestamp::max)
        .saturating_add_or_max(scene.spec.policy.cooldown)
}

/// A standby that was called in and has not been up since: of course its alarm
/// rings, and whoever calls it in may have come late to that. One that has come,
/// and is down again, is judged like any other.
fn starts_until(scene: &Scene<'_>, holder: Heir<'_>, plan: &Plan) -> Timestamp {
    let waits = |instance: &Instance| {
        instance.state.is_down() && Some(instance.launched) < holder.appointed
    };
    let has_come = |wait: &Wait| matches!(wait.reason, Reason::Hold(Hold::HolderStopped { .. }));
    let is_called = holder.instance.is_some_and(waits) && !plan.waits.iter().any(has_come);
    let until = scene.give_up_due().filter(|_| is_called);
    until.unwrap_or(Timestamp::MIN)
}

fn is_about(alarm: &Alarm, holder: Heir<'_>) -> bool {
    alarm.ringing && (alarm.about.is_empty() || alarm.about.contains(holder.id))
}

fn is_about_alone(alarm: &Alarm, holder: Heir<'_>) -> bool {
    alarm.about.len() == 1 && alarm.about.contains(holder.id)
}

/// One move, if alarms have not caused too many of late.
fn answer(scene: &Scene<'_>, holder: Heir<'_>, alarm: &str, plan: &mut Plan) {
    let policy = &scene.spec.policy;
    let recent: Vec<Timestamp> = scene
        .group
        .moves
        .iter()
        .copied()
        .filter(|at| at.saturating_add_or_max(HOUR) > scene.now)
        .collect();
    let rested = recent
        .last()
        .map(|at| at.saturating_add_or_max(policy.cooldown));
    let room = recent
        .len()
        .checked_sub(policy.moves_per_hour)
        .and_then(|beyond| recent.get(beyond))
        .map(|at| at.saturating_add_or_max(HOUR));
    if let Some(until) = rested.max(room).filter(|due| scene.now < *due) {
        let (alarm, moves) = (alarm.to_owned(), recent.len());
        plan.wait_until(Reason::Flapping { alarm, moves }, None, Some(until));
        return;
    }
    let moves: Vec<Timestamp> = recent.into_iter().chain([scene.now]).collect();
    match scene.spec.kind {
        Kind::Asg => plan.step(Step::ReportUnhealthy {
            instance: holder.id.clone(),
            moves,
        }),
        Kind::Pair { .. } => {
            pair::appoint_other(scene, Cause::Alarm(alarm.to_owned()), Some(moves), plan);
        }
    }
}
