//! Anyone may write tags. What any of them say is understood or refused, never
//! a panic; and what we write ourselves is read back as it was.
//!
//! `PROPTEST_CASES` sets how many are tried.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing must fail")]

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types as ec2;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::{convert, tagging};
use crate::plan::{Seat, plan};
use crate::tags;
use crate::world::{Seen, World};

const KEYS: &[&str] = &[
    tags::GROUP,
    tags::VOLUME,
    tags::EPOCH,
    tags::STATE,
    tags::INCIDENT,
    tags::CONSISTENCY,
    tags::HOLDER,
    tags::SINCE,
    tags::SHAPE,
    tags::MOVES,
    "rehome:epoch:data",
    "rehome:epoch:",
    "aws:autoscaling:groupName",
    "Name",
    "",
];

const VALUES: &[&str] = &[
    "orders",
    "data",
    "",
    "0",
    "1",
    "2",
    "-1",
    "1099511627776",
    "1099511627777",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "new",
    "active",
    "superseded",
    "clean",
    "crash",
    "i-1",
    "2026-01-01T00:00:00Z",
    "-009999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "+999999-01-01T00:00:00Z",
    "253402207200000 -377705116800000 9223372036854775807 x",
    "type=gp3 size=4294967295 iops=4294967296 throughput=-1",
    "size= =x type",
    "User initiated (9999-99-99 99:99:99 GMT)",
    "\u{0}\u{202e}\u{feff}",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(VALUES).prop_map(str::to_owned),
        1 => ".{0,256}",
        1 => any::<u64>().prop_map(|number| number.to_string()),
    ]
}

fn tags_of_anyone() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop_oneof![
        6 => select(KEYS).prop_map(str::to_owned),
        1 => "rehome:[a-z:]{0,20}",
    ];
    prop::collection::btree_map(key, value(), 0..10)
}

fn written(tags: &BTreeMap<String, String>) -> Option<Vec<ec2::Tag>> {
    let tags = tags.iter().map(|(key, value)| tagging::tag(key, value));
    Some(tags.collect())
}

fn moment() -> impl Strategy<Value = DateTime> {
    prop_oneof![
        Just(DateTime::from_secs(1_800_000_000)),
        any::<i64>().prop_map(DateTime::from_secs),
        (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| DateTime::from_secs_and_nanos(s, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_anyone_wrote_is_understood_or_refused(
        of_volume in tags_of_anyone(),
        of_snapshot in tags_of_anyone(),
        of_group in tags_of_anyone(),
        reason in value(),
        numbers in prop::collection::vec(any::<i32>(), 4),
        (created, started, launched) in (moment(), moment(), moment()),
        now in 0..2_000_000_000_i64,
    ) {
        let volume = ec2::Volume::builder()
            .volume_id("vol-1").state(ec2::VolumeState::Available).availability_zone("us-east-1a")
            .set_attachments(Some(Vec::new())).create_time(created)
            .size(numbers[0]).iops(numbers[1]).throughput(numbers[2])
            .set_tags(written(&of_volume)).build();
        let snapshot = ec2::Snapshot::builder()
            .snapshot_id("snap-1").volume_id("vol-1").state(ec2::SnapshotState::Completed)
            .start_time(started).progress(reason.clone()).volume_size(numbers[3])
            .set_tags(written(&of_snapshot)).build();
        let instance = ec2::Instance::builder()
            .instance_id("i-1").launch_time(launched).state_transition_reason(reason)
            .state(ec2::InstanceState::builder().name(ec2::InstanceStateName::Running).build())
            .placement(ec2::Placement::builder().availability_zone("us-east-1a").build())
            .set_block_device_mappings(Some(Vec::new())).set_tags(written(&of_group)).build();
        let member = scaling::Instance::builder()
            .instance_id("i-1").lifecycle_state(scaling::LifecycleState::InService)
            .availability_zone("us-east-1a").build();
        let group = scaling::AutoScalingGroup::builder()
            .auto_scaling_group_name("orders").desired_capacity(1)
            .set_instances(Some(vec![member]))
            .set_tags(Some(of_group.iter().map(|(key, value)|
                scaling::TagDescription::builder().key(key).value(value).build()).collect()))
            .build();
        let mut world = World::unseen();
        world.volumes = convert::volume(&volume).map_or_else(Seen::Unknown, |of| Seen::Known([(of.id.clone(), of)].into()));
        world.snapshots = convert::snapshot(&snapshot).map_or_else(Seen::Unknown, |of| Seen::Known([(of.id.clone(), of)].into()));
        world.instances = convert::instance(&instance).map_or_else(Seen::Unknown, |(id, of, _)| Seen::Known([(id, of)].into()));
        world.group = convert::group(&group).map_or_else(Seen::Unknown, Seen::Known);
        world.addresses = Seen::Known(Vec::new());
        world.alarms = Seen::Known(BTreeMap::new());
        let whole = world.volumes.known().is_some() && world.snapshots.known().is_some()
            && world.instances.known().is_some() && world.group.known().is_some();
        let now = Timestamp::from_second(now).unwrap();
        let plan = plan(&world, &super::wire::spec("orders"), &Seat { at: None }, now);
        prop_assert!(whole || (plan.steps.is_empty() && plan.upkeep.is_empty()), "{plan:?}");
    }

    #[test]
    fn an_epoch_of_ours_is_read_as_it_was_written(epoch in 0..=(1_u64 << 40)) {
        let tags = BTreeMap::from([(tags::EPOCH.to_owned(), epoch.to_string())]);
        let read = tagging::epoch(&tags).unwrap();
        prop_assert_eq!(read.0, epoch);
        prop_assert!(read.next() > read);
    }

    #[test]
    fn an_epoch_nobody_reached_is_none(epoch in (1_u64 << 40) + 1..) {
        let tags = BTreeMap::from([(tags::EPOCH.to_owned(), epoch.to_string())]);
        prop_assert!(tagging::epoch(&tags).is_err());
    }

    #[test]
    fn moves_of_ours_are_read_as_they_were_written(
        seconds in prop::collection::btree_set(0..4_000_000_000_i64, 0..8)
    ) {
        let moves: Vec<Timestamp> = seconds.into_iter()
            .map(|second| Timestamp::from_second(second).unwrap()).collect();
        let text = tagging::write_moves(&moves);
        prop_assert_eq!(tagging::moves(Some(&text)), moves);
    }
}
