//! Operations on queues themselves.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Answer;
use super::call::{Call, bad_attribute, no_such_queue};
use super::queue::Queue;
use crate::Region;
use crate::wire::error::ApiError;

pub(super) fn create_queue(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
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

pub(super) fn get_queue_url(region: &mut Region, call: &Call) -> Answer {
    let name = call.text("QueueName")?;
    region.model.queues.get(name).ok_or_else(no_such_queue)?;
    Ok(json!({ "QueueUrl": call.url(region, name) }))
}

pub(super) fn list_queues(region: &mut Region, call: &Call) -> Answer {
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

pub(super) fn delete_queue(region: &mut Region, call: &Call) -> Answer {
    let name = call.queue_name()?;
    region.model.queues.remove(name).ok_or_else(no_such_queue)?;
    Ok(json!({}))
}

pub(super) fn purge_queue(region: &mut Region, call: &Call) -> Answer {
    call.queue(region)?.purge();
    Ok(json!({}))
}

pub(super) fn get_queue_attributes(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
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

pub(super) fn set_queue_attributes(region: &mut Region, call: &Call, now: Timestamp) -> Answer {
    let wanted = call.text_map("Attributes");
    call.queue(region)?
        .set_attributes(&wanted, now)
        .map_err(bad_attribute)?;
    Ok(json!({}))
}
