//! What people do to a group beside rehome: tags they take away, names they change,
//! members they let stand by, instances that wait in a pool.

use super::worlds::{Story, at, cross_zone, expect, open, served, term, words};
use crate::ids::Epoch;
use crate::plan::{Hold, Reason, Step};
use crate::world::*;
use Lifecycle::{InService, PendingWait, Standby, TerminatingWait};
use SnapshotState::{Completed, Pending};

/// The one decision that is left to a person.
#[track_caller]
fn holds(story: &Story) -> Hold {
    let plan = story.plan();
    assert_eq!(plan.steps, [], "{:?}", plan.waits);
    let holds = plan.waits.into_iter().filter_map(|wait| match wait.reason {
        Reason::Hold(hold) => Some(hold),
        _ => None,
    });
    let mut holds: Vec<Hold> = holds.collect();
    assert_eq!(holds.len(), 1, "{holds:?}");
    holds.remove(0)
}

/// In its second week, with a set of an hour ago.
fn serves_for_long() -> Story {
    let set = Some("live/1");
    served()
        .snapshot("snap-live", "vol-2", 2, Completed, at(900), set)
        .at(1000)
}

/// Something that rewrites tags as a whole knows those of rehome no more.
#[test]
fn a_volume_in_use_that_lost_its_tags_is_not_restored_beside_itself() {
    let untagged = |found: &str| Hold::Untagged {
        volume: "data".into(),
        found: found.into(),
        epoch: Epoch(2),
    };
    let mut stripped = serves_for_long();
    stripped.volumes().clear();
    assert_eq!(holds(&stripped), untagged("vol-2"));
    let mut undated = serves_for_long();
    let volume = undated.volumes().get_mut(&"vol-2".into()).unwrap();
    (volume.epoch, volume.standing) = (Epoch(0), Standing::Active(None));
    assert_eq!(holds(&undated), untagged("vol-2"), "and it is not stopped");
    let mut nameless = serves_for_long();
    nameless.volumes().get_mut(&"vol-2".into()).unwrap().name = None;
    let asks = Hold::Nameless {
        volume: "data".into(),
        found: "vol-2".to_owned(),
    };
    assert_eq!(holds(&nameless), asks);
    // What was taken away is given back: it goes on.
    let mut again = undated;
    again.volumes().get_mut(&"vol-2".into()).unwrap().epoch = Epoch(2);
    expect(&again, &["begin the term of i-1 on data (epoch 2)"]);
}

/// Whoever serves from what has the place would be told that it lost.
#[test]
fn no_term_begins_on_what_has_no_room() {
    let begins = |found: Option<&str>| {
        let mut story = Story::replacement("a")
            .detached("vol-1")
            .capture("snap-1", "vol-1", Completed)
            .address_on("i-new")
            .here("i-new", None, Workload::Stopped);
        if let Some(found) = found {
            let heir = story.instances().get_mut(&"i-new".into()).unwrap();
            heir.devices.insert("/dev/sdf".to_owned(), found.into());
        }
        let begins = "begin the term of i-new on data (epoch 1)".to_owned();
        [words(&story), words(&story.no_agent())].map(|words| words.contains(&begins))
    };
    assert_eq!(begins(None), [true, true]);
    assert_eq!(begins(Some("vol-other")), [false, false]);
}

#[test]
fn a_member_that_stands_by_keeps_its_volume() {
    let aside = |lifecycle: Lifecycle| {
        let story = served().member("i-1", lifecycle, "a");
        story.here("i-1", Some("vol-2"), Workload::Healthy).plan()
    };
    assert_eq!(aside(Standby).steps, []);
    assert_eq!(aside(Lifecycle::Other("Detaching".to_owned())).steps, []);
    let mut stopped = served();
    stopped.instances().get_mut(&"i-1".into()).unwrap().state = InstanceState::Stopping;
    assert_eq!(stopped.plan().steps, []);
}

/// The configuration names the same place anew.
#[test]
fn a_first_volume_is_not_made_beside_data_of_another_name() {
    let mut story = cross_zone().here("i-new", None, Workload::Stopped).at(400);
    story.instances().remove(&"i-old".into());
    story.spec.volumes[0].name = "pgdata".into();
    let renamed = |plan: &crate::plan::Plan| {
        let hold = Hold::Renamed {
            volume: "pgdata".into(),
            found: "data".into(),
        };
        plan.waits
            .iter()
            .any(|w| w.reason == Reason::Hold(hold.clone()))
    };
    let makes = "make the first, blank volume pgdata in b".to_owned();
    assert!(renamed(&story.plan()), "{:?}", words(&story));
    assert!(!words(&story).contains(&makes));
    // Its traces were taken away.
    story.volumes().clear();
    story.group().markers.clear();
    assert!(words(&story).contains(&makes), "{:?}", words(&story));
}

/// Its instance took the volume with it.
#[test]
fn what_a_volume_held_is_waited_for_when_the_volume_is_gone() {
    let mut story = cross_zone()
        .here("i-new", None, Workload::Stopped)
        .address_on("i-new")
        .snapshot("snap-live", "vol-1", 1, Completed, at(-600), Some("live/1"))
        .capture("snap-1", "vol-1", Pending);
    story.volumes().clear();
    story.instances().get_mut(&"i-old".into()).unwrap().state = InstanceState::Terminated;
    let restores = |seconds: i64, story: &Story| {
        let words = words(&story.clone().at(seconds));
        let restored = words.iter().find(|w| w.starts_with("restore data"));
        restored.map(|words| words.contains("snap-live"))
    };
    assert_eq!(restores(400, &story), None);
    assert_eq!(restores(1809, &story), None);
    assert_eq!(restores(1810, &story), Some(true), "it had its time");
    let upload = story.snapshots().get_mut(&"snap-1".into()).unwrap();
    upload.state = Completed;
    assert_eq!(restores(400, &story), Some(false));
}

/// It was launched long before it was called.
#[test]
fn what_an_heir_from_a_pool_may_lose_is_counted_until_now() {
    let days = 86_400;
    let pooled = |set: i64| {
        let mut story = cross_zone()
            .instance("i-new", InstanceState::Running, at(-10 * days))
            .volume("vol-1", "a", 1, term("i-old", at(-9 * days)), Some("i-old"))
            .here("i-new", None, Workload::Stopped)
            .address_on("i-new")
            .snapshot("snap-live", "vol-1", 1, Completed, at(set), Some("live/1"));
        story.instances().remove(&"i-old".into());
        let live = story.snapshots().get_mut(&"snap-live".into()).unwrap();
        live.consistency = Consistency::Crash;
        story
    };
    let restores = |story: &Story| words(story).iter().any(|w| w.starts_with("restore"));
    // Its data is given up at half an hour after the last sign of life, too.
    assert!(!restores(&pooled(-600).at(1199)));
    assert!(restores(&pooled(-600).at(1200)));
    assert!(!restores(&pooled(-36_000).at(0)));
    let lost = pooled(-36_000).at(0).plan().waits;
    assert!(lost.iter().any(|wait| matches!(
        wait.reason,
        Reason::Hold(Hold::DataLoss {
            loses_seconds: Some(36_000),
            ..
        })
    )));
}

/// Auto Scaling may look at its health only when its hook is over.
#[test]
fn the_launch_of_an_instance_that_is_down_is_not_kept_open() {
    let kept = |state: InstanceState| {
        let story = Story::new()
            .member("i-1", PendingWait, "a")
            .instance("i-1", state, at(0));
        !open(&story.no_agent()).is_empty()
    };
    assert!(kept(InstanceState::Pending) && kept(InstanceState::Running));
    for down in [
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::ShuttingDown,
        InstanceState::Terminated,
    ] {
        assert!(!kept(down), "{down:?}");
    }
}

/// A Spot instance of a one-time request, or one that is protected: its end is the
/// fence, unless that would take its volume along.
#[test]
fn what_ec2_does_not_stop_is_ended_by_its_group() {
    let refused = |lifecycle: Lifecycle, goes_along: bool| {
        let mut story = cross_zone().member("i-old", lifecycle, "a").no_agent();
        story
            .instances()
            .get_mut(&"i-old".into())
            .unwrap()
            .unstoppable = true;
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].delete_on_termination = goes_along;
        let words = words(&story.at(600));
        let does = |what: &str| words.iter().any(|word| word.starts_with(what));
        [
            does("complete the terminate action of i-old"),
            does("fence i-old"),
        ]
    };
    assert_eq!(refused(TerminatingWait, false), [true, false]);
    assert_eq!(refused(TerminatingWait, true), [false, true]);
    assert_eq!(refused(InService, false), [false, true]);
}

#[test]
fn what_is_mounted_and_lost_is_let_go_whatever_tags_it_has() {
    let quiesces = |epoch: u64, standing: Standing, newer: bool| {
        let mut story = serves_for_long();
        let volume = story.volumes().get_mut(&"vol-2".into()).unwrap();
        (volume.epoch, volume.standing) = (Epoch(epoch), standing);
        if newer {
            story = story.volume("vol-3", "a", 2, term("i-1", at(500)), None);
        }
        story.plan().steps.contains(&Step::Quiesce)
    };
    assert!(quiesces(0, Standing::Active(None), true));
    assert!(quiesces(1, Standing::Superseded, false));
    assert!(!quiesces(0, Standing::Active(None), false));
}

#[test]
fn the_beginning_of_a_term_is_a_sign_of_life_too() {
    let restores = |seconds: i64| {
        let mut story = cross_zone()
            .instance("i-new", InstanceState::Running, at(-7200))
            .volume("vol-1", "a", 1, term("i-old", at(-600)), Some("i-old"))
            .here("i-new", None, Workload::Stopped)
            .address_on("i-new")
            .snapshot("snap-live", "vol-1", 1, Completed, at(-700), Some("live/1"));
        story.instances().remove(&"i-old".into());
        let words = words(&story.at(seconds));
        words.iter().any(|w| w.starts_with("restore"))
    };
    assert_eq!([1199, 1200].map(restores), [false, true]);
}

/// What shows the heir itself at work, or what happened before it came, says
/// nothing of how long its predecessor served.
#[test]
fn only_a_later_sign_of_somebody_else_is_one_of_the_predecessor() {
    let story = |launched: i64, (holder, since): (&str, i64), live: i64| {
        let mut story = cross_zone()
            .instance("i-new", InstanceState::Running, at(launched))
            .volume("vol-1", "a", 1, term(holder, at(since)), Some("i-old"))
            .here("i-new", None, Workload::Stopped)
            .address_on("i-new")
            .snapshot("snap-live", "vol-1", 1, Completed, at(live), Some("live/1"));
        story.instances().remove(&"i-old".into());
        let live = story.snapshots().get_mut(&"snap-live".into()).unwrap();
        live.consistency = Consistency::Crash;
        story
    };
    let restores = |story: &Story| words(story).iter().any(|w| w.starts_with("restore"));
    // The moment it was launched is not later.
    let launched = |seconds: i64| restores(&story(seconds, ("i-old", -50_000), -36_000).at(0));
    assert_eq!([-36_000, -36_001].map(launched), [true, false]);
    // Its own term.
    let own = |holder: &str| restores(&story(-9000, (holder, -8000), -9500).at(-7000));
    assert_eq!(["i-old", "i-new"].map(own), [false, true]);
    // In service, its own live set.
    let serving = |lifecycle: Lifecycle| {
        let story = story(-9000, ("i-new", -8000), -600);
        restores(&story.member("i-new", lifecycle, "b").at(0))
    };
    assert_eq!([PendingWait, InService].map(serving), [false, true]);
}

/// Its volume may go with it, and nobody has said yet what that is.
#[test]
fn no_instance_ends_while_a_person_has_to_say_what_its_volume_is() {
    let ends = |story: Story, state: InstanceState| {
        let mut story = story.no_agent().at(600);
        let old = story.instances().get_mut(&"i-old".into()).unwrap();
        (old.state, old.unstoppable) = (state, true);
        let completes = "complete the terminate action of i-old";
        words(&story).iter().any(|w| w.starts_with(completes))
    };
    let mut stripped = cross_zone();
    stripped.volumes().clear();
    let mut nameless = cross_zone();
    nameless.volumes().get_mut(&"vol-1".into()).unwrap().name = None;
    let mut renamed = cross_zone();
    renamed.spec.volumes[0].name = "pgdata".into();
    let mut disputed = cross_zone().volume("vol-9", "a", 1, term("i-9", at(-900)), None);
    disputed.group().markers.clear();
    for story in [stripped, nameless, renamed, disputed] {
        for state in [InstanceState::Running, InstanceState::Stopped] {
            assert!(!ends(story.clone(), state), "{:?}", words(&story));
        }
    }
    assert!(
        ends(cross_zone(), InstanceState::Running),
        "it is all known"
    );
}
