//! What is in the envelope? SNS and SQS wrap an event as text inside JSON,
//! once or several times; a batch has several.

use serde_json::Value;

use super::json::{self, text};
use super::unheard::quoted;
use super::{Unheard, batch};

/// A batch of queue messages with a notification in each is the most that
/// occurs; a wrapping more is tolerated.
const MOST_ENVELOPES: usize = 4;

/// What is inside, letter by letter, each readable or not.
type Letters = Vec<Result<Value, Unheard>>;

pub(super) fn open(payload: &[u8]) -> Result<Letters, Unheard> {
    let mut letters = Vec::new();
    unwrap(json::parse(payload)?, MOST_ENVELOPES, &mut letters);
    Ok(letters)
}

fn unwrap(value: Value, envelopes: usize, letters: &mut Letters) {
    let Some(records) = value.get("Records").and_then(Value::as_array) else {
        match text(&value, &["Type"]).filter(|_| value.get("TopicArn").is_some()) {
            None => letters.push(Ok(value)),
            Some("Notification") => inner(text(&value, &["Message"]), envelopes, letters),
            Some(other) => {
                let what = format!("a message of the kind {} from SNS", quoted(other));
                letters.push(Err(Unheard::Foreign(what)));
            }
        }
        return;
    };
    for record in records {
        let source = text(record, &["eventSource"]).or_else(|| text(record, &["EventSource"]));
        match source {
            Some("aws:sns") => inner(text(record, &["Sns", "Message"]), envelopes, letters),
            Some(batch::SQS) => inner(text(record, &["body"]), envelopes, letters),
            Some(other) => {
                let what = format!("a record from {}", quoted(other));
                letters.push(Err(Unheard::Foreign(what)));
            }
            None => letters.push(Err(Unheard::Foreign("a record from nowhere".to_owned()))),
        }
    }
}

fn inner(letter: Option<&str>, envelopes: usize, letters: &mut Letters) {
    let Some(letter) = letter else {
        letters.push(Err(Unheard::Foreign("an empty envelope".to_owned())));
        return;
    };
    let Some(envelopes) = envelopes.checked_sub(1) else {
        letters.push(Err(Unheard::TooDeep));
        return;
    };
    match json::parse(letter.as_bytes()) {
        Ok(value) => unwrap(value, envelopes, letters),
        Err(error) => letters.push(Err(error)),
    }
}
