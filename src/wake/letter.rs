//! What does one letter say, taken out of its envelopes?

use serde_json::Value;

use super::json::text;
use super::unheard::quoted;
use super::{FOLLOW_UP, Heard, Subject, Unheard, bridge, names};

pub(super) fn read(letter: &Value) -> Result<Heard, Unheard> {
    if let Some(kind) = text(letter, &["detail-type"]) {
        return bridge::read(kind, letter);
    }
    if letter.get("rehome").is_some() {
        return named(FOLLOW_UP, names::group(letter, &["rehome", "group"]));
    }
    // CloudWatch calls a function without the envelope of EventBridge.
    if letter.get("alarmData").is_some() {
        return named("alarm", names::alarm(letter, &["alarmData", "alarmName"]));
    }
    // CloudWatch through SNS.
    if letter.get("NewStateValue").is_some() && letter.get("AlarmName").is_some() {
        return named("alarm", names::alarm(letter, &["AlarmName"]));
    }
    if let Some(transition) = text(letter, &["LifecycleTransition"]) {
        return hook(transition, letter);
    }
    match text(letter, &["Event"]) {
        Some("autoscaling:TEST_NOTIFICATION") => Ok(Heard::nobody("test notification")),
        Some(event) if event.starts_with("autoscaling:EC2_INSTANCE_") => {
            named("Auto Scaling notification", member(letter))
        }
        Some(event) => Err(Unheard::Foreign(format!(
            "a notification of {}",
            quoted(event)
        ))),
        None => Err(Unheard::Foreign(shape(letter))),
    }
}

/// What a lifecycle hook sends to its own target.
fn hook(transition: &str, letter: &Value) -> Result<Heard, Unheard> {
    let what = match transition {
        "autoscaling:EC2_INSTANCE_LAUNCHING" => "launch hook notification",
        "autoscaling:EC2_INSTANCE_TERMINATING" => "terminate hook notification",
        other => {
            let other = format!("a lifecycle hook's notification of {}", quoted(other));
            return Err(Unheard::Foreign(other));
        }
    };
    if stays_in_the_pool(letter) {
        return Ok(Heard::nobody(what));
    }
    named(what, member(letter))
}

/// The group, or at least its member.
pub(super) fn member(of: &Value) -> Option<Subject> {
    names::group(of, &["AutoScalingGroupName"]).or_else(|| names::instance(of, &["EC2InstanceId"]))
}

/// Does an instance come into a warm pool from outside, or leave it for good?
/// Such a one never had anything of the group. One that goes between the pool
/// and the group is another matter: it is the heir, or the holder.
pub(super) fn stays_in_the_pool(of: &Value) -> bool {
    let place = |member| text(of, &[member]);
    matches!(
        (place("Origin"), place("Destination")),
        (Some("EC2" | "WarmPool"), Some("WarmPool")) | (Some("WarmPool"), Some("EC2"))
    )
}

pub(super) fn named(what: &'static str, subject: Option<Subject>) -> Result<Heard, Unheard> {
    match subject {
        Some(subject) => Ok(Heard::of(what, [subject])),
        None => Err(Unheard::Unnamed(what)),
    }
}

fn shape(letter: &Value) -> String {
    match letter {
        Value::Object(_) => "an object that no service is known to send",
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a truth value",
        Value::Null => "null",
    }
    .to_owned()
}
