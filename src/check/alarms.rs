//! Can each configured alarm ring, and does it ring for what it is there for?

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::facts::{AlarmSetup, Facts, MetricSetup};
use super::finding::{Finding, Part, Sheet};
use super::hooks::span;
use super::mend::{Command, advice, aws};
use crate::ids::InstanceId;
use crate::spec::{GroupSpec, Kind};

/// Longer than that, a person is faster.
const SLOW: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Alarms);
    if spec.alarms.is_empty() {
        if matches!(spec.kind, Kind::Pair { .. }) {
            sheet.warning(
                "alarm",
                "the pair has no alarm",
                "only a primary that is terminated is replaced; one that hangs is not",
                status_check(spec, "ALARM-NAME", facts.plan.holder.as_ref())
                    .and("  # then add [[group.alarm]]"),
            );
        }
        return sheet.done();
    }
    if let Some(all) = sheet.known("alarms", &facts.alarms) {
        for name in &spec.alarms {
            match all.get(name) {
                None => sheet.wrong(
                    "alarm",
                    format!("there is no alarm {name}"),
                    "it never rings: an instance that hangs stays where it is",
                    status_check(spec, name, facts.plan.holder.as_ref()),
                ),
                Some(alarm) => one(&mut sheet, facts, spec, name, alarm),
            }
        }
    }
    sheet.done()
}

fn one(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, name: &str, alarm: &AlarmSetup) {
    let before = sheet.len();
    if alarm.state == "INSUFFICIENT_DATA" {
        let since = alarm
            .since
            .map_or_else(String::new, |at| format!(" since {at:.0}"));
        sheet.warning(
            "alarm-state",
            format!("{name} has too little data{since}"),
            "it cannot ring before its metric has data",
            advice("see whether the metric and its dimensions exist: aws cloudwatch list-metrics"),
        );
    }
    if let Some(metric) = &alarm.metric {
        can_fire(sheet, name, metric);
        about(sheet, facts, spec, name, metric);
        in_time(sheet, spec, name, metric);
        missing_data(sheet, facts, spec, name, metric);
    }
    acts_alone(sheet, name, alarm);
    if sheet.len() == before {
        let says = match (&alarm.metric, alarm.composite) {
            (Some(metric), _) => format!(
                "{name}: {} of {}, {} after it begins",
                metric.name,
                dimensions(metric),
                span(takes(metric))
            ),
            (None, true) => {
                format!("{name} is a composite alarm; what its parts watch is not looked into")
            }
            (None, false) => format!("{name} is on an expression, which is not looked into"),
        };
        sheet.right("alarm", says);
    }
}

fn is_status_check(metric: &MetricSetup) -> bool {
    metric.namespace == "AWS/EC2" && metric.name.starts_with("StatusCheckFailed")
}

/// A status check is 0 or 1.
fn can_fire(sheet: &mut Sheet, name: &str, metric: &MetricSetup) {
    let Some(threshold) = metric.threshold.filter(|_| is_status_check(metric)) else {
        return;
    };
    let fires = match metric.comparison.as_str() {
        "GreaterThanThreshold" => (0.0..1.0).contains(&threshold),
        "GreaterThanOrEqualToThreshold" => threshold > 0.0 && threshold <= 1.0,
        _ => false,
    };
    if !fires {
        sheet.wrong(
            "alarm-threshold",
            format!(
                "{name} rings at {} {threshold}, and a status check is 0 or 1",
                metric.comparison
            ),
            "it never rings, or rings while all is well",
            advice("use --comparison-operator GreaterThanOrEqualToThreshold --threshold 1"),
        );
    }
}

/// An alarm on one instance is about nobody once that instance is replaced.
fn about(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, name: &str, metric: &MetricSetup) {
    let instance = metric.dimensions.get("InstanceId").map(InstanceId::new);
    let group = metric.dimensions.get("AutoScalingGroupName");
    match (&spec.kind, instance, group) {
        (Kind::Asg, Some(instance), _) => {
            let now = if facts.plan.holder.as_ref() == Some(&instance) {
                "the present holder"
            } else {
                "not the holder"
            };
            let says = format!("{name} watches {instance} alone, {now}");
            let risk = "after the next replacement it watches an instance that is gone";
            let mend = status_check(spec, name, None);
            if now == "not the holder" {
                sheet.wrong("alarm-about", says, risk, mend);
            } else {
                sheet.warning("alarm-about", says, risk, mend);
            }
        }
        (Kind::Asg, None, Some(other)) if other != spec.name.as_str() => sheet.wrong(
            "alarm-about",
            format!("{name} watches the group {other}"),
            "the failure of another group would move this one",
            status_check(spec, name, None),
        ),
        (Kind::Pair { members }, Some(instance), _) if !members.contains(&instance) => sheet.wrong(
            "alarm-about",
            format!("{name} watches {instance}, which is no member of the pair"),
            "the failure of a stranger would move this pair, and its own is not noticed",
            status_check(spec, name, facts.plan.holder.as_ref()),
        ),
        (Kind::Pair { .. }, None, _) | (Kind::Asg, None, None) if metric.namespace == "AWS/EC2" => {
            sheet.warning(
                "alarm-about",
                format!("{name} names neither an instance nor the group"),
                "the failure of any instance of the account may move this group",
                status_check(spec, name, facts.plan.holder.as_ref()),
            );
        }
        _ => {}
    }
}

fn takes(metric: &MetricSetup) -> SignedDuration {
    let seconds = i64::from(metric.period_s).saturating_mul(i64::from(metric.evaluation_periods));
    SignedDuration::from_secs(seconds)
}

fn in_time(sheet: &mut Sheet, spec: &GroupSpec, name: &str, metric: &MetricSetup) {
    let all = takes(metric).saturating_add(spec.policy.confirm_for);
    if all > SLOW {
        sheet.warning(
            "alarm-speed",
            format!(
                "{name} needs {} x {} s, and confirm_for another {}",
                metric.evaluation_periods,
                metric.period_s,
                span(spec.policy.confirm_for)
            ),
            format!("a failover begins {} after the failure", span(all)),
            advice("use --period 60 --evaluation-periods 2, and a shorter confirm_for"),
        );
    }
}

/// What hangs or is in the dark publishes nothing.
fn missing_data(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    name: &str,
    metric: &MetricSetup,
) {
    let silent = matches!(
        metric.treat_missing.as_str(),
        "" | "missing" | "notBreaching" | "ignore"
    );
    if !is_status_check(metric) || !silent {
        return;
    }
    // Auto Scaling itself replaces what EC2 calls dead; in a pair nobody does.
    if matches!(spec.kind, Kind::Pair { .. }) {
        let says = match metric.treat_missing.as_str() {
            "" => "missing",
            said => said,
        };
        sheet.warning(
            "alarm-missing-data",
            format!("{name} treats missing data as \"{says}\""),
            "an instance that publishes nothing any more, in a zone that is down, never rings",
            status_check(spec, name, facts.plan.holder.as_ref()),
        );
    }
}

/// An action of EC2 beside rehome, on the same instance.
fn acts_alone(sheet: &mut Sheet, name: &str, alarm: &AlarmSetup) {
    let own: BTreeSet<&str> = alarm
        .actions
        .iter()
        .filter(|arn| arn.contains(":automate:") || arn.contains(":swf:"))
        .filter_map(|arn| arn.rsplit(':').next())
        .collect();
    if !own.is_empty() {
        let all: Vec<&str> = own.into_iter().collect();
        sheet.warning(
            "alarm-actions",
            format!("{name} makes EC2 {} the instance by itself", all.join(", ")),
            "EC2 and rehome act on the same instance at the same time; for members of an Auto \
             Scaling group EC2 does not support recovery at all",
            advice("take the action off the alarm: rehome reads its state, and needs no action"),
        );
    }
}

fn dimensions(metric: &MetricSetup) -> String {
    let all: Vec<&str> = metric.dimensions.values().map(String::as_str).collect();
    if all.is_empty() {
        "everything".to_owned()
    } else {
        all.join(", ")
    }
}

/// The alarm as it should be.
fn status_check(spec: &GroupSpec, name: &str, holder: Option<&InstanceId>) -> Command {
    let dimension = match (&spec.kind, holder) {
        (Kind::Asg, _) => format!("Name=AutoScalingGroupName,Value={}", spec.name),
        (Kind::Pair { .. }, Some(holder)) => format!("Name=InstanceId,Value={holder}"),
        (Kind::Pair { members }, None) => {
            let first = members.first().map_or("i-PRIMARY", InstanceId::as_str);
            format!("Name=InstanceId,Value={first}")
        }
    };
    aws("cloudwatch put-metric-alarm")
        .with("alarm-name", name)
        .and("--namespace AWS/EC2 --metric-name StatusCheckFailed --statistic Maximum")
        .with("dimensions", dimension)
        .and("--period 60 --evaluation-periods 2 --threshold 1")
        .and("--comparison-operator GreaterThanOrEqualToThreshold")
        .with(
            "treat-missing-data",
            match spec.kind {
                Kind::Asg => "missing",
                Kind::Pair { .. } => "breaching",
            },
        )
}
