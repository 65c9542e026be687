//! Every payload in `tests/events`, and what no one should send.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::{Subject, Unheard, batch, hear};

mod hostile;
mod meant;

type Expected = Result<(&'static str, Vec<Subject>), Unheard>;

fn group(name: &str) -> Subject {
    Subject::Group(name.into())
}

fn alarm(name: &str) -> Subject {
    Subject::Alarm(name.to_owned())
}

fn heard(what: &'static str, subjects: &[Subject]) -> Expected {
    Ok((what, subjects.to_vec()))
}

fn foreign(what: &str) -> Expected {
    Err(Unheard::Foreign(what.to_owned()))
}

fn events_of_auto_scaling() -> Vec<(&'static str, Expected)> {
    let (launch, terminate) = ("launch lifecycle action", "terminate lifecycle action");
    let orders = [group("orders-db")];
    vec![
        ("launch-lifecycle-action", heard(launch, &orders)),
        ("terminate-lifecycle-action", heard(terminate, &orders)),
        (
            "terminate-lifecycle-action-without-places",
            heard(terminate, &orders),
        ),
        ("launch-into-the-warm-pool", heard(launch, &[])),
        ("launch-from-the-warm-pool", heard(launch, &orders)),
        ("terminate-into-the-warm-pool", heard(terminate, &orders)),
        ("terminate-from-the-warm-pool", heard(terminate, &[])),
        ("launch-successful", heard("launch successful", &orders)),
        ("launch-unsuccessful", heard("launch unsuccessful", &orders)),
        (
            "terminate-successful",
            heard("terminate successful", &orders),
        ),
        (
            "terminate-unsuccessful",
            heard("terminate unsuccessful", &orders),
        ),
        (
            "hook-direct-terminate",
            heard("terminate hook notification", &orders),
        ),
        (
            "hook-direct-launch",
            heard("launch hook notification", &orders),
        ),
        (
            "hook-direct-into-the-warm-pool",
            heard("launch hook notification", &[]),
        ),
        (
            "hook-in-sns-in-sqs",
            heard("terminate hook notification", &orders),
        ),
        (
            "hook-in-sns-to-lambda",
            heard("terminate hook notification", &orders),
        ),
        (
            "notification-of-a-termination",
            heard("Auto Scaling notification", &orders),
        ),
        ("test-notification", heard("test notification", &[])),
        (
            "test-notification-in-sns-in-sqs",
            heard("test notification", &[]),
        ),
    ]
}

fn events_of_ec2() -> Vec<(&'static str, Expected)> {
    let instance = Subject::Instance("i-0abc".into());
    let volume = Subject::Volume("vol-0b".into());
    let snapshot = Subject::Snapshot("snap-0a".into());
    let of = std::slice::from_ref;
    let of_snapshot = heard("snapshot notification", of(&snapshot));
    let of_volume = heard("volume notification", of(&volume));
    let change = heard("instance state change", of(&instance));
    let set = [snapshot, Subject::Snapshot("snap-0c".into())];
    vec![
        ("instance-state-change", change.clone()),
        ("event-in-sns-in-sqs", change),
        (
            "spot-interruption",
            heard("spot interruption", of(&instance)),
        ),
        (
            "rebalance-recommendation",
            heard("rebalance recommendation", of(&instance)),
        ),
        ("snapshot-succeeded", of_snapshot.clone()),
        ("snapshot-failed", of_snapshot),
        (
            "snapshot-without-id",
            heard("snapshot notification", of(&volume)),
        ),
        ("snapshot-set", heard("snapshot set notification", &set)),
        ("volume-created", of_volume.clone()),
        ("volume-create-failed", of_volume.clone()),
        ("volume-attach-failed", of_volume.clone()),
        ("volume-initialized", of_volume),
        ("health-event", heard("health event", &[instance, volume])),
    ]
}

fn events_of_others() -> Vec<(&'static str, Expected)> {
    let (status, any) = (
        heard("alarm", &[alarm("orders-db-status")]),
        heard("alarm", &[alarm("orders-db-any")]),
    );
    let several = [
        group("gateway"),
        group("orders-db"),
        Subject::Snapshot("snap-0a".into()),
        alarm("orders-db-status"),
    ];
    vec![
        ("alarm-metric", status.clone()),
        ("alarm-composite", any.clone()),
        ("alarm-to-lambda-metric", status.clone()),
        ("alarm-to-lambda-composite", any.clone()),
        ("alarm-in-sns-raw", status.clone()),
        ("alarm-in-sns-raw-composite", any),
        ("alarm-in-sns-in-sqs", status.clone()),
        ("alarm-in-sns-to-lambda", status),
        ("schedule", heard("schedule", &[Subject::Everyone])),
        ("follow-up", heard("follow-up", &[group("orders-db")])),
        (
            "batch-from-sqs-to-lambda",
            heard("several events", &several),
        ),
    ]
}

fn events_that_say_nothing() -> Vec<(&'static str, Expected)> {
    vec![
        (
            "foreign-subscription-confirmation",
            foreign("a message of the kind \"SubscriptionConfirmation\" from SNS"),
        ),
        (
            "foreign-s3-test",
            foreign("a notification of \"s3:TestEvent\""),
        ),
        ("foreign-s3-records", foreign("a record from \"aws:s3\"")),
        (
            "foreign-event",
            foreign("an event \"ECS Task State Change\" of the source \"aws.ecs\""),
        ),
        (
            "foreign-cloudtrail",
            foreign("an event \"AWS API Call via CloudTrail\" of the source \"aws.ec2\""),
        ),
        (
            "nameless-state-change",
            Err(Unheard::Unnamed("instance state change")),
        ),
        (
            "nameless-detail",
            Err(Unheard::Unnamed("launch lifecycle action")),
        ),
    ]
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "events"]
        .iter()
        .collect()
}

#[test]
fn every_payload_says_whom_to_look_at() {
    let mut expected: BTreeMap<&str, Expected> = BTreeMap::new();
    expected.extend(events_of_auto_scaling());
    expected.extend(events_of_ec2());
    expected.extend(events_of_others());
    expected.extend(events_that_say_nothing());
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let Some(expected) = expected.remove(name) else {
            panic!("no test says what {name} means");
        };
        let found = hear(&fs::read(&path).unwrap());
        let expected = expected.map(|(what, who)| (what, who.into_iter().collect()));
        let found: Result<(_, BTreeSet<_>), _> = found.map(|heard| (heard.what, heard.subjects));
        assert_eq!(found, expected, "{name}");
    }
    assert!(expected.is_empty(), "no such files: {:?}", expected.keys());
}

#[test]
fn a_batch_is_also_had_message_by_message() {
    let payload = fs::read(folder().join("batch-from-sqs-to-lambda.json")).unwrap();
    let messages = batch(&payload).unwrap();
    let heard: Vec<_> = messages
        .iter()
        .map(|message| hear(message.body.as_bytes()).map(|heard| heard.what))
        .collect();
    let expected = [
        Ok("terminate lifecycle action"),
        Ok("alarm"),
        Ok("snapshot notification"),
        Ok("launch hook notification"),
        Ok("follow-up"),
        Err(Unheard::NotJson),
    ];
    assert_eq!(heard, expected);
    assert_eq!(messages.iter().map(|m| m.receives).max(), Some(4));
}
