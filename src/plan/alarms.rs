//! When an alarm takes a member out of service.

use super::scene::{SaturatingTime, Scene};
use super::step::{Plan, Reason, Step};
use crate::world::{Lifecycle, World};

/// An alarm that has rung long enough, as CloudWatch itself says, makes Auto
/// Scaling replace the member. It must have begun after this member came: an
/// alarm left over from its predecessor says nothing about it.
pub(super) fn heed(scene: &Scene<'_>, world: &World, plan: &mut Plan) {
    let (Some(holder), Some(alarms)) = (scene.holder, world.alarms.known()) else {
        return;
    };
    let Some(instance) = holder.instance else {
        return;
    };
    if holder.member.lifecycle != Lifecycle::InService || !holder.member.healthy {
        return;
    }
    let policy = &scene.spec.policy;
    let settled_in = instance.launched.saturating_add_or_max(policy.cooldown);
    for (name, alarm) in alarms.iter().filter(|(_, a)| a.ringing) {
        if alarm.since <= instance.launched {
            continue;
        }
        let due = alarm
            .since
            .saturating_add_or_max(policy.confirm_for)
            .max(settled_in);
        if scene.now >= due {
            plan.step(Step::ReportUnhealthy {
                instance: holder.id.clone(),
            });
        } else {
            plan.wait_until(
                Reason::Confirming {
                    alarm: name.clone(),
                },
                Some(alarm.since),
                Some(due),
            );
        }
    }
}
