//! The right disk: by its volume's id, whatever the kernel calls it.

use std::collections::BTreeMap;
use std::fs;

use rehome::host::Host as _;
use rehome::ids::VolumeId;

use crate::machine::run;
use crate::{block_on, format, look, look_at, mount, mounted, on_a_machine, quiesce, serve};

#[test]
fn names_that_change_places_change_nothing() {
    on_a_machine(
        "disks::names_that_change_places_change_nothing",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let (data, other) = (machine.volume("vol-0a", 64), machine.volume("vol-0b", 64));
            machine.plug(&other, "nvme1n1");
            machine.plug(&data, "nvme2n1");
            serve(machine, &spec, "vol-0a");
            quiesce(machine, &spec).unwrap();
            let blank = look(machine, &spec).disks[&VolumeId::new("vol-0b")]
                .filesystem
                .clone();
            assert_eq!(blank, None, "the other disk was not touched");
            machine.unplug("nvme1n1");
            machine.unplug("nvme2n1");
            machine.plug(&data, "nvme1n1");
            machine.plug(&other, "nvme2n1");
            mount(machine, &spec, "vol-0a").unwrap();
            assert_eq!(mounted(machine, &spec).as_deref(), Some("vol-0a"));
            let row = machine.mount_point("data").join("row");
            assert_eq!(fs::read_to_string(row).unwrap(), "kept");
        },
    );
}

#[test]
fn on_xen_ec2_and_the_hypervisor_say_which() {
    on_a_machine(
        "disks::on_xen_ec2_and_the_hypervisor_say_which",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let (data, other) = (machine.volume("vol-0a", 64), machine.volume("vol-0b", 64));
            // This kernel counts in its own way: what it calls xvdj is /dev/sdf.
            machine.plug_xen(&data, "xvdj", 51792);
            machine.plug_xen(&other, "xvdf", 51808);
            let host = machine.host();
            let volume = VolumeId::new("vol-0a");
            assert!(block_on(look_at(&host, &spec)).disks.is_empty());
            host.learn(&BTreeMap::from([(volume.clone(), "/dev/sdf".to_owned())]));
            let seen = block_on(look_at(&host, &spec));
            assert_eq!(seen.disks[&volume].path, "/dev/xvdj");
            assert_eq!(seen.disks.len(), 1, "the other is nobody's");
            let filesystem = spec.volumes[0].filesystem;
            block_on(host.format(&volume, filesystem)).unwrap();
            block_on(host.mount(&spec.volumes[0], &volume)).unwrap();
            assert_eq!(block_on(look_at(&host, &spec)).mounts.len(), 1);
            block_on(host.quiesce(&spec)).unwrap();
            assert!(block_on(look_at(&host, &spec)).mounts.is_empty());
        },
    );
}

/// First sector and number of sectors.
const ONE: (u32, u32) = (2048, 200_000);
const TWO: [(u32, u32); 2] = [(2048, 60_000), (70_000, 60_000)];

#[test]
fn the_only_partition_carries_the_data() {
    on_a_machine(
        "disks::the_only_partition_carries_the_data",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let disk = machine.partitioned("vol-0a", 128, &[ONE]);
            machine.plug(&disk, "nvme1n1");
            machine.show_partition(&disk, "nvme1n1", 1, ONE);
            run("mkfs.ext4", &["-q", "/dev/nvme1n1p1"]);
            let seen = look(machine, &spec);
            let found = &seen.disks[&VolumeId::new("vol-0a")];
            assert_eq!(
                (found.path.as_str(), found.filesystem.as_deref()),
                ("/dev/nvme1n1p1", Some("ext4"))
            );
            mount(machine, &spec, "vol-0a").unwrap();
            assert_eq!(mounted(machine, &spec).as_deref(), Some("vol-0a"));
            quiesce(machine, &spec).unwrap();
            assert_eq!(mounted(machine, &spec), None);
        },
    );
}

#[test]
fn several_partitions_are_a_riddle() {
    on_a_machine("disks::several_partitions_are_a_riddle", false, |machine| {
        let spec = machine.spec("ext4", "");
        let disk = machine.partitioned("vol-0a", 128, &TWO);
        machine.plug(&disk, "nvme1n1");
        for (number, part) in (1..).zip(TWO) {
            machine.show_partition(&disk, "nvme1n1", number, part);
        }
        for refused in [
            mount(machine, &spec, "vol-0a"),
            format(machine, &spec, "vol-0a"),
        ] {
            let says = refused.unwrap_err().to_string();
            assert!(says.contains("2 partitions"), "{says}");
        }
    });
}

#[test]
fn a_node_that_is_not_the_disks_is_not_taken() {
    on_a_machine(
        "disks::a_node_that_is_not_the_disks_is_not_taken",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let (data, other) = (machine.volume("vol-0a", 64), machine.volume("vol-0b", 64));
            machine.plug(&data, "nvme1n1");
            // Left over from a disk that was there before.
            let number = other.loop_device().replace("/dev/loop", "7:");
            machine.node("nvme1n1", &number);
            assert!(look(machine, &spec).disks.is_empty(), "it is waited for");
            for refused in [
                mount(machine, &spec, "vol-0a"),
                format(machine, &spec, "vol-0a"),
            ] {
                let says = refused.unwrap_err().to_string();
                assert!(
                    says.starts_with("/dev/nvme1n1 is not the device node of vol-0a"),
                    "{says}"
                );
            }
            machine.plug(&data, "nvme1n1");
            serve(machine, &spec, "vol-0a");
        },
    );
}
