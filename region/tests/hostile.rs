//! Whatever arrives, the region answers: no bytes make it panic, and none stop
//! it. `PROPTEST_CASES` sets how many conversations are tried.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use rehome_region::{FaultRule, Faults, GroupSetup, HookSetup, Region, Request, Settings, Strike};

const ACTIONS: &[&str] = &[
    "RunInstances",
    "DescribeInstances",
    "StartInstances",
    "StopInstances",
    "TerminateInstances",
    "CreateVolume",
    "DescribeVolumes",
    "AttachVolume",
    "DetachVolume",
    "DeleteVolume",
    "ModifyVolume",
    "CreateSnapshot",
    "CreateSnapshots",
    "DescribeSnapshots",
    "DeleteSnapshot",
    "AllocateAddress",
    "AssociateAddress",
    "DisassociateAddress",
    "DescribeAddresses",
    "ReleaseAddress",
    "CreateTags",
    "DeleteTags",
    "DescribeTags",
    "CreateAutoScalingGroup",
    "UpdateAutoScalingGroup",
    "DeleteAutoScalingGroup",
    "DescribeAutoScalingGroups",
    "DescribeAutoScalingInstances",
    "SetDesiredCapacity",
    "SetInstanceHealth",
    "PutLifecycleHook",
    "DescribeLifecycleHooks",
    "CompleteLifecycleAction",
    "RecordLifecycleActionHeartbeat",
    "CreateOrUpdateTags",
    "PutWarmPool",
    "TerminateInstanceInAutoScalingGroup",
    "PutMetricAlarm",
    "DescribeAlarms",
    "SetAlarmState",
    "PutMetricData",
    "CreateQueue",
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "SetQueueAttributes",
    "",
    "Nothing",
];

const NAMES: &[&str] = &[
    "VolumeId",
    "VolumeId.1",
    "InstanceId",
    "InstanceId.1",
    "SnapshotId",
    "SnapshotId.1",
    "AllocationId",
    "AllocationId.1",
    "Device",
    "Force",
    "Size",
    "Iops",
    "Throughput",
    "VolumeType",
    "AvailabilityZone",
    "MinCount",
    "MaxCount",
    "MaxResults",
    "NextToken",
    "ClientToken",
    "DryRun",
    "Filter.1.Name",
    "Filter.1.Value.1",
    "Filter.18446744073709551615.Value.1",
    "TagSpecification.1.ResourceType",
    "TagSpecification.1.Tag.1.Key",
    "TagSpecification.1.Tag.1.Value",
    "ResourceId.1",
    "Tag.1.Key",
    "Tag.1.Value",
    "Tags.member.1.ResourceId",
    "Tags.member.1.Key",
    "Tags.member.1.Value",
    "InstanceSpecification.InstanceId",
    "AutoScalingGroupName",
    "AutoScalingGroupNames.member.1",
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "AvailabilityZones.member.1",
    "LaunchTemplate.LaunchTemplateName",
    "LifecycleHookName",
    "LifecycleTransition",
    "HeartbeatTimeout",
    "DefaultResult",
    "LifecycleActionResult",
    "HealthStatus",
    "MaxGroupPreparedCapacity",
    "PoolState",
    "AlarmName",
    "AlarmNames",
    "Namespace",
    "MetricName",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
    "StateValue",
    "StateReason",
    "Dimensions",
    "QueueName",
    "QueueUrl",
    "MessageBody",
    "DelaySeconds",
    "WaitTimeSeconds",
    "MaxNumberOfMessages",
    "VisibilityTimeout",
    "Attributes",
    "Entries",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "2",
    "8",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "NaN",
    "-inf",
    "true",
    "false",
    "orders",
    "us-east-1a",
    "us-east-1z",
    "/dev/sdf",
    "gp3",
    "io2",
    "volume",
    "snapshot",
    "autoscaling:EC2_INSTANCE_LAUNCHING",
    "autoscaling:EC2_INSTANCE_TERMINATING",
    "CONTINUE",
    "ABANDON",
    "Unhealthy",
    "ALARM",
    "GreaterThanThreshold",
    "Maximum",
    "tag:owner",
    "tag:*",
    "tag-key",
    "volume-id",
    "*",
    "?",
    "\\",
    "http://x/123456789012/events",
    "events",
    "%",
    "%zz",
    "\u{0}",
    "é\u{202e}",
    "<a>&]]>",
    "2026-01-01T00:00:00Z",
    "+999999-12-31T23:59:59Z",
];

/// One thing that arrives: an honest shape with dishonest contents, or bytes.
#[derive(Clone, Debug)]
enum Arrival {
    Query(&'static str, &'static str, Vec<(&'static str, Word)>),
    Json(&'static str, &'static str, serde_json::Value),
    Cbor(&'static str, Vec<u8>),
    Imds(&'static str, String),
    Bytes(String, Vec<u8>),
    Later(i64),
}

/// A value, or an id of something that is there.
#[derive(Clone, Debug)]
enum Word {
    Text(String),
    Volume,
    Instance,
    Snapshot,
    Address,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => select(VALUES).prop_map(|text| Word::Text(text.to_owned())),
        1 => ".{0,40}".prop_map(Word::Text),
        2 => Just(Word::Volume),
        2 => Just(Word::Instance),
        1 => Just(Word::Snapshot),
        1 => Just(Word::Address),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        select(VALUES).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(select(NAMES), inner, 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let version = select(vec!["2016-11-15", "2011-01-01", "2010-08-01", ""]);
    let pairs = prop::collection::vec((select(NAMES), word()), 0..8);
    prop_oneof![
        6 => (version, select(ACTIONS), pairs).prop_map(|(v, a, p)| Arrival::Query(v, a, p)),
        2 => (select(vec!["AmazonSQS.", "GraniteServiceVersion20100801."]), select(ACTIONS), json())
            .prop_map(|(service, action, body)| Arrival::Json(service, action, body)),
        2 => (select(ACTIONS), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(action, bytes)| Arrival::Cbor(action, bytes)),
        1 => (select(vec!["GET", "PUT", "POST"]), "/latest/[a-z/-]{0,60}")
            .prop_map(|(method, path)| Arrival::Imds(method, path)),
        1 => (".{0,60}", prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(path, bytes)| Arrival::Bytes(path, bytes)),
        2 => (0..4000_i64).prop_map(Arrival::Later),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// CBOR that a client could have written: a map of known names to anything.
fn cbor(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0xbf];
    for pair in bytes.chunks(2) {
        let name = NAMES[usize::from(pair[0]) % NAMES.len()];
        out.push(0x78);
        out.push(u8::try_from(name.len()).unwrap());
        out.extend(name.as_bytes());
        out.push(*pair.last().unwrap());
    }
    out.push(0xff);
    out
}

impl Arrival {
    fn request(&self, region: &Region) -> Option<Request> {
        let mut request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            ..Request::default()
        };
        match self {
            Self::Query(version, action, pairs) => {
                let truth = region.truth();
                let mut body = format!("Action={action}&Version={version}");
                for (name, word) in pairs {
                    let value = match word {
                        Word::Text(text) => text.clone(),
                        Word::Volume => truth
                            .volumes
                            .keys()
                            .next_back()
                            .cloned()
                            .unwrap_or_default(),
                        Word::Instance => {
                            truth.instances.keys().next().cloned().unwrap_or_default()
                        }
                        Word::Snapshot => {
                            truth.snapshots.keys().next().cloned().unwrap_or_default()
                        }
                        Word::Address => truth.addresses.keys().next().cloned().unwrap_or_default(),
                    };
                    body += &format!("&{}={}", encoded(name), encoded(&value));
                }
                request.body = body.into_bytes();
            }
            Self::Json(service, action, body) => {
                let target = format!("{service}{action}");
                request.headers.insert("x-amz-target".to_owned(), target);
                request.body = body.to_string().into_bytes();
            }
            Self::Cbor(action, bytes) => {
                request.path = format!("/service/GraniteServiceVersion20100801/operation/{action}");
                let header = ("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned());
                request.headers.extend([header]);
                request.body = match bytes.first() {
                    Some(first) if first % 2 == 0 => cbor(bytes),
                    _ => bytes.clone(),
                };
            }
            Self::Imds(method, path) => {
                request.method = (*method).to_owned();
                request.path = path.clone();
            }
            Self::Bytes(path, bytes) => {
                request.path = path.clone();
                request.body = bytes.clone();
            }
            Self::Later(_) => return None,
        }
        Some(request)
    }
}

/// A region in which something is going on.
fn region(now: Timestamp) -> Region {
    let settings = Settings {
        throttle: true,
        faults: Faults {
            rules: vec![FaultRule {
                action: "Describe*".to_owned(),
                caller: None,
                probability: 0.1,
                strike: Strike::Garbled,
            }],
            ..Faults::default()
        },
        ..Settings::default()
    };
    let mut region = Region::new(settings, now);
    let setup = GroupSetup {
        name: "orders".to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        hooks: vec![HookSetup::launching(300), HookSetup::terminating(300)],
        ..GroupSetup::default()
    };
    region.create_group(setup, now);
    let instance = region.run_instance("us-east-1a", None, Default::default(), now);
    let volume = region.create_volume("us-east-1a", 8, Default::default(), now);
    let now = now + SignedDuration::from_mins(2);
    region.advance(now);
    region.attach_volume(&volume, &instance, "/dev/sdf", now);
    region.snapshot_by_hand(&volume, Default::default(), now);
    region.allocate_address(Default::default(), now);
    region
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_conversation_has_its_answers(arrivals in prop::collection::vec(arrival(), 1..40)) {
        let mut now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut region = region(now);
        now += SignedDuration::from_mins(2);
        for arrival in &arrivals {
            if let Arrival::Later(seconds) = arrival {
                now += SignedDuration::from_secs(*seconds);
                region.advance(now);
            }
            let Some(request) = arrival.request(&region) else { continue };
            region.trip("somebody", &request, now);
            region.patience(&request, now);
            let answer = region.handle("somebody", &request, now);
            prop_assert!((200..600).contains(&answer.status), "{}", answer.status);
            prop_assert!(answer.body.len() < 1_000_000);
            region.garble(&request, Some(answer));
        }
        // It lives, and its time goes on.
        region.advance(now + SignedDuration::from_hours(24));
        prop_assert!(region.truth().groups.contains_key("orders")
            || arrivals.iter().any(|a| matches!(a, Arrival::Query(_, "DeleteAutoScalingGroup", _))));
    }
}
