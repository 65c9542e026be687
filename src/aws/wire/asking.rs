//! Queues, and whose a thing is, as the region tells it.

use std::time::Duration;

use super::*;
use crate::aws::Meaning;
use crate::ids::SnapshotId;

const EVENTS: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/events";

#[tokio::test(start_paused = true)]
async fn a_queue_is_found_by_its_arn() {
    let stand = Stand::prompt();
    let url = stand
        .aws
        .queue_url_of("arn:aws:sqs:us-east-1:123456789012:events")
        .await
        .unwrap();
    assert!(url.ends_with("/123456789012/events"), "{url}");
    let none = stand.aws.queue_url_of("arn:aws:sqs:us-east-1:1:none").await;
    assert_eq!(none.unwrap_err().meaning, Meaning::NotFound);
    let odd = stand
        .aws
        .queue_url_of("arn:aws:sns:us-east-1:1:topic")
        .await;
    assert!(odd.unwrap_err().to_string().contains("no ARN of a queue"));
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_later_and_once() {
    let stand = Stand::prompt();
    let (aws, wait) = (&stand.aws, Duration::from_secs(1));
    let minute = Duration::from_secs(60);
    aws.send_later(EVENTS, "look again", minute).await.unwrap();
    assert_eq!(aws.receive(EVENTS, wait).await.unwrap(), []);
    stand.pass(60).await;
    let messages = aws.receive(EVENTS, wait).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0].body.as_str(), messages[0].receives),
        ("look again", 1)
    );
    // It was not acknowledged.
    stand.pass(60).await;
    let messages = aws.receive(EVENTS, wait).await.unwrap();
    assert_eq!(messages[0].receives, 2);
    aws.acknowledge(EVENTS, &messages).await.unwrap();
    stand.pass(60).await;
    assert_eq!(aws.receive(EVENTS, wait).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_is_named_with_what_to_do() {
    let stand = Stand::prompt();
    let url = EVENTS.replace("events", "none");
    let error = stand.aws.receive(&url, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.action, "sqs:ReceiveMessage");
    let says = error.to_string();
    assert!(
        says.contains(&url) && says.contains("make the queue"),
        "{says}"
    );
    // It does not pass by itself.
    assert_eq!(stand.calls("ReceiveMessage"), 1);
}

#[tokio::test(start_paused = true)]
async fn whose_a_thing_is_costs_one_call() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let members = stand.shared.lock().truth().groups["orders"].members.clone();
    let member = InstanceId::new(members.keys().next().unwrap());
    let stranger = stand.instance("us-east-1a").await;
    let (volume, others) = (
        stand.volume("us-east-1a", &[]),
        stand.volume("us-east-1a", &[("rehome:group", "other")]),
    );
    let now = stand.now();
    let untagged = stand
        .shared
        .lock()
        .create_volume("us-east-1a", 1, BTreeMap::new(), now);
    let ours = [("rehome:group".to_owned(), "orders".to_owned())].into();
    let snapshot = stand
        .shared
        .lock()
        .snapshot_by_hand(volume.as_str(), ours, now)
        .unwrap();
    let snapshot = SnapshotId::new(snapshot);
    stand.pass(60).await;

    let aws = &stand.aws;
    let instances = [member.clone(), stranger, "i-0gone".into()].into();
    let found = aws.groups_of_instances(&instances).await.unwrap();
    assert_eq!(found, [(member, "orders".into())].into());
    assert_eq!(stand.calls("DescribeAutoScalingInstances"), 1);
    let volumes = [
        volume.clone(),
        others.clone(),
        VolumeId::new(untagged),
        "vol-0gone".into(),
    ];
    let found = aws.groups_of_volumes(&volumes.into()).await.unwrap();
    assert_eq!(
        found,
        [(volume, "orders".into()), (others, "other".into())].into()
    );
    assert_eq!(stand.calls("DescribeVolumes"), 1);
    let snapshots = [snapshot.clone(), "snap-0gone".into()].into();
    let found = aws.groups_of_snapshots(&snapshots).await.unwrap();
    assert_eq!(found, [(snapshot, "orders".into())].into());
    assert_eq!(stand.calls("DescribeSnapshots"), 1);
    let nobody = aws.groups_of_instances(&[].into()).await.unwrap();
    assert!(nobody.is_empty() && stand.calls("DescribeAutoScalingInstances") == 1);
}
