//! What is not done, and what is said then: each bounded, nothing half done.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rehome::host::Host as _;
use rehome::ids::VolumeId;
use rehome::world::{Mounted, Workload};

use crate::machine::{Machine, partition_table, run, text};
use crate::{block_on, format, look, mount, mounted, on_a_machine, quiesce, serve};

#[test]
fn nothing_that_has_something_is_formatted() {
    on_a_machine(
        "refusals::nothing_that_has_something_is_formatted",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            // Written onto the disk, and what is then said to be found there.
            let table = machine.file("table");
            fs::write(&table, partition_table(&[(2048, 4096)])).unwrap();
            let table = format!("dd if={} of=DISK conv=notrunc", table.display());
            let cases = [
                ("mkfs.ext2 -q DISK", "finds ext2"),
                ("mkswap DISK", "finds swap"),
                (&table, "a partition table (dos)"),
                (
                    "printf x | dd of=DISK bs=1 seek=700000 conv=notrunc",
                    "data of no known kind",
                ),
            ];
            for (number, (write, says)) in cases.iter().enumerate() {
                let volume = format!("vol-0{number}");
                let disk = machine.volume(&volume, 64);
                run("sh", &["-c", &write.replace("DISK", &disk.loop_device())]);
                machine.plug(&disk, "nvme1n1");
                let before = sum(&disk.loop_device());
                let refused = format(machine, &spec, &volume).unwrap_err().to_string();
                assert!(
                    refused.contains(says) && refused.contains("is not formatted"),
                    "{write}: {refused}"
                );
                assert_eq!(sum(&disk.loop_device()), before, "{write}");
                let refused = mount(machine, &spec, &volume).unwrap_err().to_string();
                assert!(
                    refused.contains("where the configuration says ext4"),
                    "{refused}"
                );
                machine.unplug("nvme1n1");
            }
        },
    );
}

fn sum(device: &str) -> String {
    run("sha256sum", &[device])
}

#[test]
fn an_ext4_that_was_cut_off_is_made_again() {
    let name = "refusals::an_ext4_that_was_cut_off_is_made_again";
    on_a_machine(name, false, |machine| {
        // What is left of it: no superblock yet, and something in its place.
        is_made_again(machine, "ext4", "printf x | dd of=DISK bs=1 seek=700000");
    });
}

#[test]
fn an_xfs_that_was_cut_off_is_made_again() {
    let name = "refusals::an_xfs_that_was_cut_off_is_made_again";
    on_a_machine(name, true, |machine| {
        let cut_off = "mkfs.xfs -q DISK && xfs_db -x -c 'sb 0' -c 'write -d inprogress 1' DISK";
        is_made_again(machine, "xfs", cut_off);
    });
}

/// The tool is killed in the middle, and so is whoever ran it.
fn is_made_again(machine: &Machine, filesystem: &str, cut_off: &str) {
    let spec = machine.spec(filesystem, "");
    let disk = machine.volume("vol-0a", 320);
    machine.plug(&disk, "nvme1n1");
    let tool = machine.file(&format!("bin/mkfs.{filesystem}"));
    let script = cut_off.replace("DISK", "\"$2\"");
    let killed =
        format!("#!/bin/sh\nPATH=${{PATH#*:}}\n{{ {script}; }} >/dev/null 2>&1\nkill -KILL $$\n");
    fs::write(&tool, killed).unwrap();
    run("chmod", &["755", text(&tool)]);
    let refused = format(machine, &spec, "vol-0a").unwrap_err().to_string();
    assert!(refused.contains("was ended by a signal"), "{refused}");
    fs::remove_file(&tool).unwrap();
    let seen = || {
        look(machine, &spec).disks[&VolumeId::new("vol-0a")]
            .filesystem
            .clone()
    };
    assert_eq!(seen(), None, "it is known to be only a beginning");
    serve(machine, &spec, "vol-0a");
    assert_eq!(seen().as_deref(), Some(filesystem));
    assert_eq!(fs::read_dir("/run/rehome").unwrap().count(), 0);
}

#[test]
fn a_disk_that_never_appears_is_named() {
    on_a_machine(
        "refusals::a_disk_that_never_appears_is_named",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            for refused in [
                mount(machine, &spec, "vol-0a"),
                format(machine, &spec, "vol-0a"),
            ] {
                assert_eq!(
                    refused.unwrap_err().to_string(),
                    "no disk of this machine is known to be vol-0a"
                );
            }
        },
    );
}

#[test]
fn mount_points_are_not_taken_from_others() {
    on_a_machine(
        "refusals::mount_points_are_not_taken_from_others",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let disk = machine.volume("vol-0a", 64);
            machine.plug(&disk, "nvme1n1");
            format(machine, &spec, "vol-0a").unwrap();
            let point = machine.mount_point("data");
            let refused = |says: &str| {
                let refused = mount(machine, &spec, "vol-0a").unwrap_err().to_string();
                assert!(refused.contains(says), "{refused}");
            };
            fs::write(&point, "a file").unwrap();
            refused("is a file and no folder");
            fs::remove_file(&point).unwrap();
            fs::create_dir(machine.mount_point("elsewhere")).unwrap();
            symlink("elsewhere", &point).unwrap();
            refused("is a symbolic link; write ");
            fs::remove_file(&point).unwrap();
            fs::create_dir(&point).unwrap();
            fs::write(point.join("PG_VERSION"), "17").unwrap();
            refused("is not empty (it has PG_VERSION)");
            fs::remove_file(point.join("PG_VERSION")).unwrap();
            run("mount", &["-t", "tmpfs", "mine", text(&point)]);
            refused("is not mounted, because mine (tmpfs) is mounted at ");
            let seen = look(machine, &spec);
            assert_eq!(
                seen.mounts[&spec.volumes[0].name],
                Mounted::Foreign("mine (tmpfs)".into())
            );
            // What is not ours is not unmounted either.
            quiesce(machine, &spec).unwrap();
            assert!(run("findmnt", &[text(&point)]).contains("mine"));
            run("umount", &[text(&point)]);
            mount(machine, &spec, "vol-0a").unwrap();
        },
    );
}

#[test]
fn one_disk_is_not_mounted_twice() {
    on_a_machine(
        "refusals::one_disk_is_not_mounted_twice",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let disk = machine.volume("vol-0a", 64);
            machine.plug(&disk, "nvme1n1");
            format(machine, &spec, "vol-0a").unwrap();
            let other = machine.mount_point("other");
            fs::create_dir(&other).unwrap();
            run("mount", &["/dev/nvme1n1", text(&other)]);
            let refused = mount(machine, &spec, "vol-0a").unwrap_err().to_string();
            assert!(
                refused.contains("because its disk /dev/nvme1n1 is in use"),
                "{refused}"
            );
        },
    );
}

/// Two copies of one file system cannot both be the newest.
#[test]
fn a_second_copy_of_an_xfs_is_refused_while_the_first_is_mounted() {
    let name = "refusals::a_second_copy_of_an_xfs_is_refused_while_the_first_is_mounted";
    on_a_machine(name, true, |machine| {
        let spec = machine.spec("xfs", "");
        let disk = machine.volume("vol-0a", 320);
        machine.plug(&disk, "nvme1n1");
        serve(machine, &spec, "vol-0a");
        quiesce(machine, &spec).unwrap();
        let copy = machine.copy_of(&disk, "vol-0b");
        machine.plug(&copy, "nvme2n1");
        let other = machine.mount_point("other");
        fs::create_dir(&other).unwrap();
        run("mount", &["/dev/nvme1n1", text(&other)]);
        let refused = mount(machine, &spec, "vol-0b").unwrap_err().to_string();
        assert!(
            refused.starts_with("cannot mount /dev/nvme2n1 at "),
            "{refused}"
        );
        run("umount", &[text(&other)]);
        mount(machine, &spec, "vol-0b").unwrap();
    });
}

#[test]
fn a_damaged_ext4_is_left_to_a_person() {
    on_a_machine(
        "refusals::a_damaged_ext4_is_left_to_a_person",
        false,
        |machine| {
            let spec = machine.spec("ext4", "");
            let disk = machine.volume("vol-0a", 64);
            machine.plug(&disk, "nvme1n1");
            serve(machine, &spec, "vol-0a");
            quiesce(machine, &spec).unwrap();
            run(
                "debugfs",
                &["-w", "-R", "set_super_value state 3", "/dev/nvme1n1"],
            );
            let refused = mount(machine, &spec, "vol-0a").unwrap_err().to_string();
            assert!(
            refused.ends_with(
                "says that errors were found on it while it was in use; if the file system is damaged, take a snapshot and run `fsck.ext4 /dev/nvme1n1`"
            ),
            "{refused}"
        );
            assert_eq!(mounted(machine, &spec), None);
            run("sh", &["-c", "fsck.ext4 -fy /dev/nvme1n1; test $? -le 1"]);
            mount(machine, &spec, "vol-0a").unwrap();
        },
    );
}

#[test]
fn a_broken_xfs_is_left_to_a_person() {
    on_a_machine(
        "refusals::a_broken_xfs_is_left_to_a_person",
        true,
        |machine| {
            let spec = machine.spec("xfs", "");
            let disk = machine.volume("vol-0a", 320);
            machine.plug(&disk, "nvme1n1");
            serve(machine, &spec, "vol-0a");
            quiesce(machine, &spec).unwrap();
            // The free space of its first part, and with it what a mount checks.
            run(
                "sh",
                &[
                    "-c",
                    "dd if=/dev/urandom of=/dev/nvme1n1 bs=512 seek=1 count=3 conv=notrunc",
                ],
            );
            let refused = mount(machine, &spec, "vol-0a").unwrap_err().to_string();
            assert!(
                refused.ends_with("run `xfs_repair /dev/nvme1n1`"),
                "{refused}"
            );
        },
    );
}

/// Ends with the test, however that ends.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stand_in(folder: &Path) -> Holder {
    let mut child = Command::new("sh")
        .args(["-c", "echo here; exec sleep 600"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Read as _;
    let mut here = [0; 5];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut here)
        .unwrap();
    Holder(child)
}

#[test]
fn who_holds_a_mount_is_named() {
    on_a_machine("refusals::who_holds_a_mount_is_named", false, |machine| {
        let spec = machine.spec("ext4", "");
        let disk = machine.volume("vol-0a", 64);
        machine.plug(&disk, "nvme1n1");
        serve(machine, &spec, "vol-0a");
        let holder = stand_in(&machine.mount_point("data"));
        let refused = quiesce(machine, &spec).unwrap_err().to_string();
        assert!(
            refused.contains(" is in use by ") && refused.contains(&format!("({})", holder.0.id())),
            "{refused}"
        );
        assert_eq!(mounted(machine, &spec).as_deref(), Some("vol-0a"));
        drop(holder);
        quiesce(machine, &spec).unwrap();
        assert_eq!(mounted(machine, &spec), None);
    });
}

#[test]
fn a_unit_that_does_not_stop_keeps_its_mount() {
    on_a_machine(
        "refusals::a_unit_that_does_not_stop_keeps_its_mount",
        false,
        |machine| {
            let spec = machine.spec(
            "ext4",
            "[group.workload]\nunits = [\"one.service\", \"two.service\"]\n[group.policy]\nquiesce_timeout = \"1s\"\n",
        );
            let disk = machine.volume("vol-0a", 64);
            machine.plug(&disk, "nvme1n1");
            serve(machine, &spec, "vol-0a");
            machine.unit("one.service", "active");
            machine.unit("two.service", "active");
            machine.unit("two.service", "stuck");
            let refused = quiesce(machine, &spec).unwrap_err().to_string();
            assert_eq!(
                refused,
                "`systemctl stop two.service` did not end within 1 seconds, and the unit still runs"
            );
            assert_eq!(
                machine.orders(),
                ["stop two.service"],
                "nothing below it was stopped"
            );
            assert_eq!(mounted(machine, &spec).as_deref(), Some("vol-0a"));
        },
    );
}

#[test]
fn a_unit_that_does_not_start_is_named() {
    on_a_machine(
        "refusals::a_unit_that_does_not_start_is_named",
        false,
        |machine| {
            let spec = machine.spec("ext4", "[group.workload]\nunits = [\"one.service\"]\n");
            let disk = machine.volume("vol-0a", 64);
            machine.plug(&disk, "nvme1n1");
            serve(machine, &spec, "vol-0a");
            machine.unit("one.service", "broken");
            let refused = block_on(machine.host().start_workload(&spec))
                .unwrap_err()
                .to_string();
            assert_eq!(
                refused,
                "`systemctl start one.service` ended with exit code 1: Job for one.service failed"
            );
        },
    );
}

#[test]
fn a_health_command_that_hangs_is_ended() {
    on_a_machine(
        "refusals::a_health_command_that_hangs_is_ended",
        false,
        |machine| {
            let spec = machine.spec("ext4", "[group.workload]\nhealth = [\"sleep\", \"600\"]\n");
            let says = "`sleep 600` did not end within 10 seconds";
            assert_eq!(
                look(machine, &spec).workload,
                Workload::Unhealthy(says.into())
            );
        },
    );
}

#[test]
fn a_strange_disk_hides_no_other() {
    on_a_machine(
        "refusals::a_strange_disk_hides_no_other",
        false,
        strange_disk,
    );
}

fn strange_disk(machine: &Machine) {
    let spec = machine.spec("ext4", "");
    let (strange, data) = (machine.volume("vol-0b", 64), machine.volume("vol-0a", 64));
    // Two file systems at once: blkid cannot decide, and a person has to.
    let device = strange.loop_device();
    run("mkfs.ext4", &["-q", &device]);
    let iso = "printf '\\001CD001\\001' | dd of=DISK bs=1 seek=32768 conv=notrunc";
    run("sh", &["-c", &iso.replace("DISK", &device)]);
    machine.plug(&strange, "nvme1n1");
    machine.plug(&data, "nvme2n1");
    let seen = look(machine, &spec);
    assert_eq!(seen.disks[&VolumeId::new("vol-0a")].filesystem, None);
    let found = seen.disks[&VolumeId::new("vol-0b")]
        .filesystem
        .clone()
        .unwrap();
    assert!(found.contains("several file systems at once"), "{found}");
    let refused = format(machine, &spec, "vol-0b").unwrap_err().to_string();
    assert!(
        refused.contains("several file systems at once"),
        "{refused}"
    );
}
