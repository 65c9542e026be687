//! Does the region refuse what a policy does not allow, as the services would,
//! and nothing else?

#![allow(clippy::unwrap_used)]

mod common;

use common::{World, field, request};
use rehome_region::Request;
use rehome_region::iam::Policy;
use rehome_region::record::Tags;

const KEY: &str = "AKIAEXAMPLE";

/// A key that may do what one statement says.
fn world(actions: &str, resources: &str, condition: &str) -> World {
    let mut world = World::new();
    permit(&mut world, KEY, actions, resources, condition);
    world
}

fn permit(world: &mut World, keys: &str, actions: &str, resources: &str, condition: &str) {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Sid": "It", "Effect": "Allow",
            "Action": [{actions}], "Resource": [{resources}], "Condition": {condition}}}]}}"#
    );
    world
        .region
        .permit(keys, "tester", vec![Policy::parse(&text).unwrap()]);
}

fn signed(mut request: Request) -> Request {
    let header = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/ec2/aws4_request");
    request.headers.insert("authorization".to_owned(), header);
    request
}

/// The code of the refusal; nothing if the call was carried out.
fn code(world: &mut World, action: &str, parameters: &[(&str, &str)]) -> String {
    let request = signed(request(action, parameters));
    let response = world.region.handle("me", &request, world.now);
    let body = String::from_utf8(response.body).unwrap();
    assert_eq!(
        response.status == 403,
        body.contains("not authorized"),
        "{body}"
    );
    field(&body, "Code")
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const VOLUMES: &str = r#""arn:aws:ec2:us-east-1:123456789012:volume/*""#;
const EVERYTHING: &str = r#""arn:aws:ec2:us-east-1:123456789012:volume/*",
    "arn:aws:ec2:us-east-1::snapshot/*", "arn:aws:ec2:us-east-1:123456789012:instance/*""#;
const OURS: &str = r#"{"StringEquals": {"aws:ResourceTag/team": "us"}}"#;

#[test]
fn a_key_without_policies_may_do_everything() {
    let mut world = World::new();
    permit(&mut world, "AKIAOTHER", "\"sqs:*\"", "\"*\"", "{}");
    assert_eq!(code(&mut world, "DescribeVolumes", &[]), "");
    assert!(world.region.denials().is_empty());
}

#[test]
fn a_pattern_of_keys_and_several_policies_add_up() {
    let mut world = world("\"ec2:DescribeVolumes\"", "\"*\"", "{}");
    permit(
        &mut world,
        "AKIA*",
        "\"ec2:DescribeSnapshots\"",
        "\"*\"",
        "{}",
    );
    assert_eq!(code(&mut world, "DescribeVolumes", &[]), "");
    assert_eq!(code(&mut world, "DescribeSnapshots", &[]), "");
    assert_eq!(
        code(&mut world, "DescribeInstances", &[]),
        "UnauthorizedOperation"
    );
    let denial = &world.region.denials()[0];
    assert_eq!(
        (denial.action.as_str(), denial.resource.as_str()),
        ("ec2:DescribeInstances", "*")
    );
}

#[test]
fn a_tag_on_the_resource_decides() {
    let mut world = world("\"ec2:DeleteVolume\"", VOLUMES, OURS);
    let (zone, now) = ("us-east-1a", world.now);
    let ours = world
        .region
        .create_volume(zone, 1, tags(&[("team", "us")]), now);
    let theirs = world
        .region
        .create_volume(zone, 1, tags(&[("team", "them")]), now);
    world.wait(60.0);
    for (volume, says) in [
        (&ours, ""),
        (&theirs, "UnauthorizedOperation"),
        // What is not there has no tags; the service says so itself.
        (&"vol-0abc".to_owned(), "InvalidVolume.NotFound"),
    ] {
        assert_eq!(
            code(&mut world, "DeleteVolume", &[("VolumeId", volume)]),
            says
        );
    }
    assert!(world.region.truth().volumes.contains_key(&theirs));
}

#[test]
fn every_resource_of_a_call_must_be_allowed() {
    let mut world = world(
        "\"ec2:AttachVolume\", \"ec2:DetachVolume\"",
        EVERYTHING,
        OURS,
    );
    let now = world.now;
    let (ours, theirs) = (tags(&[("team", "us")]), Tags::new());
    let volume = world
        .region
        .create_volume("us-east-1a", 1, ours.clone(), now);
    let mut machine = |tags| world.region.run_instance("us-east-1a", None, tags, now);
    let (own, foreign) = (machine(ours), machine(theirs));
    world.wait(120.0);
    let on = |instance: &str| {
        [
            ("VolumeId", volume.clone()),
            ("InstanceId", instance.to_owned()),
            ("Device", "/dev/sdf".to_owned()),
        ]
    };
    for (instance, says) in [(&foreign, "UnauthorizedOperation"), (&own, "")] {
        let on = on(instance);
        let parameters: Vec<_> = on.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(code(&mut world, "AttachVolume", &parameters), says);
    }
    assert!(world.region.denials()[0].resource.ends_with(&foreign));
}

#[test]
fn making_and_tagging_are_two_permissions() {
    let make = [
        ("AvailabilityZone", "us-east-1a"),
        ("Size", "1"),
        ("TagSpecification.1.ResourceType", "volume"),
        ("TagSpecification.1.Tag.1.Key", "team"),
        ("TagSpecification.1.Tag.1.Value", "us"),
    ];
    let with_tag = r#"{"StringEquals": {"aws:RequestTag/team": "us"}}"#;
    let mut only_make = world("\"ec2:CreateVolume\"", VOLUMES, with_tag);
    assert_eq!(
        code(&mut only_make, "CreateVolume", &make),
        "UnauthorizedOperation"
    );
    assert_eq!(only_make.region.denials()[0].action, "ec2:CreateTags");

    let by_call = r#"{"StringEquals": {"ec2:CreateAction": "CreateVolume"}}"#;
    permit(&mut only_make, KEY, "\"ec2:CreateTags\"", VOLUMES, by_call);
    assert_eq!(code(&mut only_make, "CreateVolume", &make), "");
    assert_eq!(
        code(&mut only_make, "CreateVolume", &make[..2]),
        "UnauthorizedOperation"
    );
    // Tags on something that is there already are another thing.
    let volume = only_make
        .region
        .truth()
        .volumes
        .keys()
        .next()
        .unwrap()
        .clone();
    only_make.wait(60.0);
    let later = [
        ("ResourceId.1", volume.as_str()),
        ("Tag.1.Key", "team"),
        ("Tag.1.Value", "them"),
    ];
    assert_eq!(
        code(&mut only_make, "CreateTags", &later),
        "UnauthorizedOperation"
    );
}

#[test]
fn only_these_keys_may_be_tagged() {
    let condition = r#"{"ForAllValues:StringLike": {"aws:TagKeys": "team*"}}"#;
    let mut world = world("\"ec2:CreateTags\"", VOLUMES, condition);
    let volume = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    world.wait(60.0);
    let tag = |key: &'static str| {
        [
            ("ResourceId.1", volume.clone()),
            ("Tag.1.Key", key.to_owned()),
        ]
    };
    for (key, says) in [("team-a", ""), ("owner", "UnauthorizedOperation")] {
        let tag = tag(key);
        let parameters: Vec<_> = tag.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(code(&mut world, "CreateTags", &parameters), says);
    }
}

#[test]
fn a_dry_run_tells_what_is_allowed() {
    let mut world = world("\"ec2:DescribeVolumes\"", "\"*\"", "{}");
    let dry = [("DryRun", "true")];
    assert_eq!(code(&mut world, "DescribeVolumes", &dry), "DryRunOperation");
    assert_eq!(
        code(&mut world, "DescribeSnapshots", &dry),
        "UnauthorizedOperation"
    );
}

#[test]
fn a_key_that_may_not_be_used_makes_a_volume_vanish() {
    let mut world = world("\"ec2:CreateVolume\"", VOLUMES, "{}");
    let make = [
        ("AvailabilityZone", "us-east-1a"),
        ("Size", "1"),
        ("Encrypted", "true"),
        ("KmsKeyId", "alias/data"),
    ];
    // EC2 answers before it asks KMS.
    assert_eq!(code(&mut world, "CreateVolume", &make), "");
    world.wait(120.0);
    assert!(world.region.truth().volumes.is_empty());
    assert_eq!(
        world.region.denials()[0].action,
        "kms:GenerateDataKeyWithoutPlaintext"
    );
}

/// The other services, in their own protocols and words.
#[test]
fn every_service_refuses_in_its_own_words() {
    let mut world = world("\"ec2:*\"", "\"*\"", "{}");
    let call = |world: &mut World, request: Request| {
        let response = world.region.handle("me", &signed(request), world.now);
        let query = response.headers.get("x-amzn-query-error").cloned();
        let body = String::from_utf8_lossy(&response.body).into_owned();
        (response.status, query.unwrap_or_default(), body)
    };
    let scaling = Request {
        body: b"Action=DescribeAutoScalingGroups&Version=2011-01-01".to_vec(),
        ..Request::default()
    };
    let (status, _, body) = call(&mut world, scaling);
    assert_eq!(
        (status, field(&body, "Code").as_str()),
        (403, "AccessDenied")
    );
    assert!(
        field(&body, "Message").contains("autoscaling:DescribeAutoScalingGroups on resource: *"),
        "{body}"
    );
    let json = |target: &str, body: &str| Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: [("x-amz-target".to_owned(), target.to_owned())].into(),
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    let alarms = json("GraniteServiceVersion20100801.DescribeAlarms", "{}");
    let (status, query, body) = call(&mut world, alarms);
    assert_eq!((status, query.as_str()), (403, "AccessDenied;Sender"));
    assert!(body.contains("AccessDeniedException"), "{body}");
    let queue = r#"{"QueueUrl": "http://here/123456789012/events", "MessageBody": "x"}"#;
    let (status, query, body) = call(&mut world, json("AmazonSQS.SendMessage", queue));
    assert_eq!((status, query.as_str()), (403, "AccessDenied;Sender"));
    assert!(
        body.contains("AccessDeniedException")
            && body
                .contains("sqs:SendMessage on resource: arn:aws:sqs:us-east-1:123456789012:events"),
        "{body}"
    );
}
