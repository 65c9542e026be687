//! EventBridge: what happens becomes a message in a queue.

use jiff::Timestamp;
use serde_json::Value;

use crate::Region;

/// An event on its way into a queue.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) queue: String,
    pub(crate) body: String,
}

/// Something happened that EventBridge tells: `source` is `aws.ec2` and the like,
/// `resources` are ARNs.
pub(crate) fn emit(
    _region: &mut Region,
    _detail_type: &str,
    _source: &str,
    _resources: &[String],
    _detail: Value,
    _now: Timestamp,
) {
}

pub(crate) fn deliver(_region: &mut Region, _delivery: Delivery, _now: Timestamp) {}
