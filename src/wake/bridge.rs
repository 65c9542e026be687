//! What does an event of EventBridge say? Its `detail-type` decides where in
//! it the names stand; everything else in it is left alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json::{list, text};
use super::letter::{member, named, stays_in_the_pool};
use super::unheard::quoted;
use super::{Heard, Subject, Unheard, names};

pub(super) fn read(kind: &str, event: &Value) -> Result<Heard, Unheard> {
    let none = Value::Null;
    let detail = event.get("detail").unwrap_or(&none);
    match kind {
        "EC2 Instance-launch Lifecycle Action" => hook("launch lifecycle action", detail),
        "EC2 Instance-terminate Lifecycle Action" => hook("terminate lifecycle action", detail),
        "EC2 Instance Launch Successful" => named("launch successful", member(detail)),
        "EC2 Instance Launch Unsuccessful" => named("launch unsuccessful", member(detail)),
        "EC2 Instance Terminate Successful" => named("terminate successful", member(detail)),
        "EC2 Instance Terminate Unsuccessful" => named("terminate unsuccessful", member(detail)),
        "EC2 Instance State-change Notification" => instance("instance state change", detail),
        "EC2 Spot Instance Interruption Warning" => instance("spot interruption", detail),
        "EC2 Instance Rebalance Recommendation" => instance("rebalance recommendation", detail),
        "CloudWatch Alarm State Change" => named("alarm", names::alarm(detail, &["alarmName"])),
        "EBS Snapshot Notification" => several("snapshot notification", &snapshot(detail)),
        "EBS Multi-Volume Snapshots Completion Status" => {
            let set = list(detail, &["snapshots"]).iter();
            let found: Vec<Subject> = set.flat_map(snapshot).collect();
            several("snapshot set notification", &found)
        }
        "EBS Volume Notification" => several("volume notification", &resources(event)),
        "AWS Health Event" => several("health event", &affected(event, detail)),
        "Scheduled Event" => Ok(Heard::of("schedule", [Subject::Everyone])),
        other => Err(foreign(other, event)),
    }
}

fn foreign(kind: &str, event: &Value) -> Unheard {
    let source = text(event, &["source"]).map_or_else(String::new, |source| {
        format!(" of the source {}", quoted(source))
    });
    Unheard::Foreign(format!("an event {}{source}", quoted(kind)))
}

fn hook(what: &'static str, detail: &Value) -> Result<Heard, Unheard> {
    if stays_in_the_pool(detail) {
        return Ok(Heard::nobody(what));
    }
    named(what, member(detail))
}

fn instance(what: &'static str, detail: &Value) -> Result<Heard, Unheard> {
    named(what, names::instance(detail, &["instance-id"]))
}

/// The snapshot; where it has no id, the volume it would have been of.
fn snapshot(detail: &Value) -> Vec<Subject> {
    let at = |name| detail.get(name).and_then(names::resource);
    at("snapshot_id")
        .or_else(|| at("source"))
        .into_iter()
        .collect()
}

fn resources(event: &Value) -> Vec<Subject> {
    let all = list(event, &["resources"]).iter();
    all.filter_map(names::resource).take(names::MOST).collect()
}

fn affected(event: &Value, detail: &Value) -> Vec<Subject> {
    let entities = list(detail, &["affectedEntities"]).iter();
    let entities = entities.filter_map(|entity| entity.get("entityValue"));
    let all = entities.filter_map(names::resource).take(names::MOST);
    all.chain(resources(event)).collect()
}

fn several(what: &'static str, found: &[Subject]) -> Result<Heard, Unheard> {
    let subjects: BTreeSet<Subject> = found.iter().take(names::MOST).cloned().collect();
    if subjects.is_empty() {
        return Err(Unheard::Unnamed(what));
    }
    Ok(Heard { what, subjects })
}
