//! Stories of incidents: how long they took, and how short they could have been.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::World;
use rehome_region::record::Tags;
use rehome_region::{CriticalPath, Delay, Settings, Spread};

/// Every duration is a round number, so that a path can be added up by hand.
fn plain() -> World {
    let mut settings = Settings::default();
    let table = [
        (Delay::CreateVolume, 2_000),
        (Delay::Attach, 3_000),
        (Delay::Detach, 4_000),
        (Delay::SnapshotUpload, 100_000),
        (Delay::Stop, 20_000),
        (Delay::Terminate, 30_000),
        (Delay::MutateTrip, 500),
        (Delay::UnitStop, 5_000),
        (Delay::Unmount, 1_000),
        (Delay::Mount, 1_000),
        (Delay::UnitStart, 7_000),
    ];
    for (delay, millis) in table {
        settings.latency.set(delay, Spread::exactly(millis));
    }
    World::with(settings)
}

fn only(world: &World) -> CriticalPath {
    let paths = world.region.incident_paths();
    assert_eq!(paths.len(), 1);
    paths.into_iter().next().unwrap()
}

/// Attaches, waits, mounts and starts the way a careful agent would.
fn take_over(world: &mut World, heir: &str, volume: &str) {
    let attach = [
        ("VolumeId", volume),
        ("InstanceId", heir),
        ("Device", "/dev/sdf"),
    ];
    world.call("AttachVolume", &attach).unwrap();
    world.attached(volume);
    world.region.guest_delay(heir, Delay::Mount);
    world.region.guest_delay(heir, Delay::UnitStart);
    world.serve(heir, volume);
}

#[test]
fn a_killed_primary_costs_its_termination_and_the_attach() {
    let mut world = plain();
    let primary = world.machine("us-east-1a");
    let standby = world.machine("us-east-1a");
    let volume = world.database(&primary, "us-east-1a");
    world.region.kill_instance(&primary, world.now);
    world.free(&volume);
    world.wait(100.0);
    assert_eq!(only(&world).recovered, None);
    take_over(&mut world, &standby, &volume);
    let path = only(&world);
    // Termination, attach call, attach, mount, unit start.
    assert_eq!(
        path.shortest,
        Some(Duration::from_millis(30_000 + 500 + 3_000 + 1_000 + 7_000))
    );
    assert!(path.rto > path.shortest && path.cause == "killed");
}

#[test]
fn a_fenced_primary_in_another_zone_costs_stop_upload_and_restore() {
    let mut world = plain();
    let primary = world.machine("us-east-1a");
    let standby = world.machine("us-east-1b");
    let volume = world.database(&primary, "us-east-1a");
    let address = world.region.allocate_address(Tags::new(), world.now);
    world
        .call(
            "AssociateAddress",
            &[("AllocationId", &address), ("InstanceId", &primary)],
        )
        .unwrap();
    world.region.crash_guest(&primary, world.now);
    world
        .call("StopInstances", &[("InstanceId.1", &primary)])
        .unwrap();
    world.wait(21.0);
    let snapshot = world.get("CreateSnapshot", &[("VolumeId", &volume)], "snapshotId");
    world.completed(&snapshot);
    let create = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-east-1b"),
    ];
    let copy = world.get("CreateVolume", &create, "volumeId");
    world.wait(10.0);
    take_over(&mut world, &standby, &copy);
    world.wait(30.0);
    assert_eq!(
        only(&world).recovered,
        None,
        "the address is still with the old one"
    );
    world
        .call(
            "AssociateAddress",
            &[("AllocationId", &address), ("InstanceId", &standby)],
        )
        .unwrap();
    let path = only(&world);
    let steps: Vec<&str> = path.steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        steps,
        [
            "stop call",
            "stop",
            "snapshot call",
            "snapshot upload",
            "create call",
            "create",
            "attach call",
            "attach",
            "mount",
            "unit start"
        ]
    );
    let millis = 500 + 20_000 + 500 + 100_000 + 500 + 2_000 + 500 + 3_000 + 1_000 + 7_000;
    assert_eq!(path.shortest, Some(Duration::from_millis(millis)));
}

#[test]
fn an_instance_that_serves_nothing_may_go_without_an_incident() {
    let mut world = plain();
    let primary = world.machine("us-east-1a");
    let standby = world.machine("us-east-1b");
    world.database(&primary, "us-east-1a");
    world.region.kill_instance(&standby, world.now);
    assert!(world.region.incident_paths().is_empty());
}
