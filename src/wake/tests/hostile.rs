//! What no one should send: it is refused with a reason, and no bytes panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Unheard, batch, hear};
use super::{fs, group};

/// Any JSON, with the words that this module looks for all over it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "Records",
        "Sns",
        "Message",
        "Type",
        "Notification",
        "TopicArn",
        "eventSource",
        "EventSource",
        "aws:sns",
        "aws:sqs",
        "body",
        "messageId",
        "detail-type",
        "detail",
        "EC2 Instance-launch Lifecycle Action",
        "AWS Health Event",
        "EBS Snapshot Notification",
        "EBS Multi-Volume Snapshots Completion Status",
        "snapshots",
        "snapshot_id",
        "affectedEntities",
        "entityValue",
        "resources",
        "instance-id",
        "AutoScalingGroupName",
        "EC2InstanceId",
        "Origin",
        "WarmPool",
        "LifecycleTransition",
        "Event",
        "alarmData",
        "alarmName",
        "AlarmName",
        "NewStateValue",
        "rehome",
        "group",
        "i-0abc",
        "arn:aws:ec2::us-east-1:snapshot/snap-0a",
        "",
        "\u{0}\n\u{1b}[31m",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let wrapped = inner.clone().prop_map(|value| json!(value.to_string()));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            wrapped,
        ]
    })
}

fn is_safe_to_log(text: &str) -> bool {
    text.len() < 2_000 && !text.chars().any(char::is_control)
}

proptest! {
    #[test]
    fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..2_000)) {
        if let Err(why) = hear(&payload) {
            prop_assert!(is_safe_to_log(&why.to_string()));
        }
        batch(&payload);
    }

    #[test]
    fn no_json_panics_and_every_reason_is_safe_to_log(value in any_json()) {
        let payload = value.to_string();
        if let Err(why) = hear(payload.as_bytes()) {
            prop_assert!(is_safe_to_log(&why.to_string()), "{why}");
        }
        batch(payload.as_bytes());
    }

    #[test]
    fn a_real_payload_that_was_damaged_panics_nowhere(
        cut in 0_usize..2_000, at in 0_usize..2_000, byte in any::<u8>()
    ) {
        for name in ["batch-from-sqs-to-lambda", "alarm-in-sns-in-sqs", "health-event"] {
            let mut payload = fs::read(super::folder().join(format!("{name}.json"))).unwrap();
            payload.truncate(payload.len().saturating_sub(cut));
            if let Some(place) = payload.get_mut(at) {
                *place = byte;
            }
            if let Err(why) = hear(&payload) {
                prop_assert!(is_safe_to_log(&why.to_string()));
            }
        }
    }
}

fn wrapped(times: usize) -> String {
    let mut letter = json!({ "rehome": { "group": "orders-db" } }).to_string();
    for _ in 0..times {
        letter = json!({ "Type": "Notification", "TopicArn": "t", "Message": letter }).to_string();
    }
    letter
}

#[test]
fn envelopes_are_opened_only_so_often() {
    let heard = hear(wrapped(4).as_bytes()).unwrap();
    assert_eq!(heard.subjects, [group("orders-db")].into());
    assert_eq!(hear(wrapped(5).as_bytes()), Err(Unheard::TooDeep));
    assert_eq!(hear(wrapped(9).as_bytes()), Err(Unheard::TooDeep));
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_unread() {
    let large = json!({ "rehome": { "group": "orders-db" }, "more": "a".repeat(1024 * 1024) });
    assert_eq!(hear(large.to_string().as_bytes()), Err(Unheard::TooLarge));
    let mut most = json!({ "rehome": { "group": "orders-db" } }).to_string();
    most.push_str(&" ".repeat(1024 * 1024 - most.len()));
    assert!(hear(most.as_bytes()).is_ok());
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(hear(deep.as_bytes()), Err(Unheard::TooDeep));
        let unclosed = open.repeat(150_000);
        assert_eq!(hear(unclosed.as_bytes()), Err(Unheard::TooDeep));
    }
}

#[test]
fn a_mass_of_names_is_cut() {
    let entities: Vec<Value> = (0..20_000)
        .map(|number| json!({ "entityValue": format!("i-{number}") }))
        .collect();
    let event =
        json!({ "detail-type": "AWS Health Event", "detail": { "affectedEntities": entities } });
    let heard = hear(event.to_string().as_bytes()).unwrap();
    assert_eq!(heard.subjects.len(), 1_000);
}

#[test]
fn wrong_types_name_nobody() {
    let odd = [
        json!({ "detail-type": 1 }),
        json!({ "detail-type": "AWS Health Event", "detail": [], "resources": {} }),
        json!({ "detail-type": "EBS Snapshot Notification", "detail": { "snapshot_id": [1] } }),
        json!({ "Records": [] }),
        json!({ "Records": [null, 1, {}] }),
        json!({ "Records": [{ "EventSource": "aws:sns", "Sns": "text" }] }),
        json!({ "Type": "Notification", "TopicArn": 1, "Message": 2 }),
        json!({ "alarmData": null }),
        json!({ "AlarmName": {}, "NewStateValue": "ALARM" }),
        json!({ "rehome": { "group": null } }),
        json!({ "LifecycleTransition": "autoscaling:SOMETHING_NEW", "AutoScalingGroupName": "a" }),
        json!({ "Event": "autoscaling:NEW" }),
        json!([1, 2]),
        json!("text"),
        json!(null),
    ];
    for value in odd {
        let why = hear(value.to_string().as_bytes()).unwrap_err();
        assert!(is_safe_to_log(&why.to_string()), "{value}");
    }
}
