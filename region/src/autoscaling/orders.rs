//! What do people ask of single members? Terminate this one, put that one aside.

use jiff::Timestamp;

use super::members::{self, Hooked};
use super::model::{ActivityStatus, Lifecycle};
use super::{
    activities, flag, group_of, invalid, member, member_mut, named_group, need, no_such_member,
};
use crate::Region;
use crate::latency::Delay;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// TerminateInstanceInAutoScalingGroup: the orderly way out.
pub(crate) fn terminate(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let instance = need(params, "InstanceId")?;
    need(params, "ShouldDecrementDesiredCapacity")?;
    let decrement = flag(params, "ShouldDecrementDesiredCapacity")?.unwrap_or(false);
    let group = group_of(region, instance).ok_or_else(|| no_such_member(instance))?;
    let lifecycle =
        member(region, &group, instance).map_or(Lifecycle::Terminated, |member| member.lifecycle);
    if lifecycle == Lifecycle::TerminatingRetained {
        members::arrive(region, &group, instance, Lifecycle::TerminatingProceed, now);
        return Ok(activity_of(region, &group, instance));
    }
    if lifecycle.leaves() {
        let message = format!("The instance {instance} is already being terminated.");
        return Err(ApiError::new("ScalingActivityInProgress", message));
    }
    if decrement && lifecycle.counts() {
        shrink(region, &group)?;
    }
    let text = if decrement {
        "instance was taken out of service in response to a user request, shrinking the capacity."
    } else {
        "instance was taken out of service in response to a user request."
    };
    members::terminate(region, &group, instance, text, Hooked::Yes, now);
    Ok(activity_of(region, &group, instance))
}

fn shrink(region: &mut Region, group: &str) -> Result<(), ApiError> {
    let Some(group) = region.model.groups.get_mut(group) else {
        return Ok(());
    };
    if group.desired <= group.min {
        return Err(invalid(format!(
            "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate \
             group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's \
             min size.",
            group.min
        )));
    }
    group.desired -= 1;
    Ok(())
}

fn activity_of(region: &Region, group: &str, instance: &str) -> Xml {
    let mut xml = Xml::new();
    let group = region.model.groups.get(group);
    let id = group.and_then(|group| group.members.get(instance)?.activity.as_deref());
    if let (Some(group), Some(id)) = (group, id)
        && let Some(activity) = activities::find(group, id)
    {
        xml.node("Activity", |xml| activities::write(xml, group, activity));
    }
    xml
}

/// EnterStandby: out of service, still a member, its place kept free or filled.
pub(crate) fn enter_standby(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    need(params, "ShouldDecrementDesiredCapacity")?;
    let decrement = flag(params, "ShouldDecrementDesiredCapacity")?.unwrap_or(false);
    let (group, instances) = members_named(region, params, Lifecycle::InService)?;
    if decrement {
        let count = instances.len() as u64;
        let Some(known) = region.model.groups.get_mut(&group) else {
            return Ok(Xml::new());
        };
        if known.desired.saturating_sub(count) < known.min {
            return Err(invalid(format!(
                "Currently, desiredSize equals {}. Putting {count} instance(s) on standby would violate group's min \
                 size constraint ({}). Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
                known.desired, known.min
            )));
        }
        known.desired -= count;
    }
    let started = begin(
        region,
        &group,
        &instances,
        "Moving EC2 instance to Standby",
        now,
    );
    for instance in &instances {
        members::move_to(region, &group, instance, Lifecycle::EnteringStandby, now);
        members::plan_step(
            region,
            &group,
            instance,
            Lifecycle::Standby,
            Delay::GroupStep,
            now,
        );
    }
    members::settle_soon(region, &group, now);
    Ok(activities_of(region, &group, &started))
}

/// ExitStandby: back in service, without any hook, and desired again.
pub(crate) fn exit_standby(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let (group, instances) = members_named(region, params, Lifecycle::Standby)?;
    if let Some(known) = region.model.groups.get_mut(&group) {
        let desired = known.desired + instances.len() as u64;
        if desired > known.max {
            return Err(invalid(format!(
                "New desired capacity {desired} is above max value {} for the group.",
                known.max
            )));
        }
        known.desired = desired;
    }
    let started = begin(
        region,
        &group,
        &instances,
        "Moving EC2 instance out of Standby",
        now,
    );
    for instance in &instances {
        members::move_to(region, &group, instance, Lifecycle::Pending, now);
        members::plan_step(
            region,
            &group,
            instance,
            Lifecycle::InService,
            Delay::GroupStep,
            now,
        );
    }
    Ok(activities_of(region, &group, &started))
}

/// The group and the members a request names, all of them in the state asked for.
fn members_named(
    region: &mut Region,
    params: &Params,
    expected: Lifecycle,
) -> Result<(String, Vec<String>), ApiError> {
    let instances = params.list("InstanceIds");
    let group = named_group(region, params)?;
    for instance in &instances {
        let member = group.members.get(instance).ok_or_else(|| {
            invalid(format!(
                "The instance {instance} is not part of Auto Scaling group {}.",
                group.name
            ))
        })?;
        if member.lifecycle != expected {
            return Err(invalid(format!(
                "The instance {instance} is not in {expected}."
            )));
        }
    }
    Ok((group.name.clone(), instances))
}

fn begin(
    region: &mut Region,
    group: &str,
    instances: &[String],
    what: &str,
    now: Timestamp,
) -> Vec<String> {
    let mut started = Vec::new();
    for instance in instances {
        let cause = activities::cause(
            now,
            &format!("instance {instance} was moved in response to a user request."),
        );
        let zone = member(region, group, instance).map(|member| member.zone.clone());
        let id = activities::begin(
            region,
            group,
            format!("{what}: {instance}"),
            cause,
            zone.as_deref(),
            now,
        );
        activities::note(region, group, Some(&id), ActivityStatus::InProgress, now);
        if let Some(member) = member_mut(region, group, instance) {
            member.activity = Some(id.clone());
        }
        started.push(id);
    }
    started
}

fn activities_of(region: &Region, group: &str, ids: &[String]) -> Xml {
    let mut xml = Xml::new();
    if let Some(group) = region.model.groups.get(group) {
        let found = ids.iter().filter_map(|id| activities::find(group, id));
        xml.list("Activities", "member", found, |xml, activity| {
            activities::write(xml, group, activity)
        });
    }
    xml
}
