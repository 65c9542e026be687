//! Auto Scaling's side of the wire, and the door through which the rest of the
//! region reaches it.
//!
//! ```text
//! groups      create, update, delete     describe   what describes answer
//! members     who moves on, who ends     launches   when, where, and after a failure
//! hooks       what is held               actions    the holding itself
//! health      who is unhealthy           handover   replaced without a gap
//! zones       where the next one goes    warm_pool  members kept ready
//! orders      what people ask of single members     tags, activities, pages
//! ```

mod actions;
mod activities;
mod describe;
mod groups;
mod handover;
mod health;
mod hooks;
mod launches;
mod members;
pub mod model;
mod orders;
mod pages;
pub mod setup;
mod tags;
mod warm_pool;
mod zones;

use jiff::Timestamp;

use crate::Region;
use crate::cloudwatch;
use crate::model::InstanceState;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use model::{Group, Lifecycle, Member};

/// A change of a group that will come by itself.
#[derive(Clone, Debug)]
pub(crate) enum GroupDue {
    /// Compare what there is with what should be.
    Settle { group: String },
    /// A member moves on.
    Step {
        group: String,
        instance: String,
        step: u64,
        to: Lifecycle,
    },
    /// A lifecycle action's time may be over.
    HookEnds {
        group: String,
        instance: String,
        token: String,
    },
    /// Auto Scaling acts on an unhealthy member.
    React {
        group: String,
        instance: String,
        /// In the words of the activity it leads to.
        why: String,
    },
    /// It has been impaired for minutes: still so?
    Doubt { group: String, instance: String },
    /// The periodic look finds an instance that does not run.
    Look { group: String, instance: String },
}

/// Answers one action: the inside of `<ActionResult>`.
pub(crate) fn handle(
    region: &mut Region,
    caller: &str,
    action: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    match action {
        "CreateAutoScalingGroup" => groups::create(region, params, now),
        "UpdateAutoScalingGroup" => groups::update(region, params, now),
        "DeleteAutoScalingGroup" => groups::delete(region, params, now),
        "SetDesiredCapacity" => groups::set_desired_capacity(region, params, now),
        "SuspendProcesses" => groups::suspend(region, params),
        "ResumeProcesses" => groups::resume(region, params, now),
        "DescribeAutoScalingGroups" => describe::groups(region, params, now),
        "DescribeAutoScalingInstances" => describe::instances(region, params, now),
        "PutLifecycleHook" => hooks::put(region, params, now),
        "DeleteLifecycleHook" => hooks::delete(region, params, now),
        "DescribeLifecycleHooks" => hooks::describe(region, params),
        "CompleteLifecycleAction" => actions::complete(region, caller, params, now),
        "RecordLifecycleActionHeartbeat" => actions::heartbeat(region, params, now),
        "SetInstanceHealth" => health::set(region, caller, params, now),
        "TerminateInstanceInAutoScalingGroup" => orders::terminate(region, params, now),
        "EnterStandby" => orders::enter_standby(region, params, now),
        "ExitStandby" => orders::exit_standby(region, params, now),
        "CreateOrUpdateTags" => tags::create_or_update(region, params, now),
        "DeleteTags" => tags::delete(region, params, now),
        "DescribeTags" => tags::describe(region, params),
        "DescribeScalingActivities" => activities::describe(region, params),
        "PutWarmPool" => warm_pool::put(region, params, now),
        "DescribeWarmPool" => warm_pool::describe(region, params, now),
        "DeleteWarmPool" => warm_pool::delete(region, params, now),
        _ => Err(ApiError::unknown_action(action)),
    }
}

pub(crate) fn due(region: &mut Region, due: GroupDue, now: Timestamp) {
    match due {
        GroupDue::Settle { group } => members::settle(region, &group, now),
        GroupDue::Step {
            group,
            instance,
            step,
            to,
        } => {
            if member(region, &group, &instance).is_some_and(|member| member.step == step) {
                members::arrive(region, &group, &instance, to, now);
            }
        }
        GroupDue::HookEnds {
            group,
            instance,
            token,
        } => actions::time_out(region, &group, &instance, &token, now),
        GroupDue::React {
            group,
            instance,
            why,
        } => health::react(region, &group, &instance, &why, now),
        GroupDue::Doubt { group, instance } => health::doubt(region, &group, &instance, now),
        GroupDue::Look { group, instance } => health::look(region, &group, &instance, now),
    }
}

/// What EC2 tells after something about an instance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstanceChange {
    State(InstanceState),
    /// User data begins to run.
    Booted,
    /// Status checks fail (true) or pass again.
    Impaired(bool),
    /// A spot interruption notice.
    SpotNotice,
}

/// Called by EC2 after each change, once; the instance need not be in a group.
pub(crate) fn instance_changed(
    region: &mut Region,
    instance: &str,
    change: InstanceChange,
    now: Timestamp,
) {
    if change != InstanceChange::Booted {
        cloudwatch::instance_changed(region, instance, now);
    }
    if let Some(group) = group_of(region, instance) {
        health::instance_changed(region, &group, instance, change, now);
    }
}

/// Called after a zone went dark or came back.
pub(crate) fn zone_changed(region: &mut Region, zone: &str, dark: bool, now: Timestamp) {
    cloudwatch::zone_changed(region, zone, now);
    health::zone_changed(region, zone, dark, now);
}

/// Where an instance stands in its group, if it is in one: `InService`, `Pending:Wait` …
pub(crate) fn lifecycle_of(region: &Region, instance: &str) -> Option<String> {
    let member = region
        .model
        .groups
        .values()
        .find_map(|group| group.members.get(instance))?;
    Some(member.lifecycle.to_string())
}

/// What the instance's own metadata calls its target lifecycle state.
pub(crate) fn target_of(region: &Region, instance: &str) -> Option<&'static str> {
    let member = region
        .model
        .groups
        .values()
        .find_map(|group| group.members.get(instance))?;
    Some(member.lifecycle.target())
}

fn group_of(region: &Region, instance: &str) -> Option<String> {
    // The instance knows its group, which spares a search through a thousand.
    let service = region.model.instances.get(instance)?.service.as_ref()?;
    let group = region.model.groups.get(service)?;
    group
        .members
        .contains_key(instance)
        .then(|| service.clone())
}

fn member<'a>(region: &'a Region, group: &str, instance: &str) -> Option<&'a Member> {
    region.model.groups.get(group)?.members.get(instance)
}

fn member_mut<'a>(region: &'a mut Region, group: &str, instance: &str) -> Option<&'a mut Member> {
    region
        .model
        .groups
        .get_mut(group)?
        .members
        .get_mut(instance)
}

fn group_arn(region: &mut Region, name: &str) -> String {
    let uuid = region.dice.uuid("group");
    let (region_name, account) = (&region.settings.name, &region.settings.account);
    format!(
        "arn:aws:autoscaling:{region_name}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}"
    )
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

fn no_such_group(name: &str) -> ApiError {
    invalid(format!(
        "AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
    ))
}

fn no_such_member(instance: &str) -> ApiError {
    invalid(format!(
        "Instance Id not found - No managed instance found for instance ID: {instance}"
    ))
}

/// A parameter that must be there, refused in Auto Scaling's own words.
fn need<'a>(params: &'a Params, name: &str) -> Result<&'a str, ApiError> {
    let missing = || {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        let member: String = first.into_iter().chain(letters).collect();
        invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    };
    params
        .get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(missing)
}

/// The group a request names, by name or ARN.
fn named_group<'a>(region: &'a mut Region, params: &Params) -> Result<&'a mut Group, ApiError> {
    let named = need(params, "AutoScalingGroupName")?;
    let name = named
        .rsplit("autoScalingGroupName/")
        .next()
        .unwrap_or(named);
    region
        .model
        .groups
        .get_mut(name)
        .ok_or_else(|| no_such_group(named))
}

fn number(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let wrong = |_| {
        invalid(format!(
            "The value of {name} must be a number that is not negative"
        ))
    };
    params.number(name).map_err(wrong)
}

fn flag(params: &Params, name: &str) -> Result<Option<bool>, ApiError> {
    params
        .flag(name)
        .map_err(|_| invalid(format!("The value of {name} must be true or false")))
}
