//! What becomes of the member of a pair that another one relieves, and of the
//! volumes it still has; each situation as a row.

use super::pairs::{appointed, gateway, pair, serving};
use super::worlds::{Story, at, long_ago, term, waits, words};
use crate::world::*;

#[test]
fn the_primarys_own_agent_lets_go_when_another_is_appointed() {
    let story = appointed(serving(InstanceState::Stopped), "i-b", 0)
        .here("i-a", Some("vol-1"), Workload::Healthy)
        .at(10);
    assert_eq!(
        words(&story),
        ["stop the workload and unmount", "start i-b"]
    );
}

#[test]
fn the_copy_that_lost_is_taken_from_a_fenced_member_before_it_starts_again() {
    let lost = |a, b| {
        let mut story = pair(a, b)
            .volume("vol-1", "a", 1, Standing::Superseded, Some("i-a"))
            .volume("vol-2", "b", 2, term("i-b", at(30)), Some("i-b"))
            .marker(2)
            .address_on("i-b")
            .no_agent()
            .at(600);
        story.group().members.get_mut(&"i-b".into()).unwrap().zone = "b".into();
        story
    };
    let taken = ["detach vol-1 from i-a", "… vol-1 is being detached"];
    let story = lost(InstanceState::Stopped, InstanceState::Running);
    assert_eq!(words(&appointed(story, "i-b", 0)), taken);
    // Back again: first that, then the start.
    let back = lost(InstanceState::Stopped, InstanceState::Running);
    let back = words(&appointed(back, "i-a", 590));
    assert!(back.contains(&taken[0].to_owned()), "{back:?}");
    assert!(!back.contains(&"start i-a".to_owned()), "{back:?}");
    // It came back from the dark, and nobody on it knows better.
    let revived = lost(InstanceState::Running, InstanceState::Running);
    assert_eq!(
        words(&appointed(revived, "i-b", 0)),
        ["fence i-a: stop it", "… i-a is being stopped"]
    );
}

#[test]
fn a_predecessor_with_addresses_alone_is_stopped_and_its_address_does_not_wait() {
    let story =
        appointed(gateway(InstanceState::Running), "i-b", 0).here("i-b", None, Workload::None);
    assert_eq!(
        words(&story.clone().at(10)),
        [
            "move eipalloc-1 to i-b",
            "fence i-a: stop it",
            "… i-a is being stopped"
        ]
    );
    // Dark for so long: it is let be.
    let moved = story.address_on("i-b");
    assert_eq!(words(&moved.clone().at(1800)), [""; 0]);
    // Repaired and started again: it is the standby now.
    let repaired = moved
        .instance("i-a", InstanceState::Running, at(600))
        .at(700);
    assert_eq!(words(&repaired), [""; 0]);
}

/// The standby took over in its zone; the copy of epoch 1 is still on the
/// member that lost, which runs again.
fn lost(standing: Standing, epoch: u64) -> Story {
    let mut story = pair(InstanceState::Running, InstanceState::Running)
        .volume("vol-1", "a", epoch, standing, Some("i-a"))
        .volume("vol-2", "b", 2, term("i-b", at(30)), Some("i-b"))
        .marker(2)
        .address_on("i-b")
        .at(600);
    story.group().members.get_mut(&"i-b".into()).unwrap().zone = "b".into();
    appointed(story, "i-b", 0)
}

#[test]
fn a_member_that_lost_unmounts_its_copy_and_then_detaches_it_itself() {
    let on = |id, mounted| {
        let workload = Workload::Stopped;
        lost(Standing::Superseded, 1).here(id, mounted, workload)
    };
    assert_eq!(words(&on("i-a", None)), ["detach vol-1 from i-a"]);
    assert_eq!(
        words(&on("i-a", Some("vol-1"))),
        ["stop the workload and unmount"]
    );
    // The holder leaves that to it, and touches nothing on a machine that runs.
    assert_eq!(words(&on("i-b", Some("vol-2"))), ["start the workload"]);
    assert_eq!(words(&lost(Standing::Superseded, 1)), [""; 0]);
    // What is on its way already is waited for.
    let leaves = on("i-a", None).attachment("vol-1", AttachmentState::Detaching);
    assert_eq!(words(&leaves), ["… vol-1 is being detached"]);
}

#[test]
fn only_what_was_in_use_and_is_older_than_the_newest_has_lost() {
    // Made ahead, and never in use: nothing can start on it.
    let unused = lost(Standing::New, 1).here("i-a", None, Workload::Stopped);
    assert_eq!(words(&unused), [""; 0]);
    // Of the same epoch: a person says which one is right.
    let disputed = lost(Standing::New, 1)
        .volume("vol-9", "a", 2, Standing::Superseded, Some("i-a"))
        .here("i-a", None, Workload::Stopped);
    assert_eq!(words(&disputed), [""; 0]);
}

#[test]
fn a_copy_on_a_member_that_is_down_is_taken_by_who_serves_the_holder() {
    let down = |state| lost(Standing::Superseded, 1).instance("i-a", state, long_ago());
    let seen_by = |story: Story, id| words(&story.here(id, Some("vol-2"), Workload::Healthy));
    let taken = ["detach vol-1 from i-a", "… vol-1 is being detached"];
    assert_eq!(seen_by(down(InstanceState::Stopped), "i-b"), taken);
    assert_eq!(seen_by(down(InstanceState::Stopping), "i-b"), [""; 0]);
    let copy = |state| {
        let story = down(InstanceState::Stopped).attachment("vol-1", state);
        story.told("i-a", at(500))
    };
    let stuck = ["detach vol-1 from i-a by force", taken[1]];
    assert_eq!(seen_by(copy(AttachmentState::Busy), "i-b"), stuck);
    let going = |now| seen_by(copy(AttachmentState::Detaching).at(now), "i-b");
    assert_eq!(going(619), [taken[1]]);
    assert_eq!(going(620), stuck);
    // The controller stands behind the holder's agent.
    let fresh = |now| {
        let story = down(InstanceState::Stopped).at(now);
        words(&story.instance("i-b", InstanceState::Running, at(0)))
    };
    assert_eq!(fresh(89), [""; 0]);
    assert_eq!(fresh(90), taken);
    // A stranger that has one of the group's volumes is let be.
    let mut stranger = down(InstanceState::Stopped);
    let volume = stranger.volumes().get_mut(&"vol-1".into()).unwrap();
    volume.attachments[0].instance = "i-x".into();
    let stranger = stranger.instance("i-x", InstanceState::Stopped, long_ago());
    assert_eq!(seen_by(stranger, "i-b"), [""; 0]);
}

#[test]
fn a_predecessor_with_volumes_is_fenced_for_its_old_copy_alone_and_only_without_an_agent() {
    let fence = "fence i-a: stop it".to_owned();
    let revived = lost(Standing::Superseded, 1);
    assert!(words(&revived.clone().no_agent()).contains(&fence));
    assert!(!words(&revived.clone()).contains(&fence), "its agent knows");
    let without = revived.clone().no_agent().detached("vol-1");
    assert_eq!(words(&without), [""; 0]);
    // A person started it, and it had the copy: tale 9021 of the swarm.
    let again = |attached: Option<i64>| {
        let mut story = revived.clone().no_agent();
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].since = attached.map(at);
        words(&story.instance("i-a", InstanceState::Running, at(60)))
    };
    assert!(again(Some(60)).contains(&fence) && again(None).contains(&fence));
    assert_eq!(again(Some(61)), [""; 0], "somebody looks into it");
}

/// Whoever starts it while its heir restores must not start on it.
#[test]
fn a_captured_volume_is_taken_from_a_stopped_member_also_for_an_heir_elsewhere() {
    let captured = |mut story: Story| {
        story.group().members.get_mut(&"i-b".into()).unwrap().zone = "b".into();
        words(&appointed(story, "i-b", 0).no_agent().at(60))
    };
    let stopped =
        serving(InstanceState::Running).instance("i-a", InstanceState::Stopped, long_ago());
    let detach = "detach vol-1 from i-a".to_owned();
    assert!(!captured(stopped.clone()).contains(&detach));
    let name = format!("i-a/{}", long_ago().as_millisecond());
    let begun = stopped.snapshot(
        "snap-1",
        "vol-1",
        1,
        SnapshotState::Pending,
        at(30),
        Some(&name),
    );
    assert!(captured(begun).contains(&detach));
}

/// Somebody started it in the instant before its captured volume was detached.
#[test]
fn a_start_of_the_last_holder_counts_also_once_its_volume_is_detached() {
    let name = format!("i-a/{}", long_ago().as_millisecond());
    let seen = |started: i64, holder: &str| {
        let (done, at_30) = (SnapshotState::Completed, at(30));
        let mut story = pair(InstanceState::Running, InstanceState::Running)
            .volume("vol-1", "a", 1, term("i-a", long_ago()), None)
            .marker(1)
            .snapshot("snap-1", "vol-1", 1, done, at_30, Some(&name))
            .instance("i-a", InstanceState::Running, at(started));
        story.group().members.get_mut(&"i-b".into()).unwrap().zone = "b".into();
        words(&appointed(story, holder, 0).no_agent().at(60))
    };
    let again = "capture the";
    assert!(seen(20, "i-b").concat().contains("from snap-1"));
    assert!(seen(40, "i-b").concat().contains(again));
    assert!(!seen(40, "i-a").concat().contains(again), "it holds again");
}

#[test]
fn a_sick_predecessor_is_stopped_from_outside_until_it_is_down() {
    let stopped = "i-a is being stopped".to_owned();
    let seen = |a, id: Option<&str>| {
        let mut story = appointed(gateway(InstanceState::Running), "i-b", 0)
            .address_on("i-b")
            .instance("i-a", a, long_ago())
            .at(10);
        if let Some(id) = id {
            story = story.here(id, None, Workload::None);
        }
        let fences = words(&story).contains(&"fence i-a: stop it".to_owned());
        (fences, waits(&story))
    };
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let waiting = vec![(stopped, Some(at(0)), Some(at(1800)))];
    for id in [None, Some("i-b")] {
        assert_eq!(seen(Running, id), (true, waiting.clone()));
    }
    // It does not stop itself.
    assert_eq!(seen(Running, Some("i-a")), (false, waiting.clone()));
    for state in [Pending, Stopping] {
        assert_eq!(seen(state, None), (false, waiting.clone()), "{state:?}");
    }
    for state in [Stopped, ShuttingDown, Terminated] {
        assert_eq!(seen(state, None), (false, vec![]), "{state:?}");
    }
    // Only one that was started after the appointment is the standby.
    let started = |second| {
        let story = appointed(gateway(Running), "i-b", 0).address_on("i-b");
        let story = story.instance("i-a", Running, at(second)).at(10);
        words(&story).contains(&"fence i-a: stop it".to_owned())
    };
    assert!(started(0) && !started(1));
}
