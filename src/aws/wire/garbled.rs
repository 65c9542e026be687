//! What is made of an answer that is none? Never a success, and never "there
//! is nothing": promise 12, for every call there is.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::aws::Meaning;
use crate::plan::Cause;
use crate::world::Term;

/// Answers everything with the same, whatever it is.
#[derive(Clone)]
struct Parrot(Arc<Mutex<(u16, String)>>);

impl fmt::Debug for Parrot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parrot")
    }
}

impl HttpClient for Parrot {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Parrot {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.0.lock().unwrap().clone();
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

/// The group's AWS, with a parrot on the line.
fn with_parrot(stand: &Stand) -> (Aws, Parrot) {
    let parrot = Parrot(Arc::new(Mutex::new((200, String::new()))));
    let config = stand.shared.sdk_config(CALLER);
    let config = config.into_builder().http_client(parrot.clone()).build();
    (Aws::from_config(&config), parrot)
}

/// What a proxy, a broken connection or a mixed-up one makes of an answer.
fn no_answers() -> Vec<(u16, String)> {
    let volume = "<volumeSet><item><volumeId>vol-9</volumeId><status>available</status>";
    let mut answers: Vec<(u16, String)> = [
        "",
        " \n",
        "OK",
        "null",
        "<html><head><title>Sign in</title></head><body>Please sign in.</body></html>",
        "<!DOCTYPE html><html><body>502</body></html>",
        "<?xml version=\"1.0\"?>",
        "<Response/>",
        "<Response><Errors><Error><Code>InternalError</Code></Error></Errors></Response>",
        "<ListBucketsResponse><requestId>r</requestId></ListBucketsResponse>",
        // Whole documents, but not with what such an answer has.
        "<DescribeVolumesResponse/>",
        "<DescribeInstancesResponse><requestId>r</requestId></DescribeInstancesResponse>",
        "<DescribeSnapshotsResponse><volumeSet/></DescribeSnapshotsResponse>",
        "<DescribeAddressesResponse><requestId/></DescribeAddressesResponse>",
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult/></DescribeAutoScalingGroupsResponse>",
        "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult/></DescribeLifecycleHooksResponse>",
        "<CreateTagsResponse><return>false</return></CreateTagsResponse>",
        "<DeleteVolumeResponse><return>false</return></DeleteVolumeResponse>",
        // Half documents.
        "<DescribeVolumesResponse><volumeSet>",
        "<DescribeInstancesResponse><reservationSet/>",
        "<DescribeSnapshotsResponse><snapshotSet/",
        "<CompleteLifecycleActionResponse><ResponseMetadata>",
        "<DeleteSnapshotResponse><return>true</return>",
        "<AttachVolumeResponse><status>attaching</status>",
        "<DetachVolumeResponse><volumeId>vol-1</volumeId",
    ]
    .into_iter()
    .map(|body| (200, body.to_owned()))
    .collect();
    answers.push((200, format!("<DescribeVolumesResponse>{volume}")));
    answers.push((200, format!("<DescribeVolumesResponse>{volume}</item></volumeSet><volumeSet/></DescribeVolumesResponse>")));
    answers.push((200, "\u{0}\u{1}\u{2}".repeat(64)));
    answers.push((200, "<a>".repeat(50_000)));
    answers.push((204, String::new()));
    for status in [302, 403, 404, 407, 502, 503] {
        answers.push((status, "<html><body>no</body></html>".to_owned()));
    }
    answers
}

/// One of each step that is a call.
fn steps() -> Vec<Step> {
    use crate::plan::step::{Action, Activation, Retired};
    let volume = || VolumeId::from("vol-1");
    let instance = || InstanceId::from("i-1");
    let incident = || crate::ids::Incident::new("orders/i-1/2026-01-01T00:00:00Z");
    let capture = |consistency| Step::Capture {
        name: "data".into(),
        volume: volume(),
        epoch: Epoch(1),
        incident: incident(),
        consistency,
        quiet_on: Some(instance()),
        shape: Shape::default(),
        tags: BTreeMap::new(),
    };
    vec![
        Step::Fence {
            instance: instance(),
            force: false,
        },
        Step::StartInstance {
            instance: instance(),
        },
        Step::ReportUnhealthy {
            instance: instance(),
            moves: Vec::new(),
        },
        capture(crate::world::Consistency::Clean),
        capture(crate::world::Consistency::Crash),
        Step::DeleteSnapshot {
            snapshot: "snap-1".into(),
            why: Retired::NeverActive,
        },
        Step::Detach {
            volume: volume(),
            instance: instance(),
            force: false,
        },
        Step::Detach {
            volume: volume(),
            instance: instance(),
            force: true,
        },
        Step::Displace {
            volume: volume(),
            instance: instance(),
            force: false,
        },
        Step::CreateVolume {
            name: "data".into(),
            zone: "us-east-1a".into(),
            epoch: Epoch(1),
            incident: incident(),
            source: None,
            shape: Shape {
                size_gib: Some(1),
                ..Shape::default()
            },
            tags: BTreeMap::new(),
        },
        Step::Attach {
            volume: volume(),
            instance: instance(),
            device: "/dev/sdf".to_owned(),
        },
        Step::Supersede { volume: volume() },
        Step::DeleteVolume {
            volume: volume(),
            why: Retired::NeverActive,
        },
        Step::Activate {
            holder: instance(),
            since: jiff::Timestamp::UNIX_EPOCH,
            volumes: vec![Activation {
                name: "data".into(),
                volume: volume(),
                epoch: Epoch(1),
                marked: None,
            }],
        },
        Step::Associate {
            allocation: "eipalloc-1".into(),
            instance: instance(),
            from: None,
            to: None,
        },
        Step::Complete {
            action: Action {
                instance: instance(),
                hook: "launch".to_owned(),
                transition: crate::world::Transition::Launch,
            },
        },
    ]
}

fn steps_of_pairs() -> Vec<Step> {
    let (on, heir) = (InstanceId::from("i-1"), InstanceId::from("i-2"));
    let since = jiff::Timestamp::UNIX_EPOCH;
    vec![
        Step::Appoint {
            heir: heir.clone(),
            since,
            over: None,
            cause: Cause::Asked,
            moves: Vec::new(),
        },
        Step::NoteHolder {
            on,
            appointed: Term {
                holder: heir,
                since,
            },
            moves: Vec::new(),
        },
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_from_an_answer_that_is_none() {
    let stand = Stand::prompt();
    let (aws, parrot) = with_parrot(&stand);
    let mut spec = spec("orders");
    spec.addresses = vec![
        AddressSpec::Allocation("eipalloc-1".into()),
        AddressSpec::Tag {
            key: "service".to_owned(),
            value: "orders".to_owned(),
        },
    ];
    spec.alarms = vec!["orders-status".to_owned()];
    for (status, body) in no_answers() {
        let shown = &body[..body.len().min(80)];
        *parrot.0.lock().unwrap() = (status, body.clone());
        let world = aws.observe(&spec, Focus::ALL, None).await;
        let unknown = |known: bool, what: &str| assert!(!known, "{status} {shown}: {what}");
        unknown(world.group.known().is_some(), "the group");
        unknown(world.volumes.known().is_some(), "volumes");
        unknown(world.snapshots.known().is_some(), "snapshots");
        unknown(world.addresses.known().is_some(), "addresses");
        unknown(world.alarms.known().is_some(), "alarms");
        let instance = BTreeSet::from(["i-1".into()]);
        let volume = BTreeSet::from(["vol-1".into()]);
        let snapshot = BTreeSet::from(["snap-1".into()]);
        unknown(aws.volumes_now(&volume).await.is_ok(), "a volume");
        unknown(aws.instance_now(&"i-1".into()).await.is_ok(), "an instance");
        unknown(
            aws.groups_of_instances(&instance).await.is_ok(),
            "whose an instance is",
        );
        unknown(
            aws.groups_of_volumes(&volume).await.is_ok(),
            "whose a volume is",
        );
        unknown(
            aws.groups_of_snapshots(&snapshot).await.is_ok(),
            "whose a snapshot is",
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_by_an_answer_that_is_none() {
    let stand = Stand::prompt();
    let (aws, parrot) = with_parrot(&stand);
    let spec = spec("orders");
    let pair = GroupSpec {
        kind: Kind::Pair {
            members: vec!["i-1".into(), "i-2".into()],
        },
        ..spec.clone()
    };
    for (status, body) in no_answers() {
        let shown = &body[..body.len().min(80)];
        *parrot.0.lock().unwrap() = (status, body.clone());
        let of_all = steps().into_iter().map(|step| (&spec, step));
        let of_pairs = steps_of_pairs().into_iter().map(|step| (&pair, step));
        for (spec, step) in of_all.chain(of_pairs) {
            let ended = aws.act(spec, &step, stand.now()).await;
            let error = match ended {
                Err(error) => error,
                Ok(outcome) => panic!("{status} {shown}: {step:?} is {outcome:?}"),
            };
            assert_eq!(
                error.meaning,
                Meaning::Unavailable,
                "{status} {shown}: {error}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_left_with_somebody_who_says_nothing() {
    let stand = Stand::prompt();
    let (aws, parrot) = with_parrot(&stand);
    let url = "https://sqs.us-east-1.amazonaws.com/1/q";
    for (status, body) in no_answers() {
        let shown = &body[..body.len().min(80)];
        *parrot.0.lock().unwrap() = (status, body.clone());
        let sent = aws.send_later(url, "look again", Duration::ZERO).await;
        assert!(sent.is_err(), "{status} {shown}");
        let received = aws.receive(url, Duration::ZERO).await;
        assert!(received.is_err(), "{status} {shown}: {received:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_end_is_cut_off() {
    let stand = Stand::prompt();
    let (aws, parrot) = with_parrot(&stand);
    let list = "<DescribeVolumesResponse><volumeSet>";
    *parrot.0.lock().unwrap() = (200, list.to_owned() + &" ".repeat(17 * 1024 * 1024));
    let error = aws.volumes_now(&BTreeSet::from(["vol-1".into()])).await;
    let error = error.unwrap_err();
    assert_eq!(error.meaning, Meaning::Unavailable);
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        why.push_str(&format!(": {deeper}"));
        source = deeper.source();
    }
    assert!(why.contains("more than 16777216 bytes"), "{why}");
}
