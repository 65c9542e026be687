//! Zones that go dark and come back, each situation as a row.

use super::worlds::{Story, at, cross_zone, expect, long_ago, words};
use crate::plan::{Hold, Reason, Step};
use crate::world::*;
use Lifecycle::InService;
use SnapshotState::{Completed, Pending};

/// The zone of the predecessor is dark: EC2 does not even describe it.
fn dark() -> Story {
    let mut story = cross_zone()
        .here("i-new", None, Workload::Stopped)
        .address_on("i-new");
    story.instances().remove(&"i-old".into());
    story
}

#[test]
fn a_copy_of_a_volume_that_never_was_active_counts_for_nothing() {
    // Somebody's backup copied the tags of epoch 2, which never began.
    let story = dark()
        .snapshot("snap-live", "vol-1", 1, Completed, at(-600), Some("live/1"))
        .snapshot("snap-copy", "vol-9", 2, Completed, at(-30), None)
        .at(1800);
    assert!(words(&story).contains(&"restore data (epoch 3) from snap-live in b".to_owned()));
}

/// Its zone may be dark to EC2 alone, and it may still serve: tale 42128 of the
/// swarm took its address, for a holder that had no data.
#[test]
fn an_address_stays_where_it_is_while_a_person_has_to_decide() {
    let after = |age: i64| {
        let set = Some("live/1");
        let story = dark().snapshot("snap-live", "vol-1", 1, Completed, at(-age), set);
        let moves = "move eipalloc-1 to i-new".to_owned();
        words(&story.address_on("i-old").at(1800)).contains(&moves)
    };
    assert!(after(600) && !after(3601));
}

#[test]
fn a_dark_zone_is_waited_for_until_the_capture_time_out() {
    let live = |age: i64| {
        dark()
            .snapshot("snap-live", "vol-1", 1, Completed, at(-age), Some("live/1"))
            .at(1800)
    };
    let too_soon = live(600).at(1799);
    assert!(
        !too_soon
            .plan()
            .steps
            .iter()
            .any(|s| matches!(s, Step::CreateVolume { .. })),
        "{:?}",
        too_soon.plan()
    );
    let restores = |story: &Story| {
        words(story).contains(&"restore data (epoch 2) from snap-live in b".to_owned())
    };
    assert!(restores(&live(600)));
    // That is decided on a new look alone, and nothing else of the kind is.
    let forsakes = |story: Story| story.plan().forsakes;
    assert!(forsakes(live(600)) && !forsakes(too_soon) && !forsakes(live(3601)));
    // Not before its predecessor had its time to let go, whatever is configured.
    let hasty = |now| {
        let mut story = live(600).at(now);
        story.spec.policy.capture_timeout = jiff::SignedDuration::from_secs(1);
        restores(&story)
    };
    assert!(!hasty(59) && hasty(60));
    // Beyond max_data_loss a person decides.
    let too_old = live(3601).plan();
    assert!(
        !too_old
            .steps
            .iter()
            .any(|s| matches!(s, Step::CreateVolume { .. }))
    );
    assert!(too_old.waits.iter().any(|w| matches!(
        w.reason,
        Reason::Hold(Hold::DataLoss {
            loses_seconds: Some(3601),
            ..
        })
    )));
    let open: Vec<&str> = too_old
        .keep_open
        .iter()
        .map(|a| a.instance.as_str())
        .collect();
    assert_eq!(open, ["i-new", "i-old"], "both hooks stay open");
}

/// Both were uploaded for hours in a dark zone, and as it came back the older one was
/// complete two seconds sooner: 106 s of data were lost (tale 2108969 of the swarm).
#[test]
fn the_newest_is_not_given_up_for_what_is_complete_a_moment_sooner() {
    let late = |completed: i64, now: i64| {
        let story = cross_zone()
            .instance("i-old", InstanceState::Terminated, long_ago())
            .capture("snap-1", "vol-1", Pending)
            .snapshot("snap-live", "vol-1", 1, Completed, at(-600), Some("live/1"))
            .completed("snap-live", at(completed));
        let story = story.detached("vol-1").at(now);
        (words(&story), story.plan())
    };
    let restores = "restore data (epoch 2) from snap-live in b".to_owned();
    // What was complete before its time was over says nothing of what came then.
    assert!(late(1_810, 1_810).0.contains(&restores));
    let (steps, plan) = late(1_811, 2_410);
    assert!(!steps.contains(&restores), "{steps:?}");
    let waits = |w: &crate::plan::Wait| {
        matches!(w.reason, Reason::Snapshotting { .. }) && w.until == Some(at(2_411))
    };
    assert!(plan.waits.iter().any(waits), "{:?}", plan.waits);
    assert!(late(1_811, 2_411).0.contains(&restores));
}

#[test]
fn a_member_in_the_dark_that_auto_scaling_gave_up_is_no_candidate() {
    let mut story = Story::replacement("b")
        .member("i-old", InService, "a")
        .here("i-new", None, Workload::Stopped)
        .at(1800);
    story.instances().remove(&"i-old".into());
    assert_eq!(story.plan().holder, None, "a describe may lag");
    story
        .group()
        .members
        .get_mut(&"i-old".into())
        .unwrap()
        .healthy = false;
    assert_eq!(story.plan().holder, Some("i-new".into()));
}

/// A zone comes back after everything was given up: what is in reach again is
/// waited for, however late it is, and nothing older is used meanwhile.
#[test]
fn data_in_reach_again_is_never_given_up_for_older_data() {
    let seen = |state, told: Option<i64>, just_back| {
        let mut story = cross_zone()
            .snapshot("snap-9", "vol-1", 1, Completed, at(-60), Some("live/1"))
            .instance("i-old", state, long_ago())
            .address_on("i-old")
            .here("i-new", None, Workload::Stopped)
            .at(7200);
        let old = story.instances().get_mut(&"i-old".into()).unwrap();
        (old.told_to_end, old.just_back) = (told.map(at), just_back);
        words(&story)
    };
    let story = |state, told| seen(state, told, false);
    assert_eq!(
        story(InstanceState::Running, None),
        ["fence i-old: stop it", "… i-old is being stopped"]
    );
    assert_eq!(
        story(InstanceState::Stopping, Some(7190)),
        ["fence i-old: force it to stop", "… i-old is being stopped"]
    );
    // One that hangs in its stop may have written until now: more than an hour
    // would be lost. A stop may take six minutes.
    let given_up = |told| {
        let says = story(InstanceState::Stopping, Some(told));
        says.iter()
            .any(|says| says.contains("more than max_data_loss"))
    };
    assert!(!given_up(7200 - 359));
    assert!(given_up(7200 - 360));
    // It was sent while the zone was dark, and is carried out only now (tale 16012280).
    assert_eq!(
        seen(InstanceState::Stopping, Some(0), true),
        ["fence i-old: force it to stop", "… i-old is being stopped"]
    );
    // Its capture began late: it has as long as any other.
    let mut late = cross_zone()
        .snapshot("snap-9", "vol-1", 1, Completed, at(-60), Some("live/1"))
        .capture("snap-1", "vol-1", Pending)
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped)
        .at(7200);
    late.volumes()
        .get_mut(&"vol-1".into())
        .unwrap()
        .attachments
        .clear();
    late.snapshots().get_mut(&"snap-1".into()).unwrap().started = at(7100);
    expect(
        &late,
        &[
            "complete the terminate action of i-old (hook terminate)",
            "… snap-1 is being completed (50%)",
        ],
    );
}
