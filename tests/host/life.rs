//! From a blank disk to a workload that serves, and back to a quiet disk.

use std::fs;

use rehome::host::Host as _;
use rehome::ids::VolumeId;
use rehome::world::Workload;

use crate::machine::{Machine, leave_out, may_resize, run, text};
use crate::{block_on, format, look, mount, mounted, on_a_machine, quiesce, serve};

const WORKLOAD: &str =
    "[group.workload]\nunits = [\"one.service\", \"two.service\"]\nhealth = [\"true\"]\n";

#[test]
fn a_blank_ext4_comes_to_serve_and_rests() {
    on_a_machine(
        "life::a_blank_ext4_comes_to_serve_and_rests",
        false,
        |machine| {
            comes_to_serve_and_rests(machine, "ext4");
        },
    );
}

#[test]
fn a_blank_xfs_comes_to_serve_and_rests() {
    on_a_machine(
        "life::a_blank_xfs_comes_to_serve_and_rests",
        true,
        |machine| {
            comes_to_serve_and_rests(machine, "xfs");
        },
    );
}

fn comes_to_serve_and_rests(machine: &Machine, filesystem: &str) {
    let spec = machine.spec(filesystem, WORKLOAD);
    let disk = machine.volume("vol-0a", 320);
    assert!(look(machine, &spec).disks.is_empty(), "not shown yet");
    machine.plug(&disk, "nvme1n1");
    let volume = VolumeId::new("vol-0a");
    let seen = look(machine, &spec);
    assert_eq!(seen.disks[&volume].filesystem, None, "positively nothing");
    assert_eq!(seen.disks[&volume].path, "/dev/nvme1n1");

    // Nothing starts before its data is there.
    let early = block_on(machine.host().start_workload(&spec)).unwrap_err();
    assert!(
        early
            .to_string()
            .contains("the volume data is not mounted at"),
        "{early}"
    );
    assert!(machine.orders().is_empty());

    serve(machine, &spec, "vol-0a");
    // Whoever asks twice gets the same.
    format(machine, &spec, "vol-0a").unwrap();
    mount(machine, &spec, "vol-0a").unwrap();
    block_on(machine.host().start_workload(&spec)).unwrap();
    let seen = look(machine, &spec);
    assert_eq!(seen.workload, Workload::Healthy);
    assert_eq!(seen.disks[&volume].filesystem.as_deref(), Some(filesystem));
    assert_eq!(mounted(machine, &spec).as_deref(), Some("vol-0a"));
    let point = machine.mount_point("data");
    let options = run(
        "findmnt",
        &["--noheadings", "--output", "OPTIONS", text(&point)],
    );
    for option in ["rw", "nodev", "nosuid", "noatime"] {
        assert!(
            options.trim().split(',').any(|o| o == option),
            "{option} in {options}"
        );
    }
    if filesystem == "ext4" {
        assert!(options.contains("errors=remount-ro"), "{options}");
    }

    quiesce(machine, &spec).unwrap();
    quiesce(machine, &spec).unwrap();
    assert_eq!(mounted(machine, &spec), None);
    assert_eq!(look(machine, &spec).workload, Workload::Stopped);
    let orders = machine.orders();
    let once = [
        "start one.service",
        "start two.service",
        "stop two.service",
        "stop one.service",
    ];
    assert_eq!(orders[..4], once);

    // After a reboot: the same disk, under another name.
    machine.unplug("nvme1n1");
    machine.plug(&disk, "nvme4n1");
    mount(machine, &spec, "vol-0a").unwrap();
    assert_eq!(fs::read_to_string(point.join("row")).unwrap(), "kept");
}

#[test]
fn a_larger_disk_is_filled_by_ext4() {
    on_a_machine("life::a_larger_disk_is_filled_by_ext4", false, |machine| {
        fills_a_larger_disk(machine, "ext4");
    });
}

#[test]
fn a_larger_disk_is_filled_by_xfs() {
    on_a_machine("life::a_larger_disk_is_filled_by_xfs", true, |machine| {
        fills_a_larger_disk(machine, "xfs");
    });
}

fn fills_a_larger_disk(machine: &Machine, filesystem: &str) {
    let spec = machine.spec(filesystem, "");
    let disk = machine.volume("vol-0a", 320);
    machine.plug(&disk, "nvme1n1");
    serve(machine, &spec, "vol-0a");
    let point = machine.mount_point("data");
    let size = || -> u64 {
        let shown = run(
            "findmnt",
            &["--noheadings", "--bytes", "--output", "SIZE", text(&point)],
        );
        shown.trim().parse().unwrap()
    };
    let before = size();
    quiesce(machine, &spec).unwrap();
    machine.grow(&disk, "nvme1n1", 640);
    mount(machine, &spec, "vol-0a").unwrap();
    let after = size();
    if filesystem == "ext4" && !may_resize() {
        leave_out("growing ext4: root has no CAP_SYS_RESOURCE here");
        assert_eq!(after, before, "it serves all the same");
    } else {
        assert!(
            before < 320 << 20 && after > 500 << 20,
            "{before} → {after}"
        );
    }
    assert_eq!(fs::read_to_string(point.join("row")).unwrap(), "kept");
}

#[test]
fn ext4_goes_on_after_a_crash() {
    on_a_machine("life::ext4_goes_on_after_a_crash", false, |machine| {
        goes_on_after_a_crash(machine, "ext4");
    });
}

#[test]
fn xfs_goes_on_after_a_crash() {
    on_a_machine("life::xfs_goes_on_after_a_crash", true, |machine| {
        goes_on_after_a_crash(machine, "xfs");
    });
}

/// A snapshot of a mounted disk is what a power cut leaves: its journal is
/// replayed by mounting it, and what was synced is there.
fn goes_on_after_a_crash(machine: &Machine, filesystem: &str) {
    let spec = machine.spec(filesystem, "");
    let disk = machine.volume("vol-0a", 320);
    machine.plug(&disk, "nvme1n1");
    serve(machine, &spec, "vol-0a");
    let snapshot = machine.copy_of(&disk, "vol-0b");
    quiesce(machine, &spec).unwrap();
    machine.unplug("nvme1n1");
    machine.plug(&snapshot, "nvme2n1");
    mount(machine, &spec, "vol-0b").unwrap();
    let row = machine.mount_point("data").join("row");
    assert_eq!(fs::read_to_string(row).unwrap(), "kept");
}
