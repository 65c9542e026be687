//! Alarms as the region keeps them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::wire::document::Document;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl State {
    pub fn parse(text: &str) -> Option<State> {
        match text {
            "OK" => Some(State::Ok),
            "ALARM" => Some(State::Alarm),
            "INSUFFICIENT_DATA" => Some(State::InsufficientData),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Alarm {
    pub name: String,
    pub arn: String,
    pub composite: bool,
    /// What the alarm was configured with, as it came.
    pub(crate) config: BTreeMap<String, Document>,
    pub configured: Timestamp,
    pub state: State,
    pub reason: String,
    pub reason_data: Option<String>,
    pub updated: Timestamp,
    pub transitioned: Timestamp,
}

impl Alarm {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.config.get(key)? {
            Document::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        match self.config.get(key)? {
            Document::Float(number) => Some(*number),
            Document::Int(number) => Some(*number as f64),
            Document::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The metric's dimensions by name.
    pub(crate) fn dimensions(&self) -> BTreeMap<String, String> {
        self.config
            .get("Dimensions")
            .map(dimensions)
            .unwrap_or_default()
    }

    /// The instance whose status checks this alarm watches.
    pub(crate) fn watched_instance(&self) -> Option<String> {
        let checks = self
            .text("MetricName")
            .is_some_and(|metric| metric.starts_with("StatusCheckFailed"));
        let own = checks && self.text("Namespace") == Some("AWS/EC2");
        self.dimensions().remove("InstanceId").filter(|_| own)
    }

    /// How long without a datapoint until data is missing, in seconds.
    pub(crate) fn window_s(&self) -> u64 {
        let periods = self.number("EvaluationPeriods").unwrap_or(1.0).max(1.0);
        // A cast from a float saturates: no configuration makes this wrong.
        (self.number("Period").unwrap_or(60.0).max(1.0) * periods) as u64
    }

    /// Does this value breach the threshold?
    pub(crate) fn breached_by(&self, value: f64) -> bool {
        let threshold = self.number("Threshold").unwrap_or(0.0);
        match self.text("ComparisonOperator").unwrap_or_default() {
            "GreaterThanOrEqualToThreshold" => value >= threshold,
            "LessThanThreshold" => value < threshold,
            "LessThanOrEqualToThreshold" => value <= threshold,
            _ => value > threshold,
        }
    }
}

/// A list of `{Name, Value}` by name.
pub(crate) fn dimensions(list: &Document) -> BTreeMap<String, String> {
    let Document::List(items) = list else {
        return BTreeMap::new();
    };
    let pair = |item: &Document| {
        Some((
            item.text("Name")?.to_owned(),
            item.text("Value")?.to_owned(),
        ))
    };
    items.iter().filter_map(pair).collect()
}

/// Which metric: namespace, name and dimensions in one text.
pub(crate) fn metric_key(
    namespace: &str,
    metric: &str,
    dimensions: &BTreeMap<String, String>,
) -> String {
    format!("{namespace}\n{metric}\n{dimensions:?}")
}
