//! The situations of the design, each as a row: who looks at what, and what
//! the plan says in words.

use std::collections::BTreeSet;

use super::worlds::{Story, at, cross_zone, expect, long_ago, served, term, words};
use crate::plan::{Hold, Reason, Step};
use crate::world::*;
use Lifecycle::{InService, PendingWait, TerminatingWait};
use SnapshotState::{Completed, Pending};

#[test]
fn the_predecessor_brings_its_house_in_order_then_lets_go() {
    let old = |mounted, workload| cross_zone().here("i-old", mounted, workload);
    expect(
        &old(Some("vol-1"), Workload::Healthy),
        &["stop the workload and unmount"],
    );
    expect(&old(None, Workload::Stopped), &["detach vol-1 from i-old"]);
    expect(
        &old(None, Workload::Stopped).attachment("vol-1", AttachmentState::Detaching),
        &["… vol-1 is being detached"],
    );
}

#[test]
fn without_units_there_is_nothing_to_stop_whatever_the_health_command_says() {
    for workload in [Workload::Healthy, Workload::Unhealthy("no".to_owned())] {
        let mut story = cross_zone().here("i-old", None, workload);
        story.spec.workload.units.clear();
        expect(&story, &["detach vol-1 from i-old"]);
    }
}

#[test]
fn the_predecessor_captures_what_it_let_go_and_then_may_end() {
    let free = Story::new()
        .member("i-old", TerminatingWait, "a")
        .instance("i-old", InstanceState::Running, long_ago())
        .member("i-new", PendingWait, "b")
        .instance("i-new", InstanceState::Running, at(0))
        .volume("vol-1", "a", 1, term("i-old", long_ago()), None)
        .marker(1)
        .here("i-old", None, Workload::Stopped);
    expect(&free, &["capture the quiet vol-1 (data, epoch 1)"]);
    expect(
        &free.capture("snap-1", "vol-1", Pending),
        &["complete the terminate action of i-old (hook terminate)"],
    );
}

#[test]
fn the_heir_waits_for_its_predecessor_and_fences_only_when_it_is_overdue() {
    let heir = cross_zone().here("i-new", None, Workload::Stopped);
    expect(&heir, &["… i-old is expected to let go by itself"]);
    expect(
        &heir.clone().at(60),
        &["fence i-old: stop it", "… i-old is being stopped"],
    );
}

#[test]
fn a_holder_whose_heir_still_boots_keeps_everything_and_waits_for_it() {
    let story = Story::replacement("b")
        .member("i-old", InService, "a")
        .member("i-new", Lifecycle::Pending, "b")
        .instance("i-new", InstanceState::Pending, at(0))
        .address_on("i-old")
        .here("i-old", Some("vol-1"), Workload::Healthy);
    expect(&story, &["… i-new is still booting"]);
    let ready =
        story
            .member("i-new", PendingWait, "b")
            .instance("i-new", InstanceState::Running, at(0));
    expect(&ready, &["stop the workload and unmount"]);
}

#[test]
fn a_predecessor_that_still_serves_is_granted_time_to_notice() {
    let overlap = Story::replacement("a")
        .member("i-old", InService, "a")
        .here("i-new", None, Workload::Stopped);
    expect(
        &overlap.clone().at(90),
        &["… i-old is expected to let go by itself"],
    );
    expect(
        &overlap.at(120),
        &["fence i-old: stop it", "… i-old is being stopped"],
    );
}

#[test]
fn the_heir_in_another_zone_restores_the_capture_once_it_is_complete() {
    let captured = |state| {
        let mut story = cross_zone().capture("snap-1", "vol-1", state);
        story
            .volumes()
            .get_mut(&"vol-1".into())
            .unwrap()
            .attachments
            .clear();
        story
            .address_on("i-new")
            .here("i-new", None, Workload::Stopped)
    };
    expect(&captured(Pending), &["… snap-1 is being completed (50%)"]);
    let story = captured(Completed);
    expect(&story, &["restore data (epoch 2) from snap-1 in b"]);
    // It keeps the shape and the tags of the old one.
    let Some(Step::CreateVolume { shape, tags, .. }) = story.plan().steps.first().cloned() else {
        panic!("no volume is made");
    };
    assert_eq!((shape.iops, shape.size_gib), (Some(4000), Some(100)));
    assert_eq!(tags["team"], "orders");
    // Its term begins once it has its place: there another copy finds none.
    let made = story
        .volume("vol-2", "b", 2, Standing::New, None)
        .made_from("vol-2", "snap-1");
    expect(&made, &["attach vol-2 to i-new as /dev/sdf"]);
}

#[test]
fn nothing_is_mounted_before_its_term_began_and_nothing_started_before_it_is_mounted() {
    let story = |standing, marker, mounted, workload| {
        Story::new()
            .member("i-new", PendingWait, "b")
            .instance("i-new", InstanceState::Running, at(0))
            .volume("vol-2", "b", 2, standing, Some("i-new"))
            .volume("vol-1", "a", 1, term("i-old", long_ago()), None)
            .made_from("vol-2", "snap-1")
            .capture("snap-1", "vol-1", Completed)
            .marker(marker)
            .address_on("i-new")
            .here("i-new", mounted, workload)
    };
    let begun = || term("i-new", at(20));
    let begin = "begin the term of i-new on data (epoch 2)";
    expect(&story(Standing::New, 1, None, Workload::Stopped), &[begin]);
    expect(&story(begun(), 1, None, Workload::Stopped), &[begin]);
    expect(
        &story(begun(), 2, None, Workload::Stopped),
        &["mount vol-2 (data)"],
    );
    expect(
        &story(begun(), 2, Some("vol-2"), Workload::Stopped),
        &["start the workload"],
    );
    expect(
        &story(
            begun(),
            2,
            Some("vol-2"),
            Workload::Unhealthy("starting up".into()),
        ),
        &["… the workload is not healthy yet: starting up"],
    );
    expect(
        &story(begun(), 2, Some("vol-2"), Workload::Healthy),
        &["complete the launch action of i-new (hook launch)"],
    );
}

#[test]
fn in_the_same_zone_the_volume_itself_moves_once_its_capture_has_started() {
    let mut story = Story::replacement("a")
        .here("i-new", None, Workload::Stopped)
        .address_on("i-new");
    story
        .volumes()
        .get_mut(&"vol-1".into())
        .unwrap()
        .attachments
        .clear();
    expect(
        &story,
        &["… another runner is first in line for the capture"],
    );
    expect(
        &story.capture("snap-1", "vol-1", Pending),
        &[
            "attach vol-1 to i-new as /dev/sdf",
            "begin the term of i-new on data (epoch 1)",
        ],
    );
}

#[test]
fn a_term_whose_data_was_captured_as_final_does_not_go_on() {
    // The heir vanished, and the old instance is the only candidate again.
    let story = Story::new()
        .member("i-old", InService, "a")
        .instance("i-old", InstanceState::Running, long_ago())
        .volume("vol-1", "a", 1, term("i-old", long_ago()), Some("i-old"))
        .capture("snap-1", "vol-1", Completed)
        .marker(1)
        .address_on("i-old")
        .here("i-old", None, Workload::Stopped);
    expect(&story, &["begin the term of i-old on data (epoch 1)"]);
}

#[test]
fn what_an_agent_let_go_of_only_that_agent_takes_back() {
    // It knows of a spot notice, which nobody else reads.
    let story = Story::new()
        .member("i-old", InService, "a")
        .instance("i-old", InstanceState::Running, long_ago())
        .volume("vol-1", "a", 1, term("i-old", long_ago()), None)
        .marker(1)
        .address_on("i-old");
    let stands_back =
        "… another runner is first in line for taking back what the holder's own agent let go of";
    expect(&story, &[stands_back]);
    let taken = "attach vol-1 to i-old as /dev/sdf";
    let agent = story.clone().here("i-old", None, Workload::Stopped);
    assert!(words(&agent).contains(&taken.to_owned()));
    // An instance that outlives its notice by far, with no agent to be seen.
    let captured = story.capture("snap-1", "vol-1", Completed);
    expect(&captured, &[stands_back]);
    let outlived = words(&captured.at(600));
    assert!(outlived.contains(&taken.to_owned()), "{outlived:?}");
}

#[test]
fn a_killed_predecessor_is_captured_by_its_heir() {
    let mut story = cross_zone()
        .instance("i-old", InstanceState::Terminated, long_ago())
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped);
    story
        .volumes()
        .get_mut(&"vol-1".into())
        .unwrap()
        .attachments
        .clear();
    expect(&story, &["capture the quiet vol-1 (data, epoch 1)"]);
}

#[test]
fn a_capture_older_than_the_last_start_of_its_instance_does_not_count() {
    // Stopped, captured, started again by hand, stopped again.
    let story = cross_zone()
        .instance("i-old", InstanceState::Stopped, at(20))
        .capture("snap-1", "vol-1", Completed)
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped);
    let plan = story.plan();
    assert!(
        plan.steps.iter().any(|s| matches!(s, Step::Capture { .. })),
        "{plan:?}"
    );
    assert!(
        !plan
            .steps
            .iter()
            .any(|s| matches!(s, Step::CreateVolume { .. }))
    );
}

#[test]
fn without_an_agent_a_controller_fences_captures_and_begins_the_term_before_it_attaches() {
    let running = cross_zone().no_agent();
    expect(
        &running,
        &["fence i-old: stop it", "… i-old is being stopped"],
    );
    let stopped = running
        .instance("i-old", InstanceState::Stopped, long_ago())
        .address_on("i-new");
    expect(&stopped, &["capture the quiet vol-1 (data, epoch 1)"]);
    let captured = stopped.capture("snap-1", "vol-1", Completed);
    expect(
        &captured,
        &[
            "restore data (epoch 2) from snap-1 in b",
            "complete the terminate action of i-old (hook terminate)",
        ],
    );
    let made = captured
        .volume("vol-2", "b", 2, Standing::New, None)
        .made_from("vol-2", "snap-1");
    expect(
        &made,
        &[
            "begin the term of i-new on data (epoch 2)",
            "complete the terminate action of i-old (hook terminate)",
        ],
    );
}

#[test]
fn the_first_volume_is_blank_formatted_once_and_only_then_active() {
    let born = || {
        Story::new()
            .member("i-1", PendingWait, "a")
            .instance("i-1", InstanceState::Running, at(0))
            .address_on("i-1")
    };
    expect(
        &born().here("i-1", None, Workload::Stopped),
        &["make the first, blank volume data in a"],
    );
    let made = || {
        born()
            .volume("vol-1", "a", 1, Standing::New, Some("i-1"))
            .here("i-1", None, Workload::Stopped)
    };
    expect(&made().blank_disk(), &["make ext4 on vol-1 (data)"]);
    expect(&made(), &["begin the term of i-1 on data (epoch 1)"]);
}

#[test]
fn a_group_that_ever_had_data_gets_no_blank_volume() {
    let forgotten = Story::new()
        .member("i-1", PendingWait, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .address_on("i-1")
        .marker(3)
        .here("i-1", None, Workload::Stopped);
    expect(
        &forgotten,
        &[
            "… the volume that carries the newest \"data\" data is not to be seen; a describe may lag behind",
        ],
    );
    let plan = forgotten.at(600).plan();
    assert_eq!(plan.steps, []);
    assert!(
        matches!(
            &plan.waits[..],
            [w] if matches!(w.reason, Reason::Hold(Hold::DataLoss { newest_set: None, .. }))
        ),
        "{plan:?}"
    );
}

#[test]
fn what_the_instance_had_before_is_adopted_never_replaced() {
    let mut story = Story::new()
        .member("i-1", InService, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .address_on("i-1");
    let devices = &mut story.instances().get_mut(&"i-1".into()).unwrap().devices;
    devices.insert("/dev/xvdf".to_owned(), "vol-9".into());
    let plan = story.here("i-1", None, Workload::Stopped).plan();
    assert_eq!(plan.steps, []);
    assert!(matches!(
        plan.waits[0].reason,
        Reason::Hold(Hold::AdoptFirst { .. })
    ));
}

#[test]
fn an_adopted_volume_gets_its_term_where_it_is() {
    let story = Story::new()
        .member("i-1", InService, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .volume("vol-9", "a", 0, Standing::Active(None), Some("i-1"))
        .address_on("i-1")
        .here("i-1", Some("vol-9"), Workload::Healthy);
    expect(&story, &["begin the term of i-1 on data (epoch 0)"]);
}

#[test]
fn an_older_lineage_is_never_used_without_a_person() {
    // Epoch 2 was active, and all that is left is of epoch 1, however young.
    let plan = Story::new()
        .member("i-3", PendingWait, "a")
        .instance("i-3", InstanceState::Running, at(0))
        .snapshot("snap-late", "vol-1", 1, Completed, at(-5), Some("live/1"))
        .marker(2)
        .address_on("i-3")
        .here("i-3", None, Workload::Stopped)
        .at(2000)
        .plan();
    assert_eq!(plan.steps, []);
    assert!(matches!(
        plan.waits[0].reason,
        Reason::Hold(Hold::DataLoss {
            newest_set: Some(_),
            loses_seconds: None,
            ..
        })
    ));
}

#[test]
fn a_late_snapshot_of_an_older_lineage_never_wins() {
    // Epoch 2 took over; then the old zone came back and delivered this.
    let story = Story::new()
        .member("i-3", PendingWait, "a")
        .instance("i-3", InstanceState::Running, at(0))
        .volume("vol-2", "b", 2, term("i-2", at(-500)), None)
        .volume("vol-1", "a", 1, term("i-1", long_ago()), None)
        .snapshot("snap-late", "vol-1", 1, Completed, at(20), Some("i-1/1"))
        .snapshot(
            "snap-2",
            "vol-2",
            2,
            Completed,
            at(10),
            Some(&format!("i-2/{}", at(-500).as_millisecond())),
        )
        .marker(2)
        .address_on("i-3")
        .here("i-3", None, Workload::Stopped);
    expect(&story, &["restore data (epoch 3) from snap-2 in a"]);
}

#[test]
fn a_revived_old_holder_unmounts() {
    let story = Story::new()
        .member("i-new", InService, "b")
        .instance("i-new", InstanceState::Running, at(0))
        .member("i-old", Lifecycle::Terminating, "a")
        .instance("i-old", InstanceState::Running, long_ago())
        .volume("vol-1", "a", 1, term("i-old", long_ago()), Some("i-old"))
        .volume("vol-2", "b", 2, term("i-new", at(20)), Some("i-new"))
        .marker(2)
        .address_on("i-new")
        .here("i-old", Some("vol-1"), Workload::Healthy);
    expect(
        &story,
        &[
            "stop the workload and unmount",
            "… Auto Scaling has not moved i-old on yet",
        ],
    );
}

#[test]
fn more_members_than_can_be_explained_change_nothing() {
    let mut two = Story::replacement("b").address_on("i-old");
    two.group().desired = 2;
    let plan = two.here("i-new", None, Workload::Stopped).plan();
    assert_eq!(plan.steps, []);
    assert!(matches!(
        plan.waits[0].reason,
        Reason::Hold(Hold::TooManyMembers { desired: 2, .. })
    ));
}

#[test]
fn an_address_follows_a_ready_holder_once_nobody_serves_under_it() {
    let heir = Story::replacement("b").address_on("i-old");
    let moves = |story: &Story| words(story).contains(&"move eipalloc-1 to i-new".to_owned());
    assert!(!moves(&heir.clone().here("i-new", None, Workload::Stopped)));
    let mut free = heir;
    free.volumes()
        .get_mut(&"vol-1".into())
        .unwrap()
        .attachments
        .clear();
    assert!(moves(&free.clone().here("i-new", None, Workload::Stopped)));
    let booting = free.member("i-new", Lifecycle::Pending, "b");
    assert!(!moves(&booting.here("i-new", None, Workload::Stopped)));
}

#[test]
fn the_warm_pool_moves_nothing() {
    let story = Story::new().member("i-w", Lifecycle::Warmed("Warmed:Pending:Wait".into()), "a");
    let plan = story.here("i-w", None, Workload::Stopped).plan();
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["complete the launch action of i-w (hook launch)"]);
}

#[test]
fn what_cannot_be_read_is_never_taken_for_absent() {
    let mut story = Story::new()
        .member("i-1", PendingWait, "a")
        .instance("i-1", InstanceState::Running, at(0))
        .address_on("i-1")
        .here("i-1", None, Workload::Stopped);
    story.world.snapshots = Seen::Unknown("the call timed out".to_owned());
    expect(
        &story,
        &["… the snapshots could not be read: the call timed out"],
    );
    assert_eq!(story.plan().keep_open.len(), 1, "the hook stays open");
}

#[test]
fn an_alarm_counts_when_it_goes_on_ringing_and_began_after_the_member_came() {
    let ringing_in = |of: (&str, i64), since, now| {
        let mut story = Story::new()
            .member("i-1", InService, "a")
            .instance("i-1", InstanceState::Running, at(0))
            .volume("vol-1", "a", 1, term(of.0, at(of.1)), Some("i-1"))
            .marker(1)
            .address_on("i-1")
            .here("i-1", Some("vol-1"), Workload::Healthy)
            .at(now);
        let alarm = Alarm {
            ringing: true,
            since,
            about: BTreeSet::new(),
        };
        story.world.alarms = Seen::Known([("status".to_owned(), alarm)].into());
        words(&story)
    };
    let ringing = |since, now| ringing_in(("i-1", 5), since, now);
    assert_eq!(ringing(at(-10), 5000), [""; 0]);
    assert_eq!(
        ringing(at(1000), 1030),
        ["… alarm status rings, and has to go on ringing to count"]
    );
    assert_eq!(
        ringing(at(1000), 1060),
        ["report i-1 as unhealthy to Auto Scaling"]
    );
    // What rings while the data is on its way may be quiet soon after.
    let waits = ["… alarm status rings, and has to go on ringing to count"];
    assert_eq!(ringing(at(1), 604), waits);
    let report = "report i-1 as unhealthy to Auto Scaling";
    assert_eq!(ringing(at(1), 605), [report]);
    // The term of another says nothing about it.
    let of_another = ringing_in(("i-0", 400), at(1), 600);
    assert!(of_another.contains(&report.to_owned()), "{of_another:?}");
}

#[test]
fn a_member_is_replaced_for_an_alarm_only_once_it_serves_and_while_it_is_well() {
    let ringing = |lifecycle, healthy| {
        let mut story = served().member("i-1", lifecycle, "a").at(5000);
        let member = story.group().members.get_mut(&"i-1".into()).unwrap();
        member.healthy = healthy;
        let alarm = Alarm {
            ringing: true,
            since: at(0),
            about: BTreeSet::new(),
        };
        story.world.alarms = Seen::Known([("status".to_owned(), alarm)].into());
        words(&story).contains(&"report i-1 as unhealthy to Auto Scaling".to_owned())
    };
    assert!(ringing(InService, true));
    assert!(!ringing(InService, false));
    assert!(!ringing(PendingWait, true));
}

#[test]
fn what_ec2_takes_away_is_no_candidate_whatever_auto_scaling_believes() {
    let holder = |state| served().instance("i-1", state, long_ago()).plan().holder;
    assert!(holder(InstanceState::Pending).is_some());
    for state in [
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::ShuttingDown,
        InstanceState::Terminated,
    ] {
        assert_eq!(holder(state), None, "{state:?}");
    }
}

#[test]
fn of_two_members_the_newest_that_is_ready_has_the_belongings() {
    let holder = |lifecycle, state| {
        let story = Story::replacement("b").member("i-old", InService, "a");
        let story = story
            .member("i-new", lifecycle, "b")
            .instance("i-new", state, at(0));
        story.plan().holder.map(|id| id.to_string())
    };
    let running = InstanceState::Running;
    assert_eq!(holder(PendingWait, running).as_deref(), Some("i-new"));
    assert_eq!(
        holder(Lifecycle::Pending, running).as_deref(),
        Some("i-old")
    );
    let boots = InstanceState::Pending;
    assert_eq!(holder(PendingWait, boots).as_deref(), Some("i-old"));
    // With three, nothing can be explained.
    let third = Story::replacement("b")
        .member("i-old", InService, "a")
        .member("i-x", PendingWait, "a")
        .instance("i-x", running, at(5))
        .plan();
    assert_eq!(third.holder, None);
    assert!(third.waits.iter().any(|w| matches!(
        w.reason,
        Reason::Hold(Hold::TooManyMembers {
            desired: 1,
            candidates: 3
        })
    )));
}
