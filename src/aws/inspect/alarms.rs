//! How are the configured alarms set up?

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, Dimension, MetricAlarm};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::super::{Aws, AwsError};
use super::read;
use crate::check::{AlarmSetup, MetricSetup};

/// As many names as one call takes.
const NAMES_PER_CALL: usize = 100;

impl Aws {
    pub(super) async fn alarm_setups(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, AlarmSetup>, AwsError> {
        let doing = format!("look at the alarms {}", names.join(", "));
        let ask = read("cloudwatch:DescribeAlarms", doing);
        let mut alarms = BTreeMap::new();
        for names in names.chunks(NAMES_PER_CALL) {
            let answer = self
                .call(&ask, async || {
                    self.cloudwatch
                        .describe_alarms()
                        .set_alarm_names(Some(names.to_vec()))
                        .alarm_types(AlarmType::MetricAlarm)
                        .alarm_types(AlarmType::CompositeAlarm)
                        .max_records(100)
                        .send()
                        .await
                })
                .await?;
            alarms.extend(answer.metric_alarms().iter().filter_map(metric));
            alarms.extend(answer.composite_alarms().iter().filter_map(composite));
        }
        Ok(alarms)
    }
}

fn metric(of: &MetricAlarm) -> Option<(String, AlarmSetup)> {
    let setup = AlarmSetup {
        state: of
            .state_value()
            .map_or_else(String::new, |s| s.as_str().to_owned()),
        since: of
            .state_transitioned_timestamp()
            .or(of.state_updated_timestamp())
            .and_then(time),
        metric: watched(of),
        composite: false,
        actions: of.alarm_actions().to_vec(),
        ok_actions: of.ok_actions().to_vec(),
        acts: of.actions_enabled() != Some(false),
    };
    Some((of.alarm_name()?.to_owned(), setup))
}

/// The one metric, named directly or as the only one of a list.
fn watched(of: &MetricAlarm) -> Option<MetricSetup> {
    let mut metric = MetricSetup {
        namespace: String::new(),
        name: String::new(),
        dimensions: BTreeMap::new(),
        period_s: of.period().unwrap_or(60),
        evaluation_periods: of.evaluation_periods().unwrap_or(1),
        comparison: of
            .comparison_operator()
            .map_or_else(String::new, |c| c.as_str().to_owned()),
        threshold: of.threshold(),
        treat_missing: of.treat_missing_data().unwrap_or_default().to_owned(),
    };
    if let Some(name) = of.metric_name() {
        name.clone_into(&mut metric.name);
        of.namespace()
            .unwrap_or_default()
            .clone_into(&mut metric.namespace);
        metric.dimensions = dimensions(of.dimensions());
        return Some(metric);
    }
    let [query] = of.metrics() else { return None };
    let stat = query.metric_stat()?;
    let named = stat.metric()?;
    named.metric_name()?.clone_into(&mut metric.name);
    named
        .namespace()
        .unwrap_or_default()
        .clone_into(&mut metric.namespace);
    metric.dimensions = dimensions(named.dimensions());
    metric.period_s = stat.period().unwrap_or(metric.period_s);
    Some(metric)
}

fn dimensions(of: &[Dimension]) -> BTreeMap<String, String> {
    of.iter()
        .filter_map(|one| Some((one.name()?.to_owned(), one.value()?.to_owned())))
        .collect()
}

fn composite(of: &CompositeAlarm) -> Option<(String, AlarmSetup)> {
    let setup = AlarmSetup {
        state: of
            .state_value()
            .map_or_else(String::new, |s| s.as_str().to_owned()),
        since: of.state_transitioned_timestamp().and_then(time),
        metric: None,
        composite: true,
        actions: of.alarm_actions().to_vec(),
        ok_actions: of.ok_actions().to_vec(),
        acts: of.actions_enabled() != Some(false),
    };
    Some((of.alarm_name()?.to_owned(), setup))
}

fn time(of: &DateTime) -> Option<Timestamp> {
    Timestamp::new(of.secs(), i32::try_from(of.subsec_nanos()).ok()?).ok()
}
