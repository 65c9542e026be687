//! SQS's side of the wire: AWS JSON 1.0.

mod digest;
mod queue;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::wire::error::ApiError;
use crate::wire::{self, Request, Response};
use crate::{Outcome, Region, What, events};

pub use queue::Queue;
use queue::{BadAttribute, Message, VISIBILITY_TIMEOUT_MAX_S};

const BATCH_MAX: usize = 10;
const WAIT_S_MAX: i64 = 20;

/// Makes the queue that events go to, which is there from the beginning.
pub(crate) fn open(region: &mut Region, now: Timestamp) {
    region
        .model
        .queues
        .insert(events::QUEUE.to_owned(), Queue::new(now));
}

/// Puts a message into a queue from inside AWS; if there is no such queue, it is dropped.
pub(crate) fn put(region: &mut Region, name: &str, body: String, now: Timestamp) {
    let id = region.dice.uuid("message");
    if let Some(queue) = region.model.queues.get_mut(name) {
        let delay = queue.delay();
        queue.send(Message::new(id, body, now, delay));
    }
}

pub(crate) fn handle(
    region: &mut Region,
    caller: &str,
    request: &Request,
    now: Timestamp,
) -> Response {
    let action = wire::action(request);
    let (target, answer) = match serde_json::from_slice::<Value>(&request.body) {
        Ok(Value::Object(input)) => {
            let call = Call {
                input,
                host: request.host.clone(),
            };
            (call.target(), answer(region, &action, &call, now))
        }
        _ => (
            String::new(),
            Err(ApiError::new(
                "SerializationException",
                "The request body is not a JSON object.",
            )),
        ),
    };
    let outcome = answer
        .as_ref()
        .err()
        .map_or(Outcome::Ok, |error| Outcome::Error(error.code.clone()));
    region.log(
        now,
        caller,
        What::Call {
            service: "sqs".to_owned(),
            action,
            target,
            outcome,
        },
    );
    let mut response = match answer {
        Ok(output) => Response::new(200, "application/x-amz-json-1.0", output.to_string()),
        Err(error) => refuse(&error),
    };
    let request_id = region.dice.uuid("request");
    response
        .headers
        .insert("x-amzn-requestid".to_owned(), request_id);
    response
}

/// An error in SQS's own words.
pub(crate) fn refuse(error: &ApiError) -> Response {
    // The JSON protocol names shapes, older clients expect the codes of the query protocol.
    let (namespace, shape) = match error.code.as_str() {
        "AWS.SimpleQueueService.NonExistentQueue" => ("com.amazonaws.sqs", "QueueDoesNotExist"),
        "QueueAlreadyExists" => ("com.amazonaws.sqs", "QueueNameExists"),
        "InvalidAction" => ("com.amazon.coral.service", "UnknownOperationException"),
        "InvalidParameterValue" => ("com.amazon.coral.service", "InvalidParameterValueException"),
        "MissingParameter" => (
            "com.amazon.coral.service",
            "MissingRequiredParameterException",
        ),
        code => ("com.amazonaws.sqs", code.rsplit('.').next().unwrap_or(code)),
    };
    let body = json!({ "__type": format!("{namespace}#{shape}"), "message": error.message });
    let mut response = Response::new(error.status, "application/x-amz-json-1.0", body.to_string());
    let sender = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    response.headers.insert(
        "x-amzn-query-error".to_owned(),
        format!("{};{sender}", error.code),
    );
    response
}

type Answer = Result<Value, ApiError>;

fn answer(region: &mut Region, action: &str, call: &Call, now: Timestamp) -> Answer {
    match action {
        "CreateQueue" => create_queue(region, call, now),
        "GetQueueUrl" => get_queue_url(region, call),
        "ListQueues" => list_queues(region, call),
        "DeleteQueue" => delete_queue(region, call),
        "PurgeQueue" => purge_queue(region, call),
        "GetQueueAttributes" => get_queue_attributes(region, call, now),
        "SetQueueAttributes" => set_queue_attributes(region, call, now),
        "SendMessage" => send_message(region, call, now),
        "SendMessageBatch" => send_message_batch(region, call, now),
        "ReceiveMessage" => receive_message(region, call, now),
        "DeleteMessage" => delete_message(region, call),
        "DeleteMessageBatch" => delete_message_batch(region, call),
        "ChangeMessageVisibility" => change_message_visibility(region, call, now),
        _ => Err(ApiError::unknown_action(action)),
    }
}

/// The input of one operation, and where it was sent.
struct Call {
    input: Map<String, Value>,
    host: String,
}

impl Call {
    fn text(&self, key: &str) -> Result<&str, ApiError> {
        let text = self.input.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::missing(key))
    }

    fn number(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
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

    fn texts(&self, key: &str) -> Vec<&str> {
        let items = self.input.get(key).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn text_map(&self, key: &str) -> BTreeMap<String, String> {
        let members = self.input.get(key).and_then(Value::as_object);
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        members.into_iter().flatten().filter_map(text).collect()
    }

    /// The name of the queue a request means; only the end of its URL counts,
    /// since the region answers under any host.
    fn queue_name(&self) -> Result<&str, ApiError> {
        let url = self.text("QueueUrl")?;
        Ok(url.trim_end_matches('/').rsplit('/').next().unwrap_or(url))
    }

    fn target(&self) -> String {
        let name = self.queue_name().or_else(|_| self.text("QueueName"));
        name.unwrap_or_default().to_owned()
    }

    fn queue<'a>(&self, region: &'a mut Region) -> Result<&'a mut Queue, ApiError> {
        region
            .model
            .queues
            .get_mut(self.queue_name()?)
            .ok_or_else(no_such_queue)
    }

    fn url(&self, region: &Region, name: &str) -> String {
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
    fn entries(&self) -> Result<Vec<(&str, &Map<String, Value>)>, ApiError> {
        let refuse = |kind: &str, message: &str| {
            ApiError::new(&format!("AWS.SimpleQueueService.{kind}"), message)
        };
        let listed = self
            .input
            .get("Entries")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut entries: Vec<(&str, &Map<String, Value>)> = Vec::new();
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

fn no_such_queue() -> ApiError {
    ApiError::new(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

fn bad_attribute(bad: BadAttribute) -> ApiError {
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

fn create_queue(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let name = call.text("QueueName")?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.len() > 80 || !name.chars().all(plain) {
        let message =
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let wanted = call.text_map("Attributes");
    match region.model.queues.get(name) {
        Some(queue) if queue.agrees_with(&wanted) => {}
        Some(_) => {
            let message = "A queue already exists with the same name and a different value for its attributes.";
            return Err(ApiError::new("QueueAlreadyExists", message));
        }
        None => {
            let mut queue = Queue::new(now);
            queue.set_attributes(&wanted, now).map_err(bad_attribute)?;
            region.model.queues.insert(name.to_owned(), queue);
        }
    }
    Ok(json!({ "QueueUrl": call.url(region, name) }))
}

fn get_queue_url(region: &mut Region, call: &Call) -> Answer {
    let name = call.text("QueueName")?;
    region.model.queues.get(name).ok_or_else(no_such_queue)?;
    Ok(json!({ "QueueUrl": call.url(region, name) }))
}

fn list_queues(region: &mut Region, call: &Call) -> Answer {
    let prefix = call
        .input
        .get("QueueNamePrefix")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let after = call.input.get("NextToken").and_then(Value::as_str);
    let size = call
        .number("MaxResults", 1, 1000)?
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(1000);
    let fits = |name: &&String| {
        name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after)
    };
    let names: Vec<&String> = region
        .model
        .queues
        .keys()
        .filter(fits)
        .take(size + 1)
        .collect();
    let page = names.get(..size).unwrap_or(&names);
    let urls: Vec<String> = page.iter().map(|name| call.url(region, name)).collect();
    let mut output = json!({ "QueueUrls": urls });
    if let (true, Some(last), Some(output)) =
        (names.len() > size, page.last(), output.as_object_mut())
    {
        output.insert("NextToken".to_owned(), json!(last));
    }
    Ok(output)
}

fn delete_queue(region: &mut Region, call: &Call) -> Answer {
    let name = call.queue_name()?;
    region.model.queues.remove(name).ok_or_else(no_such_queue)?;
    Ok(json!({}))
}

fn purge_queue(region: &mut Region, call: &Call) -> Answer {
    call.queue(region)?.purge();
    Ok(json!({}))
}

fn get_queue_attributes(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let name = call.queue_name()?.to_owned();
    let mut all = call.queue(region)?.all_attributes(now);
    let arn = format!(
        "arn:aws:sqs:{}:{}:{name}",
        region.settings.name, region.settings.account
    );
    all.insert("QueueArn".to_owned(), arn);
    let wanted = call.texts("AttributeNames");
    all.retain(|name, _| wanted.contains(&"All") || wanted.contains(&name.as_str()));
    Ok(if all.is_empty() {
        json!({})
    } else {
        json!({ "Attributes": all })
    })
}

fn set_queue_attributes(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let wanted = call.text_map("Attributes");
    call.queue(region)?
        .set_attributes(&wanted, now)
        .map_err(bad_attribute)?;
    Ok(json!({}))
}

fn send_message(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
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

fn send_message_batch(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
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

fn receive_message(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let count = call.number("MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
    let visibility = call
        .number("VisibilityTimeout", 0, VISIBILITY_TIMEOUT_MAX_S)?
        .map(SignedDuration::from_secs);
    // Checked, and not waited for: the caller's clock is not the region's to stop.
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

fn delete_message(region: &mut Region, call: &Call) -> Answer {
    let receipt = call.text("ReceiptHandle")?;
    call.queue(region)?.delete(receipt);
    Ok(json!({}))
}

fn delete_message_batch(region: &mut Region, call: &Call) -> Answer {
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

fn change_message_visibility(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
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
