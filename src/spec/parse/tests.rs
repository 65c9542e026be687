//! Is every message the one a person should read?

#![allow(clippy::unwrap_used, clippy::panic)]

mod hostile;
mod load;

use proptest::prelude::*;

use super::*;
use crate::spec::{AddressSpec, Filesystem, Kind, Policy};

/// A file with these lines after a group's name; the first of them is line 3.
fn group(lines: &str) -> String {
    format!("[[group]]\nname = \"db\"\n{lines}")
}

/// The same with a volume whose further keys begin on line 6.
fn volume(lines: &str) -> String {
    group(&format!(
        "[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n{lines}"
    ))
}

#[track_caller]
fn refused(text: &str, message: &str) {
    match parse("rehome.toml", text) {
        Ok(config) => panic!("taken: {text}\n{config:?}"),
        Err(error) => assert_eq!(error.to_string(), message, "for\n{text}"),
    }
}

#[test]
fn the_whole_contract_is_read() {
    let text = r#"
[[group]]
name  = "orders-db"
agent = false

[[group.address]]
allocation_id = "eipalloc-0abc"
[[group.address]]
tag = { key = "service", value = "orders" }

[[group.volume]]
name       = "data"
device     = "/dev/sdf"
mount      = "/var/lib/postgresql/"
filesystem = "xfs"
size_gib   = 100
type       = "gp3"
iops       = 3000
throughput = 125
kms_key_id = "alias/data"

[group.workload]
units  = ["postgresql.service", "app@1.service"]
health = ["pg_isready", "-q"]

[[group.alarm]]
name = "orders-db-status"

[group.policy]
snapshot_every  = "5m"
keep_snapshots  = 3
freeze          = true
keep_old_volume = "48h"
max_data_loss   = "1h30m"
quiesce_timeout = "90s"
capture_timeout = "20m"
confirm_for     = "30s"
cooldown        = "15m"

[[group]]
name    = "gateway"
kind    = "pair"
members = ["i-0primary", "i-0standby"]
[[group.address]]
tag = { key = "service", value = "gateway" }

[wake]
sqs_queue_url = "https://sqs.eu-west-1.amazonaws.com/123456789012/rehome"
poll_every    = "30s"
"#;
    let config = parse("rehome.toml", text).unwrap();
    let [orders, gateway] = config.groups.as_slice() else {
        panic!("two groups");
    };
    assert_eq!(orders.kind, Kind::Asg);
    assert!(!orders.agent && gateway.agent);
    assert_eq!(orders.addresses.len(), 2);
    assert_eq!(orders.alarms, ["orders-db-status"]);
    assert_eq!(orders.workload.health, ["pg_isready", "-q"]);
    let [data] = orders.volumes.as_slice() else {
        panic!("one volume");
    };
    let mount = data.mount.as_ref().unwrap();
    assert_eq!(
        mount.as_os_str(),
        "/var/lib/postgresql",
        "as the kernel writes it"
    );
    assert_eq!(data.filesystem, Filesystem::Xfs);
    assert_eq!(data.first.size_gib, Some(100));
    assert_eq!(data.first.encrypted, Some(true), "a key means encryption");
    assert_eq!(orders.policy.max_data_loss, SignedDuration::from_mins(90));
    assert_eq!(orders.policy.keep_snapshots, 3);
    assert!(orders.policy.freeze);
    assert_eq!(
        gateway.kind,
        Kind::Pair {
            members: vec!["i-0primary".into(), "i-0standby".into()]
        }
    );
    assert_eq!(config.wake.poll_every, SignedDuration::from_secs(30));
    assert!(config.wake.sqs_queue_url.unwrap().ends_with("/rehome"));
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = parse("rehome.toml", &volume("")).unwrap();
    let [group] = config.groups.as_slice() else {
        panic!("one group");
    };
    assert_eq!(group.policy, Policy::default());
    assert!(group.agent && group.kind == Kind::Asg && group.addresses.is_empty());
    let [data] = group.volumes.as_slice() else {
        panic!("one volume");
    };
    assert_eq!(data.mount, None);
    assert_eq!(data.filesystem, Filesystem::Ext4);
    assert_eq!(data.first, crate::world::Shape::default());
    assert_eq!(config.wake, Wake::default());
    let text = group_with_address("allocation_id = \"eipalloc-0abc\"");
    let config = parse("rehome.toml", &text).unwrap();
    let addresses = config.groups.into_iter().flat_map(|group| group.addresses);
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        [AddressSpec::Allocation("eipalloc-0abc".into())]
    );
}

fn group_with_address(line: &str) -> String {
    group(&format!("[[group.address]]\n{line}\n"))
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    refused(
        &group("agnet = true"),
        "rehome.toml:3: group.agnet: unknown key; did you mean agent? known are name, kind, members, agent, address, volume, workload, alarm, policy",
    );
    refused(
        &volume("color = 1"),
        "rehome.toml:6: group.volume.color: unknown key; known are name, device, mount, filesystem, size_gib, type, iops, throughput, kms_key_id",
    );
    refused(
        &group_with_address("tag = { key = \"a\", vaule = \"b\" }"),
        "rehome.toml:4: group.address.tag.vaule: unknown key; did you mean value? known are key, value",
    );
    refused(
        &volume("[group.policy]\ncool_down = \"1m\""),
        "rehome.toml:7: group.policy.cool_down: unknown key; did you mean cooldown? known are snapshot_every, keep_old_volume, max_data_loss, quiesce_timeout, capture_timeout, confirm_for, cooldown, keep_snapshots, moves_per_hour, freeze",
    );
    refused(
        "[walk]\n",
        "rehome.toml:1: walk: unknown key; did you mean wake? known are group, wake",
    );
}

#[test]
fn a_time_has_a_unit_and_is_longer_than_nothing() {
    let cases = [
        (
            "\"15\"",
            "\"15\" is no length of time; write s, m or h after each number, such as \"10m\" or \"1h30m\"",
        ),
        (
            "\"15 parsecs\"",
            "\"15 parsecs\" is no length of time; write s, m or h after each number, such as \"10m\" or \"1h30m\"",
        ),
        (
            "\"7d\"",
            "\"7d\" is no length of time; write s, m or h after each number, such as \"10m\" or \"1h30m\"",
        ),
        (
            "15",
            "15 has no unit; write a time with s, m or h in quotes, such as \"10m\"",
        ),
        (
            "\"-15m\"",
            "\"-15m\" must be longer than nothing, such as \"10m\"",
        ),
        (
            "\"0s\"",
            "\"0s\" must be longer than nothing, such as \"10m\"",
        ),
        ("\"\"", "must not be empty; it is like \"10m\""),
        (
            "true",
            "must be a text in quotes, such as \"10m\", but is true or false",
        ),
        ("\"999999h\"", "\"999999h\" is longer than ten years"),
    ];
    for (value, says) in cases {
        refused(
            &volume(&format!("[group.policy]\ncooldown = {value}")),
            &format!("rehome.toml:7: group.policy.cooldown: {says}"),
        );
    }
}

#[test]
fn numbers_have_their_range() {
    refused(
        &volume("[group.policy]\nkeep_snapshots = 0"),
        "rehome.toml:7: group.policy.keep_snapshots: must be a whole number from 1 to 10000, but is 0",
    );
    refused(
        &volume("[group.policy]\nfreeze = \"yes\""),
        "rehome.toml:7: group.policy.freeze: must be true or false, without quotes, but is a text",
    );
    refused(
        &volume("size_gib = -5"),
        "rehome.toml:6: group.volume.size_gib: must be a whole number from 1 to 65536, but is -5",
    );
    refused(
        &volume("size_gib = \"100\""),
        "rehome.toml:6: group.volume.size_gib: must be a whole number from 1 to 65536, but is a text",
    );
    refused(
        &group("agent = \"yes\""),
        "rehome.toml:3: group.agent: must be true or false, without quotes, but is a text",
    );
}

#[test]
fn a_group_needs_a_name_of_its_own_and_something_to_carry() {
    refused(
        "",
        "rehome.toml: group: there is none; a configuration has at least one [[group]] with name = \"orders-db\"",
    );
    refused(
        "group = []",
        "rehome.toml:1: group: the list is empty; write at least one [[group]] with name = \"orders-db\"",
    );
    refused(
        "[group]\nname = \"db\"",
        "rehome.toml:1: group: there can be several, so write it with two brackets: [[group]]",
    );
    refused(
        "[[group]]\nagent = true",
        "rehome.toml:1: group.name: is missing; write name = \"orders-db\"",
    );
    refused(
        &group(""),
        "rehome.toml:1: group: \"db\" has nothing that could follow its holder; write a [[group.volume]] or a [[group.address]]",
    );
    refused(
        &format!("{}\n{}", volume(""), volume("")),
        "rehome.toml:8: group.name: this is on line 2 already; every group has its own name",
    );
}

#[test]
fn volumes_of_a_group_do_not_share() {
    let two = |name: &str, device: &str| {
        volume(&format!(
            "[[group.volume]]\nname = \"{name}\"\ndevice = \"{device}\""
        ))
    };
    refused(
        &two("data", "/dev/sdg"),
        "rehome.toml:7: group.volume.name: this is on line 4 already; every volume of a group has its own name",
    );
    refused(
        &two("logs", "/dev/sdf"),
        "rehome.toml:8: group.volume.device: this is on line 5 already; every volume of a group has its own device",
    );
    refused(
        &two("logs", "/dev/xvdf"),
        "rehome.toml:8: group.volume.device: this is on line 5 already; every volume of a group has its own device",
    );
    let mounts = |first: &str, second: &str| {
        volume(&format!(
            "mount = \"{first}\"\n[[group.volume]]\nname = \"logs\"\ndevice = \"/dev/sdg\"\nmount = \"{second}\""
        ))
    };
    refused(
        &mounts("/srv", "/srv/"),
        "rehome.toml:10: group.volume.mount: this is on line 6 already; every volume of a group has its own mount point",
    );
    refused(
        &mounts("/srv/db", "/srv"),
        "rehome.toml:10: group.volume.mount: \"/srv\" and \"/srv/db\" on line 6 lie in each other; mount them side by side",
    );
    assert!(parse("rehome.toml", &mounts("/srv/db", "/srv/db2")).is_ok());
}

#[test]
fn a_device_name_is_one_that_ebs_takes() {
    let use_these = "use /dev/sdf to /dev/sdp (or /dev/sdb to /dev/sdz, /dev/xvdba to /dev/xvdcz)";
    let cases = [
        ("/dev/sda1", "is the root volume's place"),
        ("/dev/sda", "is the root volume's place"),
        ("/dev/xvda", "is the root volume's place"),
        (
            "/dev/sdf1",
            "is a partition, and a data volume is attached whole",
        ),
        (
            "/dev/xvdba1",
            "is a partition, and a data volume is attached whole",
        ),
        (
            "/dev/nvme1n1",
            "is the kernel's own name, which changes from boot to boot; EBS wants the name given at the attachment, and rehome finds the disk by its serial number",
        ),
        ("/dev/xvdda", "is no device name that EBS takes"),
        ("/dev/vdb", "is no device name that EBS takes"),
        ("/dev/sdé", "is no device name that EBS takes"),
        ("sdf", "does not begin with /dev/"),
    ];
    for (device, says) in cases {
        refused(
            &group(&format!(
                "[[group.volume]]\nname = \"data\"\ndevice = \"{device}\""
            )),
            &format!("rehome.toml:5: group.volume.device: \"{device}\" {says}; {use_these}"),
        );
    }
    for device in [
        "/dev/sdb",
        "/dev/sdp",
        "/dev/sdz",
        "/dev/xvdf",
        "/dev/xvdba",
        "/dev/xvdcz",
    ] {
        let text = group(&format!(
            "[[group.volume]]\nname = \"data\"\ndevice = \"{device}\""
        ));
        assert!(parse("rehome.toml", &text).is_ok(), "{device}");
    }
}

#[test]
fn a_volume_is_named_mounted_and_formatted_sensibly() {
    let cases = [
        (
            "mount = \"srv/db\"",
            "mount: \"srv/db\" must be an absolute path, such as \"/var/lib/postgresql\"",
        ),
        (
            "mount = \"/\"",
            "mount: \"/\" is the root volume's; a data volume needs its own place",
        ),
        (
            "mount = \"//.\"",
            "mount: \"/\" is the root volume's; a data volume needs its own place",
        ),
        (
            "mount = \"/srv/../etc\"",
            "mount: \"/srv/../etc\" must not contain \"..\"",
        ),
        (
            "filesystem = \"btrfs\"",
            "filesystem: \"btrfs\" must be \"ext4\" or \"xfs\"",
        ),
        (
            "type = \"gp9\"",
            "type: \"gp9\" is no volume type; it is one of gp3, gp2, io2, io1, st1, sc1, standard",
        ),
        (
            "iops = 3000",
            "iops: a volume without a type has no iops to set; only gp3, io1 and io2 have",
        ),
        (
            "iops = 3000\ntype = \"st1\"",
            "iops: type st1 has no iops to set; only gp3, io1 and io2 have",
        ),
        (
            "throughput = 125\ntype = \"io2\"",
            "throughput: type io2 has no throughput to set; only gp3 has",
        ),
        (
            "type = \"io2\"\nsize_gib = 10",
            "type: type io2 needs iops beside it, such as iops = 3000",
        ),
    ];
    for (line, says) in cases {
        refused(
            &volume(line),
            &format!("rehome.toml:6: group.volume.{says}"),
        );
    }
    assert!(parse("rehome.toml", &volume("size_gib = 10")).is_ok());
    refused(
        &group("[[group.volume]]\nname = \"Data\"\ndevice = \"/dev/sdf\""),
        "rehome.toml:4: group.volume.name: \"Data\" must be 1 to 32 of the characters a-z, 0-9 and -",
    );
    refused(
        &group("[[group.volume]]\nname = \"data\""),
        "rehome.toml:3: group.volume.device: is missing; write device = \"/dev/sdf\"",
    );
}

#[test]
fn an_address_is_found_one_way() {
    let ways =
        "allocation_id = \"eipalloc-0abc\" or tag = { key = \"service\", value = \"orders\" }";
    refused(
        &group("[[group.address]]\n"),
        &format!("rehome.toml:3: group.address: says nothing; write {ways}"),
    );
    refused(
        &group_with_address(
            "allocation_id = \"eipalloc-0abc\"\ntag = { key = \"a\", value = \"b\" }",
        ),
        &format!(
            "rehome.toml:5: group.address.tag: an address is found one way, not two; write {ways}"
        ),
    );
    refused(
        &group_with_address("allocation_id = \"eipassoc-1\""),
        "rehome.toml:4: group.address.allocation_id: \"eipassoc-1\" is no allocation id of an Elastic IP; it begins with eipalloc-",
    );
    refused(
        &group_with_address("tag = { key = \"service\" }"),
        "rehome.toml:4: group.address.tag.value: is missing; write value = \"orders\"",
    );
    refused(
        &group_with_address(
            "allocation_id = \"eipalloc-1\"\n[[group.address]]\nallocation_id = \"eipalloc-1\"",
        ),
        "rehome.toml:6: group.address.allocation_id: this is on line 4 already; an address follows one group",
    );
}

#[test]
fn a_pair_has_two_members() {
    refused(
        &group("kind = \"trio\""),
        "rehome.toml:3: group.kind: \"trio\" must be \"asg\" or \"pair\"",
    );
    refused(
        &group("kind = \"pair\""),
        "rehome.toml:1: group.members: is missing; write members = [\"i-0primary\", \"i-0standby\"]",
    );
    refused(
        &group("members = [\"i-1\", \"i-2\"]"),
        "rehome.toml:3: group.members: an Auto Scaling group knows its members itself; only kind = \"pair\" lists them",
    );
    refused(
        &group("kind = \"pair\"\nmembers = [\"i-1\"]"),
        "rehome.toml:4: group.members: a pair has exactly two members, preferred first, such as [\"i-0primary\", \"i-0standby\"], but this list has 1",
    );
    refused(
        &group("kind = \"pair\"\nmembers = [\n\"i-1\",\n\"web-2\"]"),
        "rehome.toml:6: group.members: \"web-2\" is no instance id; it begins with i-",
    );
    refused(
        &group("kind = \"pair\"\nmembers = [\"i-1\", \"i-1\"]"),
        "rehome.toml:4: group.members: this is on line 4 already; an instance is a member of one group, once",
    );
}

#[test]
fn a_workload_is_units_and_an_argv() {
    refused(
        &volume("[group.workload]\nhealth = [\"\"]"),
        "rehome.toml:7: group.workload.health: must not be empty; it is like \"pg_isready\"",
    );
    refused(
        &volume("[group.workload]\nhealth = \"pg_isready -q\""),
        "rehome.toml:7: group.workload.health: must be a list, such as [\"pg_isready\", \"-q\"], but is a text",
    );
    refused(
        &volume("[group.workload]\nunits = [\"-x\"]"),
        "rehome.toml:7: group.workload.units: \"-x\" is no systemd unit name; it is like \"postgresql.service\"",
    );
    refused(
        &volume("[group.workload]\nunits = [\"a.service\", \"a.service\"]"),
        "rehome.toml:7: group.workload.units: this is on line 7 already; a unit is started once",
    );
    refused(
        &volume("[[group.alarm]]\n"),
        "rehome.toml:6: group.alarm.name: is missing; write name = \"orders-db-status\"",
    );
}

#[test]
fn waking_is_not_too_fast_and_by_a_url() {
    refused(
        &volume("[wake]\npoll_every = \"100ms\""),
        "rehome.toml:7: wake.poll_every: must be at least \"1s\"",
    );
    refused(
        &volume("[wake]\nsqs_queue_url = \"arn:aws:sqs:eu-west-1:1:rehome\""),
        "rehome.toml:7: wake.sqs_queue_url: \"arn:aws:sqs:eu-west-1:1:rehome\" is no queue URL; it begins with https:// (or http://)",
    );
}

#[test]
fn what_is_not_toml_is_shown() {
    let error = parse("rehome.toml", "[[group]]\nname = db\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("rehome.toml:2: this is not TOML: "),
        "{error}"
    );
    assert!(error.ends_with(", at: name = db"), "{error}");
    let error = parse("rehome.toml", &group("name = \"again\""))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("rehome.toml:3: this is not TOML: duplicate key"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in ".{0,400}") {
        let _ = parse("rehome.toml", &text);
    }

    /// Nearly right files reach further than noise does.
    #[test]
    fn a_torn_file_is_read_or_refused(
        at in 0usize..400,
        length in 0usize..40,
        noise in "[\\[\\]{}=\"',.a-z0-9\n-]{0,8}",
    ) {
        let whole = volume(
            "mount = \"/srv\"\nsize_gib = 1\n[group.policy]\ncooldown = \"1m\"\n[group.workload]\nunits = [\"a.service\"]\nhealth = [\"true\"]\n[wake]\npoll_every = \"15s\"\n",
        );
        let at = at.min(whole.len());
        let end = (at + length).min(whole.len());
        let mut torn = whole.clone();
        torn.replace_range(at..end, &noise);
        if let Err(error) = parse("rehome.toml", &torn) {
            let says = error.to_string();
            prop_assert!(says.starts_with("rehome.toml:"), "{}", says);
            prop_assert!(!says.contains('\n'), "{}", says);
        }
    }
}
