//! A primary and a standby, each situation as a row.

use super::worlds::{Story, at, long_ago, term, words};
use crate::ids::InstanceId;
use crate::plan::step::{Cause, Hold};
use crate::plan::{Reason, Step, switchover};
use crate::spec::Kind;
use crate::world::*;

/// `i-a` (preferred) and `i-b`, in zone a, as EC2 has them.
pub(super) fn pair(a: InstanceState, b: InstanceState) -> Story {
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
pub(super) fn serving(b: InstanceState) -> Story {
    pair(InstanceState::Running, b)
        .volume("vol-1", "a", 1, term("i-a", long_ago()), Some("i-a"))
        .marker(1)
        .address_on("i-a")
}

/// The same with addresses alone.
pub(super) fn gateway(b: InstanceState) -> Story {
    let mut story = pair(InstanceState::Running, b).address_on("i-a");
    story.spec.volumes.clear();
    story.spec.workload.units.clear();
    story
}

pub(super) fn appointed(mut story: Story, holder: &str, since: i64) -> Story {
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
    let back = ["make i-a the holder: alarm status has rung long enough"];
    assert_eq!(words(&ringing(story.clone(), -60, &[]).at(5000)), [""; 0]);
    assert_eq!(words(&ringing(story.clone(), 60, &[]).at(5000)), back);
    // One about the standby alone: it was called in sick, or has failed since.
    let sick = ringing(story.clone(), -60, &["i-b"]);
    assert_eq!(words(&sick.clone().at(5000)), back);
    assert!(
        words(&sick.clone().at(599))
            .concat()
            .contains("has to go on")
    );
    let started = sick.instance("i-b", InstanceState::Running, at(-30));
    assert_eq!(words(&started.at(5000)), back);
    // One about both of them says no more than one about neither.
    let both = ringing(story, -60, &["i-a", "i-b"]);
    assert_eq!(words(&both.at(5000)), [""; 0]);
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
fn an_appointment_is_newer_than_all_that_is_noted_whatever_the_clock_says() {
    // The runner that appointed i-a had a clock some minutes ahead of this one.
    let story = appointed(serving(InstanceState::Running), "i-a", 500).at(100);
    let asked = switchover(&story.world, &story.spec, None, story.now);
    let Ok(Step::Appoint { heir, since, .. }) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(heir, InstanceId::from("i-b"));
    assert!(since > at(500));
}

/// Called back by a clock that is behind EC2's while it still comes to a stop; a person
/// would have to start it, if it looked as though it had been stopped since.
#[test]
fn an_appointment_is_newer_than_the_stop_of_the_heir_whatever_the_clock_says() {
    let story = serving(InstanceState::Terminated);
    let mut story = story.instance("i-a", InstanceState::Stopping, long_ago());
    story
        .instances()
        .get_mut(&"i-a".into())
        .unwrap()
        .told_to_end = Some(at(150));
    let plan = appointed(story, "i-b", 0).at(50).plan();
    let appoint = plan.steps.iter().find_map(|step| match step {
        Step::Appoint { heir, since, .. } => Some((heir.clone(), *since)),
        _ => None,
    });
    let (heir, since) = appoint.unwrap();
    assert_eq!(heir, InstanceId::from("i-a"));
    assert!(since > at(150));
}

#[test]
fn an_appointed_standby_is_started_while_its_predecessor_lets_go() {
    let story = appointed(serving(InstanceState::Stopped), "i-b", 0);
    assert_eq!(
        words(&story.clone().at(10)),
        [
            "start i-b",
            "… i-a is expected to let go by itself",
            "… the holder's own agent is at work",
        ]
    );
    assert!(words(&story.at(60)).contains(&"fence i-a: stop it".to_owned()));
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

/// Fenced in the dark, it came to a stop in the light, the holder again by then:
/// tale 6144 of the swarm.
#[test]
fn a_holder_that_was_sent_to_stop_before_it_was_appointed_is_started() {
    let told = |second| {
        let story = serving(InstanceState::Running);
        let mut story = story.instance("i-a", InstanceState::Stopped, long_ago());
        let stopped = story.instances().get_mut(&"i-a".into()).unwrap();
        stopped.told_to_end = Some(at(second));
        words(&appointed(story, "i-a", 0).at(30))
    };
    assert!(told(0).contains(&"start i-a".to_owned()));
    assert!(!told(1).contains(&"start i-a".to_owned()));
}

/// The runner that should start the standby comes late: the alarm of a machine
/// that is down rings, of course (swarm seed 62698).
#[test]
fn an_alarm_about_a_standby_that_is_not_up_yet_is_given_time() {
    let called = |state, now| {
        let story = pair(InstanceState::Running, state).only_addresses();
        let story = appointed(story.address_on("i-a"), "i-b", 0);
        let mut says = words(&ringing(story, -5000, &["i-b"]).at(now));
        says.retain(|says| !says.starts_with('…'));
        says
    };
    let back = ["make i-a the holder: alarm status has rung long enough"];
    let start = "start i-b".to_owned();
    assert!(called(InstanceState::Stopped, 1799).contains(&start));
    // Who cannot be started by then is not; and the new holder is not fenced in the
    // same turn.
    assert_eq!(called(InstanceState::Stopped, 1800), back);
    // One that was up since it was called, or has come, is judged sooner.
    let down = |launched, address| {
        let story = pair(InstanceState::Running, InstanceState::Running).only_addresses();
        let story = story.instance("i-b", InstanceState::Stopped, launched);
        let story = appointed(story.address_on(address), "i-b", 0);
        words(&ringing(story, -5000, &["i-b"]).at(601))
    };
    let judged = |says: &[String]| says.contains(&back[0].to_owned());
    assert!(!judged(&down(long_ago(), "i-a")));
    assert!(judged(&down(at(0), "i-a")) && judged(&down(long_ago(), "i-b")));
    assert!(!called(InstanceState::Running, 599).contains(&back[0].to_owned()));
    assert_eq!(called(InstanceState::Running, 600), back);
}

/// Its volume was being taken from it when it was called back, and the detach is
/// stuck: nobody could end that once it runs (swarm seed 61205).
#[test]
fn a_holder_is_started_after_the_volume_on_its_way_off_has_left() {
    let at_once = |state, second| {
        let story = serving(InstanceState::Running);
        let mut story = story.instance("i-a", InstanceState::Stopped, long_ago());
        let stopped = story.instances().get_mut(&"i-a".into()).unwrap();
        stopped.told_to_end = Some(at(0));
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].state = state;
        words(&appointed(story, "i-a", 0).at(second))
    };
    let by_force = "detach vol-1 from i-a by force".to_owned();
    for (state, second, forced) in [
        (AttachmentState::Detaching, 30, false),
        (AttachmentState::Detaching, 120, true),
        (AttachmentState::Busy, 30, true),
    ] {
        let says = at_once(state, second);
        assert!(!says.contains(&"start i-a".to_owned()), "{says:?}");
        assert_eq!(says.contains(&by_force), forced, "{says:?}");
    }
    let says = at_once(AttachmentState::Attached, 30);
    assert!(says.contains(&"start i-a".to_owned()), "{says:?}");
}

/// The standby was in the dark when the primary ended, and for hours after that.
/// Its volume did not come, was taken back, and is stuck on that way, too. A group would
/// launch another; a member is stopped, so that force loses nothing, and started again
/// (swarm seed 10012666).
#[test]
fn a_member_that_a_stuck_volume_hangs_on_is_stopped_where_no_agent_can_say_it_never_came() {
    let of = |state, now| {
        let story = appointed(
            pair(InstanceState::Stopped, InstanceState::Running),
            "i-b",
            0,
        )
        .volume("vol-1", "a", 1, term("i-b", at(10)), Some("i-b"))
        .attachment("vol-1", AttachmentState::Detaching)
        .instance("i-b", state, long_ago())
        .marker(1)
        .at(now);
        let mut story = story.no_agent();
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].since = Some(at(20));
        story
    };
    let story = |state, now| words(&of(state, now));
    let stop = "fence i-b: stop it".to_owned();
    // Six and a half minutes to come, two to leave.
    assert!(!story(InstanceState::Running, 529).contains(&stop));
    assert!(story(InstanceState::Running, 530).contains(&stop));
    assert!(!story(InstanceState::Stopping, 530).contains(&stop));
    // One that has served for long is left alone: a person may have detached it, or it
    // gets a volume more.
    assert!(story(InstanceState::Running, 530 + 1799).contains(&stop));
    assert!(!story(InstanceState::Running, 530 + 1800).contains(&stop));
    let serves = of(InstanceState::Running, 530)
        .with_logs()
        .volume("vol-2", "a", 1, term("i-b", long_ago()), Some("i-b"))
        .of_logs("vol-2");
    let since = |mut story: Story, since| {
        let volume = story.volumes().get_mut(&"vol-2".into()).unwrap();
        volume.attachments[0].since = Some(since);
        words(&story).contains(&stop)
    };
    assert!(!since(serves.clone(), long_ago()) && since(serves, at(20)));
    let down = story(InstanceState::Stopped, 600);
    assert!(
        down.contains(&"detach vol-1 from i-b by force".to_owned()),
        "{down:?}"
    );
}

/// A person started the fenced primary before anybody had taken the old copy from it, and
/// then the standby failed (tale 19010514 of the swarm).
#[test]
fn an_heir_that_was_started_with_a_copy_that_lost_is_stopped_to_lose_it() {
    let story = |since: Option<i64>| {
        let story = pair(InstanceState::Running, InstanceState::Stopped)
            .volume("vol-1", "a", 1, Standing::Superseded, Some("i-a"))
            .volume("vol-2", "a", 2, term("i-b", long_ago()), None)
            .snapshot(
                "snap-1",
                "vol-2",
                2,
                SnapshotState::Completed,
                at(5),
                Some(&format!("i-b/{}", long_ago().as_millisecond())),
            )
            .instance("i-a", InstanceState::Running, at(-20))
            .marker(2)
            .at(30)
            .no_agent();
        let mut story = appointed(story, "i-a", 0);
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].since = since.map(at);
        let devices = &mut story.instances().get_mut(&"i-a".into()).unwrap().devices;
        devices.insert("/dev/sdf".to_owned(), "vol-1".into());
        words(&story)
    };
    let stop = "fence i-a: stop it".to_owned();
    let asks = |says: &[String]| says.iter().any(|s| s.contains("cannot be attached"));
    let says = story(Some(-20));
    assert!(says.contains(&stop) && !asks(&says), "{says:?}");
    assert!(!says.iter().any(|s| s.contains("begin")), "{says:?}");
    // A copy that came later is somebody's who looks into it.
    for since in [Some(-19), None] {
        let says = story(since);
        assert!(!says.contains(&stop) && asks(&says), "{says:?}");
    }
}

/// Tale 15033778 of the swarm: the heir's zone went dark, and what the other member
/// said was of the appointment before.
#[test]
fn an_appointment_that_one_member_lacks_is_noted_there() {
    let lacks = |b, on: &[&str]| {
        let mut story = serving(b)
            .address_on("i-a")
            .here("i-a", Some("vol-1"), Workload::Healthy)
            .at(0);
        story.group().unnoted = on.iter().map(|id| InstanceId::from(*id)).collect();
        appointed(story, "i-a", -60)
    };
    let notes = |steps: Vec<Step>| {
        let words = steps.iter().map(ToString::to_string);
        words
            .filter(|step| step == "note on i-b that i-a is the holder")
            .count()
    };
    let counted = |story: &Story| {
        let plan = story.plan();
        (notes(plan.steps), notes(plan.upkeep))
    };
    let stopped = |on| lacks(InstanceState::Stopped, on);
    assert_eq!(counted(&stopped(&["i-b"])), (0, 1), "all is well");
    assert_eq!(counted(&stopped(&[])), (0, 0));
    let at_once = appointed(stopped(&["i-b"]), "i-a", -59);
    assert_eq!(counted(&at_once), (0, 0), "its writer may be on the way");
    let gone = lacks(InstanceState::Terminated, &["i-b"]);
    assert_eq!(counted(&gone), (0, 0));
    let mut nobody = stopped(&["i-b"]);
    nobody.group().appointed = None;
    assert_eq!(counted(&nobody), (0, 0));
    let mut sick = stopped(&["i-b"]);
    sick.world.here.as_mut().unwrap().workload = Workload::Stopped;
    assert_eq!(counted(&sick), (1, 0), "there is other work");
    let from_elsewhere = stopped(&["i-b"]).here("i-b", None, Workload::Stopped);
    assert_eq!(counted(&from_elsewhere), (0, 0), "its own agent does it");
}

#[test]
fn a_holder_that_ec2_knows_no_longer_is_replaced() {
    let mut story = serving(InstanceState::Stopped).detached("vol-1");
    story.instances().remove(&"i-a".into());
    story.group().members.remove(&"i-a".into());
    let next = "make i-b the holder: the holder is terminated".to_owned();
    assert!(words(&story).contains(&next), "{:?}", words(&story));
    // Nor is the other one there: nobody is.
    story.instances().remove(&"i-b".into());
    assert!(!words(&story).contains(&next));
    assert!(!story.plan().is_settled());
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

#[test]
fn a_member_that_cannot_take_over_is_named_with_the_reason() {
    let asked = |b: Option<InstanceState>| {
        let mut story = serving(InstanceState::Running);
        match b {
            Some(state) => story = story.instance("i-b", state, long_ago()),
            None => drop(story.instances().remove(&"i-b".into())),
        }
        switchover(&story.world, &story.spec, None, at(30)).map_err(|why| why.to_string())
    };
    let refused = |why: &str| {
        Err(format!(
            "i-b cannot take over ({why}): bring it back, or name another member in the \
             configuration"
        ))
    };
    assert_eq!(asked(None), refused("EC2 does not describe it now"));
    for state in [InstanceState::ShuttingDown, InstanceState::Terminated] {
        assert_eq!(asked(Some(state)), refused("it is terminated"));
    }
    assert!(asked(Some(InstanceState::Stopped)).is_ok());
}

#[test]
fn a_person_is_told_why_nobody_can_be_asked_for() {
    let story = Story::new();
    let asked = |story: &Story, to: Option<&str>| {
        let to = to.map(InstanceId::from);
        switchover(&story.world, &story.spec, to.as_ref(), at(30))
    };
    assert_eq!(asked(&story, None), Err(Reason::NoHolder));
    let why = asked(&Story::replacement("b"), Some("i-old")).unwrap_err();
    assert!(
        why.to_string()
            .contains("Auto Scaling chooses the next member itself")
    );
}

#[test]
fn a_holder_that_is_on_its_way_or_not_described_is_waited_for() {
    let story = |state| serving(InstanceState::Stopped).instance("i-a", state, long_ago());
    assert_eq!(
        words(&story(InstanceState::Pending)),
        ["… i-a is still booting"]
    );
    let mut dark = serving(InstanceState::Stopped);
    dark.instances().remove(&"i-a".into());
    assert_eq!(
        words(&dark),
        ["… the holder could not be read: EC2 does not describe i-a now"]
    );
    let backup = "… the holder's own agent is at work";
    // An heir whose stop is not over is started when it is.
    let stopping = appointed(gateway(InstanceState::Stopping), "i-b", 0).at(10);
    let stopping = stopping.instance("i-a", InstanceState::Stopped, long_ago());
    assert_eq!(words(&stopping), [backup, "… i-b is being stopped"]);
    let stopped = stopping.instance("i-b", InstanceState::Stopped, long_ago());
    assert_eq!(words(&stopped), ["start i-b", backup]);
    // Once it has come, whoever stopped it had a reason.
    let come = stopped.address_on("i-b");
    assert_eq!(
        words(&come),
        ["… i-b holds everything and is stopped: start it, or run `rehome switchover`"]
    );
}

#[test]
fn what_nobody_remembers_as_its_own_belongs_to_whoever_has_it_else_to_the_first_there_is() {
    let holder = |story: &Story| story.plan().holder.map(|id| id.to_string());
    let both = || pair(InstanceState::Running, InstanceState::Running);
    // Strangers do not count, whatever they have and whoever names them.
    let stranger = both().address_on("i-x");
    let stranger = stranger.volume("vol-1", "a", 1, term("i-x", at(5)), Some("i-x"));
    assert_eq!(holder(&stranger).as_deref(), Some("i-a"));
    assert_eq!(
        holder(&appointed(stranger, "i-y", 9)).as_deref(),
        Some("i-a")
    );
    let mut first_is_gone = both();
    first_is_gone.group().members.remove(&"i-a".into());
    assert_eq!(holder(&first_is_gone).as_deref(), Some("i-b"));
    first_is_gone.group().members.clear();
    assert_eq!(holder(&first_is_gone), None);
    assert_eq!(
        words(&first_is_gone),
        ["… no member may have the belongings yet"]
    );
}
