//! The operations on alarms and metrics.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{self, Alarm, State};
use super::{Datapoint, evaluate, rule};
use crate::Region;
use crate::wire::document::{Document, map};
use crate::wire::error::ApiError;

const RECORDS_MAX: i64 = 100;

pub(crate) type Answer = Result<Document, ApiError>;

pub(crate) fn nothing() -> Document {
    Document::Map(BTreeMap::new())
}

fn refused(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(code, message)
}

fn required<'a>(input: &'a Document, key: &str) -> Result<&'a str, ApiError> {
    let missing = || {
        refused(
            "MissingParameter",
            format!("The parameter {key} is required."),
        )
    };
    input
        .text(key)
        .filter(|text| !text.is_empty())
        .ok_or_else(missing)
}

/// PutMetricAlarm: makes the alarm, or replaces its configuration and keeps its state.
pub(crate) fn put_metric(region: &mut Region, input: &Document, now: Timestamp) -> Answer {
    let name = required(input, "AlarmName")?;
    if input.list("Metrics").is_empty() {
        required(input, "MetricName")?;
        required(input, "Namespace")?;
        if input.int("Period").is_none() {
            return Err(refused(
                "MissingParameter",
                "The parameter Period is required.",
            ));
        }
        if input.get("Statistic").is_none() == input.get("ExtendedStatistic").is_none() {
            let message = "You must specify exactly one of Statistic or ExtendedStatistic.";
            return Err(refused("InvalidParameterCombination", message));
        }
    }
    required(input, "ComparisonOperator")?;
    if input
        .int("EvaluationPeriods")
        .is_none_or(|periods| periods < 1)
    {
        return Err(refused(
            "ValidationError",
            "EvaluationPeriods must be 1 or more.",
        ));
    }
    keep(region, name, false, input, now);
    evaluate::plan(region, name, now);
    Ok(nothing())
}

/// PutCompositeAlarm: its state follows at once.
pub(crate) fn put_composite(region: &mut Region, input: &Document, now: Timestamp) -> Answer {
    let name = required(input, "AlarmName")?;
    let rule = required(input, "AlarmRule")?;
    rule::holds(rule, &|_| None)
        .map_err(|why| refused("ValidationError", format!("Invalid AlarmRule: {why}")))?;
    keep(region, name, true, input, now);
    evaluate::composites(region, now);
    Ok(nothing())
}

fn keep(region: &mut Region, name: &str, composite: bool, input: &Document, now: Timestamp) {
    let Document::Map(mut config) = input.clone() else {
        return;
    };
    config.retain(|key, value| {
        !matches!(key.as_str(), "AlarmName" | "Tags") && *value != Document::Null
    });
    let arn = format!(
        "arn:aws:cloudwatch:{}:{}:alarm:{name}",
        region.settings.name, region.settings.account
    );
    let alarm = region
        .model
        .alarms
        .entry(name.to_owned())
        .or_insert_with(|| Alarm {
            name: name.to_owned(),
            arn,
            composite,
            config: BTreeMap::new(),
            configured: now,
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            updated: now,
            transitioned: now,
        });
    alarm.composite = composite;
    alarm.config = config;
    alarm.configured = now;
}

/// DescribeAlarms: without AlarmTypes, metric alarms only.
pub(crate) fn describe(region: &Region, input: &Document) -> Answer {
    let names = input.texts("AlarmNames");
    let prefix = input.text("AlarmNamePrefix");
    if prefix.is_some() && !names.is_empty() {
        let message = "AlarmNamePrefix and AlarmNames may not both be specified.";
        return Err(refused("InvalidParameterCombination", message));
    }
    let state = match input.text("StateValue") {
        Some(text) => Some(
            State::parse(text)
                .ok_or_else(|| refused("ValidationError", format!("Unknown StateValue {text}")))?,
        ),
        None => None,
    };
    let size = input.int("MaxRecords").unwrap_or(50);
    if !(1..=RECORDS_MAX).contains(&size) {
        return Err(refused(
            "ValidationError",
            format!("MaxRecords must be between 1 and {RECORDS_MAX}."),
        ));
    }
    let types = input.texts("AlarmTypes");
    let composite_asked = types.iter().any(|kind| kind == "CompositeAlarm");
    let metric_asked = types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm");
    let after = input.text("NextToken");
    let fits = |alarm: &&Alarm| {
        (names.is_empty() || names.contains(&alarm.name))
            && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix))
            && state.is_none_or(|state| alarm.state == state)
            && (if alarm.composite {
                composite_asked
            } else {
                metric_asked
            })
            && after.is_none_or(|after| alarm.name.as_str() > after)
    };
    let size = usize::try_from(size).unwrap_or(1);
    let found: Vec<&Alarm> = region
        .model
        .alarms
        .values()
        .filter(fits)
        .take(size + 1)
        .collect();
    let page = found.get(..size).unwrap_or(&found);
    let next = page
        .last()
        .filter(|_| found.len() > size)
        .map(|alarm| Document::from(alarm.name.as_str()));
    let of_kind = |composite| {
        let alarms = page.iter().filter(|alarm| alarm.composite == composite);
        Document::List(alarms.map(|alarm| shown(alarm)).collect())
    };
    Ok(map([
        ("MetricAlarms", Some(of_kind(false))),
        ("CompositeAlarms", Some(of_kind(true))),
        ("NextToken", next),
    ]))
}

fn shown(alarm: &Alarm) -> Document {
    let mut members = alarm.config.clone();
    members
        .entry("ActionsEnabled".to_owned())
        .or_insert(Document::Bool(true));
    for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
        members
            .entry(list.to_owned())
            .or_insert(Document::List(Vec::new()));
    }
    if !alarm.composite {
        members
            .entry("Dimensions".to_owned())
            .or_insert(Document::List(Vec::new()));
    }
    let mut say = |key: &str, value: Document| members.insert(key.to_owned(), value);
    say("AlarmName", alarm.name.as_str().into());
    say("AlarmArn", alarm.arn.as_str().into());
    say(
        "AlarmConfigurationUpdatedTimestamp",
        alarm.configured.into(),
    );
    say("StateValue", alarm.state.as_str().into());
    say("StateReason", alarm.reason.as_str().into());
    say("StateUpdatedTimestamp", alarm.updated.into());
    say("StateTransitionedTimestamp", alarm.transitioned.into());
    if let Some(data) = &alarm.reason_data {
        say("StateReasonData", data.as_str().into());
    }
    typed(&mut members);
    Document::Map(members)
}

/// Numbers and flags as their types demand, whatever protocol they came by:
/// query sends text, and CBOR clients write a whole threshold as an integer.
fn typed(members: &mut BTreeMap<String, Document>) {
    for (key, value) in members.iter_mut() {
        let typed = match (key.as_str(), &*value) {
            ("Threshold", Document::Int(number)) => Some(Document::Float(*number as f64)),
            ("Threshold", Document::Text(text)) => text.parse().ok().map(Document::Float),
            ("Period" | "EvaluationPeriods" | "DatapointsToAlarm", Document::Text(text)) => {
                text.parse().ok().map(Document::Int)
            }
            ("ActionsEnabled", Document::Text(text)) => text.parse().ok().map(Document::Bool),
            _ => None,
        };
        if let Some(typed) = typed {
            *value = typed;
        }
    }
}

/// SetAlarmState: until the next evaluation says otherwise.
pub(crate) fn set_state(region: &mut Region, input: &Document, now: Timestamp) -> Answer {
    let name = required(input, "AlarmName")?;
    let value = required(input, "StateValue")?;
    let state = State::parse(value)
        .ok_or_else(|| refused("ValidationError", format!("Unknown StateValue {value}")))?;
    let reason = required(input, "StateReason")?;
    if !region.model.alarms.contains_key(name) {
        return Err(not_found());
    }
    let data = input.text("StateReasonData").map(str::to_owned);
    evaluate::change(region, name, state, reason.to_owned(), data, now);
    evaluate::plan(region, name, now);
    Ok(nothing())
}

/// DeleteAlarms: all or none.
pub(crate) fn delete(region: &mut Region, input: &Document) -> Answer {
    let names = input.texts("AlarmNames");
    if names
        .iter()
        .any(|name| !region.model.alarms.contains_key(name))
    {
        return Err(not_found());
    }
    for name in names {
        region.model.alarms.remove(&name);
    }
    Ok(nothing())
}

fn not_found() -> ApiError {
    refused("ResourceNotFound", "The named resource does not exist.").with_status(404)
}

/// PutMetricData: the newest value of each metric is kept, which is what alarms need.
pub(crate) fn put_data(region: &mut Region, input: &Document, now: Timestamp) -> Answer {
    let namespace = required(input, "Namespace")?;
    for datum in input.list("MetricData") {
        let metric = required(datum, "MetricName")?;
        let dimensions = datum
            .get("Dimensions")
            .map(state::dimensions)
            .unwrap_or_default();
        let last = match datum.list("Values").last() {
            Some(Document::Float(value)) => Some(*value),
            Some(Document::Int(value)) => Some(*value as f64),
            _ => None,
        };
        let statistics = datum
            .get("StatisticValues")
            .and_then(|values| values.float("Maximum"));
        let Some(value) = datum.float("Value").or(last).or(statistics) else {
            let message =
                "At least one of the parameters must be specified: Value, Values, StatisticValues.";
            return Err(refused("MissingParameter", message));
        };
        let key = state::metric_key(namespace, metric, &dimensions);
        region
            .model
            .metrics
            .insert(key.clone(), Datapoint { value, at: now });
        evaluate::metric_changed(region, &key, now);
    }
    Ok(nothing())
}
