//! What the holder's own machine does, and when its term begins: each
//! situation as a row.

use super::worlds::{Story, at, expect, long_ago, open, served, term, waits, words};
use crate::ids::Epoch;
use crate::plan::step::{Activation, Step};
use crate::world::*;

const TERM: &str = "begin the term of i-1 on data (epoch 2)";
const MOUNT: &str = "mount vol-2 (data)";
const START: &str = "start the workload";

/// The holder has its volume, and nothing is mounted yet.
fn attached() -> Story {
    served().here("i-1", None, Workload::Stopped)
}

fn disk(mut story: Story, filesystem: Option<Option<&str>>) -> Story {
    let here = story.world.here.as_mut().unwrap();
    here.disks.clear();
    if let Some(filesystem) = filesystem {
        let disk = Disk {
            path: "/dev/nvme1n1".to_owned(),
            filesystem: filesystem.map(ToOwned::to_owned),
        };
        here.disks.insert("vol-2".into(), disk);
    }
    story
}

#[test]
fn only_what_has_the_configured_file_system_is_mounted() {
    expect(&attached(), &[MOUNT]);
    expect(
        &disk(attached(), None),
        &["… vol-2 is attached, and its disk is not there yet"],
    );
    expect(
        &disk(attached(), Some(Some("xfs"))),
        &["… data has xfs on it, not the configured file system: correct `filesystem`"],
    );
    expect(
        &disk(attached(), Some(None)),
        &[
            "… data should hold data, and no file system is found on it: it is never formatted; \
             look at it by hand",
        ],
    );
}

#[test]
fn what_else_is_mounted_there_is_in_the_way() {
    let older = served().here("i-1", Some("vol-1"), Workload::Healthy);
    expect(&older, &["stop the workload and unmount"]);
    let mut foreign = attached();
    let mounts = &mut foreign.world.here.as_mut().unwrap().mounts;
    mounts.insert("data".into(), Mounted::Foreign("/dev/sda1".to_owned()));
    expect(
        &foreign,
        &["… the mount point of data is taken by /dev/sda1: unmount it, or configure another"],
    );
}

#[test]
fn the_workload_starts_only_on_all_of_its_volumes() {
    let logs = attached()
        .with_logs()
        .volume("vol-3", "a", 2, term("i-1", at(0)), Some("i-1"))
        .of_logs("vol-3");
    let mut logs = logs.volume("vol-2", "a", 2, term("i-1", at(0)), Some("i-1"));
    logs.group().markers.insert("logs".into(), Epoch(2));
    let mounted = |volumes: &[(&str, &str)]| {
        let mut story = logs.clone().here("i-1", None, Workload::Stopped);
        let mounts = &mut story.world.here.as_mut().unwrap().mounts;
        for (name, volume) in volumes {
            mounts.insert((*name).into(), Mounted::Volume((*volume).into()));
        }
        words(&story)
    };
    let second = "mount vol-3 (logs)";
    assert_eq!(mounted(&[]), [MOUNT, second]);
    assert_eq!(mounted(&[("data", "vol-2")]), [second]);
    assert_eq!(mounted(&[("logs", "vol-3")]), [MOUNT]);
    assert_eq!(mounted(&[("data", "vol-2"), ("logs", "vol-3")]), [START]);
}

#[test]
fn a_volume_that_is_only_attached_is_waited_for_and_never_mounted() {
    let bare = |mut story: Story| {
        story.spec.volumes[0].mount = None;
        story
    };
    expect(&bare(attached()), &[START]);
    let attaching = attached().attachment("vol-2", AttachmentState::Attaching);
    expect(&bare(attaching.clone()), &["… vol-2 is being attached"]);
    // For ever, if nobody takes it back.
    let mut stuck = bare(attaching);
    let volume = stuck.volumes().get_mut(&"vol-2".into()).unwrap();
    volume.attachments[0].since = Some(at(0));
    expect(&stuck.clone().at(389), &["… vol-2 is being attached"]);
    let back = "take back vol-2, whose way to i-1 is stuck";
    expect(&stuck.clone().at(390), &[back, "… vol-2 is being attached"]);
    // On its way back it may be stuck as well: it is cut off from a machine that
    // never had it.
    let leaving = "… vol-2 is being detached";
    let gone = disk(stuck.attachment("vol-2", AttachmentState::Busy), None);
    let waiting = |until| vec![(leaving.trim_start_matches("… ").to_owned(), None, until)];
    expect(&gone.clone().at(509), &[leaving]);
    assert_eq!(waits(&gone.clone().at(509)), waiting(Some(at(510))));
    expect(&gone.clone().at(510), &[back, leaving]);
    assert_eq!(waits(&gone.clone().at(510)), waiting(None));
    expect(&disk(gone.clone(), Some(Some("ext4"))).at(510), &[leaving]);
    let mut used = gone.clone().at(510);
    let mounts = &mut used.world.here.as_mut().unwrap().mounts;
    mounts.insert("data".into(), Mounted::Volume("vol-2".into()));
    assert!(!words(&used).contains(&back.to_owned()));
    // Nor does it leave while it is mounted, and nothing starts on what leaves (tale
    // 20067146 of the swarm). Who serves from it goes on; what else is mounted says nothing.
    let let_go = "stop the workload and unmount".to_owned();
    let while_it = |is: Lifecycle, workload: Workload, mounted: &str| {
        let mut story = used.clone().member("i-1", is, "a");
        let here = story.world.here.as_mut().unwrap();
        here.workload = workload;
        here.mounts
            .insert("data".into(), Mounted::Volume(mounted.into()));
        words(&story).contains(&let_go)
    };
    let lets_go = |workload, mounted| while_it(Lifecycle::InService, workload, mounted);
    assert!(lets_go(Workload::Stopped, "vol-2"));
    // Without units nobody knows what uses it, once it serves.
    assert!(!lets_go(Workload::None, "vol-2"));
    assert!(while_it(Lifecycle::PendingWait, Workload::None, "vol-2"));
    assert!(!lets_go(Workload::Healthy, "vol-2"));
    assert!(!lets_go(Workload::Unhealthy("no".into()), "vol-2"));
    assert!(!lets_go(Workload::Stopped, "vol-9"));
    let mut outside = gone.at(510);
    outside.world.here = None;
    expect(&outside, &[leaving]);
    // Ready without a mount.
    let ready = bare(served())
        .member("i-1", Lifecycle::PendingWait, "a")
        .here("i-1", None, Workload::Healthy);
    expect(&ready, &["complete the launch action of i-1 (hook launch)"]);
}

#[test]
fn without_an_agent_nothing_on_the_machine_is_touched() {
    expect(&attached().no_agent(), &[]);
    // In place is all that can be said.
    let hooked = attached()
        .no_agent()
        .member("i-1", Lifecycle::PendingWait, "a");
    expect(
        &hooked,
        &["complete the launch action of i-1 (hook launch)"],
    );
    let attaching = hooked.attachment("vol-2", AttachmentState::Attaching);
    expect(&attaching, &["… vol-2 is being attached"]);
    assert_eq!(open(&attaching).len(), 1);
}

#[test]
fn a_launch_waits_for_its_own_volume_to_be_mounted() {
    let hooked = |mounted, workload| {
        let story = served().member("i-1", Lifecycle::PendingWait, "a");
        let story = story.here("i-1", mounted, workload);
        words(&story)
    };
    let done = "complete the launch action of i-1 (hook launch)";
    assert_eq!(hooked(Some("vol-2"), Workload::Healthy), [done]);
    assert_eq!(hooked(None, Workload::Healthy), [MOUNT]);
    assert_eq!(hooked(Some("vol-2"), Workload::Stopped), [START]);
}

/// A blank volume for a group that never had data, attached to its holder.
fn blank() -> Story {
    Story::new()
        .member("i-1", Lifecycle::InService, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .address_on("i-1")
        .volume("vol-2", "a", 2, Standing::New, Some("i-1"))
        .here("i-1", None, Workload::Stopped)
}

#[test]
fn a_blank_volume_is_formatted_before_its_term_and_only_where_it_is_mounted_by_an_agent() {
    let format = "make ext4 on vol-2 (data)";
    expect(&disk(blank(), Some(None)), &[format]);
    expect(&disk(blank(), Some(Some("ext4"))), &[TERM]);
    expect(
        &disk(blank(), None),
        &["… vol-2 is attached, and its disk is not there yet"],
    );
    let mut bare = disk(blank(), Some(None));
    bare.spec.volumes[0].mount = None;
    expect(&bare, &[TERM]);
    expect(&disk(blank(), Some(None)).no_agent(), &[TERM]);
    // What was restored is not blank, whatever is found on it.
    let restored = blank()
        .snapshot(
            "snap-1",
            "vol-1",
            1,
            SnapshotState::Completed,
            at(-60),
            None,
        )
        .made_from("vol-2", "snap-1")
        .at(300);
    expect(&disk(restored, Some(None)), &[TERM]);
}

#[test]
fn a_term_begins_on_all_volumes_at_once_and_marks_the_group_where_that_is_due() {
    // Logs come later, to a group that has data.
    let story = attached()
        .with_logs()
        .volume("vol-3", "a", 1, Standing::New, Some("i-1"))
        .of_logs("vol-3");
    let story = story.volume("vol-2", "a", 2, term("i-1", at(0)), Some("i-1"));
    let mut raw = story.here("i-1", None, Workload::Stopped);
    let disks = &mut raw.world.here.as_mut().unwrap().disks;
    disks.get_mut(&"vol-3".into()).unwrap().filesystem = None;
    expect(&raw, &[MOUNT, "make ext4 on vol-3 (logs)"]);
    let formatted = raw.here("i-1", None, Workload::Stopped);
    let step = formatted
        .plan()
        .steps
        .into_iter()
        .find_map(|step| match step {
            Step::Activate { volumes, .. } => Some(volumes),
            _ => None,
        });
    let row = |name: &str, volume: &str, epoch, marked: Option<u64>| Activation {
        name: name.into(),
        volume: volume.into(),
        epoch: Epoch(epoch),
        marked: marked.map(Epoch),
    };
    assert_eq!(
        step.unwrap(),
        [
            row("data", "vol-2", 2, Some(2)),
            row("logs", "vol-3", 1, None)
        ]
    );
}

#[test]
fn a_term_goes_on_only_while_it_is_the_holders_is_marked_and_is_not_captured() {
    expect(&attached(), &[MOUNT]);
    let another = attached().volume("vol-2", "a", 2, term("i-0", at(0)), Some("i-1"));
    expect(&another, &[TERM]);
    expect(&attached().marker(1), &[TERM]);
    let capture = |volume: &str, incident: &str| {
        let state = SnapshotState::Completed;
        let incident = incident.replace("NOW", &at(0).as_millisecond().to_string());
        let story = attached();
        words(&story.snapshot("snap-1", volume, 2, state, at(10), Some(&incident)))
    };
    assert_eq!(capture("vol-2", "i-1/NOW"), [TERM]);
    assert_eq!(capture("vol-2", "live/NOW"), [MOUNT]);
    assert_eq!(capture("vol-9", "i-1/NOW"), [MOUNT]);
}

#[test]
fn a_first_volume_needs_a_size_and_a_machine_that_is_described_and_has_nothing_there() {
    let born = || {
        Story::new()
            .member("i-1", Lifecycle::PendingWait, "a")
            .instance("i-1", InstanceState::Running, at(0))
            .address_on("i-1")
            .here("i-1", None, Workload::Stopped)
    };
    expect(&born(), &["make the first, blank volume data in a"]);
    let mut sizeless = born();
    sizeless.spec.volumes[0].first.size_gib = None;
    expect(
        &sizeless,
        &[
            "… data has neither a volume nor a snapshot, and no size_gib to make a first one: set \
             size_gib, or tag the volume that has the data",
        ],
    );
    let mut unseen = born();
    unseen.instances().clear();
    expect(&unseen, &["… i-1 is still booting"]);
    // Another member has something there: it had a life before rehome.
    let mut life = born()
        .member("i-0", Lifecycle::TerminatingWait, "a")
        .instance("i-0", InstanceState::Running, long_ago());
    let devices = &mut life.instances().get_mut(&"i-0".into()).unwrap().devices;
    devices.insert("/dev/sdf".to_owned(), "vol-9".into());
    assert_eq!(
        words(&life),
        [
            "… i-0 already has vol-9 at /dev/sdf, where data belongs: run `rehome adopt` so that \
             its data is kept, or detach it"
        ]
    );
    // What is the group's own is no such trace: here, one made ahead in vain.
    let own = life.volume("vol-9", "b", 1, Standing::New, Some("i-0"));
    assert!(words(&own).contains(&"detach vol-9 from i-0".to_owned()));
    // Nor is something at another device.
    let mut aside = born();
    let devices = &mut aside.instances().get_mut(&"i-1".into()).unwrap().devices;
    devices.insert("/dev/sda1".to_owned(), "vol-9".into());
    expect(&aside, &["make the first, blank volume data in a"]);
}

/// Each of two blank volumes could begin a term on its own, neither seeing the other's
/// (tale 7005223 of the swarm).
#[test]
fn a_first_volume_that_was_made_for_another_member_is_taken_from_it() {
    let at_the_other = |state, zone, attached| {
        let story = Story::new()
            .member("i-0", Lifecycle::TerminatingWait, zone)
            .instance("i-0", state, long_ago())
            .member("i-1", Lifecycle::PendingWait, "a")
            .instance("i-1", InstanceState::Running, at(0))
            .here("i-1", None, Workload::Stopped);
        story.volume("vol-9", zone, 1, Standing::New, attached)
    };
    let says = |story: &Story, what: &str| {
        let words = words(story);
        assert!(words.contains(&what.to_owned()), "{what}: {words:?}");
    };
    let make = "make the first, blank volume data in a";
    let taken = "detach vol-9 from i-0";
    for zone in ["a", "b"] {
        says(
            &at_the_other(InstanceState::Running, zone, Some("i-0")),
            taken,
        );
    }
    let mut going = at_the_other(InstanceState::Running, "a", Some("i-0"));
    let volume = going.volumes().get_mut(&"vol-9".into()).unwrap();
    volume.attachments[0].state = AttachmentState::Detaching;
    says(&going, "… vol-9 is being detached");
    let volume = going.volumes().get_mut(&"vol-9".into()).unwrap();
    volume.attachments[0].state = AttachmentState::Attaching;
    says(&going, "… vol-9 is being attached");
    // Then it is used, or deleted where it cannot come along.
    let free = |zone| at_the_other(InstanceState::Running, zone, None);
    says(&free("a"), "attach vol-9 to i-1 as /dev/sdf");
    says(
        &free("b"),
        "delete vol-9: it was made for a move that ended otherwise",
    );
    // What is out of reach, of no use, or does not come for long, keeps nobody waiting.
    let mut bad = free("b");
    bad.volumes().get_mut(&"vol-9".into()).unwrap().state = VolumeState::Error;
    says(&bad, make);
    says(
        &at_the_other(InstanceState::Stopped, "b", Some("i-0")),
        make,
    );
    let late = at_the_other(InstanceState::Running, "b", Some("i-0"));
    says(&late.clone().at(1_799), taken);
    says(&late.at(1_800), make);
}

#[test]
fn no_first_volume_is_made_beside_something_that_does_not_say_whose_data_it_is() {
    let born = Story::new()
        .member("i-1", Lifecycle::PendingWait, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .address_on("i-1");
    let tagged = |found: &str| {
        format!(
            "… {found} belongs to this group and does not say whose data it is; before another \
             data is made, tag it with rehome:volume, or take its tag rehome:group away"
        )
    };
    let state = SnapshotState::Completed;
    let mut snapshot = born
        .clone()
        .snapshot("snap-9", "vol-9", 1, state, at(-9), None);
    let found = snapshot.snapshots().get_mut(&"snap-9".into()).unwrap();
    found.name = None;
    let snapshot = snapshot.here("i-1", None, Workload::Stopped);
    expect(&snapshot, &[&tagged("snap-9")]);
    let mut volume = born.volume("vol-9", "a", 1, Standing::New, None);
    volume.volumes().get_mut(&"vol-9".into()).unwrap().name = None;
    let volume = volume.here("i-1", None, Workload::Stopped);
    expect(&volume, &[&tagged("vol-9")]);
}

#[test]
fn the_groups_marker_is_raised_by_a_newer_epoch_alone() {
    let marked = |marked: Option<u64>| {
        let activation = Activation {
            name: "data".into(),
            volume: "vol-2".into(),
            epoch: Epoch(2),
            marked: marked.map(Epoch),
        };
        activation.is_to_be_marked()
    };
    assert!(marked(None) && marked(Some(1)));
    assert!(!marked(Some(2)) && !marked(Some(3)));
}
