//! Stories of reading: late, partial, in pages, refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, field, items};
use rehome_region::record::Tags;
use rehome_region::{Settings, Spread, Staleness};

fn tagged(key: &str, value: &str) -> Tags {
    [(key.to_owned(), value.to_owned())].into()
}

fn with_lag(millis: u64) -> World {
    let staleness = Staleness {
        filter: Spread::exactly(millis),
        by_id: Spread::exactly(300),
    };
    World::with(Settings {
        staleness,
        ..Settings::default()
    })
}

#[test]
fn filters_see_late_what_ids_see_at_once() {
    let mut world = with_lag(2_000);
    let volume = world
        .region
        .create_volume("us-east-1a", 1, tagged("app", "db"), world.now);
    world.wait(1.0);
    let by_tag = [("Filter.1.Name", "tag:app"), ("Filter.1.Value.1", "db")];
    assert_eq!(
        items(&world.call("DescribeVolumes", &by_tag).unwrap(), "volumeId"),
        0
    );
    assert_eq!(
        world.get("DescribeVolumes", &[("VolumeId.1", &volume)], "status"),
        "available"
    );
    world.wait(1.5);
    assert_eq!(
        items(&world.call("DescribeVolumes", &by_tag).unwrap(), "volumeId"),
        1
    );

    let tag = [
        ("ResourceId.1", volume.as_str()),
        ("Tag.1.Key", "app"),
        ("Tag.1.Value", "web"),
    ];
    world.call("CreateTags", &tag).unwrap();
    assert_eq!(
        items(&world.call("DescribeVolumes", &by_tag).unwrap(), "volumeId"),
        1,
        "still the old tag"
    );
    assert_eq!(
        world.get("DescribeVolumes", &[("VolumeId.1", &volume)], "value"),
        "web"
    );
    world.wait(2.5);
    assert_eq!(
        items(&world.call("DescribeVolumes", &by_tag).unwrap(), "volumeId"),
        0
    );

    world
        .call("DeleteVolume", &[("VolumeId", &volume)])
        .unwrap();
    let zone = [
        ("Filter.1.Name", "availability-zone"),
        ("Filter.1.Value.1", "us-east-1a"),
    ];
    assert_eq!(
        items(&world.call("DescribeVolumes", &zone).unwrap(), "volumeId"),
        1,
        "a ghost"
    );
    assert_eq!(
        world.refused("DescribeVolumes", &[("VolumeId.1", &volume)]),
        "InvalidVolume.NotFound"
    );
}

#[test]
fn what_was_just_made_is_not_found_by_its_id() {
    let mut world = with_lag(2_000);
    let volume = world.get(
        "CreateVolume",
        &[("Size", "1"), ("AvailabilityZone", "us-east-1a")],
        "volumeId",
    );
    assert_eq!(
        world.refused("DescribeVolumes", &[("VolumeId.1", &volume)]),
        "InvalidVolume.NotFound"
    );
    assert_eq!(
        world.refused("DeleteVolume", &[("VolumeId", &volume)]),
        "InvalidVolume.NotFound"
    );
    world.wait(0.4);
    assert_eq!(
        world.get("DescribeVolumes", &[("VolumeId.1", &volume)], "status"),
        "creating"
    );
}

#[test]
fn one_bad_id_fails_the_whole_batch() {
    let mut world = World::new();
    let volume = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    let both = [
        ("VolumeId.1", volume.as_str()),
        ("VolumeId.2", "vol-0123456789abcdef0"),
    ];
    assert_eq!(
        world.refused("DescribeVolumes", &both),
        "InvalidVolume.NotFound"
    );
    assert_eq!(
        world.refused("DescribeInstances", &[("InstanceId.1", "i-0a")]),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(
        world.refused("DescribeSnapshots", &[("SnapshotId.1", "snap-0a")]),
        "InvalidSnapshot.NotFound"
    );
}

#[test]
fn pages_show_everything_once() {
    let mut world = World::new();
    for _ in 0..12 {
        world
            .region
            .create_volume("us-east-1a", 1, Tags::new(), world.now);
    }
    world.wait(10.0);
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let body = world
            .call(
                "DescribeVolumes",
                &[("MaxResults", "5"), ("NextToken", &token)],
            )
            .unwrap();
        seen.push(items(&body, "volumeId"));
        token = field(&body, "nextToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [5, 5, 2]);
    assert_eq!(
        world.refused("DescribeVolumes", &[("MaxResults", "2")]),
        "InvalidParameterValue"
    );
    assert_eq!(
        world.refused("DescribeVolumes", &[("NextToken", "nonsense")]),
        "InvalidNextToken"
    );
    let both = [("MaxResults", "5"), ("VolumeId.1", "vol-0a")];
    assert_eq!(
        world.refused("DescribeVolumes", &both),
        "InvalidVolume.NotFound"
    );
}

#[test]
fn an_outage_takes_describe_instances_with_it() {
    let mut world = World::new();
    let dark = world.machine("us-east-1a");
    let bright = world.machine("us-east-1b");
    world.region.zone_down("us-east-1a", world.now);
    let status = |answer: common::Answer| answer.err().map(|(status, _)| status);
    assert_eq!(status(world.call("DescribeInstances", &[])), Some(500));
    assert_eq!(
        status(world.call("DescribeInstances", &[("InstanceId.1", &dark)])),
        Some(500)
    );
    assert_eq!(
        world.get("DescribeInstances", &[("InstanceId.1", &bright)], "name"),
        "running"
    );
    world.call("DescribeVolumes", &[]).unwrap();
    world.region.zone_up("us-east-1a", world.now);
    assert_eq!(
        world.get("DescribeInstances", &[("InstanceId.1", &dark)], "name"),
        "running"
    );
}

#[test]
fn unknown_actions_fail_loudly_and_are_recorded() {
    let mut world = World::new();
    assert_eq!(world.refused("MakeCoffee", &[]), "InvalidAction");
    let recorded = |what: &rehome_region::What| matches!(what, rehome_region::What::Call { action, .. } if action == "MakeCoffee");
    assert_eq!(world.count(recorded), 1);
    assert_eq!(
        world.call("DescribeVolumes", &[("DryRun", "true")]).err(),
        Some((412, "DryRunOperation".to_owned()))
    );
}
