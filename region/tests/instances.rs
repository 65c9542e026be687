//! Stories of instances: stopped, terminated, killed, in the dark; and their addresses.
#![allow(clippy::unwrap_used)]

mod common;

use common::World;
use rehome_region::record::Tags;
use rehome_region::{Notice, What};

fn state(world: &mut World, id: &str) -> String {
    world.get("DescribeInstances", &[("InstanceId.1", id)], "name")
}

fn reach(world: &mut World, id: &str, wanted: &str) {
    world.until(wanted, |region| {
        region
            .truth()
            .instances
            .get(id)
            .is_some_and(|i| i.state.as_str() == wanted)
    });
}

#[test]
fn stopping_keeps_what_terminating_lets_go() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    let address = world.region.allocate_address(Tags::new(), world.now);
    world
        .call(
            "AssociateAddress",
            &[("AllocationId", &address), ("InstanceId", &machine)],
        )
        .unwrap();
    world.region.take_notices();

    world
        .call("StopInstances", &[("InstanceId.1", &machine)])
        .unwrap();
    assert_eq!(state(&mut world, &machine), "stopping");
    reach(&mut world, &machine, "stopped");
    assert_eq!(
        world.region.take_notices(),
        [Notice::Halted {
            instance: machine.clone()
        }]
    );
    assert_eq!(world.attachment(&volume), "attached");
    assert!(
        world.volume(&volume).writer.is_none(),
        "a stopped instance is quiet"
    );
    assert_eq!(
        world
            .region
            .truth()
            .addresses
            .get(&address)
            .unwrap()
            .instance
            .as_ref(),
        Some(&machine)
    );

    world
        .call("StartInstances", &[("InstanceId.1", &machine)])
        .unwrap();
    reach(&mut world, &machine, "running");
    world.until("boot", |region| region.guest_devices(&machine).len() == 2);
    world
        .call("TerminateInstances", &[("InstanceId.1", &machine)])
        .unwrap();
    assert_eq!(state(&mut world, &machine), "shutting-down");
    reach(&mut world, &machine, "terminated");
    assert_eq!(world.attachment(&volume), "", "free, and still there");
    assert_eq!(
        world
            .region
            .truth()
            .addresses
            .get(&address)
            .unwrap()
            .instance,
        None
    );
    assert_eq!(
        world.region.truth().volumes.len(),
        1,
        "the root went with its instance"
    );
    world.wait(3_700.0);
    let gone = world.refused("DescribeInstances", &[("InstanceId.1", &machine)]);
    assert_eq!(gone, "InvalidInstanceID.NotFound");
}

#[test]
fn what_is_protected_is_neither_stopped_nor_terminated() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let ways = [
        ("StopInstances", "DisableApiStop", "disableApiStop"),
        (
            "TerminateInstances",
            "DisableApiTermination",
            "disableApiTermination",
        ),
    ];
    for (action, switch, attribute) in ways {
        let protect = |world: &mut World, value: &str| {
            let switch = format!("{switch}.Value");
            let words = [("InstanceId", &*machine), (&*switch, value)];
            world.call("ModifyInstanceAttribute", &words).unwrap();
        };
        protect(&mut world, "true");
        let refused = world.refused(action, &[("InstanceId.1", &machine)]);
        assert_eq!(refused, "OperationNotPermitted");
        let words = [("InstanceId", &*machine), ("Attribute", attribute)];
        assert_eq!(
            world.get("DescribeInstanceAttribute", &words, "value"),
            "true"
        );
        assert_eq!(state(&mut world, &machine), "running");
        protect(&mut world, "false");
    }
    world
        .call("StopInstances", &[("InstanceId.1", &machine)])
        .unwrap();
    assert_eq!(state(&mut world, &machine), "stopping");
}

#[test]
fn delete_on_termination_takes_a_data_volume_along() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    let modify = [
        ("InstanceId", machine.as_str()),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdf"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
    ];
    world.call("ModifyInstanceAttribute", &modify).unwrap();
    world.region.kill_instance(&machine, world.now);
    assert!(
        world.volume(&volume).writer.is_none(),
        "no guest shutdown: the writer ends at once"
    );
    reach(&mut world, &machine, "terminated");
    assert!(!world.region.truth().volumes.contains_key(&volume));
}

#[test]
fn a_run_token_is_replayed() {
    let mut world = World::new();
    let run = [
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("ImageId", "ami-1"),
        ("ClientToken", "t"),
    ];
    let first = world.get("RunInstances", &run, "instanceId");
    assert_eq!(world.get("RunInstances", &run, "instanceId"), first);
    assert_eq!(
        world.refused("DescribeInstances", &[("InstanceId.1", &first)]),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(
        world.refused("StopInstances", &[("InstanceId.1", &first)]),
        "InvalidInstanceID.NotFound"
    );
    world.wait(2.0);
    assert_eq!(state(&mut world, &first), "pending");
    assert_eq!(
        world.refused("StopInstances", &[("InstanceId.1", &first)]),
        "IncorrectInstanceState"
    );
}

#[test]
fn an_address_moves_in_one_call_and_refuses_what_ec2_refuses() {
    let mut world = World::new();
    let old = world.machine("us-east-1a");
    let heir = world.machine("us-east-1b");
    let pending = world
        .region
        .run_instance("us-east-1b", None, Tags::new(), world.now);
    let address = world.region.allocate_address(Tags::new(), world.now);
    let to = |instance| [("AllocationId", address.as_str()), ("InstanceId", instance)];
    assert_eq!(
        world.refused("AssociateAddress", &to(&pending)),
        "InvalidInstanceID"
    );
    let unknown = [
        ("AllocationId", "eipalloc-0a"),
        ("InstanceId", old.as_str()),
    ];
    assert_eq!(
        world.refused("AssociateAddress", &unknown),
        "InvalidAllocationID.NotFound"
    );

    let first = world.get("AssociateAddress", &to(&old), "associationId");
    assert_eq!(
        world.get("AssociateAddress", &to(&old), "associationId"),
        first,
        "again is no change"
    );
    let mut strictly = to(&heir).to_vec();
    strictly.push(("AllowReassociation", "false"));
    assert_eq!(
        world.refused("AssociateAddress", &strictly),
        "Resource.AlreadyAssociated"
    );
    world.call("AssociateAddress", &to(&heir)).unwrap();
    let shown = world.get(
        "DescribeAddresses",
        &[("AllocationId.1", &address)],
        "instanceId",
    );
    assert_eq!(shown, heir, "visible at once");
    assert_eq!(
        world.refused("DisassociateAddress", &[("AssociationId", &first)]),
        "InvalidAssociationID.NotFound"
    );
    assert_eq!(
        world.refused("ReleaseAddress", &[("AllocationId", &address)]),
        "InvalidIPAddress.InUse"
    );
    assert_eq!(
        world.count(|what| matches!(what, What::AddressMoved { .. })),
        2
    );
}

#[test]
fn one_private_address_has_one_elastic_ip() {
    let mut world = World::new();
    world.region.settings_mut().private_addresses = 2;
    let machine = world.machine("us-east-1a");
    let [a, b] = [(); 2].map(|()| world.region.allocate_address(Tags::new(), world.now));
    let to = |allocation| {
        [
            ("AllocationId", allocation),
            ("InstanceId", machine.as_str()),
        ]
    };
    world.call("AssociateAddress", &to(&a)).unwrap();
    world.call("AssociateAddress", &to(&b)).unwrap();
    let holder = |world: &World, id: &String| {
        world
            .region
            .truth()
            .addresses
            .get(id)
            .unwrap()
            .instance
            .clone()
    };
    assert_eq!(
        holder(&world, &a),
        None,
        "the second took the first one's place"
    );
    let second = world
        .region
        .truth()
        .instances
        .get(&machine)
        .unwrap()
        .private_ips
        .get(1)
        .cloned()
        .unwrap();
    let mut beside = to(&a).to_vec();
    beside.push(("PrivateIpAddress", &second));
    world.call("AssociateAddress", &beside).unwrap();
    assert_eq!(
        (holder(&world, &a), holder(&world, &b)),
        (Some(machine.clone()), Some(machine.clone()))
    );
}

#[test]
fn in_a_dark_zone_everything_hangs_and_goes_on_afterwards() {
    let mut world = World::new();
    let machine = world.machine("us-east-1a");
    let volume = world.database(&machine, "us-east-1a");
    world.wait(10.0);
    world.region.zone_down("us-east-1a", world.now);
    let snapshot = world.get("CreateSnapshot", &[("VolumeId", &volume)], "snapshotId");
    world
        .call("StopInstances", &[("InstanceId.1", &machine)])
        .unwrap();
    let create = [("Size", "1"), ("AvailabilityZone", "us-east-1a")];
    assert_eq!(
        world.refused("CreateVolume", &create),
        "InsufficientVolumeCapacity"
    );
    world.wait(7_200.0);
    assert_eq!(
        world.volume(&volume).content.counter,
        100,
        "nobody writes in the dark"
    );
    assert!(
        world
            .region
            .guest_stop_unit(&machine, "db.service", world.now)
            .is_err()
    );
    assert_eq!(
        world.get(
            "DescribeSnapshots",
            &[("SnapshotId.1", &snapshot)],
            "status"
        ),
        "pending"
    );
    world.region.zone_up("us-east-1a", world.now);
    reach(&mut world, &machine, "stopped");
    world.completed(&snapshot);
}

#[test]
fn a_writer_that_comes_back_beside_its_heir_is_a_split_brain() {
    let mut world = World::new();
    let zombie = world.machine("us-east-1a");
    let heir = world.machine("us-east-1b");
    let volume = world.database(&zombie, "us-east-1a");
    world.wait(10.0);
    let snapshot = world
        .region
        .snapshot_by_hand(&volume, Tags::new(), world.now)
        .unwrap();
    world.wait(10.0);
    world.completed(&snapshot);
    world.region.zone_down("us-east-1a", world.now);
    let create = [
        ("SnapshotId", snapshot.as_str()),
        ("AvailabilityZone", "us-east-1b"),
    ];
    let copy = world.get("CreateVolume", &create, "volumeId");
    world.wait(10.0);
    let attach = [
        ("VolumeId", copy.as_str()),
        ("InstanceId", heir.as_str()),
        ("Device", "/dev/sdf"),
    ];
    world.call("AttachVolume", &attach).unwrap();
    world.attached(&copy);
    world.serve(&heir, &copy);
    assert_eq!(
        world.count(|what| matches!(what, What::SplitBrain { .. })),
        0
    );
    world.region.zone_up("us-east-1a", world.now);
    assert_eq!(
        world.count(|what| matches!(what, What::SplitBrain { .. })),
        1
    );
}
