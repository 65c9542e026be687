//! Who is a member, who moves on, who is terminated?
//!
//! A group is settled whenever something about it changed: members that count
//! are compared with the desired capacity. A terminating member counts no longer,
//! so its replacement starts while its hook still holds it; a member that is being
//! handed over counts until the new one is in service.

use jiff::Timestamp;

use super::model::{ActivityStatus, Group, Handover, Lifecycle, Member, Transition};
use super::{GroupDue, actions, activities, hooks, launches, member, member_mut, warm_pool, zones};
use crate::ec2::instances;
use crate::engine::Due;
use crate::latency::Delay;
use crate::{Region, What, after, critical_path};

impl Member {
    pub(crate) fn new(instance: &str, zone: &str, lifecycle: Lifecycle, now: Timestamp) -> Member {
        Member {
            instance: instance.to_owned(),
            zone: zone.to_owned(),
            lifecycle,
            before: None,
            healthy: true,
            protected: false,
            actions: Vec::new(),
            abandoned: false,
            pooled: false,
            launched: now,
            in_service_since: None,
            activity: None,
            serial: 0,
            step: 0,
        }
    }
}

/// A new group starts its life.
pub(crate) fn open(region: &mut Region, group: Group, now: Timestamp) {
    let name = group.name.clone();
    region.model.groups.insert(name.clone(), group);
    settle_soon(region, &name, now);
}

/// Something changed: look at the group in a moment.
pub(crate) fn settle_soon(region: &mut Region, group: &str, now: Timestamp) {
    region.plan(
        Delay::GroupStep,
        Due::Group(GroupDue::Settle {
            group: group.to_owned(),
        }),
        now,
    );
}

pub(crate) fn settle(region: &mut Region, name: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    if group.deleting && group.members.is_empty() {
        region.model.groups.remove(name);
        return;
    }
    let counting = group
        .members
        .values()
        .filter(|member| member.lifecycle.counts())
        .count() as u64;
    let wanted = group.desired + group.handovers.len() as u64;
    if counting > wanted {
        scale_in(region, name, counting - wanted, now);
    } else if launches::allowed(region, name, now) {
        for already in counting..wanted {
            if !launches::one(region, name, already, now) {
                break;
            }
        }
    }
    relieve(region, name, now);
    warm_pool::settle(region, name, now);
}

fn scale_in(region: &mut Region, name: &str, surplus: u64, now: Timestamp) {
    for _ in 0..surplus {
        let Some(group) = region.model.groups.get(name) else {
            return;
        };
        if group.suspended.contains("Terminate") {
            return;
        }
        let Some(victim) = scale_in_victim(group) else {
            return;
        };
        let text = format!(
            "an instance was taken out of service in response to a difference between desired and actual capacity, \
             shrinking the capacity to {}.",
            group.desired
        );
        let reuse = group
            .warm_pool
            .as_ref()
            .is_some_and(|pool| pool.reuse_on_scale_in);
        if let Some(member) = member_mut(region, name, &victim) {
            member.pooled = reuse;
        }
        terminate(region, name, &victim, &text, Hooked::Yes, now);
    }
}

/// In the fullest zone, the one that has been there longest.
fn scale_in_victim(group: &Group) -> Option<String> {
    let fullest = zones::fullest(group);
    let free = |member: &&Member| member.lifecycle.counts() && !member.protected;
    let here = |member: &&Member| fullest.is_none_or(|zone| member.zone == zone);
    let oldest = group
        .members
        .values()
        .filter(free)
        .filter(here)
        .min_by_key(|member| member.serial);
    oldest.map(|member| member.instance.clone())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hooked {
    Yes,
    /// Nobody is asked: a forced delete, or a death the hook does not follow.
    No,
}

/// Begins to take a member out. It counts no longer, so a replacement may start.
pub(crate) fn terminate(
    region: &mut Region,
    name: &str,
    instance: &str,
    why: &str,
    hooked: Hooked,
    now: Timestamp,
) {
    let Some(lifecycle) = member(region, name, instance).map(|member| member.lifecycle) else {
        return;
    };
    if lifecycle.leaves() {
        return;
    }
    critical_path::begin(region, name, instance, why, now);
    actions::cancel(region, name, instance, now);
    if let Some(group) = region.model.groups.get_mut(name) {
        group.handovers.retain(|handover| handover.old != instance);
    }
    let (first, waiting, proceeding) = if lifecycle.warmed() {
        use Lifecycle::{WarmedTerminating, WarmedTerminatingProceed, WarmedTerminatingWait};
        (
            WarmedTerminating,
            WarmedTerminatingWait,
            WarmedTerminatingProceed,
        )
    } else {
        (
            Lifecycle::Terminating,
            Lifecycle::TerminatingWait,
            Lifecycle::TerminatingProceed,
        )
    };
    move_to(region, name, instance, first, now);
    let description = format!("Terminating EC2 instance: {instance}");
    let zone = member(region, name, instance).map(|member| member.zone.clone());
    let activity = activities::begin(
        region,
        name,
        description,
        activities::cause(now, why),
        zone.as_deref(),
        now,
    );
    let asks = hooked == Hooked::Yes && hooks::any(region, name, Transition::Terminating);
    if let Some(member) = member_mut(region, name, instance) {
        activity.clone_into(member.activity.get_or_insert_default());
        member.abandoned = false;
    }
    plan_step(
        region,
        name,
        instance,
        if asks { waiting } else { proceeding },
        Delay::GroupStep,
        now,
    );
    settle_soon(region, name, now);
}

/// A forced delete does not wait for a hook that was asked already, nor for a person who retained it.
pub(crate) fn let_go(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    actions::cancel(region, name, instance, now);
    let Some(lifecycle) = member(region, name, instance).map(|member| member.lifecycle) else {
        return;
    };
    match lifecycle {
        Lifecycle::Terminating | Lifecycle::TerminatingWait | Lifecycle::TerminatingRetained => {
            arrive(region, name, instance, Lifecycle::TerminatingProceed, now);
        }
        Lifecycle::WarmedTerminating | Lifecycle::WarmedTerminatingWait => {
            arrive(
                region,
                name,
                instance,
                Lifecycle::WarmedTerminatingProceed,
                now,
            );
        }
        _ => {}
    }
}

/// Plans the member's next step; one that was planned before is forgotten.
pub(crate) fn plan_step(
    region: &mut Region,
    name: &str,
    instance: &str,
    to: Lifecycle,
    delay: Delay,
    now: Timestamp,
) {
    let Some(member) = member_mut(region, name, instance) else {
        return;
    };
    member.step += 1;
    let due = GroupDue::Step {
        group: name.to_owned(),
        instance: instance.to_owned(),
        step: member.step,
        to,
    };
    region.plan(delay, Due::Group(due), now);
}

/// The member takes a step.
pub(crate) fn arrive(
    region: &mut Region,
    name: &str,
    instance: &str,
    to: Lifecycle,
    now: Timestamp,
) {
    move_to(region, name, instance, to, now);
    match to {
        Lifecycle::PendingWait | Lifecycle::WarmedPendingWait => {
            actions::open(region, name, instance, Transition::Launching, now);
        }
        Lifecycle::TerminatingWait | Lifecycle::WarmedTerminatingWait => {
            actions::open(region, name, instance, Transition::Terminating, now);
        }
        Lifecycle::PendingProceed => plan_step(
            region,
            name,
            instance,
            Lifecycle::InService,
            Delay::GroupStep,
            now,
        ),
        Lifecycle::InService => in_service(region, name, instance, now),
        Lifecycle::TerminatingProceed | Lifecycle::WarmedTerminatingProceed => {
            end_machine(region, name, instance, now)
        }
        Lifecycle::TerminatingRetained => {
            note(region, name, instance, ActivityStatus::Cancelled, now)
        }
        Lifecycle::Terminated => ended(region, name, instance, now),
        Lifecycle::WarmedPending | Lifecycle::WarmedPendingProceed => {
            warm_pool::park(region, name, instance, now)
        }
        Lifecycle::Standby | Lifecycle::WarmedStopped | Lifecycle::WarmedRunning => {
            note(region, name, instance, ActivityStatus::Successful, now);
        }
        Lifecycle::Pending
        | Lifecycle::Terminating
        | Lifecycle::WarmedTerminating
        | Lifecycle::EnteringStandby => {}
    }
}

fn in_service(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    note(region, name, instance, ActivityStatus::Successful, now);
    let activity = member_mut(region, name, instance).and_then(|member| {
        member.in_service_since = Some(now);
        member.activity.clone()
    });
    activities::tell(
        region,
        name,
        instance,
        activity.as_deref(),
        "EC2 Instance Launch Successful",
        now,
    );
    let Some(group) = region.model.groups.get_mut(name) else {
        return;
    };
    group.launch_failures = 0;
    group.no_launch_before = None;
    group.failed_zones.clear();
    relieve(region, name, now);
    settle_soon(region, name, now);
}

/// Ends a member that was to be replaced, once there are enough without it.
fn relieve(region: &mut Region, name: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let serving = || {
        let members = group.members.values();
        members.filter(|member| member.lifecycle == Lifecycle::InService)
    };
    let newest = serving().max_by_key(|member| (member.in_service_since, member.serial));
    let is_other = |handover: &&Handover| newest.is_some_and(|new| new.instance != handover.old);
    let relieved = group.handovers.iter().find(is_other).cloned();
    let enough = serving().count() as u64 > group.desired;
    if let Some(handover) = relieved.filter(|_| enough) {
        terminate(region, name, &handover.old, &handover.why, Hooked::Yes, now);
    }
}

/// The hooks have been asked: the machine goes.
fn end_machine(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    note(region, name, instance, ActivityStatus::InProgress, now);
    let pooled = member(region, name, instance)
        .is_some_and(|member| member.pooled && member.healthy && !member.abandoned);
    if pooled && warm_pool::take_back(region, name, instance, now) {
        return;
    }
    let lives = region
        .model
        .instances
        .get(instance)
        .is_some_and(|machine| machine.state.lives());
    if lives {
        instances::terminate(region, instance, now);
    } else {
        plan_step(
            region,
            name,
            instance,
            Lifecycle::Terminated,
            Delay::GroupStep,
            now,
        );
    }
}

fn ended(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    note(region, name, instance, ActivityStatus::Successful, now);
    let activity = member(region, name, instance).and_then(|member| member.activity.clone());
    activities::tell(
        region,
        name,
        instance,
        activity.as_deref(),
        "EC2 Instance Terminate Successful",
        now,
    );
    if let Some(group) = region.model.groups.get_mut(name) {
        group.members.remove(instance);
    }
    settle_soon(region, name, now);
}

/// A state is entered: recorded, and shown by describes a little later.
pub(crate) fn move_to(
    region: &mut Region,
    name: &str,
    instance: &str,
    to: Lifecycle,
    now: Timestamp,
) {
    let lag = region.draw(Delay::GroupLag);
    let Some(member) = member_mut(region, name, instance) else {
        return;
    };
    let from = member.lifecycle;
    if from == to {
        return;
    }
    member.before = Some((member.shown(now), after(now, lag)));
    member.lifecycle = to;
    member.step += 1;
    record_move(region, name, instance, from.as_str(), to.as_str(), now);
}

pub(crate) fn record_move(
    region: &mut Region,
    group: &str,
    instance: &str,
    from: &str,
    to: &str,
    now: Timestamp,
) {
    let [group, instance, from, to] = [group, instance, from, to].map(str::to_owned);
    region.log(
        now,
        "aws",
        What::Lifecycle {
            group,
            instance,
            from,
            to,
        },
    );
}

/// How the member's activity stands.
pub(crate) fn note(
    region: &mut Region,
    name: &str,
    instance: &str,
    status: ActivityStatus,
    now: Timestamp,
) {
    let activity = member(region, name, instance).and_then(|member| member.activity.clone());
    activities::note(region, name, activity.as_deref(), status, now);
}
