//! The command that makes an alarm as it should be. It replaces the alarm as a
//! whole, so what the old one told people is told again.

use super::super::facts::{AlarmSetup, Facts, MetricSetup};
use super::super::mend::{Command, aws};
use super::is_status_check;
use crate::ids::InstanceId;
use crate::spec::{GroupSpec, Kind};

/// A status check of the holder, or of the group.
pub(super) fn status_check(spec: &GroupSpec, name: &str, facts: &Facts) -> Command {
    put(spec, name, "StatusCheckFailed", &about(spec, facts))
}

/// The same status check as before, about the right one, and with its
/// notifications. Where it is on something else, a status check.
pub(super) fn again(spec: &GroupSpec, name: &str, facts: &Facts, alarm: &AlarmSetup) -> Command {
    keeping(put(spec, name, metric(alarm), &about(spec, facts)), alarm)
}

/// Only its numbers were wrong, not whom it is about.
pub(super) fn in_place(spec: &GroupSpec, name: &str, facts: &Facts, alarm: &AlarmSetup) -> Command {
    let own = alarm.metric.as_ref().and_then(own_dimension);
    let about = own.unwrap_or_else(|| about(spec, facts));
    keeping(put(spec, name, metric(alarm), &about), alarm)
}

/// A status check of this member of a pair.
pub(super) fn of_member(spec: &GroupSpec, member: &InstanceId) -> Command {
    let about = format!("Name=InstanceId,Value={member}");
    let name = format!("{}-{member}", spec.name);
    put(spec, &name, "StatusCheckFailed", &about).note("then add it as [[group.alarm]]")
}

fn metric(alarm: &AlarmSetup) -> &str {
    let own = alarm.metric.as_ref().filter(|m| is_status_check(m));
    own.map_or("StatusCheckFailed", |m| m.name.as_str())
}

fn own_dimension(metric: &MetricSetup) -> Option<String> {
    let mut named = metric
        .dimensions
        .iter()
        .filter(|(key, _)| matches!(key.as_str(), "InstanceId" | "AutoScalingGroupName"));
    let (key, value) = named.next()?;
    Some(format!("Name={key},Value={value}"))
}

fn about(spec: &GroupSpec, facts: &Facts) -> String {
    match (&spec.kind, &facts.plan.holder) {
        (Kind::Asg, _) => format!("Name=AutoScalingGroupName,Value={}", spec.name),
        (Kind::Pair { .. }, Some(holder)) => format!("Name=InstanceId,Value={holder}"),
        (Kind::Pair { members }, None) => {
            let first = members.first().map_or("i-PRIMARY", InstanceId::as_str);
            format!("Name=InstanceId,Value={first}")
        }
    }
}

fn put(spec: &GroupSpec, name: &str, metric: &str, about: &str) -> Command {
    // A reboot takes up to three minutes, and is no reason to move.
    let periods = match metric {
        "StatusCheckFailed_System" => 2,
        _ => 4,
    };
    aws("cloudwatch put-metric-alarm")
        .with("alarm-name", name)
        .and("--namespace AWS/EC2")
        .with("metric-name", metric)
        .and("--statistic Maximum")
        .with("dimensions", about)
        .with("evaluation-periods", periods)
        .and("--period 60 --threshold 1")
        .and("--comparison-operator GreaterThanOrEqualToThreshold")
        .with(
            "treat-missing-data",
            match spec.kind {
                Kind::Asg => "notBreaching",
                Kind::Pair { .. } => "breaching",
            },
        )
}

/// What it tells people; not what EC2 was to do by itself.
fn keeping(mut command: Command, alarm: &AlarmSetup) -> Command {
    for (flag, arns) in [
        ("alarm-actions", &alarm.actions),
        ("ok-actions", &alarm.ok_actions),
    ] {
        let told: Vec<&str> = arns
            .iter()
            .map(String::as_str)
            .filter(|arn| !super::is_act_of_ec2(arn))
            .collect();
        if !told.is_empty() {
            command = command.and(&format!("--{flag} {}", told.join(" ")));
        }
    }
    command
}
