//! The eighth promise, shown to be seen to break: how lifecycle actions end.

use super::*;

/// The heir has booted.
fn up() -> Tale {
    let instance = NEW.into();
    Tale::default().at(1, "aws", What::Booted { instance })
}

#[test]
fn closing_an_action_too_early_too_late_or_not_at_all_breaks_the_eighth_promise() {
    moved()
        .at(107, "aws", closed(OLD, "TERMINATING", Closed::TimedOut))
        .breaks(8, "ended by TimedOut");
    life()
        .at(101, OLD, closed(OLD, "TERMINATING", Closed::Continue))
        .breaks(8, "while it wrote");
    moved()
        .at(900, NEW, closed(NEW, "LAUNCHING", Closed::Continue))
        .breaks(8, "after its part was done");
    // Its own agent cannot close it before it has booted.
    let there = What::Booted {
        instance: NEW.into(),
    };
    moved()
        .at(850, "aws", there)
        .at(900, NEW, closed(NEW, "LAUNCHING", Closed::Continue))
        .holds(8);
    // Nor can anybody while AWS does not do it; but it is to be tried again.
    let tried = |outcome: &Outcome, whom: &str, closes| {
        let tried = What::Call {
            service: "autoscaling".into(),
            action: "CompleteLifecycleAction".into(),
            target: format!("orders-db launch {whom}"),
            outcome: outcome.clone(),
        };
        moved()
            .at(840, NEW, tried)
            .at(closes, NEW, closed(NEW, "LAUNCHING", Closed::Continue))
    };
    let broken = Outcome::Error("InternalError".into());
    for in_vain in [&broken, &Outcome::Lost] {
        tried(in_vain, NEW, 900).holds(8);
        tried(in_vain, NEW, 901).breaks(8, "after its part was done");
    }
    tried(&broken, OLD, 900).breaks(8, "after its part was done");
    tried(&Outcome::Ok, NEW, 900).breaks(8, "after its part was done");
    let early = life().at(110, "aws", member(NEW, "Pending:Wait")).at(
        111,
        NEW,
        closed(NEW, "LAUNCHING", Closed::Continue),
    );
    early.breaks(8, "before data was in its place");
}

/// Tale 20040301 of the swarm: 45 minutes in the dark.
#[test]
fn who_tries_a_fence_in_a_long_night_hears_later_that_it_was_obeyed() {
    let closed_at = |lit: i64, second: i64, scenario: &str| {
        let tale = Tale::default()
            .at(1, "aws", member(OLD, "InService"))
            .at(100, "nature", What::ZoneDown { zone: "a".into() })
            .at(200, "aws", member(OLD, "Terminating:Wait"))
            .at(lit, "nature", What::ZoneUp { zone: "a".into() })
            .at(
                second,
                "controller",
                closed(OLD, "TERMINATING", Closed::Continue),
            );
        tale.judged(8, scenario, &BTreeMap::new(), &[])
    };
    let late = |lit, second| closed_at(lit, second, "no-agent").is_err();
    assert!(!late(700, 700 + 60 + 60) && late(700, 700 + 60 + 61));
    assert!(!late(2800, 2800 + 120 + 60) && late(2800, 2800 + 120 + 61));
    // Its own agent comes to itself with its zone.
    let by_agent = |second| closed_at(2800, second, "cross-zone").is_err();
    assert!(!by_agent(2800 + 60 + 60) && by_agent(2800 + 60 + 61));
}

#[test]
fn a_launch_whose_volume_is_stuck_on_its_way_off_may_run_out_where_there_is_no_agent() {
    let leaves = What::Detaching {
        volume: "vol-2".into(),
        instance: NEW.into(),
        forced: false,
    };
    let ends = |second: i64, scenario: &str| {
        let tale = up().at(100, "aws", leaves.clone()).at(
            100 + second,
            "aws",
            closed(NEW, "LAUNCHING", Closed::TimedOut),
        );
        tale.judged(8, scenario, &BTreeMap::new(), &[])
    };
    assert!(ends(120, "no-agent").is_ok());
    assert!(ends(119, "no-agent").is_err());
    assert!(ends(120, "cross-zone").is_err(), "its agent can tell");
}

#[test]
fn an_action_kept_open_for_as_long_as_aws_allows_may_end_undone() {
    let ends = |how| up().at(100, "aws", closed(NEW, "LAUNCHING", how));
    ends(Closed::GlobalTimeout).holds(8);
    ends(Closed::TimedOut).breaks(8, "ended by TimedOut");
    // A machine that never came up could not say that it is well.
    let boots = Tale::default().at(100, "aws", closed(NEW, "LAUNCHING", Closed::TimedOut));
    boots.holds(8);
    assert!(boots.judged(8, "no-agent", &BTreeMap::new(), &[]).is_err());
    let instance = NEW.into();
    let done = moved().at(225, "aws", What::Booted { instance }).at(
        226,
        "aws",
        closed(NEW, "LAUNCHING", Closed::GlobalTimeout),
    );
    done.breaks(8, "ended by GlobalTimeout");
}

#[test]
fn where_agents_are_alone_an_action_waits_for_the_next_one() {
    let timed_out = |agents_alone: bool| {
        let mut tale = moved().at(107, "aws", closed(OLD, "TERMINATING", Closed::TimedOut));
        tale.1.controllers = agents_alone.then_some(&[][..]);
        tale
    };
    timed_out(false).breaks(8, "ended by TimedOut");
    timed_out(true).holds(8);
    let there = What::Booted {
        instance: NEW.into(),
    };
    let boots = |at, closes| {
        let mut tale = moved().at(at, "aws", there.clone());
        tale = tale.at(closes, NEW, closed(OLD, "TERMINATING", Closed::Continue));
        tale.1.controllers = Some(&[]);
        tale
    };
    boots(1_000, 1_010).holds(8);
    boots(1_000, 1_300).breaks(8, "after its part was done");
}

#[test]
fn what_is_stuck_on_its_way_is_waited_for_until_the_instance_is_down() {
    let leaves = |volume: &str| What::Detaching {
        volume: volume.into(),
        instance: OLD.into(),
        forced: false,
    };
    let gone = |volume: &str| What::Detached {
        volume: volume.into(),
        instance: OLD.into(),
    };
    let comes = |volume: &str| What::Attaching {
        volume: volume.into(),
        instance: OLD.into(),
    };
    let there = |volume: &str| What::Attached {
        volume: volume.into(),
        instance: OLD.into(),
    };
    let state = |to: &str| What::InstanceState {
        instance: OLD.into(),
        from: "running".into(),
        to: to.into(),
    };
    let stuck = || moved().at(301, OLD, leaves("vol-9"));
    let closes = |tale: Tale, at| tale.at(at, OLD, closed(OLD, "TERMINATING", Closed::Continue));
    closes(stuck(), 900).holds(8);
    closes(stuck().at(600, "aws", state("stopped")), 610).holds(8);
    closes(stuck().at(600, "aws", state("stopped")), 900).breaks(8, "after its part was done");
    closes(stuck().at(600, "aws", gone("vol-9")), 900).breaks(8, "after its part was done");
    // Nor does anyone outside know what became of one that never came.
    let coming = || moved().at(301, OLD, comes("vol-9"));
    closes(coming(), 900).holds(8);
    closes(coming().at(600, "aws", state("stopped")), 900).breaks(8, "after its part was done");
    closes(coming().at(310, "aws", there("vol-9")), 900).breaks(8, "after its part was done");
    // What goes at once keeps nobody.
    closes(stuck().at(310, "aws", gone("vol-9")), 900).breaks(8, "after its part was done");
}

/// What a person says of a group's size is no event.
#[test]
fn an_action_waits_for_the_next_look_at_a_group_that_wanted_more() {
    let closed_at = |second| {
        let resized = What::Call {
            service: "autoscaling".into(),
            action: "UpdateAutoScalingGroup".into(),
            target: "orders-db".into(),
            outcome: Outcome::Ok,
        };
        let mut tale = moved().at(400, "owner", resized).at(
            second,
            NEW,
            closed(NEW, "LAUNCHING", Closed::Continue),
        );
        tale.1.looks_every = SignedDuration::from_mins(5);
        tale
    };
    closed_at(760).holds(8);
    closed_at(761).breaks(8, "after its part was done");
}
