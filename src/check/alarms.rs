//! Can each configured alarm ring, and does it ring for what it is there for?

mod about;
mod mend;
mod state;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use self::mend::{in_place, status_check};
use super::facts::{AlarmSetup, Facts, MetricSetup};
use super::finding::{Finding, Part, Sheet};
use super::hooks::span;
use super::mend::{advice, aws};
use crate::spec::{GroupSpec, Kind};

/// Longer than that, a person is faster.
const SLOW: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn judge(facts: &Facts, spec: &GroupSpec, now: Timestamp) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Alarms);
    if spec.alarms.is_empty() {
        if matches!(spec.kind, Kind::Pair { .. }) {
            sheet.warning(
                "alarm",
                "the pair has no alarm",
                "only a primary that is terminated is replaced; one that hangs is not",
                status_check(spec, &format!("{}-primary", spec.name), facts)
                    .note("then add it as [[group.alarm]], and one for the standby"),
            );
        }
        return sheet.done();
    }
    if let Some(all) = sheet.known("alarms", &facts.alarms) {
        for name in &spec.alarms {
            match all.get(name) {
                None => sheet.wrong(
                    "alarm",
                    format!("there is no alarm {name} in this account and region"),
                    "a daemon says nothing of it and goes on, and it never rings: an instance that \
                     hangs stays where it is",
                    status_check(spec, name, facts),
                ),
                Some(alarm) => one(&mut sheet, facts, spec, (name, alarm), now),
            }
        }
        if let Kind::Pair { members } = &spec.kind {
            about::unwatched(&mut sheet, facts, spec, members);
        }
    }
    sheet.done()
}

fn one(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    (name, alarm): (&str, &AlarmSetup),
    now: Timestamp,
) {
    let before = sheet.len();
    state::judge(sheet, facts, spec, (name, alarm), now);
    if alarm.metric.is_some() {
        can_fire(sheet, facts, spec, name, alarm);
        about::judge(sheet, facts, spec, name, alarm);
        in_time(sheet, facts, spec, name, alarm);
        missing_data(sheet, facts, spec, name, alarm);
    }
    acts_alone(sheet, name, alarm);
    if sheet.len() == before {
        sheet.right("alarm", described(name, alarm));
    }
}

fn described(name: &str, alarm: &AlarmSetup) -> String {
    match (&alarm.metric, alarm.composite) {
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
    }
}

fn is_status_check(metric: &MetricSetup) -> bool {
    metric.namespace == "AWS/EC2" && metric.name.starts_with("StatusCheckFailed")
}

/// A status check is 0 or 1.
fn can_fire(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, name: &str, alarm: &AlarmSetup) {
    let status = alarm.metric.as_ref().filter(|m| is_status_check(m));
    let Some((metric, threshold)) = status.and_then(|m| Some((m, m.threshold?))) else {
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
            match threshold <= 0.0 || metric.comparison.starts_with("Less") {
                true => "it rings while all is well, and moves the group for nothing",
                false => "it never rings: an instance that hangs stays where it is",
            },
            in_place(spec, name, facts, alarm),
        );
    }
}

fn takes(metric: &MetricSetup) -> SignedDuration {
    let seconds = i64::from(metric.period_s).saturating_mul(i64::from(metric.evaluation_periods));
    SignedDuration::from_secs(seconds)
}

fn in_time(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, name: &str, alarm: &AlarmSetup) {
    let Some(metric) = &alarm.metric else { return };
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
            match is_status_check(metric) && takes(metric) > spec.policy.confirm_for {
                true => in_place(spec, name, facts, alarm),
                false => advice("choose a shorter period, fewer periods, or a shorter confirm_for"),
            },
        );
    }
}

/// What hangs or is in the dark publishes nothing. Auto Scaling itself replaces
/// what EC2 calls dead; in a pair nobody does.
fn missing_data(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    name: &str,
    alarm: &AlarmSetup,
) {
    let Some(metric) = alarm.metric.as_ref().filter(|m| is_status_check(m)) else {
        return;
    };
    if metric.treat_missing == "breaching" || spec.kind == Kind::Asg {
        return;
    }
    let says = match metric.treat_missing.as_str() {
        "" => "missing",
        said => said,
    };
    sheet.warning(
        "alarm-missing-data",
        format!("{name} treats missing data as \"{says}\""),
        "an instance that publishes nothing any more, in a zone that is down, never rings",
        in_place(spec, name, facts, alarm),
    );
}

fn is_act_of_ec2(arn: &str) -> bool {
    arn.contains(":automate:") || arn.contains(":swf:")
}

/// An action of EC2 beside rehome, on the same instance.
fn acts_alone(sheet: &mut Sheet, name: &str, alarm: &AlarmSetup) {
    let own: BTreeSet<&str> = alarm
        .actions
        .iter()
        .filter(|arn| alarm.acts && is_act_of_ec2(arn))
        .filter_map(|arn| arn.rsplit(':').next())
        .collect();
    if !own.is_empty() {
        let all: Vec<&str> = own.into_iter().collect();
        sheet.warning(
            "alarm-actions",
            format!("{name} makes EC2 {} the instance by itself", all.join(", ")),
            "EC2 and rehome act on the same instance at the same time; for members of an Auto \
             Scaling group EC2 does not support recovery at all",
            aws("cloudwatch disable-alarm-actions")
                .with("alarm-names", name)
                .note("rehome needs none; or take away this one, to keep its notifications"),
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
