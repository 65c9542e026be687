//! Who lets go, who is made to, and whose turn it is: each situation as a row.

use super::worlds::{Story, at, cross_zone, expect, long_ago, served, term, waits, words};
use crate::world::*;
use InstanceState::{Running, ShuttingDown, Stopped, Stopping};
use Lifecycle::{InService, TerminatingWait};
use SnapshotState::{Completed, Pending};

const QUIESCE: &str = "stop the workload and unmount";
const STOPPED: &str = "i-old is being stopped";
const LETS_GO: &str = "i-old is expected to let go by itself";
const CAPTURE: &str = "capture the quiet vol-1 (data, epoch 1)";
const ANOTHER: &str = "… another runner is first in line for the capture";
const DETACH: &str = "detach vol-1 from i-old";

fn heir() -> Story {
    cross_zone().here("i-new", None, Workload::Stopped)
}

fn does(story: &Story, step: &str) -> bool {
    words(story).contains(&step.to_owned())
}

// ------------------------------------------------------------- letting go

#[test]
fn a_machine_that_is_told_to_go_lets_go_even_if_it_sees_nothing_else() {
    let blind = |mounted, workload, told: bool| {
        let mut story = served().here("i-1", mounted, workload);
        if told {
            story = story.told_to_go();
        }
        story.world.volumes = Seen::Unknown("no answer".to_owned());
        does(&story, QUIESCE)
    };
    assert!(blind(Some("vol-2"), Workload::Healthy, true));
    assert!(!blind(Some("vol-2"), Workload::Healthy, false));
    assert!(!blind(None, Workload::Stopped, true));
}

#[test]
fn where_nobody_is_to_have_it_a_machine_keeps_it_unless_it_goes_itself() {
    let alone = |lifecycle| {
        let story = served().member("i-1", lifecycle, "a");
        story.here("i-1", Some("vol-2"), Workload::Healthy)
    };
    assert!(does(&alone(TerminatingWait), QUIESCE));
    assert!(!does(&alone(Lifecycle::Standby), QUIESCE));
    assert!(does(&alone(InService).told_to_go(), QUIESCE));
}

#[test]
fn what_is_mounted_or_runs_on_the_volumes_is_let_go() {
    let old = |mounted, workload| cross_zone().here("i-old", mounted, workload);
    let mut mounted_alone = old(Some("vol-1"), Workload::None);
    mounted_alone.spec.workload.units.clear();
    for serving in [
        mounted_alone,
        old(None, Workload::Healthy),
        old(None, Workload::Unhealthy("no".to_owned())),
    ] {
        expect(&serving, &[QUIESCE]);
    }
    // Without volumes a workload is at home wherever it runs.
    let mut gateway = cross_zone().address_on("i-new").only_addresses();
    gateway.spec.workload.units = vec!["router.service".to_owned()];
    assert!(!does(
        &gateway.here("i-old", None, Workload::Healthy),
        QUIESCE
    ));
}

#[test]
fn a_holder_lets_go_of_an_older_copy_before_its_own_term_begins() {
    let story = Story::new()
        .member("i-1", InService, "a")
        .instance("i-1", Running, at(0))
        .volume("vol-1", "a", 1, term("i-1", long_ago()), Some("i-1"))
        .volume("vol-2", "a", 2, term("i-2", at(-50)), Some("i-1"))
        .marker(2)
        .address_on("i-1");
    let begin = "begin the term of i-1 on data (epoch 2)";
    let mounted = |volume| story.clone().here("i-1", Some(volume), Workload::Stopped);
    expect(&mounted("vol-1"), &[QUIESCE, begin]);
    expect(&mounted("vol-2"), &[begin]);
}

#[test]
fn a_machine_without_the_newest_data_detaches_it_from_nobody() {
    // Its volume is on its way: nothing to do but to wait for that.
    let busy = cross_zone()
        .here("i-old", None, Workload::Stopped)
        .attachment("vol-1", AttachmentState::Busy);
    expect(&busy, &["… vol-1 is being detached"]);
    // Another machine's is not detached here.
    let third = cross_zone()
        .member("i-x", Lifecycle::Standby, "a")
        .instance("i-x", Running, long_ago())
        .here("i-x", None, Workload::Stopped);
    expect(&third, &["… i-old is expected to let go by itself"]);
}

// ---------------------------------------------------------------- fencing

#[test]
fn a_predecessor_is_waited_for_until_it_is_due_then_until_its_data_is_given_up() {
    let heir = heir().address_on("i-new");
    let lets_go = |until| vec![(LETS_GO.to_owned(), Some(at(0)), until)];
    let stopped = |until| vec![(STOPPED.to_owned(), Some(at(60)), until)];
    assert_eq!(waits(&heir.clone().at(59)), lets_go(Some(at(60))));
    assert_eq!(waits(&heir.clone().at(60)), stopped(Some(at(1800))));
    assert_eq!(waits(&heir.clone().at(1799)), stopped(Some(at(1800))));
    assert_eq!(waits(&heir.at(1800)), stopped(None));
    // Neither the holder nor a controller: it never fences.
    let third = cross_zone()
        .member("i-x", Lifecycle::Standby, "a")
        .instance("i-x", Running, long_ago())
        .here("i-x", None, Workload::Stopped);
    assert_eq!(waits(&third.clone().at(60)), lets_go(None));
    expect(&third.at(60), &["… i-old is expected to let go by itself"]);
}

#[test]
fn without_an_agent_a_member_that_leaves_is_fenced_at_once_and_another_when_its_heir_came() {
    let fence = "fence i-old: stop it";
    let leaving = cross_zone().no_agent().at(0);
    assert!(does(&leaving, fence));
    assert_eq!(
        waits(&leaving),
        [(STOPPED.to_owned(), None, Some(at(1800)))]
    );
    // Even where it is not said when the heir was launched.
    let mut unseen = leaving.clone();
    unseen.instances().remove(&"i-new".into());
    assert!(does(&unseen, fence));
    // With an agent, whoever leaves is granted its time.
    assert!(!does(&cross_zone().at(0), fence));
    let serves = leaving.member("i-old", InService, "a");
    let says = words(&serves.clone().at(-1));
    assert!(says.contains(&format!("… {LETS_GO}")), "{says:?}");
    assert!(does(&serves, fence));
}

#[test]
fn a_stop_that_hangs_is_forced_three_minutes_after_it_was_due() {
    let ends = |state, seconds| {
        let story = heir().instance("i-old", state, long_ago()).at(seconds);
        let mut story = story.address_on("i-new");
        let old = story.instances().get_mut(&"i-old".into()).unwrap();
        old.told_to_end = Some(at(seconds));
        story
    };
    let forced = "fence i-old: force it to stop";
    let says = |until| vec![(STOPPED.to_owned(), None, Some(at(until)))];
    for (state, seconds, force, until) in [
        (Stopping, 30, false, 240),
        (Stopping, 239, false, 240),
        (Stopping, 240, true, 1800),
        (Stopping, 600, true, 1800),
        // What ends for good cannot be forced.
        (ShuttingDown, 239, false, 240),
        (ShuttingDown, 240, false, 1800),
    ] {
        let story = ends(state, seconds);
        assert_eq!(does(&story, forced), force, "{state:?} {seconds}");
        assert_eq!(waits(&story), says(until), "{state:?} {seconds}");
    }
    let third = ends(Stopping, 240)
        .member("i-x", Lifecycle::Standby, "a")
        .instance("i-x", Running, long_ago())
        .here("i-x", None, Workload::Stopped);
    assert!(!does(&third, forced));
}

// ---------------------------------------------------------------- captures

#[test]
fn runners_queue_up_for_a_capture() {
    // The predecessor first, for as long as it may live, then the heir, then
    // a controller.
    let free = cross_zone().detached("vol-1").address_on("i-new");
    let seen_by = |id: &str| free.clone().here(id, None, Workload::Stopped);
    assert!(does(&seen_by("i-old"), CAPTURE));
    assert!(does(&seen_by("i-new").at(59), ANOTHER));
    assert!(does(&seen_by("i-new").at(60), CAPTURE));
    assert!(does(&free.clone().at(60), ANOTHER));
    assert!(does(&free.clone().at(89), ANOTHER));
    assert!(does(&free.clone().at(90), CAPTURE));
    let until = |story: &Story| waits(story).into_iter().next().unwrap().2;
    assert_eq!(until(&seen_by("i-new").at(59)), Some(at(60)));
    // Where no agent can be alive, nobody waits for it.
    for state in [InstanceState::Pending, Stopped, InstanceState::Terminated] {
        let down = seen_by("i-new").instance("i-old", state, long_ago());
        assert!(does(&down, CAPTURE), "{state:?}");
    }
    assert!(does(&free.clone().no_agent(), CAPTURE));
    // A member that EC2 does not describe may be alive; a stranger is not.
    let mut dark = seen_by("i-new");
    dark.instances().remove(&"i-old".into());
    assert!(does(&dark, ANOTHER));
    dark.group().members.remove(&"i-old".into());
    assert!(does(&dark, CAPTURE));
}

#[test]
fn only_a_volume_whose_term_has_ended_is_captured_and_only_one_that_can_be() {
    let free = |story: Story| story.detached("vol-1").address_on("i-new").at(600);
    let heir = |zone: &str| free(Story::replacement(zone)).here("i-new", None, Workload::Stopped);
    assert!(does(&heir("b"), CAPTURE));
    assert!(does(&heir("a"), CAPTURE));
    // The holder's own goes on, where it still can.
    let own = |zone: &str| heir(zone).volume("vol-1", "a", 1, term("i-new", at(5)), None);
    assert!(!does(&own("a"), CAPTURE));
    assert!(does(&own("b"), CAPTURE));
    // One from before rehome's time is captured as well.
    let before = heir("b").volume("vol-1", "a", 0, Standing::Active(None), None);
    assert!(does(
        &before.marker(0),
        "capture the quiet vol-1 (data, epoch 0)"
    ));
    for state in [VolumeState::Error, VolumeState::Creating] {
        let mut story = heir("b");
        story.volumes().get_mut(&"vol-1".into()).unwrap().state = state;
        assert!(!does(&story, CAPTURE), "{state:?}");
    }
    // Once is enough.
    let done = heir("b").capture("snap-1", "vol-1", Pending);
    assert!(!does(&done, CAPTURE));
}

#[test]
fn what_a_fenced_machine_still_has_is_taken_after_its_capture_by_who_serves_the_heir() {
    let fenced = |zone| {
        let story = Story::replacement(zone).instance("i-old", Stopped, long_ago());
        story.address_on("i-new")
    };
    let captured = |zone| fenced(zone).capture("snap-1", "vol-1", Pending);
    let heir = |story: Story| story.here("i-new", None, Workload::Stopped);
    let detaching = "… vol-1 is being detached";
    expect(&heir(fenced("a")), &[CAPTURE]);
    assert!(does(&heir(captured("a")), DETACH));
    assert!(does(&heir(captured("a")), detaching));
    // An heir in another zone has no use for it.
    assert!(!does(&heir(captured("b")), DETACH));
    assert!(!does(&heir(captured("b")), detaching));
    // A controller leaves it to the heir's agent.
    assert!(!does(&captured("a").at(89), DETACH));
    assert!(does(&captured("a").at(90), DETACH));
    // Nothing is cached there that force would lose.
    let copy = |state| heir(captured("a").attachment("vol-1", state));
    let forced = "detach vol-1 from i-old by force";
    assert!(does(&copy(AttachmentState::Busy), forced));
    let leaves = |now| {
        let story = copy(AttachmentState::Detaching)
            .told("i-old", at(100))
            .at(now);
        assert!(!does(&story, DETACH) && does(&story, detaching));
        does(&story, forced)
    };
    let stuck = copy(AttachmentState::Attaching).told("i-old", at(100));
    assert!(!does(&stuck.clone().at(219), DETACH) && does(&stuck.at(220), DETACH));
    // By then it is stuck; and who does not know since when, does not wait.
    assert!(!leaves(219) && leaves(220));
    assert!(does(&copy(AttachmentState::Detaching), forced));
}

// ------------------------------------------------------- the ways to the data

#[test]
fn a_volume_in_no_usable_state_is_for_a_person_until_its_time_is_over() {
    let broken = |state, seconds| {
        let mut story = heir()
            .detached("vol-1")
            .snapshot("snap-1", "vol-1", 1, Completed, at(-60), Some("live/1"))
            .instance("i-old", Stopped, long_ago())
            .address_on("i-new")
            .at(seconds);
        story.volumes().get_mut(&"vol-1".into()).unwrap().state = state;
        words(&story)
    };
    let hold = "… vol-1 carries the newest data and is not usable as it is: mend it, or wait until \
                capture_timeout for the newest complete set";
    for state in [VolumeState::Error, VolumeState::Creating] {
        assert!(broken(state, 1799).contains(&hold.to_owned()));
        let restore = "restore data (epoch 2) from snap-1 in b".to_owned();
        assert!(broken(state, 1800).contains(&restore));
    }
}

#[test]
fn in_the_same_zone_a_volume_out_of_reach_is_given_up_as_any_other() {
    let mut dark = Story::replacement("a")
        .snapshot("snap-1", "vol-1", 1, Completed, at(-60), Some("live/1"))
        .here("i-new", None, Workload::Stopped)
        .address_on("i-new");
    dark.instances().remove(&"i-old".into());
    let restore = "restore data (epoch 2) from snap-1 in a";
    assert!(!does(&dark.clone().at(1799), restore));
    assert!(does(&dark.clone().at(1800), restore));
    // Not while it can be stopped, nor once it is quiet.
    for state in [Running, Stopped] {
        let reached = dark.clone().instance("i-old", state, long_ago()).at(1800);
        assert!(!does(&reached, restore), "{state:?}");
    }
}

#[test]
fn a_capture_is_waited_for_as_long_as_it_may_take() {
    let begun = |seconds| {
        let mut story = heir()
            .detached("vol-1")
            .capture("snap-1", "vol-1", Pending)
            .snapshot("snap-0", "vol-1", 1, Completed, at(-60), Some("live/1"))
            .instance("i-old", Stopped, long_ago())
            .address_on("i-new")
            .at(seconds);
        story.group().members.remove(&"i-old".into());
        story
    };
    let says = "snap-1 is being completed (50%)".to_owned();
    assert_eq!(waits(&begun(60)), [(says, Some(at(10)), Some(at(1810)))]);
    let restore = "restore data (epoch 2) from snap-0 in b";
    assert!(!does(&begun(1809), restore));
    assert!(does(&begun(1810), restore));
}

#[test]
fn what_is_made_or_attached_is_waited_for() {
    let story = |state, on: Option<AttachmentState>| {
        let mut story = heir()
            .detached("vol-1")
            .capture("snap-1", "vol-1", Completed)
            .volume("vol-2", "b", 2, Standing::New, on.map(|_| "i-new"))
            .made_from("vol-2", "snap-1")
            .instance("i-old", Stopped, long_ago())
            .address_on("i-new");
        story.group().members.remove(&"i-old".into());
        let made = story.volumes().get_mut(&"vol-2".into()).unwrap();
        (made.state, made.created) = (state, at(20));
        for attachment in &mut made.attachments {
            attachment.state = on.unwrap();
        }
        story
    };
    let creating = story(VolumeState::Creating, None);
    let says = "vol-2 is being created".to_owned();
    assert_eq!(waits(&creating), [(says, Some(at(20)), None)]);
    expect(&creating, &["… vol-2 is being created"]);
    let begin = "begin the term of i-new on data (epoch 2)";
    let on = |state| story(VolumeState::InUse, Some(state));
    expect(&on(AttachmentState::Attached), &[begin]);
    let attaching = "… vol-2 is being attached";
    expect(&on(AttachmentState::Attaching), &[begin, attaching]);
    for state in [AttachmentState::Detaching, AttachmentState::Busy] {
        expect(&on(state), &["… vol-2 is being detached"]);
        // It was taken back, and that is stuck as well.
        let forced = "detach vol-2 from i-new by force";
        assert!(!does(&on(state).at(409), forced) && does(&on(state).at(410), forced));
    }
}

#[test]
fn a_device_that_something_else_has_is_for_a_person_unless_that_is_unused_or_on_its_way_out() {
    let free = || {
        let mut story = heir()
            .detached("vol-1")
            .capture("snap-1", "vol-1", Completed)
            .volume("vol-2", "b", 2, Standing::New, None)
            .made_from("vol-2", "snap-1")
            .instance("i-old", Stopped, long_ago())
            .address_on("i-new");
        story.group().members.remove(&"i-old".into());
        story
    };
    let has = |mut story: Story, volume: &str| {
        let devices = &mut story.instances().get_mut(&"i-new".into()).unwrap().devices;
        devices.insert("/dev/xvdf".to_owned(), volume.into());
        story
    };
    let attach = "attach vol-2 to i-new as /dev/sdf";
    assert!(does(&free(), attach));
    let taken = "… data cannot be attached: i-new has vol-9 at /dev/sdf; detach that volume, or \
                 configure another device";
    let foreign = has(free(), "vol-9");
    assert!(does(&foreign, taken) && !does(&foreign, attach));
    // What the instance says may lag behind what the volumes say.
    assert!(does(&has(free(), "vol-2"), attach));
    assert!(does(&has(free(), "vol-1"), attach));
    // One that no term ever began on makes room.
    let unused = |state| {
        let story = free().volume("vol-9", "b", 1, Standing::New, Some("i-new"));
        story.attachment("vol-9", state)
    };
    let room = "detach vol-9 from i-new";
    let leaves = "… vol-9 is being detached";
    let attached = unused(AttachmentState::Attached);
    assert!(does(&attached, room) && !does(&attached, leaves) && !does(&attached, attach));
    let late = |state, now| {
        let mut story = unused(state).at(now);
        let volume = story.volumes().get_mut(&"vol-9".into()).unwrap();
        volume.attachments[0].since = Some(at(100));
        story
    };
    // Stuck, it is taken by force: nobody ever wrote to it.
    for state in [AttachmentState::Detaching, AttachmentState::Busy] {
        let waits = late(state, 489);
        assert!(!does(&waits, room) && does(&waits, leaves), "{state:?}");
        assert!(does(&late(state, 490), "detach vol-9 from i-new by force"));
    }
    // One that was in use does not, unless somebody told it to leave and the machine itself
    // says that it is not mounted (swarm seed 9203581).
    let used = free().volume("vol-9", "b", 0, Standing::Superseded, Some("i-new"));
    assert!(does(&used, taken));
    let back = "take back vol-9, whose way to i-new is stuck";
    for state in [AttachmentState::Detaching, AttachmentState::Busy] {
        let on = |story: &Story, mounted: Option<&str>| {
            let mut story = story.clone();
            story.spec.volumes[0].mount = Some("/data".into());
            let story = story.attachment("vol-9", state);
            story.here("i-new", mounted, Workload::Stopped)
        };
        let goes = on(&used, None);
        let waits = goes.clone().at(119);
        assert!(does(&waits, leaves) && !does(&waits, back), "{state:?}");
        assert!(!does(&waits, taken) && does(&goes.clone().at(120), back));
        assert!(does(&on(&used, Some("vol-9")), taken));
        let mut raw = goes.clone();
        raw.spec.volumes[0].mount = None;
        assert!(does(&raw, taken), "who knows whether it is in use");
        let mut from_afar = goes.no_agent();
        from_afar.world.here = None;
        assert!(does(&from_afar, taken));
        let newest = free().volume("vol-9", "b", 1, Standing::Superseded, Some("i-new"));
        assert!(does(&on(&newest, None), taken));
    }
    // Nor does it if it came by itself, long after its term. One that came for the holder's
    // own term goes, where it is not mounted (swarm seed 21025148).
    let outranked = |came| {
        let term = Term {
            holder: "i-new".into(),
            since: at(10),
        };
        let own = Standing::Active(Some(term));
        let mut story = free().marker(1).volume("vol-9", "b", 0, own, Some("i-new"));
        let volume = story.volumes().get_mut(&"vol-9".into()).unwrap();
        volume.attachments[0].since = Some(at(came));
        story.spec.volumes[0].mount = Some("/data".into());
        story
    };
    let on = |came, mounted| outranked(came).here("i-new", mounted, Workload::Stopped);
    assert!(does(&on(310, None), room) && !does(&on(310, None), taken));
    assert!(does(&on(311, None), taken) && !does(&on(311, None), room));
    assert!(does(&on(310, Some("vol-9")), taken));
    // On its way it is not cut off at once: 390 s to come, and two minutes to leave.
    let going = |now| {
        on(0, None)
            .attachment("vol-9", AttachmentState::Detaching)
            .at(now)
    };
    assert!(does(&going(509), leaves) && !does(&going(509), back));
    assert!(does(&going(510), back));
    // And nothing is attached to a machine that does not run.
    let booting = free().instance("i-new", InstanceState::Pending, at(0));
    assert!(does(&booting, "… i-new is still booting") && !does(&booting, attach));
}

#[test]
fn data_that_is_not_seen_is_looked_for_a_while_and_then_given_up() {
    let missing = |seconds| {
        let mut story = heir()
            .snapshot("snap-1", "vol-1", 1, Completed, at(-60), Some("live/1"))
            .address_on("i-new")
            .at(seconds);
        story.volumes().clear();
        story.group().members.remove(&"i-old".into());
        story
    };
    let lags =
        "the volume that carries the newest \"data\" data is not to be seen; a describe may \
                lag behind"
            .to_owned();
    assert_eq!(waits(&missing(299)), [(lags, Some(at(0)), Some(at(300)))]);
    expect(&missing(300), &["restore data (epoch 2) from snap-1 in b"]);
    // Whoever has it may still serve: until then its address stays with it.
    let moves = |seconds| {
        does(
            &missing(seconds).address_on("i-old"),
            "move eipalloc-1 to i-new",
        )
    };
    assert!(!moves(299) && moves(300));
    // Never longer than an older set is waited for.
    let mut hasty = missing(100);
    hasty.spec.policy.capture_timeout = jiff::SignedDuration::from_secs(100);
    expect(&hasty, &["restore data (epoch 2) from snap-1 in b"]);
    let mut unseen = missing(300);
    unseen.instances().remove(&"i-new".into());
    expect(&unseen, &["… i-new is still booting"]);
}

/// Tale 20355 of the swarm: it had looked at the group alone, for five minutes.
#[test]
fn a_member_at_its_hook_looks_for_the_newest_volume_before_it_goes() {
    let leaving = |seconds| {
        let mut story = cross_zone().here("i-old", None, Workload::Stopped);
        story.volumes().clear();
        waits(&story.at(seconds))
    };
    let looks = |(reason, _, until): &(String, _, Option<jiff::Timestamp>)| {
        reason.contains("is not to be seen") && *until == Some(at(300))
    };
    assert!(leaving(299).iter().any(looks), "{:?}", leaving(299));
    assert!(!leaving(300).iter().any(looks));
}
