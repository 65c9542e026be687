//! Stories of calls that go wrong, and of runs that are the same.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{World, request};
use rehome_region::record::Tags;
use rehome_region::{Fate, Fault, FaultRule, Outcome, Request, Strike, What};

fn rule(action: &str, strike: Strike) -> FaultRule {
    FaultRule {
        action: action.to_owned(),
        caller: None,
        probability: 1.0,
        strike,
    }
}

fn fate(world: &mut World, action: &str) -> Fate {
    world
        .region
        .trip("me", &request(action, &[]), world.now)
        .fate
}

#[test]
fn rules_strike_the_actions_they_name() {
    let mut world = World::new();
    world.region.settings_mut().faults.rules = vec![
        rule("CreateSnapshot", Strike::LostAfter),
        rule("Describe*", Strike::Refused(Fault::request_limit())),
        rule("AttachVolume", Strike::LostBefore),
    ];
    assert_eq!(fate(&mut world, "CreateSnapshot"), Fate::LostAfter);
    assert_eq!(
        fate(&mut world, "DescribeTags"),
        Fate::Refused(Fault::request_limit())
    );
    assert_eq!(fate(&mut world, "DetachVolume"), Fate::Delivered);
    assert_eq!(fate(&mut world, "AttachVolume"), Fate::LostBefore);
    let lost = |what: &What| {
        matches!(
            what,
            What::Call {
                outcome: Outcome::Lost,
                ..
            }
        )
    };
    assert_eq!(world.count(lost), 1);

    let refusal = world
        .region
        .refusal(&request("DescribeTags", &[]), &Fault::request_limit());
    assert_eq!(refusal.status, 503);
    assert_eq!(
        common::field(&String::from_utf8(refusal.body).unwrap(), "Code"),
        "RequestLimitExceeded"
    );
}

#[test]
fn a_delayed_answer_comes_late_but_comes() {
    let mut world = World::new();
    world.region.settings_mut().faults.rules =
        vec![rule("*", Strike::Delayed(Duration::from_secs(30)))];
    let trip = world
        .region
        .trip("me", &request("AttachVolume", &[]), world.now);
    assert_eq!(trip.fate, Fate::Delivered);
    assert!(trip.inbound >= Duration::from_secs(30) && trip.outbound < Duration::from_secs(5));
}

#[test]
fn a_caller_in_a_dark_zone_reaches_nothing_but_its_own_metadata() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    world.region.zone_down("us-east-1a", world.now);
    let call = request("DescribeVolumes", &[]);
    assert_eq!(
        world.region.trip(&machine, &call, world.now).fate,
        Fate::LostBefore
    );
    assert_eq!(
        world.region.trip("me", &call, world.now).fate,
        Fate::Delivered
    );
    let imds = Request {
        host: "169.254.169.254".to_owned(),
        path: "/latest/api/token".to_owned(),
        ..Request::default()
    };
    assert_eq!(
        world.region.trip(&machine, &imds, world.now).fate,
        Fate::Delivered
    );
}

#[test]
fn the_same_seed_and_the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut world = World::new();
        let machine = world.machine("us-east-1a");
        let volume = world.database(&machine, "us-east-1a");
        let mut said = world.call("DescribeVolumes", &[]).unwrap();
        said += &world
            .call("CreateSnapshot", &[("VolumeId", &volume)])
            .unwrap();
        world.region.kill_instance(&machine, world.now);
        world.wait(500.0);
        said += &world.call("DescribeSnapshots", &[]).unwrap();
        (said, format!("{:?}", world.region.record()))
    };
    assert_eq!(run(), run());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    world.database(&machine, "us-east-1a");
    let actions = [
        "CreateVolume",
        "AttachVolume",
        "CreateTags",
        "DescribeVolumes",
        "RunInstances",
        "AssociateAddress",
    ];
    let mut noise = fastrand::Rng::with_seed(11);
    for round in 0..2_000 {
        let mut body: Vec<u8> = (0..noise.usize(0..200)).map(|_| noise.u8(..)).collect();
        if round % 2 == 0 {
            let action = actions.get(noise.usize(0..actions.len())).unwrap();
            let size = u64::MAX - noise.u64(0..3);
            body = format!("Version=2016-11-15&Action={action}&VolumeId={size}&Filter.{size}.Name=&Size={size}&MaxResults={size}&MinCount=1&MaxCount={size}&InstanceId.1=é&TagSpecification.1.Tag.1.Key=%ff&AvailabilityZone=us-east-1a")
                .into_bytes();
        }
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body,
            ..Request::default()
        };
        let response = world.region.handle("me", &request, world.now);
        assert!(response.status >= 400 || response.status == 200);
    }
    world
        .region
        .create_volume("us-east-1a", u64::MAX, Tags::new(), world.now);
}
