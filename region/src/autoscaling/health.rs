//! Which member is unhealthy, and what does the group do about it?

use jiff::Timestamp;

use super::members::Hooked;
use super::model::{Lifecycle, Member};
use super::{
    GroupDue, InstanceChange, flag, group_of, handover, invalid, member, member_mut, members, need,
};
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::InstanceState;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What, between};

/// EC2 tells of a change of a member's instance.
pub(crate) fn instance_changed(
    region: &mut Region,
    group: &str,
    instance: &str,
    change: InstanceChange,
    now: Timestamp,
) {
    let Some(lifecycle) = member(region, group, instance).map(|member| member.lifecycle) else {
        return;
    };
    match change {
        InstanceChange::State(InstanceState::Running) => {
            came_up(region, group, instance, lifecycle, now)
        }
        InstanceChange::State(InstanceState::Terminated) if is_ending(lifecycle) => {
            members::arrive(region, group, instance, Lifecycle::Terminated, now);
        }
        InstanceChange::State(InstanceState::Stopped)
            if lifecycle == Lifecycle::WarmedPendingProceed =>
        {
            members::arrive(region, group, instance, Lifecycle::WarmedStopped, now);
        }
        InstanceChange::State(state) if state >= InstanceState::Stopping && watched(lifecycle) => {
            plan_look(region, group, instance, now);
        }
        InstanceChange::Impaired(true) => plan_doubt(region, group, instance, now),
        InstanceChange::SpotNotice if rebalances_capacity(region, group) => {
            let text = "an instance was taken out of service in response to an EC2 Spot interruption notice.";
            members::terminate(region, group, instance, text, Hooked::Yes, now);
        }
        _ => {}
    }
}

fn is_ending(lifecycle: Lifecycle) -> bool {
    matches!(
        lifecycle,
        Lifecycle::TerminatingProceed | Lifecycle::WarmedTerminatingProceed
    )
}

/// Members whose instance is expected to run, or to stay.
fn watched(lifecycle: Lifecycle) -> bool {
    lifecycle.counts()
        || matches!(
            lifecycle,
            Lifecycle::WarmedPending | Lifecycle::WarmedPendingWait
        )
        || matches!(
            lifecycle,
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning | Lifecycle::TerminatingRetained
        )
}

fn rebalances_capacity(region: &Region, group: &str) -> bool {
    region
        .model
        .groups
        .get(group)
        .is_some_and(|group| group.capacity_rebalance)
}

pub(crate) fn came_up(
    region: &mut Region,
    group: &str,
    instance: &str,
    lifecycle: Lifecycle,
    now: Timestamp,
) {
    let asks = super::hooks::any(region, group, super::model::Transition::Launching);
    let next = match (lifecycle, asks) {
        (Lifecycle::Pending, true) => Lifecycle::PendingWait,
        (Lifecycle::Pending, false) => Lifecycle::InService,
        (Lifecycle::WarmedPending, true) => Lifecycle::WarmedPendingWait,
        (Lifecycle::WarmedPending, false) => Lifecycle::WarmedPendingProceed,
        _ => return,
    };
    members::plan_step(region, group, instance, next, Delay::GroupStep, now);
}

fn plan_doubt(region: &mut Region, group: &str, instance: &str, now: Timestamp) {
    let due = GroupDue::Doubt {
        group: group.to_owned(),
        instance: instance.to_owned(),
    };
    region.plan(Delay::GroupDoubts, Due::Group(due), now);
}

/// A zone went dark: its members become doubtful. It came back: launches there may work again.
pub(crate) fn zone_changed(region: &mut Region, zone: &str, dark: bool, now: Timestamp) {
    let mut touched = Vec::new();
    for group in region.model.groups.values_mut() {
        if !dark {
            group.failed_zones.remove(zone);
        }
        let here = group.members.values().filter(|member| member.zone == zone);
        touched.push((
            group.name.clone(),
            here.map(|member| member.instance.clone())
                .collect::<Vec<_>>(),
        ));
    }
    for (group, members) in touched {
        for instance in members.iter().filter(|_| dark) {
            plan_doubt(region, &group, instance, now);
        }
        members::settle_soon(region, &group, now);
    }
}

/// A group can be told not to look after its members' health.
fn checks(region: &Region, group: &str) -> bool {
    let group = region.model.groups.get(group);
    group.is_some_and(|group| !group.suspended.contains("HealthCheck"))
}

/// Health checks begin again: every member is looked at, as if something had changed.
pub(crate) fn look_again(region: &mut Region, group: &str, now: Timestamp) {
    let Some(known) = region.model.groups.get(group) else {
        return;
    };
    let members: Vec<String> = known.members.keys().cloned().collect();
    for instance in members {
        plan_doubt(region, group, &instance, now);
        plan_look(region, group, &instance, now);
    }
}

fn plan_look(region: &mut Region, group: &str, instance: &str, now: Timestamp) {
    let due = GroupDue::Look {
        group: group.to_owned(),
        instance: instance.to_owned(),
    };
    region.plan(Delay::GroupNotices, Due::Group(due), now);
}

/// Minutes after status checks began to fail: do they still?
pub(crate) fn doubt(region: &mut Region, group: &str, instance: &str, now: Timestamp) {
    let Some(member) = member(region, group, instance) else {
        return;
    };
    let dark = region.model.dark_zones.contains(&member.zone);
    let impaired = region
        .model
        .instances
        .get(instance)
        .is_some_and(|machine| machine.impaired);
    if !checks(region, group) || (!dark && !impaired) {
        return;
    }
    // What has not reached service is not health-checked, but a launch that
    // never gets to `running` is given up.
    match member.lifecycle {
        Lifecycle::Pending if dark => give_up_launch(region, group, instance, now),
        Lifecycle::InService if in_grace(region, group, instance, now) => {
            plan_doubt(region, group, instance, now)
        }
        Lifecycle::InService => {
            let text = "an instance was taken out of service in response to an EC2 instance status checks failure.";
            unhealthy(region, group, instance, "EC2", now);
            react(region, group, instance, text, now);
        }
        _ => {}
    }
}

fn give_up_launch(region: &mut Region, group: &str, instance: &str, now: Timestamp) {
    if let Some(group) = region.model.groups.get_mut(group)
        && let Some(zone) = group
            .members
            .get(instance)
            .map(|member| member.zone.clone())
    {
        group.failed_zones.insert(zone);
    }
    unhealthy(region, group, instance, "EC2", now);
    let text = "an instance was taken out of service because it failed to launch.";
    members::terminate(region, group, instance, text, Hooked::Yes, now);
}

fn in_grace(region: &Region, group: &str, instance: &str, now: Timestamp) -> bool {
    let Some(group) = region.model.groups.get(group) else {
        return false;
    };
    let since = group
        .members
        .get(instance)
        .and_then(|member| member.in_service_since);
    since.is_none_or(|since| between(since, now).as_secs() < group.grace_period_s)
}

/// The periodic look at members whose instance is not `running`: that is a
/// failure at once, grace period or not.
pub(crate) fn look(region: &mut Region, group: &str, instance: &str, now: Timestamp) {
    let Some(lifecycle) = member(region, group, instance).map(|member| member.lifecycle) else {
        return;
    };
    let state = region
        .model
        .instances
        .get(instance)
        .map_or(InstanceState::Terminated, |machine| machine.state);
    let expected = match lifecycle {
        Lifecycle::WarmedStopped => state.lives(),
        _ => matches!(state, InstanceState::Pending | InstanceState::Running),
    };
    if expected || !watched(lifecycle) || !checks(region, group) {
        return;
    }
    unhealthy(region, group, instance, "EC2", now);
    let why = "an instance was taken out of service in response to an EC2 health check indicating it has been \
                terminated or stopped.";
    if lifecycle == Lifecycle::TerminatingRetained {
        members::arrive(region, group, instance, Lifecycle::TerminatingProceed, now);
    } else if state.lives() {
        react(region, group, instance, why, now);
    } else {
        let hooked = if region.settings.hook_after_kill {
            Hooked::Yes
        } else {
            Hooked::No
        };
        members::terminate(region, group, instance, why, hooked, now);
    }
}

/// Replaces an unhealthy member, unless the group was told not to.
pub(crate) fn react(region: &mut Region, name: &str, instance: &str, why: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let Some(member) = group.members.get(instance) else {
        return;
    };
    if member.healthy || !member.lifecycle.counts() {
        return;
    }
    if ["ReplaceUnhealthy", "Terminate"]
        .iter()
        .any(|process| group.suspended.contains(*process))
    {
        return;
    }
    let runs = region
        .model
        .instances
        .get(instance)
        .is_some_and(|machine| machine.state == InstanceState::Running);
    let launches_first = group
        .maintenance
        .is_some_and(|maintenance| maintenance.launches_first());
    if launches_first && runs && member.lifecycle == Lifecycle::InService {
        handover::hand_over(region, name, Some(instance), why, now);
    } else {
        members::terminate(region, name, instance, why, Hooked::Yes, now);
    }
}

fn unhealthy(region: &mut Region, group: &str, instance: &str, by: &str, now: Timestamp) {
    let was_healthy = member_mut(region, group, instance)
        .is_some_and(|member| std::mem::replace(&mut member.healthy, false));
    if was_healthy {
        record(region, instance, "Unhealthy", by, now);
    }
}

fn record(region: &mut Region, instance: &str, status: &str, by: &str, now: Timestamp) {
    let [instance, status, by] = [instance, status, by].map(str::to_owned);
    region.log(
        now,
        "aws",
        What::Health {
            instance,
            status,
            by,
        },
    );
}

fn plan_reaction(region: &mut Region, group: &str, instance: &str, why: &str, now: Timestamp) {
    let due = GroupDue::React {
        group: group.to_owned(),
        instance: instance.to_owned(),
        why: why.to_owned(),
    };
    region.plan(Delay::GroupReacts, Due::Group(due), now);
}

/// SetInstanceHealth.
pub(crate) fn set(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let instance = need(params, "InstanceId")?;
    let status = need(params, "HealthStatus")?;
    let respects_grace = flag(params, "ShouldRespectGracePeriod")?.unwrap_or(true);
    let managed = group_of(region, instance);
    let group = managed.ok_or_else(|| {
        invalid(format!(
            "No managed instance found for instance ID {instance}"
        ))
    })?;
    let Some(lifecycle) = member(region, &group, instance).map(|member| member.lifecycle) else {
        return Ok(Xml::new());
    };
    match status {
        "Healthy" if lifecycle.leaves() => {
            let message =
                format!("Instance {instance} is in state {lifecycle} and cannot be set to Healthy");
            return Err(invalid(message));
        }
        "Healthy" => {
            let was = member_mut(region, &group, instance)
                .is_some_and(|m: &mut Member| std::mem::replace(&mut m.healthy, true));
            if !was {
                record(region, instance, "Healthy", caller, now);
            }
        }
        // Within the grace period the word is heard and changes nothing.
        "Unhealthy" if respects_grace && in_grace(region, &group, instance, now) => {}
        "Unhealthy" => {
            unhealthy(region, &group, instance, caller, now);
            let text = "an instance was taken out of service in response to a user health-check.";
            plan_reaction(region, &group, instance, text, now);
        }
        other => {
            return Err(invalid(format!(
                "Invalid HealthStatus '{other}': use Healthy or Unhealthy"
            )));
        }
    }
    Ok(Xml::new())
}

impl Region {
    /// EC2's health check of a member fails: the group replaces it, the terminate
    /// hook runs, and the instance is still running meanwhile.
    pub fn fail_instance(&mut self, instance: &str, now: Timestamp) {
        self.advance(now);
        let now = self.now;
        let Some(group) = group_of(self, instance) else {
            return;
        };
        unhealthy(self, &group, instance, "EC2", now);
        let text = "an instance was taken out of service in response to an EC2 instance status checks failure.";
        plan_reaction(self, &group, instance, text, now);
    }
}
