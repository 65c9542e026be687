//! The region on a port, spoken to byte by byte.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rehome_region::{FaultRule, Region, Settings, Strike, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A region without latency, served on a free port.
async fn served(prepare: impl FnOnce(&mut Region)) -> String {
    let settings = Settings {
        latency_scale: 0.0,
        ..Settings::default()
    };
    let mut region = Region::new(settings, Timestamp::UNIX_EPOCH);
    prepare(&mut region);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let region = Arc::new(Mutex::new(region));
    tokio::spawn(serve(region, listener, || Timestamp::UNIX_EPOCH));
    address
}

/// Sends the bytes and reads until the region closes; empty if it says nothing.
async fn talk(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The region may have had enough before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test(flavor = "current_thread")]
async fn calls_are_answered_in_the_callers_name() {
    let address = served(|_| {}).await;
    let sign =
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDME/20260101/us-east-1/ec2/aws4_request\r\n";
    let body = "Action=DescribeAutoScalingGroups&Version=2011-01-01";
    let answer = talk(&address, &post("/", sign, body)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("<DescribeAutoScalingGroupsResult>"),
        "{answer}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_metadata_service_answers_under_the_instances_name() {
    let mut id = String::new();
    let address = served(|region| {
        id = region.run_instance("us-east-1a", None, [].into(), Timestamp::UNIX_EPOCH);
    })
    .await;
    let ask = |path: &str| {
        format!(
            "GET {path}/latest/meta-data/instance-id HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
    };
    let without_token = talk(&address, ask(&format!("/imds/{id}")).as_bytes()).await;
    assert!(without_token.starts_with("HTTP/1.1 401"), "{without_token}");
    let of_nobody = talk(&address, ask("/imds/i-0nobody").as_bytes()).await;
    assert!(of_nobody.starts_with("HTTP/1.1 404"), "{of_nobody}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_lost_answer_is_a_closed_connection() {
    let rule = FaultRule {
        action: "*".to_owned(),
        caller: None,
        probability: 1.0,
        strike: Strike::LostAfter,
    };
    let address = served(|region| region.settings_mut().faults.rules.push(rule)).await;
    let answer = talk(
        &address,
        &post("/", "", "Action=AllocateAddress&Version=2016-11-15"),
    )
    .await;
    assert_eq!(answer, "");
}

#[tokio::test(flavor = "current_thread")]
async fn too_much_and_nonsense_are_refused_and_the_next_caller_is_served() {
    let address = served(|_| {}).await;
    let much = post("/", "", &"x".repeat(1024 * 1024 + 1));
    assert!(talk(&address, &much).await.starts_with("HTTP/1.1 413"));
    assert!(
        !talk(&address, &[0xff; 4096])
            .await
            .starts_with("HTTP/1.1 200")
    );
    let answer = talk(&address, &post("/", "", "nothing")).await;
    assert!(answer.contains("<Code>InvalidAction</Code>"), "{answer}");
}
