//! Lifecycle hooks: which transitions of a group are held, and for how long?

use jiff::Timestamp;
use serde_json::json;

use super::model::{Group, Hook, Transition, Verdict};
use super::{actions, invalid, named_group, need, number};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Xml, timestamp};
use crate::{Closed, Region, events};

const HEARTBEAT_TIMEOUT_S: std::ops::RangeInclusive<u64> = 30..=7200;
const HEARTBEAT_TIMEOUT_S_DEFAULT: u64 = 3600;
const HOOKS_MAX: usize = 50;

pub(crate) fn any(region: &Region, group: &str, transition: Transition) -> bool {
    let group = region.model.groups.get(group);
    group.is_some_and(|group| {
        group
            .hooks
            .values()
            .any(|hook| hook.transition == transition)
    })
}

/// PutLifecycleHook: what is not said of a hook that exists stays as it was.
pub(crate) fn put(region: &mut Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let name = need(params, "LifecycleHookName")?.to_owned();
    let group = named_group(region, params)?;
    let old = group.hooks.get(&name).cloned();
    if old.is_none() && group.hooks.len() >= HOOKS_MAX {
        let message = format!(
            "You may not have more than {HOOKS_MAX} lifecycle hooks for one Auto Scaling group."
        );
        return Err(ApiError::new("LimitExceeded", message));
    }
    let hook = from_params(&name, old, params)?;
    let (target, group_name, arn) = (hook.target.clone(), group.name.clone(), group.arn.clone());
    group.hooks.insert(name, hook);
    if let Some(target) = target {
        let test = json!({
            "AccountId": region.settings.account,
            "RequestId": region.dice.uuid("notification"),
            "AutoScalingGroupARN": arn,
            "AutoScalingGroupName": group_name,
            "Service": "AWS Auto Scaling",
            "Event": "autoscaling:TEST_NOTIFICATION",
            "Time": timestamp(now),
        });
        events::send_to(region, &target, &test, now);
    }
    Ok(Xml::new())
}

/// A hook as a request describes it, on top of what was known of it.
pub(crate) fn from_params(
    name: &str,
    old: Option<Hook>,
    params: &Params,
) -> Result<Hook, ApiError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_/".contains(letter);
    if name.len() > 255 || !name.chars().all(plain) {
        return Err(invalid(format!(
            "The lifecycle hook name '{name}' may hold letters, digits, -, _ and / only"
        )));
    }
    let transition = match params.get("LifecycleTransition") {
        Some(text) => Some(Transition::parse(text).ok_or_else(|| {
            invalid(format!(
                "Unable to create lifecycle hook: unknown lifecycle transition {text}"
            ))
        })?),
        None => old.as_ref().map(|hook| hook.transition),
    };
    let transition = transition.ok_or_else(|| {
        invalid("A lifecycle transition must be specified when a lifecycle hook is created")
    })?;
    let timeout = number(params, "HeartbeatTimeout")?;
    let timeout = timeout
        .or(old.as_ref().map(|hook| hook.heartbeat_timeout_s))
        .unwrap_or(HEARTBEAT_TIMEOUT_S_DEFAULT);
    if !HEARTBEAT_TIMEOUT_S.contains(&timeout) {
        return Err(invalid(
            "The specified HeartbeatTimeout value must be between 30 and 7200 seconds",
        ));
    }
    let default_result = match params.get("DefaultResult") {
        Some(text) => verdict(text, "defaultResult")?,
        None => old
            .as_ref()
            .map_or(Verdict::Abandon, |hook| hook.default_result),
    };
    let text = |key: &str, old: Option<String>| params.get(key).map(str::to_owned).or(old);
    Ok(Hook {
        name: name.to_owned(),
        transition,
        heartbeat_timeout_s: timeout,
        default_result,
        target: text(
            "NotificationTargetARN",
            old.as_ref().and_then(|hook| hook.target.clone()),
        )
        .filter(|target| !target.is_empty()),
        role: text("RoleARN", old.as_ref().and_then(|hook| hook.role.clone())),
        metadata: text("NotificationMetadata", old.and_then(|hook| hook.metadata)),
    })
}

pub(crate) fn verdict(text: &str, parameter: &str) -> Result<Verdict, ApiError> {
    let unknown = || {
        invalid(format!(
            "The value '{text}' of {parameter} is not valid: use CONTINUE or ABANDON"
        ))
    };
    Verdict::parse(text).ok_or_else(unknown)
}

/// DeleteLifecycleHook: open actions end first, with ABANDON for a launching
/// instance and CONTINUE for a terminating one.
pub(crate) fn delete(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let hook = need(params, "LifecycleHookName")?.to_owned();
    let group = named_group(region, params)?;
    if group.hooks.remove(&hook).is_none() {
        return Err(invalid(format!(
            "No Lifecycle Hook found with name: {hook}"
        )));
    }
    let name = group.name.clone();
    let mut waiting = Vec::new();
    for member in group.members.values() {
        let of_hook = member.actions.iter().filter(|action| action.hook == hook);
        waiting.extend(of_hook.map(|action| {
            (
                member.instance.clone(),
                action.token.clone(),
                action.transition,
            )
        }));
    }
    for (instance, token, transition) in waiting {
        let (verdict, how) = match transition {
            Transition::Launching => (Verdict::Abandon, Closed::Abandon),
            Transition::Terminating => (Verdict::Continue, Closed::Continue),
        };
        actions::close(region, &name, &instance, &token, verdict, how, "aws", now);
    }
    Ok(Xml::new())
}

/// DescribeLifecycleHooks.
pub(crate) fn describe(region: &mut Region, params: &Params) -> Result<Xml, ApiError> {
    let names = params.list("LifecycleHookNames");
    let group = named_group(region, params)?;
    let wanted = |hook: &&Hook| names.is_empty() || names.contains(&hook.name);
    let mut xml = Xml::new();
    xml.list(
        "LifecycleHooks",
        "member",
        group.hooks.values().filter(wanted),
        |xml, hook| write(xml, group, hook),
    );
    Ok(xml)
}

fn write(xml: &mut Xml, group: &Group, hook: &Hook) {
    xml.leaf("LifecycleHookName", &hook.name);
    xml.leaf("AutoScalingGroupName", &group.name);
    xml.leaf("LifecycleTransition", hook.transition.as_str());
    xml.maybe("NotificationTargetARN", hook.target.as_deref());
    xml.maybe("RoleARN", hook.role.as_deref());
    xml.maybe("NotificationMetadata", hook.metadata.as_deref());
    xml.leaf("HeartbeatTimeout", hook.heartbeat_timeout_s);
    xml.leaf("GlobalTimeout", hook.global_timeout_s());
    xml.leaf("DefaultResult", hook.default_result.as_str());
}
