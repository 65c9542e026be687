//! SQS's side of the wire: AWS JSON 1.0.

mod call;
mod digest;
mod messages;
mod queue;
mod queues;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::wire::error::ApiError;
use crate::wire::{self, Request, Response, Service};
use crate::{Outcome, Region, What, events, iam};

use call::Call;
use queue::Message;
pub use queue::Queue;

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
            let named = call.target();
            let allowed = iam::check_one(region, Service::Sqs, caller, request, &named, now);
            let answer = allowed.and_then(|()| answer(region, &action, &call, now));
            (named, answer)
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
        "AccessDenied" => ("com.amazon.coral.service", "AccessDeniedException"),
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

/// How long a receive is willing to wait for a message; none where there is
/// nothing to wait for: a message is there, or it is no receive at all.
pub(crate) fn patience(region: &Region, request: &Request, now: Timestamp) -> Option<Duration> {
    if Service::of(request) != Service::Sqs || wire::action(request) != "ReceiveMessage" {
        return None;
    }
    let input = serde_json::from_slice::<Value>(&request.body).ok()?;
    let call = Call {
        input: input.as_object()?.clone(),
        host: request.host.clone(),
    };
    let queue = region.model.queues.get(call.queue_name().ok()?)?;
    let wait = match call.number("WaitTimeSeconds", 0, messages::WAIT_S_MAX) {
        Ok(Some(seconds)) => SignedDuration::from_secs(seconds),
        Ok(None) => queue.wait(),
        Err(_) => return None,
    };
    let waits = wait.is_positive() && !queue.has_visible(now) && !queue.denies("ReceiveMessage");
    waits.then(|| wait.unsigned_abs())
}

/// The queue's owner may have denied it.
fn check_policy(region: &Region, action: &str, call: &Call) -> Result<(), ApiError> {
    let queue = call
        .queue_name()
        .ok()
        .and_then(|name| region.model.queues.get(name));
    if queue.is_none_or(|queue| !queue.denies(action)) {
        return Ok(());
    }
    let message = format!(
        "User is not authorized to perform: sqs:{} on resource: arn:aws:sqs:{}:{}:{} with an explicit deny in a resource-based policy",
        action.to_ascii_lowercase(),
        region.settings.name,
        region.settings.account,
        call.target(),
    );
    Err(ApiError::new("AccessDenied", message).with_status(403))
}

fn answer(region: &mut Region, action: &str, call: &Call, now: Timestamp) -> Answer {
    check_policy(region, action, call)?;
    match action {
        "CreateQueue" => queues::create_queue(region, call, now),
        "GetQueueUrl" => queues::get_queue_url(region, call),
        "ListQueues" => queues::list_queues(region, call),
        "DeleteQueue" => queues::delete_queue(region, call),
        "PurgeQueue" => queues::purge_queue(region, call),
        "GetQueueAttributes" => queues::get_queue_attributes(region, call, now),
        "SetQueueAttributes" => queues::set_queue_attributes(region, call, now),
        "SendMessage" => messages::send_message(region, call, now),
        "SendMessageBatch" => messages::send_message_batch(region, call, now),
        "ReceiveMessage" => messages::receive_message(region, call, now),
        "DeleteMessage" => messages::delete_message(region, call),
        "DeleteMessageBatch" => messages::delete_message_batch(region, call),
        "ChangeMessageVisibility" => messages::change_message_visibility(region, call, now),
        _ => Err(ApiError::unknown_action(action)),
    }
}
