//! Which messages does a Lambda function get from a queue? Each is done with,
//! or comes back, by itself.

use serde::Deserialize;

/// How such a record says where it is from.
pub(super) const SQS: &str = "aws:sqs";
/// As much as a function is handed at once.
const LARGEST: usize = 6 * 1024 * 1024;

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub queue_arn: String,
    /// How often it was handed over, this time included.
    pub receives: u32,
}

/// A batch as Lambda hands it over; None if it is none.
pub fn batch(payload: &[u8]) -> Option<Vec<Message>> {
    if payload.len() > LARGEST {
        return None;
    }
    let batch: Batch = serde_json::from_slice(payload).ok()?;
    let ours = batch.records.iter().all(|record| record.source == SQS);
    let messages = batch.records.into_iter().map(|record| Message {
        id: record.id,
        body: record.body,
        queue_arn: record.queue_arn,
        receives: record.attributes.receives.parse().unwrap_or(1),
    });
    ours.then(|| messages.collect())
        .filter(|messages: &Vec<_>| !messages.is_empty())
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSource")]
    source: String,
    #[serde(rename = "messageId")]
    id: String,
    #[serde(default)]
    body: String,
    #[serde(default, rename = "eventSourceARN")]
    queue_arn: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default, rename = "ApproximateReceiveCount")]
    receives: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_apart() {
        let payload = br#"{"Records":[
            {"eventSource":"aws:sqs","messageId":"m-1","body":"{}","receiptHandle":"r",
             "eventSourceARN":"arn:aws:sqs:us-east-1:123456789012:rehome",
             "attributes":{"ApproximateReceiveCount":"3"}},
            {"eventSource":"aws:sqs","messageId":"m-2","body":"not json"}]}"#;
        let messages = batch(payload).unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].id.as_str(), messages[0].receives), ("m-1", 3));
        assert_eq!(
            messages[0].queue_arn,
            "arn:aws:sqs:us-east-1:123456789012:rehome"
        );
        assert_eq!(messages[1].body, "not json");
        assert_eq!(messages[1].receives, 1);
    }

    #[test]
    fn what_is_no_batch_of_a_queue_is_none() {
        let sns = br#"{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{}"}}]}"#;
        for other in [
            &sns[..],
            b"{\"Records\":[]}",
            b"{\"Records\":1}",
            b"[]",
            b"",
        ] {
            assert_eq!(batch(other), None);
        }
        let nested = format!(
            "{{\"Records\":{}{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(batch(nested.as_bytes()), None);
    }
}
