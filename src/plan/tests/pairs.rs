//! A primary and a standby, each situation as a row.

use super::worlds::{Story, at, long_ago, term, words};
use crate::ids::InstanceId;
use crate::plan::step::{Cause, Hold};
use crate::plan::{Reason, Step, switchover};
use crate::spec::Kind;
use crate::world::*;

/// `i-a` (preferred) and `i-b`, in zone a, as EC2 has them.
fn pair(a: InstanceState, b: InstanceState) -> Story {
    let mut story = Story::new()
        .member("i-a", Lifecycle::InService, "a")
        .instance("i-a", a, long_ago())
        .member("i-b", Lifecycle::InService, "a")
        .instance("i-b", b, long_ago());
    story.spec.kind = Kind::Pair {
        members: vec!["i-a".into(), "i-b".into()],
    };
    story.group().hooks.clear();
    story
}

/// The primary serves, and has all there is.
fn serving(b: InstanceState) -> Story {
    pair(InstanceState::Running, b)
        .volume("vol-1", "a", 1, term("i-a", long_ago()), Some("i-a"))
        .marker(1)
        .address_on("i-a")
}

/// The same with addresses alone.
fn gateway(b: InstanceState) -> Story {
    let mut story = pair(InstanceState::Running, b).address_on("i-a");
    story.spec.volumes.clear();
    story.spec.workload.units.clear();
    story
}

fn appointed(mut story: Story, holder: &str, since: i64) -> Story {
    story.group().appointed = Some(Term {
        holder: holder.into(),
        since: at(since),
    });
    story
}

fn ringing(mut story: Story, since: i64, about: &[&str]) -> Story {
    let alarm = Alarm {
        ringing: true,
        since: at(since),
        about: about.iter().map(|id| InstanceId::from(*id)).collect(),
    };
    story.world.alarms = Seen::Known([("status".to_owned(), alarm)].into());
    story
}

const CALLED: &str = "make i-b the holder: alarm status has rung long enough";

#[test]
fn before_anyone_was_appointed_whoever_has_something_holds_else_the_preferred() {
    use InstanceState::{Running, Stopped};
    let holder = |story: Story| story.plan().holder.map(|id| id.to_string());
    assert_eq!(holder(pair(Running, Stopped)), Some("i-a".to_owned()));
    assert_eq!(
        holder(pair(Running, Running).address_on("i-b")),
        Some("i-b".to_owned())
    );
    let adopted =
        pair(Running, Running).volume("vol-1", "a", 0, Standing::Active(None), Some("i-b"));
    assert_eq!(holder(adopted), Some("i-b".to_owned()));
}

#[test]
fn the_newest_of_appointment_and_term_says_who_holds() {
    let holder = |story: Story| story.plan().holder.map(|id| id.to_string());
    let story = serving(InstanceState::Running);
    assert_eq!(
        holder(appointed(story.clone(), "i-b", 0)),
        Some("i-b".to_owned())
    );
    // The other member, with the newer appointment, cannot be read; its term can.
    let back = appointed(story, "i-b", -100_000);
    assert_eq!(holder(back), Some("i-a".to_owned()));
}

#[test]
fn an_alarm_on_the_holder_calls_in_the_other_member() {
    let story = |since, about: &[&str]| ringing(serving(InstanceState::Stopped), since, about);
    assert_eq!(words(&story(0, &["i-a"]).at(60)), [CALLED]);
    assert_eq!(words(&story(0, &[]).at(60)), [CALLED]);
    assert_eq!(
        words(&story(0, &["i-a"]).at(59)),
        ["… alarm status rings, and has to go on ringing to count"]
    );
    // About somebody else: the standby, which is stopped, or a stranger.
    assert_eq!(words(&story(0, &["i-b"]).at(600)), [""; 0]);
}

#[test]
fn an_alarm_on_a_holder_that_cannot_be_described_counts() {
    let mut story = ringing(serving(InstanceState::Running), 0, &["i-a"]).at(60);
    story.instances().remove(&InstanceId::from("i-a"));
    assert!(
        words(&story).contains(&CALLED.to_owned()),
        "{:?}",
        words(&story)
    );
}

#[test]
fn an_alarm_that_rang_before_the_holder_came_says_nothing_about_it() {
    // The volume moved with the holder.
    let story = pair(InstanceState::Stopped, InstanceState::Running)
        .volume("vol-1", "a", 1, term("i-b", at(30)), Some("i-b"))
        .marker(1)
        .address_on("i-b");
    let story = appointed(story, "i-b", 0);
    assert_eq!(words(&ringing(story.clone(), -60, &[]).at(5000)), [""; 0]);
    assert_eq!(
        words(&ringing(story, 60, &[]).at(5000)),
        ["make i-a the holder: alarm status has rung long enough"]
    );
}

#[test]
fn alarms_move_only_so_often() {
    let moved = |moves: &[i64], now| {
        let mut story = ringing(gateway(InstanceState::Running), 0, &["i-a"]).at(now);
        story.group().moves = moves.iter().map(|m| at(*m)).collect();
        words(&story)
    };
    // One move: the cooldown of ten minutes.
    assert_eq!(
        moved(&[-300], 299),
        ["… alarm status rings, but alarms have moved the group 1 times within an hour"]
    );
    assert_eq!(moved(&[-300], 300), [CALLED]);
    // Three within the hour: until the first of them is an hour old.
    assert_eq!(
        moved(&[-2000, -1400, -700], 1599),
        ["… alarm status rings, but alarms have moved the group 3 times within an hour"]
    );
    assert_eq!(moved(&[-2000, -1400, -700], 1600), [CALLED]);
    // The step remembers what still counts, and itself.
    let mut story = ringing(gateway(InstanceState::Running), 0, &["i-a"]).at(1600);
    story.group().moves = vec![at(-2000), at(-1400), at(-700)];
    let Some(Step::Appoint { moves, .. }) = story.plan().steps.first().cloned() else {
        panic!("nobody is appointed");
    };
    assert_eq!(moves, [at(-1400), at(-700), at(1600)]);
}

#[test]
fn an_appointed_standby_is_started_while_its_predecessor_lets_go() {
    let story = appointed(serving(InstanceState::Stopped), "i-b", 0);
    assert_eq!(
        words(&story.clone().at(10)),
        [
            "start i-b",
            "… i-a is expected to let go by itself",
            "… another runner is first in line for the holder's own agent",
        ]
    );
    assert!(words(&story.at(60)).contains(&"fence i-a: stop it".to_owned()));
}

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

#[test]
fn a_holder_that_was_stopped_by_hand_is_left_alone() {
    let story = serving(InstanceState::Stopped).instance("i-a", InstanceState::Stopped, long_ago());
    assert!(matches!(
        story.plan().waits[0].reason,
        Reason::Hold(Hold::HolderStopped { .. })
    ));
    // Also one that was appointed once, and has come.
    let story = pair(InstanceState::Running, InstanceState::Stopped)
        .volume("vol-1", "a", 1, term("i-b", at(30)), Some("i-b"))
        .marker(1)
        .address_on("i-b");
    let story = appointed(story, "i-b", 0).at(5000);
    assert_eq!(story.plan().steps, []);
}

#[test]
fn a_holder_that_is_gone_or_told_to_go_is_replaced_at_once() {
    let gone =
        serving(InstanceState::Running).instance("i-a", InstanceState::Terminated, long_ago());
    let step = |story: &Story| {
        let appoints = |step: &&Step| matches!(step, Step::Appoint { .. });
        story.plan().steps.iter().find(appoints).cloned()
    };
    let heir_and_cause = |story: &Story| match step(story) {
        Some(Step::Appoint { heir, cause, .. }) => Some((heir.to_string(), cause)),
        _ => None,
    };
    assert_eq!(heir_and_cause(&gone), Some(("i-b".to_owned(), Cause::Gone)));
    let mut leaving = serving(InstanceState::Stopped).here("i-a", Some("vol-1"), Workload::Healthy);
    leaving.world.here.as_mut().unwrap().leaving = Some("spot notice".to_owned());
    assert_eq!(
        heir_and_cause(&leaving),
        Some(("i-b".to_owned(), Cause::Leaving))
    );
    // Nobody is left to take over.
    let both = gone.instance("i-b", InstanceState::Terminated, long_ago());
    assert_eq!(step(&both), None);
    assert!(both.plan().waits.iter().any(|w| matches!(&w.reason, Reason::Hold(Hold::NoStandby { instance, .. }) if instance.as_str() == "i-b")));
}

#[test]
fn a_person_may_ask_for_the_other_one() {
    let story = serving(InstanceState::Stopped);
    let asked = |to: Option<&str>| {
        let to = to.map(InstanceId::from);
        switchover(&story.world, &story.spec, to.as_ref(), at(30))
    };
    for to in [None, Some("i-b")] {
        assert_eq!(
            asked(to).unwrap().to_string(),
            "make i-b the holder: a person asked for it"
        );
    }
    assert!(matches!(
        asked(Some("i-a")),
        Err(Reason::Hold(Hold::HoldsAlready { .. }))
    ));
    assert!(matches!(
        asked(Some("i-x")),
        Err(Reason::Hold(Hold::NoStandby { .. }))
    ));
    let asg = Story::replacement("b");
    let step = switchover(&asg.world, &asg.spec, None, at(30)).unwrap();
    assert_eq!(
        step.to_string(),
        "report i-new as unhealthy to Auto Scaling"
    );
}
