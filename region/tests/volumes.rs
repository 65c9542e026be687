//! Stories of volumes: moved, copied, refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::World;
use rehome_region::record::Tags;
use rehome_region::{Delay, Settings, Spread, What};

#[test]
fn what_was_written_survives_a_snapshot_into_another_zone() {
    let mut world = World::new();
    let old = world.machine("us-east-1a");
    let heir = world.machine("us-east-1b");
    let volume = world.database(&old, "us-east-1a");
    world.wait(60.0);
    world.quiesce(&old);
    assert_eq!(
        world.volume(&volume).content.counter,
        600,
        "ten writes a second for a minute"
    );

    let detach = [("VolumeId", volume.as_str()), ("InstanceId", old.as_str())];
    assert_eq!(world.get("DetachVolume", &detach, "status"), "detaching");
    world.free(&volume);
    let snapshot = world.get("CreateSnapshot", &[("VolumeId", &volume)], "snapshotId");
    let create = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-east-1b"),
    ];
    assert_eq!(
        world.refused("CreateVolume", &create),
        "InvalidSnapshot.NotFound",
        "not visible yet"
    );
    world.wait(5.0);
    assert_eq!(
        world.refused("CreateVolume", &create),
        "IncorrectState",
        "still pending"
    );
    world.completed(&snapshot);

    let copy = world.get("CreateVolume", &create, "volumeId");
    let attach = [
        ("VolumeId", copy.as_str()),
        ("InstanceId", heir.as_str()),
        ("Device", "/dev/sdf"),
    ];
    assert_eq!(
        world.refused("AttachVolume", &attach),
        "InvalidVolume.NotFound",
        "not visible yet"
    );
    world.wait(10.0);
    assert_eq!(world.get("AttachVolume", &attach, "status"), "attaching");
    world.attached(&copy);
    world.serve(&heir, &copy);
    let lossless = |what: &What| {
        matches!(
            what,
            What::WriterStarted {
                counter: 600,
                lost_writes: 0,
                ..
            }
        )
    };
    assert_eq!(world.count(lossless), 1);
    let live = |what: &What| {
        matches!(
            what,
            What::SnapshotStarted {
                writer_active: true,
                ..
            }
        )
    };
    assert_eq!(world.count(live), 0);
}

#[test]
fn an_older_copy_is_told_by_the_writes_it_never_saw() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    world.wait(20.0);
    let snapshot = world
        .region
        .snapshot_by_hand(&volume, Tags::new(), world.now)
        .unwrap();
    world.wait(40.0);
    world.quiesce(&machine);
    world.completed(&snapshot);
    let create = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-east-1a"),
    ];
    let copy = world.get("CreateVolume", &create, "volumeId");
    world.wait(10.0);
    let attach = [
        ("VolumeId", copy.as_str()),
        ("InstanceId", machine.as_str()),
        ("Device", "/dev/sdg"),
    ];
    world.call("AttachVolume", &attach).unwrap();
    world.attached(&copy);
    world.serve(&machine, &copy);
    let lost = |what: &What| matches!(what, What::WriterStarted { lost_writes: 400, lost, .. } if *lost == Duration::from_secs(40));
    assert_eq!(world.count(lost), 1);
    let live = |what: &What| {
        matches!(
            what,
            What::SnapshotStarted {
                writer_active: true,
                counter: 200,
                ..
            }
        )
    };
    assert_eq!(world.count(live), 1);
}

#[test]
fn a_detach_waits_for_the_guest_while_it_is_mounted() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    assert!(
        world
            .region
            .guest_unmount(&machine, "/data", world.now)
            .is_err(),
        "a unit runs"
    );
    assert_eq!(
        world.get("DetachVolume", &[("VolumeId", &volume)], "status"),
        "busy"
    );
    world.wait(600.0);
    assert_eq!(world.attachment(&volume), "busy");
    assert_eq!(
        world.refused("DetachVolume", &[("VolumeId", &volume)]),
        "IncorrectState"
    );
    world.quiesce(&machine);
    assert_eq!(world.attachment(&volume), "detaching");
    world.free(&volume);
}

#[test]
fn force_cuts_a_busy_volume_off_and_the_writer_with_it() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    world.wait(10.0);
    world
        .call("DetachVolume", &[("VolumeId", &volume), ("Force", "true")])
        .unwrap();
    world.free(&volume);
    world.wait(10.0);
    assert_eq!(world.volume(&volume).content.counter, 100);
    assert!(world.region.guest_mounts(&machine).is_empty());
}

#[test]
fn a_stuck_detach_ends_by_force_or_when_the_instance_stops() {
    for way_out in ["force", "stop"] {
        let mut world = World::new();
        world.region.settings_mut().faults.stuck_detach = 1.0;
        let machine = world.machine("us-east-1a");
        let volume = world.database(&machine, "us-east-1a");
        world.quiesce(&machine);
        world
            .call("DetachVolume", &[("VolumeId", &volume)])
            .unwrap();
        world.wait(3_600.0);
        assert_eq!(world.attachment(&volume), "detaching", "{way_out}");
        match way_out {
            "force" => world
                .call("DetachVolume", &[("VolumeId", &volume), ("Force", "true")])
                .unwrap(),
            _ => world
                .call("StopInstances", &[("InstanceId.1", &machine)])
                .unwrap(),
        };
        world.free(&volume);
    }
}

#[test]
fn attach_refuses_what_ec2_refuses() {
    let mut world = World::new();
    let here = world.machine("us-east-1a");
    let there = world.machine("us-east-1b");
    let data = world.database(&here, "us-east-1a");
    let spare = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    let pending = world
        .region
        .run_instance("us-east-1a", None, Tags::new(), world.now);
    let young = world.get(
        "CreateVolume",
        &[("Size", "1"), ("AvailabilityZone", "us-east-1a")],
        "volumeId",
    );
    world
        .region
        .settings_mut()
        .latency
        .set(Delay::CreateVolume, Spread::ZERO);
    let table = [
        (&data, &here, "/dev/sdg", "VolumeInUse"),
        (&spare, &there, "/dev/sdf", "InvalidVolume.ZoneMismatch"),
        (&spare, &pending, "/dev/sdf", "IncorrectState"),
        (&spare, &here, "/dev/sdf", "InvalidParameterValue"),
        (&spare, &here, "/dev/nvme1n1", "InvalidParameterValue"),
        (&young, &here, "/dev/sdg", "InvalidVolume.NotFound"),
    ];
    for (volume, instance, device, code) in table {
        let parameters = [
            ("VolumeId", volume.as_str()),
            ("InstanceId", instance),
            ("Device", device),
        ];
        assert_eq!(
            world.refused("AttachVolume", &parameters),
            code,
            "{volume} {instance} {device}"
        );
    }
}

#[test]
fn a_young_volume_cannot_be_attached_until_it_is_available() {
    let mut world = World::new();
    world
        .region
        .settings_mut()
        .latency
        .set(Delay::CreateVolume, Spread::exactly(5_000));
    let machine = world.machine("us-east-1a");
    let create = [("Size", "1"), ("AvailabilityZone", "us-east-1a")];
    let volume = world.get("CreateVolume", &create, "volumeId");
    world.wait(3.0);
    let attach = [
        ("VolumeId", volume.as_str()),
        ("InstanceId", machine.as_str()),
        ("Device", "/dev/sdf"),
    ];
    assert_eq!(world.refused("AttachVolume", &attach), "IncorrectState");
    assert_eq!(
        world.refused("DeleteVolume", &[("VolumeId", &volume)]),
        "IncorrectState"
    );
    world.wait(3.0);
    world.call("AttachVolume", &attach).unwrap();
    assert_eq!(
        world.refused("DeleteVolume", &[("VolumeId", &volume)]),
        "VolumeInUse"
    );
}

#[test]
fn a_token_gives_the_same_volume_again_and_burns_with_it() {
    let mut world = World::new();
    let ask = |zone, token| {
        [
            ("Size", "1"),
            ("AvailabilityZone", zone),
            ("ClientToken", token),
        ]
    };
    let first = world.get("CreateVolume", &ask("us-east-1a", "t"), "volumeId");
    assert_eq!(
        world.get("CreateVolume", &ask("us-east-1a", "t"), "volumeId"),
        first
    );
    assert_eq!(
        world.refused("CreateVolume", &ask("us-east-1b", "t")),
        "IdempotentParameterMismatch"
    );
    let second = world.get("CreateVolume", &ask("us-east-1a", "u"), "volumeId");
    assert_ne!(second, first);
    world.wait(10.0);
    world.call("DeleteVolume", &[("VolumeId", &first)]).unwrap();
    assert_eq!(
        world.refused("CreateVolume", &ask("us-east-1a", "t")),
        "IdempotentParameterMismatch"
    );
}

#[test]
fn a_refused_key_is_answered_with_200_and_then_there_is_no_volume() {
    let mut world = World::new();
    world
        .region
        .settings_mut()
        .refused_keys
        .insert("alias/gone".to_owned());
    let ask = [
        ("Size", "1"),
        ("AvailabilityZone", "us-east-1a"),
        ("Encrypted", "true"),
        ("KmsKeyId", "alias/gone"),
        ("ClientToken", "t"),
    ];
    let volume = world.get("CreateVolume", &ask, "volumeId");
    for _ in 0..20 {
        assert_eq!(
            world.refused("DescribeVolumes", &[("VolumeId.1", &volume)]),
            "InvalidVolume.NotFound"
        );
        world.wait(1.0);
    }
    assert_eq!(
        world.refused("CreateVolume", &ask),
        "IdempotentParameterMismatch",
        "the token is burned"
    );
}

#[test]
fn snapshots_of_one_volume_are_limited_in_pace_and_number() {
    let mut world = World::new();
    world
        .region
        .settings_mut()
        .latency
        .set(Delay::SnapshotUpload, Spread::exactly(3_600_000));
    let volume = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    let ask = [("VolumeId", volume.as_str())];
    world.call("CreateSnapshot", &ask).unwrap();
    world.wait(14.0);
    assert_eq!(
        world.refused("CreateSnapshot", &ask),
        "SnapshotCreationPerVolumeRateExceeded"
    );
    for _ in 0..4 {
        world.wait(15.0);
        world.call("CreateSnapshot", &ask).unwrap();
    }
    world.wait(15.0);
    assert_eq!(
        world.refused("CreateSnapshot", &ask),
        "ConcurrentSnapshotLimitExceeded"
    );
}

#[test]
fn a_set_of_snapshots_is_of_one_instant_and_completes_together() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let data = world.database(&machine, "us-east-1a");
    world.region.tag_by_hand(
        &data,
        [("name".to_owned(), "data".to_owned())].into(),
        world.now,
    );
    let logs = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    assert!(
        world
            .region
            .attach_volume(&logs, &machine, "/dev/sdg", world.now)
    );
    let ask = [
        ("InstanceSpecification.InstanceId", machine.as_str()),
        ("InstanceSpecification.ExcludeBootVolume", "true"),
        ("CopyTagsFromSource", "volume"),
    ];
    let body = world.call("CreateSnapshots", &ask).unwrap();
    assert_eq!(common::items(&body, "snapshotId"), 2);
    assert_eq!(common::field(&body, "state"), "pending");
    world.until("one is completed", |region| {
        region
            .truth()
            .snapshots
            .values()
            .any(|s| s.completed.is_some())
    });
    let truth = world.region.truth();
    assert!(
        truth.snapshots.values().all(|s| s.completed.is_some()),
        "no set is done by half"
    );
    let copied = truth.snapshots.values().find(|s| s.volume == data).unwrap();
    assert_eq!(copied.tags.get("name").map(String::as_str), Some("data"));
}

#[test]
fn faults_of_volumes_and_snapshots_end_in_error() {
    let mut settings = Settings::default();
    settings.faults.volume_error = 1.0;
    settings.faults.snapshot_error = 1.0;
    let mut world = World::with(settings);
    let made = world.get(
        "CreateVolume",
        &[("Size", "1"), ("AvailabilityZone", "us-east-1a")],
        "volumeId",
    );
    let volume = world
        .region
        .create_volume("us-east-1a", 1, Tags::new(), world.now);
    let snapshot = world.get("CreateSnapshot", &[("VolumeId", &volume)], "snapshotId");
    world.wait(3_600.0);
    assert_eq!(
        world.get("DescribeVolumes", &[("VolumeId.1", &made)], "status"),
        "error"
    );
    assert_eq!(
        world.get(
            "DescribeSnapshots",
            &[("SnapshotId.1", &snapshot)],
            "status"
        ),
        "error"
    );
    let create = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-east-1b"),
    ];
    assert_eq!(world.refused("CreateVolume", &create), "IncorrectState");
}
