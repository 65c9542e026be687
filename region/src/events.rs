//! EventBridge: what happens becomes a message in a queue.
//!
//! Every event of the region reaches the queue `events`, as if one rule matched
//! them all. Delivery is best effort: a message may be late, lost or there twice
//! if the settings say so.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::Due;
use crate::latency::Delay;
use crate::{Region, after, sqs};

/// The queue that EventBridge delivers to.
pub(crate) const QUEUE: &str = "events";

/// How many delivery times later a message comes that loses its place.
const REORDERED_BY: u32 = 20;

/// An event on its way into a queue.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) queue: String,
    pub(crate) body: String,
}

/// Something happened that EventBridge tells: `source` is `aws.ec2` and the like,
/// `resources` are ARNs.
pub(crate) fn emit(
    region: &mut Region,
    detail_type: &str,
    source: &str,
    resources: &[String],
    detail: Value,
    now: Timestamp,
) {
    let event = json!({
        "version": "0",
        "id": region.dice.uuid("event"),
        "detail-type": detail_type,
        "source": source,
        "account": region.settings.account,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region.settings.name,
        "resources": resources,
        "detail": detail,
    });
    send(region, QUEUE, &event, now);
}

/// Tells the queue with this ARN directly; other targets hear nothing here.
pub(crate) fn send_to(region: &mut Region, arn: &str, message: &Value, now: Timestamp) {
    let mut parts = arn.split(':');
    let service = parts.nth(2);
    let queue = parts.next_back();
    if let (Some("sqs"), Some(queue)) = (service, queue) {
        send(region, queue, message, now);
    }
}

fn send(region: &mut Region, queue: &str, message: &Value, now: Timestamp) {
    let odds = region.settings.queue;
    let copies = if region.dice.chance("event-duplicate", odds.duplicate) {
        2
    } else {
        1
    };
    let lost = region.dice.chance("event-loss", odds.loss);
    let late = region.dice.chance("event-reorder", odds.reorder);
    for _ in 0..copies {
        let drawn = region.draw(Delay::EventDelivery);
        let delay = if late {
            drawn.saturating_mul(REORDERED_BY)
        } else {
            drawn
        };
        if !lost {
            let delivery = Delivery {
                queue: queue.to_owned(),
                body: message.to_string(),
            };
            region
                .engine
                .plan(after(now, delay), Due::Deliver(delivery));
        }
    }
}

pub(crate) fn deliver(region: &mut Region, delivery: Delivery, now: Timestamp) {
    sqs::put(region, &delivery.queue, delivery.body, now);
}
