//! Groups: created, changed, deleted, and the processes they may be told to stop.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::members::{self, Hooked};
use super::model::{Group, LaunchSource, Maintenance};
use super::setup::GroupSetup;
use super::{flag, hooks, invalid, named_group, need, number, tags, zones};
use crate::Region;
use crate::ec2::templates;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

const PROCESSES: [&str; 9] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];

/// CreateAutoScalingGroup.
pub(crate) fn create(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let name = need(params, "AutoScalingGroupName")?.to_owned();
    if region.model.groups.contains_key(&name) {
        let message = format!(
            "AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        );
        return Err(ApiError::new("AlreadyExists", message));
    }
    need(params, "MinSize")?;
    need(params, "MaxSize")?;
    let source = source(params)?.ok_or_else(|| {
        invalid(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or \
             MixedInstancesPolicy parameter.",
        )
    })?;
    let arn = super::group_arn(region, &name);
    let mut group = GroupSetup {
        name,
        ..GroupSetup::default()
    }
    .into_group(arn, now);
    group.source = source;
    group.min = number(params, "MinSize")?.unwrap_or(0);
    group.desired = group.min;
    change(region, &mut group, params)?;
    if group.zones.is_empty() {
        return Err(invalid(
            "At least one Availability Zone or VPC Subnet is required.",
        ));
    }
    for (_, tag) in tags::from_params(params)? {
        tags::set(&mut group, tag)?;
    }
    for hook in params.structures("LifecycleHookSpecificationList") {
        let hook_name = need(&hook, "LifecycleHookName")?;
        let hook = hooks::from_params(hook_name, None, &hook)?;
        group.hooks.insert(hook.name.clone(), hook);
    }
    members::open(region, group, now);
    Ok(Xml::new())
}

/// UpdateAutoScalingGroup: what is not said stays.
pub(crate) fn update(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let mut group = named_group(region, params)?.clone();
    if let Some(source) = source(params)? {
        group.source = source;
    }
    if params.get("DesiredCapacity").is_none() {
        // A desired capacity that no longer fits is moved, not refused.
        let min = number(params, "MinSize")?.unwrap_or(group.min);
        let max = number(params, "MaxSize")?.unwrap_or(group.max);
        group.desired = group.desired.clamp(min.min(max), max);
    }
    change(region, &mut group, params)?;
    let name = group.name.clone();
    region.model.groups.insert(name.clone(), group);
    members::settle_soon(region, &name, now);
    Ok(Xml::new())
}

/// What create and update have in common. Nothing is kept when something is refused.
fn change(region: &Region, group: &mut Group, params: &Params) -> Result<(), ApiError> {
    sizes(group, params)?;
    if let Some(zones) = zones_asked_for(region, params)? {
        group.zones = zones;
        group.subnets = params
            .get("VPCZoneIdentifier")
            .filter(|subnets| !subnets.is_empty())
            .map(str::to_owned);
    }
    group.grace_period_s =
        number(params, "HealthCheckGracePeriod")?.unwrap_or(group.grace_period_s);
    group.cooldown_s = number(params, "DefaultCooldown")?.unwrap_or(group.cooldown_s);
    if let Some(kind) = params.get("HealthCheckType") {
        group.health_check_type = kind.to_owned();
    }
    group.capacity_rebalance =
        flag(params, "CapacityRebalance")?.unwrap_or(group.capacity_rebalance);
    let distribution = params.within("AvailabilityZoneDistribution");
    if let Some(strategy) = distribution.get("CapacityDistributionStrategy") {
        group.balanced_only = strategy == "balanced-only";
    }
    let triggers = params
        .within("InstanceLifecyclePolicy")
        .within("RetentionTriggers");
    if let Some(action) = triggers.get("TerminateHookAbandon") {
        group.retain_on_abandon = action == "retain";
    }
    maintenance(group, &params.within("InstanceMaintenancePolicy"))
}

fn sizes(group: &mut Group, params: &Params) -> Result<(), ApiError> {
    group.min = number(params, "MinSize")?.unwrap_or(group.min);
    group.max = number(params, "MaxSize")?.unwrap_or(group.max);
    group.desired = number(params, "DesiredCapacity")?.unwrap_or(group.desired);
    if group.min > group.max {
        return Err(invalid(format!(
            "Max bound, {}, must be greater than or equal to min bound, {}",
            group.max, group.min
        )));
    }
    if group.desired < group.min || group.desired > group.max {
        return Err(invalid(format!(
            "Desired capacity:{} must be between the specified min size:{} and max size:{}",
            group.desired, group.min, group.max
        )));
    }
    Ok(())
}

fn zones_asked_for(region: &Region, params: &Params) -> Result<Option<Vec<String>>, ApiError> {
    let named = params.list("AvailabilityZones");
    for zone in &named {
        if !region.settings.zones.contains(zone) {
            return Err(invalid(format!("Invalid availability zones: [{zone}]")));
        }
    }
    if !named.is_empty() {
        return Ok(Some(named));
    }
    let subnets = params
        .get("VPCZoneIdentifier")
        .filter(|subnets| !subnets.is_empty());
    Ok(subnets.map(|subnets| zones::of_subnets(subnets, &region.settings.zones)))
}

fn maintenance(group: &mut Group, policy: &Params) -> Result<(), ApiError> {
    if policy.is_empty() {
        return Ok(());
    }
    if policy.get("MinHealthyPercentage") == Some("-1")
        || policy.get("MaxHealthyPercentage") == Some("-1")
    {
        group.maintenance = None;
        return Ok(());
    }
    let (min, max) = (
        number(policy, "MinHealthyPercentage")?,
        number(policy, "MaxHealthyPercentage")?,
    );
    let (Some(min_healthy), Some(max_healthy)) = (min, max) else {
        return Err(invalid(
            "MinHealthyPercentage and MaxHealthyPercentage must both be specified.",
        ));
    };
    let gap_ok = max_healthy
        .checked_sub(min_healthy)
        .is_some_and(|gap| gap <= 100);
    if min_healthy > 100 || !(100..=200).contains(&max_healthy) || !gap_ok {
        return Err(invalid(
            "MinHealthyPercentage must be 0 to 100, MaxHealthyPercentage 100 to 200, and 100 apart at most.",
        ));
    }
    group.maintenance = Some(Maintenance {
        min_healthy,
        max_healthy,
    });
    Ok(())
}

/// What new instances are made from; templates and configurations are taken by name.
fn source(params: &Params) -> Result<Option<LaunchSource>, ApiError> {
    let mixed = params
        .within("MixedInstancesPolicy")
        .within("LaunchTemplate")
        .within("LaunchTemplateSpecification");
    let direct = params.within("LaunchTemplate");
    let template = if direct.is_empty() { mixed } else { direct };
    if !template.is_empty() {
        let (id, name) = (
            template.get("LaunchTemplateId"),
            template.get("LaunchTemplateName"),
        );
        if id.is_none() && name.is_none() {
            return Err(invalid(
                "Valid requests must contain either launchTemplateId or LaunchTemplateName",
            ));
        }
        return Ok(Some(LaunchSource::Template {
            id: id.map_or_else(|| templates::id_of(name.unwrap_or_default()), str::to_owned),
            name: name.or(id).unwrap_or_default().to_owned(),
            version: template.get("Version").unwrap_or("$Default").to_owned(),
        }));
    }
    let named = params
        .get("LaunchConfigurationName")
        .or_else(|| params.get("InstanceId"));
    Ok(named
        .filter(|name| !name.is_empty())
        .map(|name| LaunchSource::Configuration(name.to_owned())))
}

/// DeleteAutoScalingGroup: with members only by force, and then without hooks.
pub(crate) fn delete(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let force = flag(params, "ForceDelete")?.unwrap_or(false);
    let group = named_group(region, params)?;
    if !group.members.is_empty() && !force {
        let message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance \
                       request(s) still in the group.";
        return Err(ApiError::new("ResourceInUse", message));
    }
    group.deleting = true;
    group.min = 0;
    group.desired = 0;
    group.warm_pool = None;
    group.hooks.clear();
    let name = group.name.clone();
    let members: Vec<String> = group.members.keys().cloned().collect();
    let why = "a user request deleted the AutoScalingGroup.";
    for instance in members {
        members::let_go(region, &name, &instance, now);
        members::terminate(region, &name, &instance, why, Hooked::No, now);
    }
    members::settle(region, &name, now);
    Ok(Xml::new())
}

/// SetDesiredCapacity.
pub(crate) fn set_desired_capacity(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    need(params, "DesiredCapacity")?;
    let desired = number(params, "DesiredCapacity")?.unwrap_or(0);
    let group = named_group(region, params)?;
    if desired > group.max {
        return Err(invalid(format!(
            "New SetDesiredCapacity value {desired} is above max value {} for the AutoScalingGroup.",
            group.max
        )));
    }
    if desired < group.min {
        return Err(invalid(format!(
            "New SetDesiredCapacity value {desired} is below min value {} for the AutoScalingGroup.",
            group.min
        )));
    }
    group.desired = desired;
    let name = group.name.clone();
    members::settle_soon(region, &name, now);
    Ok(Xml::new())
}

/// SuspendProcesses: all of them, if none is named.
pub(crate) fn suspend(region: &mut Region, params: &Params) -> Result<Xml, ApiError> {
    let processes = processes(params)?;
    named_group(region, params)?.suspended.extend(processes);
    Ok(Xml::new())
}

/// ResumeProcesses: the group catches up with what it missed.
pub(crate) fn resume(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let processes = processes(params)?;
    let group = named_group(region, params)?;
    group
        .suspended
        .retain(|process| !processes.contains(process));
    let name = group.name.clone();
    let unhealthy = group
        .members
        .values()
        .filter(|member| !member.healthy && member.lifecycle.counts());
    let unhealthy: Vec<String> = unhealthy.map(|member| member.instance.clone()).collect();
    let text = "an instance was taken out of service in response to a health check failure.";
    for instance in unhealthy {
        super::health::react(region, &name, &instance, text, now);
    }
    super::health::look_again(region, &name, now);
    members::settle_soon(region, &name, now);
    Ok(Xml::new())
}

fn processes(params: &Params) -> Result<BTreeSet<String>, ApiError> {
    let named = params.list("ScalingProcesses");
    for process in &named {
        if !PROCESSES.contains(&process.as_str()) {
            return Err(invalid(format!("Unknown process type: {process}")));
        }
    }
    if named.is_empty() {
        Ok(PROCESSES.map(str::to_owned).into())
    } else {
        Ok(named.into_iter().collect())
    }
}
