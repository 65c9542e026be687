//! Which of the configured alarms ring?

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::AlarmType;

use super::super::call::Ask;
use super::super::convert;
use super::super::{Aws, AwsError};
use super::{understood, unknown};
use crate::world::{Alarm, Seen};

pub(super) type Shown = Seen<BTreeMap<String, Alarm>>;

/// As many names as one call takes.
const NAMES_PER_CALL: usize = 100;

impl Aws {
    /// An alarm that does not exist is not in the answer.
    pub(super) async fn see_alarms(&self, names: &[String]) -> Shown {
        let mut alarms = BTreeMap::new();
        for names in names.chunks(NAMES_PER_CALL) {
            match self.describe_alarms(names).await {
                Err(error) => return unknown(&error),
                Ok(Err(problem)) => return understood(Err(problem)),
                Ok(Ok(some)) => alarms.extend(some),
            }
        }
        Seen::Known(alarms)
    }

    async fn describe_alarms(
        &self,
        names: &[String],
    ) -> Result<Result<Vec<(String, Alarm)>, String>, AwsError> {
        let doing = format!("look at the alarms {}", names.join(", "));
        let ask = Ask::new("cloudwatch:DescribeAlarms", doing);
        let mut alarms = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self
                .ask(&ask, || {
                    self.cloudwatch
                        .describe_alarms()
                        .set_alarm_names(Some(names.to_vec()))
                        .alarm_types(AlarmType::MetricAlarm)
                        .alarm_types(AlarmType::CompositeAlarm)
                        .max_records(100)
                        .set_next_token(next.clone())
                })
                .await?;
            if page.metric_alarms.is_none() && page.composite_alarms.is_none() {
                let problem = "the answer has no list of alarms";
                return Err(AwsError::garbled(&ask.doing, ask.action, problem));
            }
            let metric = page.metric_alarms().iter().map(convert::metric_alarm);
            let composite = page.composite_alarms().iter().map(convert::composite_alarm);
            match metric.chain(composite).collect::<Result<Vec<_>, _>>() {
                Ok(some) => alarms.extend(some),
                Err(problem) => return Ok(Err(problem)),
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(Ok(alarms));
            }
        }
    }
}
