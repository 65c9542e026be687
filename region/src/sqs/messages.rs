//! Operations on messages: sent, received, hidden, deleted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::queue::{Message, VISIBILITY_TIMEOUT_MAX_S};
use super::{Answer, digest};
use crate::Region;
use crate::wire::error::ApiError;

pub(super) const WAIT_S_MAX: i64 = 20;

pub(super) fn send_message(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let body = call.text("MessageBody")?;
    let delay = call.number("DelaySeconds", 0, 900)?;
    let attributes = call
        .input
        .get("MessageAttributes")
        .and_then(Value::as_object);
    send(region, call, body, delay, attributes, now)
}

fn send(
    region: &mut Region,
    call: &Call,
    body: &str,
    delay: Option<i64>,
    attributes: Option<&Map<String, Value>>,
    now: Timestamp,
) -> Answer {
    let id = region.dice.uuid("message");
    let queue = call.queue(region)?;
    if body.len() > queue.size_bytes_max() {
        let message = format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
            queue.size_bytes_max()
        );
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let delay = delay.map_or_else(|| queue.delay(), SignedDuration::from_secs);
    let mut message = Message::new(id.clone(), body.to_owned(), now, delay);
    message.attributes = attributes
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut output = Map::new();
    output.insert("MessageId".to_owned(), json!(id));
    output.insert(
        "MD5OfMessageBody".to_owned(),
        json!(digest::md5(body.as_bytes())),
    );
    if let Some(digest) = attributes_digest(&message.attributes) {
        output.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
    }
    queue.send(message);
    Ok(Value::Object(output))
}

/// The digest of the attributes; none if there are none, or binary ones, which are passed on unread.
fn attributes_digest(attributes: &BTreeMap<String, Value>) -> Option<String> {
    let mut bytes = Vec::new();
    for (name, attribute) in attributes {
        let kind = attribute.get("DataType")?.as_str()?;
        let value = attribute.get("StringValue")?.as_str()?;
        for (text, mark) in [(name.as_str(), None), (kind, Some(1)), (value, None)] {
            bytes.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend(mark);
        }
    }
    (!bytes.is_empty()).then(|| digest::md5(&bytes))
}

pub(super) fn send_message_batch(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in call.entries()? {
        let body = entry
            .get("MessageBody")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let delay = entry.get("DelaySeconds").and_then(Value::as_i64);
        let attributes = entry.get("MessageAttributes").and_then(Value::as_object);
        match send(region, call, body, delay, attributes, now) {
            Ok(Value::Object(mut output)) => {
                output.insert("Id".to_owned(), json!(id));
                successful.push(Value::Object(output));
            }
            Ok(_) => {}
            Err(error) => failed.push(failure(id, &error)),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

fn failure(id: &str, error: &ApiError) -> Value {
    json!({ "Id": id, "SenderFault": true, "Code": error.code, "Message": error.message })
}

pub(super) fn receive_message(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let count = call.number("MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
    let visibility = call
        .number("VisibilityTimeout", 0, VISIBILITY_TIMEOUT_MAX_S)?
        .map(SignedDuration::from_secs);
    // Checked, and not waited for: whoever carries the request does that.
    call.number("WaitTimeSeconds", 0, WAIT_S_MAX)?;
    let mut receipts: Vec<String> = (0..count).map(|_| region.dice.uuid("receipt")).collect();
    let queue = call.queue(region)?;
    let count = usize::try_from(count).unwrap_or(1);
    let received = queue.receive(
        count,
        visibility,
        || receipts.pop().unwrap_or_default(),
        now,
    );
    let grave = queue.redrive().map(|(arn, _)| arn);
    let messages: Vec<Value> = received
        .messages
        .iter()
        .map(|message| shown(message, call))
        .collect();
    bury(region, grave.as_deref(), received.dead, now);
    Ok(if messages.is_empty() {
        json!({})
    } else {
        json!({ "Messages": messages })
    })
}

fn bury(region: &mut Region, grave: Option<&str>, dead: Vec<Message>, now: Timestamp) {
    let name = grave.and_then(|arn| arn.rsplit(':').next());
    if let Some(queue) = name.and_then(|name| region.model.queues.get_mut(name)) {
        dead.into_iter()
            .for_each(|message| queue.bury(message, now));
    }
}

fn shown(message: &Message, call: &Call) -> Value {
    let mut output = Map::new();
    output.insert("MessageId".to_owned(), json!(message.id));
    output.insert("ReceiptHandle".to_owned(), json!(message.receipt()));
    output.insert(
        "MD5OfBody".to_owned(),
        json!(digest::md5(message.body.as_bytes())),
    );
    output.insert("Body".to_owned(), json!(message.body));
    let mut wanted = call.texts("MessageSystemAttributeNames");
    wanted.extend(call.texts("AttributeNames"));
    let millis = |at: Timestamp| at.as_millisecond().to_string();
    let mut system = BTreeMap::from([
        ("ApproximateReceiveCount", message.receive_count.to_string()),
        ("SentTimestamp", millis(message.sent)),
        ("SenderId", "AIDAEXAMPLESENDER".to_owned()),
    ]);
    system.extend(
        message
            .first_received
            .map(|at| ("ApproximateFirstReceiveTimestamp", millis(at))),
    );
    system.retain(|name, _| wanted.contains(&"All") || wanted.contains(name));
    if !system.is_empty() {
        output.insert("Attributes".to_owned(), json!(system));
    }
    let named = call.texts("MessageAttributeNames");
    let mut own = message.attributes.clone();
    own.retain(|name, _| named.iter().any(|wanted| attribute_fits(wanted, name)));
    if let Some(digest) = attributes_digest(&own) {
        output.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
    }
    if !own.is_empty() {
        output.insert("MessageAttributes".to_owned(), json!(own));
    }
    Value::Object(output)
}

/// `All`, `.*`, `prefix.*` or the name itself.
fn attribute_fits(wanted: &str, name: &str) -> bool {
    let by_prefix = wanted
        .strip_suffix(".*")
        .is_some_and(|prefix| name.starts_with(prefix));
    wanted == "All" || by_prefix || wanted == name
}

pub(super) fn delete_message(region: &mut Region, call: &Call) -> Answer {
    let receipt = call.text("ReceiptHandle")?;
    call.queue(region)?.delete(receipt);
    Ok(json!({}))
}

pub(super) fn delete_message_batch(region: &mut Region, call: &Call) -> Answer {
    let mut successful = Vec::new();
    let mut failed = Vec::new();
    for (id, entry) in call.entries()? {
        match entry.get("ReceiptHandle").and_then(Value::as_str) {
            Some(receipt) => {
                call.queue(region)?.delete(receipt);
                successful.push(json!({ "Id": id }));
            }
            None => failed.push(failure(id, &ApiError::missing("ReceiptHandle"))),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

pub(super) fn change_message_visibility(
    region: &mut Region,
    call: &Call,
    now: Timestamp,
) -> Answer {
    let receipt = call.text("ReceiptHandle")?;
    let seconds = call.number("VisibilityTimeout", 0, VISIBILITY_TIMEOUT_MAX_S)?;
    let seconds = seconds.ok_or_else(|| ApiError::missing("VisibilityTimeout"))?;
    if call
        .queue(region)?
        .change_visibility(receipt, SignedDuration::from_secs(seconds), now)
    {
        return Ok(json!({}));
    }
    let message = "Value for parameter VisibilityTimeout is invalid. Reason: Message does not exist or is not available \
                   for visibility timeout change.";
    Err(ApiError::new(
        "AWS.SimpleQueueService.MessageNotInflight",
        message,
    ))
}
