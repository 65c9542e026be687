//! Lifecycle actions: opened, kept alive, answered, or timed out.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::model::{ActivityStatus, Hook, Lifecycle, LifecycleAction, Member, Transition, Verdict};
use super::{
    GroupDue, activities, hooks, invalid, launches, member, member_mut, members, named_group, need,
};
use crate::engine::Due;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Xml, timestamp};
use crate::{Closed, Region, What, after, events};

/// Asks every hook of the transition. If the last one was deleted meanwhile, the member moves on.
pub(crate) fn open(
    region: &mut Region,
    name: &str,
    instance: &str,
    transition: Transition,
    now: Timestamp,
) {
    members::note(
        region,
        name,
        instance,
        ActivityStatus::MidLifecycleAction,
        now,
    );
    let hooks: Vec<Hook> = match region.model.groups.get(name) {
        Some(group) => group
            .hooks
            .values()
            .filter(|hook| hook.transition == transition)
            .cloned()
            .collect(),
        None => Vec::new(),
    };
    if hooks.is_empty() {
        conclude(region, name, instance, now);
    }
    for hook in hooks {
        open_one(region, name, instance, &hook, now);
    }
}

fn open_one(region: &mut Region, name: &str, instance: &str, hook: &Hook, now: Timestamp) {
    let token = region.dice.uuid("lifecycle-action");
    let deadline = after(now, Duration::from_secs(hook.heartbeat_timeout_s));
    let Some(member) = member_mut(region, name, instance) else {
        return;
    };
    member.actions.push(LifecycleAction {
        hook: hook.name.clone(),
        transition: hook.transition,
        token: token.clone(),
        opened: now,
        deadline,
        last_deadline: after(now, Duration::from_secs(hook.global_timeout_s())),
        heartbeat_timeout_s: hook.heartbeat_timeout_s,
        default_result: hook.default_result,
        heartbeats: 0,
    });
    plan_end(region, name, instance, &token, deadline);
    let opened = What::HookOpened {
        group: name.to_owned(),
        instance: instance.to_owned(),
        transition: hook.transition.as_str().to_owned(),
        token: token.clone(),
    };
    region.log(now, "aws", opened);
    tell(region, name, instance, hook, &token, now);
}

fn plan_end(region: &mut Region, name: &str, instance: &str, token: &str, at: Timestamp) {
    let [group, instance, token] = [name, instance, token].map(str::to_owned);
    region.engine.plan(
        at,
        Due::Group(GroupDue::HookEnds {
            group,
            instance,
            token,
        }),
    );
}

/// By EventBridge, and directly if the hook names a queue.
fn tell(region: &mut Region, name: &str, instance: &str, hook: &Hook, token: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let Some(member) = group.members.get(instance) else {
        return;
    };
    let (origin, destination) = journey(member.lifecycle, member.pooled);
    let mut detail = json!({
        "LifecycleActionToken": token,
        "AutoScalingGroupName": name,
        "LifecycleHookName": hook.name,
        "EC2InstanceId": instance,
        "LifecycleTransition": hook.transition.as_str(),
        "Origin": origin,
        "Destination": destination,
    });
    add(
        &mut detail,
        "NotificationMetadata",
        hook.metadata.as_deref(),
    );
    let arn = group.arn.clone();
    if let Some(target) = &hook.target {
        let request = region.dice.uuid("notification");
        let mut direct = detail.clone();
        add(&mut direct, "AccountId", Some(&region.settings.account));
        add(&mut direct, "RequestId", Some(&request));
        add(&mut direct, "Service", Some("AWS Auto Scaling"));
        add(&mut direct, "Time", Some(&timestamp(now)));
        events::send_to(region, target, &direct, now);
    }
    let detail_type = match hook.transition {
        Transition::Launching => "EC2 Instance-launch Lifecycle Action",
        Transition::Terminating => "EC2 Instance-terminate Lifecycle Action",
    };
    events::emit(region, detail_type, "aws.autoscaling", &[arn], detail, now);
}

fn add(to: &mut Value, key: &str, value: Option<&str>) {
    if let (Some(members), Some(value)) = (to.as_object_mut(), value) {
        members.insert(key.to_owned(), value.into());
    }
}

/// Where a member comes from and goes to, as the event says it.
fn journey(lifecycle: Lifecycle, pooled: bool) -> (&'static str, &'static str) {
    match (lifecycle, pooled) {
        (Lifecycle::WarmedPendingWait, _) => ("EC2", "WarmPool"),
        (Lifecycle::WarmedTerminatingWait, _) => ("WarmPool", "EC2"),
        (Lifecycle::PendingWait, true) => ("WarmPool", "AutoScalingGroup"),
        (Lifecycle::PendingWait, false) => ("EC2", "AutoScalingGroup"),
        (_, true) => ("AutoScalingGroup", "WarmPool"),
        (_, false) => ("AutoScalingGroup", "EC2"),
    }
}

/// A lifecycle action's time may be over; a heartbeat may have moved it.
pub(crate) fn time_out(
    region: &mut Region,
    name: &str,
    instance: &str,
    token: &str,
    now: Timestamp,
) {
    let over = |action: &&LifecycleAction| action.token == token && action.deadline <= now;
    let Some(action) =
        member(region, name, instance).and_then(|member| member.actions.iter().find(over))
    else {
        return;
    };
    let verdict = action.default_result;
    let how = if action.deadline < action.last_deadline {
        Closed::TimedOut
    } else {
        Closed::GlobalTimeout
    };
    close(region, name, instance, token, verdict, how, "aws", now);
}

/// The member goes another way: what was asked needs no answer any more.
pub(crate) fn cancel(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    let Some(member) = member_mut(region, name, instance) else {
        return;
    };
    for action in std::mem::take(&mut member.actions) {
        record_close(
            region,
            name,
            instance,
            &action,
            Closed::Withdrawn,
            "aws",
            now,
        );
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "an answer is all of this at once"
)]
pub(crate) fn close(
    region: &mut Region,
    name: &str,
    instance: &str,
    token: &str,
    verdict: Verdict,
    how: Closed,
    who: &str,
    now: Timestamp,
) {
    let Some(member) = member_mut(region, name, instance) else {
        return;
    };
    let Some(place) = member
        .actions
        .iter()
        .position(|action| action.token == token)
    else {
        return;
    };
    let action = member.actions.remove(place);
    member.abandoned |= verdict == Verdict::Abandon;
    let done = member.actions.is_empty() || member.abandoned;
    record_close(region, name, instance, &action, how, who, now);
    if done {
        // An abandoned action skips the hooks that have not answered yet.
        cancel(region, name, instance, now);
        conclude(region, name, instance, now);
    }
}

fn record_close(
    region: &mut Region,
    name: &str,
    instance: &str,
    action: &LifecycleAction,
    how: Closed,
    who: &str,
    now: Timestamp,
) {
    let closed = What::HookClosed {
        group: name.to_owned(),
        instance: instance.to_owned(),
        transition: action.transition.as_str().to_owned(),
        how,
        heartbeats: action.heartbeats,
    };
    region.log(now, who, closed);
}

/// Every hook of the transition has been answered.
fn conclude(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    let Some(member) = member(region, name, instance) else {
        return;
    };
    let (lifecycle, abandoned, activity) =
        (member.lifecycle, member.abandoned, member.activity.clone());
    let retains = region
        .model
        .groups
        .get(name)
        .is_some_and(|group| group.retain_on_abandon);
    match lifecycle {
        Lifecycle::PendingWait | Lifecycle::WarmedPendingWait if abandoned => {
            let reason = "Instance failed to complete user's Lifecycle Action: the lifecycle action was abandoned.";
            activities::fail(region, name, activity.as_deref(), reason, now);
            launches::slow_down(region, name, now);
            let text = "an instance was taken out of service in response to an abandoned launch lifecycle action.";
            members::terminate(region, name, instance, text, members::Hooked::Yes, now);
        }
        Lifecycle::PendingWait => {
            members::arrive(region, name, instance, Lifecycle::PendingProceed, now)
        }
        Lifecycle::WarmedPendingWait => {
            members::arrive(region, name, instance, Lifecycle::WarmedPendingProceed, now)
        }
        Lifecycle::TerminatingWait if abandoned && retains => {
            members::arrive(region, name, instance, Lifecycle::TerminatingRetained, now);
        }
        Lifecycle::TerminatingWait => {
            members::arrive(region, name, instance, Lifecycle::TerminatingProceed, now)
        }
        Lifecycle::WarmedTerminatingWait => {
            members::arrive(
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

/// CompleteLifecycleAction.
pub(crate) fn complete(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let result = need(params, "LifecycleActionResult")?;
    let verdict = hooks::verdict(result, "lifecycleActionResult")?;
    let (group, instance, token) = find(region, params)?;
    let how = match verdict {
        Verdict::Continue => Closed::Continue,
        Verdict::Abandon => Closed::Abandon,
    };
    close(region, &group, &instance, &token, verdict, how, caller, now);
    Ok(Xml::new())
}

/// RecordLifecycleActionHeartbeat: the full period begins anew, within the global time-out.
pub(crate) fn heartbeat(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let (group, instance, token) = find(region, params)?;
    let member = member_mut(region, &group, &instance);
    let action = member.and_then(|member| {
        member
            .actions
            .iter_mut()
            .find(|action| action.token == token)
    });
    if let Some(action) = action {
        let renewed = after(now, Duration::from_secs(action.heartbeat_timeout_s));
        action.deadline = renewed.min(action.last_deadline);
        action.heartbeats = action.heartbeats.saturating_add(1);
        let deadline = action.deadline;
        plan_end(region, &group, &instance, &token, deadline);
    }
    Ok(Xml::new())
}

/// The open action a request means: group, instance and token.
fn find(region: &mut Region, params: &Params) -> Result<(String, String, String), ApiError> {
    let hook = need(params, "LifecycleHookName")?;
    let group = named_group(region, params)?;
    let token = params
        .get("LifecycleActionToken")
        .filter(|token| !token.is_empty());
    let instance = params
        .get("InstanceId")
        .filter(|instance| !instance.is_empty());
    if token.is_none() && instance.is_none() {
        return Err(invalid(
            "Either LifecycleActionToken or InstanceId must be specified",
        ));
    }
    let meant = |member: &&Member| instance.is_none_or(|instance| member.instance == instance);
    for member in group.members.values().filter(meant) {
        let meant = |action: &&LifecycleAction| {
            action.hook == hook && token.is_none_or(|token| action.token == token)
        };
        if let Some(action) = member.actions.iter().find(meant) {
            return Ok((
                group.name.clone(),
                member.instance.clone(),
                action.token.clone(),
            ));
        }
    }
    Err(invalid(match (token, instance) {
        (Some(token), _) => format!("No active Lifecycle Action found with token {token}"),
        (None, instance) => {
            format!(
                "No active Lifecycle Action found with instance ID {}",
                instance.unwrap_or_default()
            )
        }
    }))
}
