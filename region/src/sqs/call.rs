//! What does one request say? The members of its JSON, checked as they are read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::queue::{BadAttribute, Queue};
use crate::Region;
use crate::wire::error::ApiError;

const BATCH_MAX: usize = 10;

/// An entry of a batch, with its id.
pub(super) type Entry<'a> = (&'a str, &'a Map<String, Value>);

/// The input of one operation, and where it was sent.
pub(super) struct Call {
    pub(super) input: Map<String, Value>,
    pub(super) host: String,
}

impl Call {
    pub(super) fn text(&self, key: &str) -> Result<&str, ApiError> {
        let text = self.input.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::missing(key))
    }

    pub(super) fn number(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.input.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!(
                    "Value {value} for parameter {key} is invalid. Reason: Must be between {least} and {most}, if provided."
                );
                Err(ApiError::new("InvalidParameterValue", message))
            }
        }
    }

    pub(super) fn texts(&self, key: &str) -> Vec<&str> {
        let items = self.input.get(key).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    pub(super) fn text_map(&self, key: &str) -> BTreeMap<String, String> {
        let members = self.input.get(key).and_then(Value::as_object);
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        members.into_iter().flatten().filter_map(text).collect()
    }

    /// The name of the queue a request means; only the end of its URL counts,
    /// since the region answers under any host.
    pub(super) fn queue_name(&self) -> Result<&str, ApiError> {
        let url = self.text("QueueUrl")?;
        Ok(url.trim_end_matches('/').rsplit('/').next().unwrap_or(url))
    }

    pub(super) fn target(&self) -> String {
        let name = self.queue_name().or_else(|_| self.text("QueueName"));
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn queue<'a>(&self, region: &'a mut Region) -> Result<&'a mut Queue, ApiError> {
        region
            .model
            .queues
            .get_mut(self.queue_name()?)
            .ok_or_else(no_such_queue)
    }

    pub(super) fn url(&self, region: &Region, name: &str) -> String {
        let scheme = if self.host.ends_with(".amazonaws.com") {
            "https"
        } else {
            "http"
        };
        format!(
            "{scheme}://{}/{}/{name}",
            self.host, region.settings.account
        )
    }

    /// The entries of a batch with their ids, after the checks that all batches share.
    pub(super) fn entries(&self) -> Result<Vec<Entry<'_>>, ApiError> {
        let refuse = |kind: &str, message: &str| {
            ApiError::new(&format!("AWS.SimpleQueueService.{kind}"), message)
        };
        let listed = self
            .input
            .get("Entries")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for entry in listed.iter().filter_map(Value::as_object) {
            let id = entry.get("Id").and_then(Value::as_str).unwrap_or_default();
            if entries.iter().any(|(known, _)| *known == id) {
                return Err(refuse(
                    "BatchEntryIdsNotDistinct",
                    &format!("Id {id} repeated."),
                ));
            }
            entries.push((id, entry));
        }
        match entries.len() {
            0 => Err(refuse(
                "EmptyBatchRequest",
                "There should be at least one entry in the request.",
            )),
            count if count > BATCH_MAX => Err(refuse(
                "TooManyEntriesInBatchRequest",
                &format!(
                    "Maximum number of entries per request are {BATCH_MAX}. You have sent {count}."
                ),
            )),
            _ => Ok(entries),
        }
    }
}

pub(super) fn no_such_queue() -> ApiError {
    ApiError::new(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

pub(super) fn bad_attribute(bad: BadAttribute) -> ApiError {
    match bad {
        BadAttribute::Name(name) => {
            ApiError::new("InvalidAttributeName", format!("Unknown Attribute {name}."))
        }
        BadAttribute::Value(name) => ApiError::new(
            "InvalidAttributeValue",
            format!("Invalid value for the parameter {name}."),
        ),
    }
}
