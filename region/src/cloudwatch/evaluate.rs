//! In which state is an alarm, and whom does it tell?
//!
//! The region knows the status checks of its instances and the metrics that were
//! put into it. An alarm on anything else is never evaluated: it stays as it is,
//! or as SetAlarmState put it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::AlarmDue;
use super::rule;
use super::state::{Alarm, State, metric_key};
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{InstanceState, Power};
use crate::{Region, What, after, between, events};

/// Composite alarms may watch each other; a change goes through this many of them.
const COMPOSITE_ROUNDS_MAX: usize = 8;

/// An alarm will be looked at after the time an evaluation takes.
pub(crate) fn plan(region: &mut Region, name: &str, now: Timestamp) {
    region.plan(
        Delay::AlarmEvaluation,
        Due::Alarm(AlarmDue {
            alarm: name.to_owned(),
        }),
        now,
    );
}

/// Something about an instance changed: alarms on its status checks will notice.
pub(crate) fn instance_changed(region: &mut Region, instance: &str, now: Timestamp) {
    let watches = |alarm: &&Alarm| alarm.watched_instance().as_deref() == Some(instance);
    let names: Vec<String> = region
        .model
        .alarms
        .values()
        .filter(watches)
        .map(|alarm| alarm.name.clone())
        .collect();
    for name in names {
        plan(region, &name, now);
    }
}

/// A zone went dark or came back.
pub(crate) fn zone_changed(region: &mut Region, zone: &str, now: Timestamp) {
    let mut names = Vec::new();
    for alarm in region.model.alarms.values() {
        let machine = alarm
            .watched_instance()
            .and_then(|instance| region.model.instances.get(&instance));
        if machine.is_some_and(|machine| machine.zone == zone) {
            names.push(alarm.name.clone());
        }
    }
    for name in names {
        plan(region, &name, now);
    }
}

/// A value came in: alarms on the metric look at it soon, and again when it is too old.
pub(crate) fn metric_changed(region: &mut Region, key: &str, now: Timestamp) {
    let watches = |alarm: &&Alarm| key_of(alarm).as_deref() == Some(key);
    let found: Vec<(String, u64)> = region
        .model
        .alarms
        .values()
        .filter(watches)
        .map(|alarm| (alarm.name.clone(), alarm.window_s()))
        .collect();
    for (name, window_s) in found {
        plan(region, &name, now);
        let stale = after(now, Duration::from_secs(window_s));
        plan(region, &name, stale);
    }
}

fn key_of(alarm: &Alarm) -> Option<String> {
    Some(metric_key(
        alarm.text("Namespace")?,
        alarm.text("MetricName")?,
        &alarm.dimensions(),
    ))
}

/// What is known about the metric an alarm watches.
enum Known {
    Value(f64),
    Missing,
    Nothing,
}

pub(crate) fn look(region: &mut Region, name: &str, now: Timestamp) {
    let Some(alarm) = region
        .model
        .alarms
        .get(name)
        .filter(|alarm| !alarm.composite)
    else {
        return;
    };
    let (state, reason) = match known(region, alarm, now) {
        Known::Nothing => return,
        Known::Missing => {
            let state = match alarm.text("TreatMissingData").unwrap_or("missing") {
                "breaching" => State::Alarm,
                "notBreaching" => State::Ok,
                "ignore" => return,
                _ => State::InsufficientData,
            };
            (
                state,
                "Insufficient Data: 1 datapoint was unknown.".to_owned(),
            )
        }
        Known::Value(value) => {
            let state = if alarm.breached_by(value) {
                State::Alarm
            } else {
                State::Ok
            };
            (state, reason(alarm, value, state))
        }
    };
    if alarm.state != state {
        change(region, name, state, reason, None, now);
    }
}

fn reason(alarm: &Alarm, value: f64, state: State) -> String {
    let threshold = alarm.number("Threshold").unwrap_or(0.0);
    let was = if state == State::Alarm {
        "breached"
    } else {
        "did not breach"
    };
    format!(
        "Threshold Crossed: 1 out of the last 1 datapoints [{value:?}] {was} the threshold ({threshold:?}) \
         (minimum 1 datapoint for {} -> {} transition).",
        alarm.state.as_str(),
        state.as_str()
    )
}

fn known(region: &Region, alarm: &Alarm, now: Timestamp) -> Known {
    if let Some(instance) = alarm.watched_instance() {
        return status_check(region, alarm, &instance);
    }
    let Some(datapoint) = key_of(alarm).and_then(|key| region.model.metrics.get(&key)) else {
        return Known::Nothing;
    };
    if between(datapoint.at, now)
        >= Duration::from_secs(alarm.window_s()).saturating_add(evaluation_slack(region))
    {
        return Known::Missing;
    }
    Known::Value(datapoint.value)
}

/// An evaluation looks at the past: a value is not too old before it was evaluated at all.
fn evaluation_slack(region: &Region) -> Duration {
    region
        .settings
        .latency
        .spread(Delay::AlarmEvaluation)
        .median
}

fn status_check(region: &Region, alarm: &Alarm, instance: &str) -> Known {
    let Some(machine) = region.model.instances.get(instance) else {
        return Known::Missing;
    };
    if machine.state != InstanceState::Running {
        return Known::Missing;
    }
    let dark = region.model.dark_zones.contains(&machine.zone);
    let crashed = machine.guest.power == Power::Crashed;
    let fails = match alarm.text("MetricName").unwrap_or_default() {
        "StatusCheckFailed_Instance" => crashed || dark,
        "StatusCheckFailed_System" | "StatusCheckFailed_AttachedEBS" => dark,
        _ => crashed || dark || machine.impaired,
    };
    Known::Value(if fails { 1.0 } else { 0.0 })
}

/// The alarm changes its state and tells of it.
pub(crate) fn change(
    region: &mut Region,
    name: &str,
    state: State,
    reason: String,
    reason_data: Option<String>,
    now: Timestamp,
) {
    let Some(alarm) = region.model.alarms.get_mut(name) else {
        return;
    };
    let before = alarm.clone();
    alarm.reason = reason;
    alarm.reason_data = reason_data;
    alarm.updated = now;
    if before.state == state {
        return;
    }
    alarm.state = state;
    alarm.transitioned = now;
    let (arn, detail) = (alarm.arn.clone(), detail(&before, alarm));
    let what = What::AlarmState {
        alarm: name.to_owned(),
        from: before.state.as_str().to_owned(),
        to: state.as_str().to_owned(),
    };
    region.log(now, "aws", what);
    events::emit(
        region,
        "CloudWatch Alarm State Change",
        "aws.cloudwatch",
        &[arn],
        detail,
        now,
    );
    if !before.composite {
        composites(region, now);
    }
}

/// Composite alarms follow the alarms they watch, at once.
pub(crate) fn composites(region: &mut Region, now: Timestamp) {
    for _ in 0..COMPOSITE_ROUNDS_MAX {
        let mut changes = Vec::new();
        for alarm in region.model.alarms.values().filter(|alarm| alarm.composite) {
            let state_of = |name: &str| region.model.alarms.get(name).map(|alarm| alarm.state);
            let holds = rule::holds(alarm.text("AlarmRule").unwrap_or_default(), &state_of);
            let state = if holds == Ok(true) {
                State::Alarm
            } else {
                State::Ok
            };
            if alarm.state != state {
                changes.push((alarm.name.clone(), state));
            }
        }
        if changes.is_empty() {
            return;
        }
        for (name, state) in changes {
            let reason = format!("The alarm rule evaluates to {}.", state == State::Alarm);
            change(region, &name, state, reason, None, now);
        }
    }
}

fn detail(before: &Alarm, alarm: &Alarm) -> Value {
    let configuration = match alarm.text("AlarmRule") {
        Some(rule) => json!({ "alarmRule": rule }),
        None => json!({ "metrics": [metric(alarm)] }),
    };
    json!({
        "alarmName": alarm.name,
        "state": state_json(alarm),
        "previousState": state_json(before),
        "configuration": configuration,
    })
}

fn metric(alarm: &Alarm) -> Value {
    json!({
        "id": "m1",
        "metricStat": {
            "metric": {
                "namespace": alarm.text("Namespace"),
                "name": alarm.text("MetricName"),
                "dimensions": alarm.dimensions(),
            },
            "period": alarm.number("Period"),
            "stat": alarm.text("Statistic"),
        },
        "returnData": true,
    })
}

fn state_json(alarm: &Alarm) -> Value {
    let mut state = Map::new();
    state.insert("value".to_owned(), json!(alarm.state.as_str()));
    state.insert("reason".to_owned(), json!(alarm.reason));
    if let Some(data) = &alarm.reason_data {
        state.insert("reasonData".to_owned(), json!(data));
    }
    // Not RFC 3339: the offset has no colon here.
    state.insert(
        "timestamp".to_owned(),
        json!(
            alarm
                .updated
                .strftime("%Y-%m-%dT%H:%M:%S%.3f+0000")
                .to_string()
        ),
    );
    Value::Object(state)
}
