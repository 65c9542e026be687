//! What is not held against a runner, since nobody could have seen it?

use super::*;

#[test]
fn an_address_is_not_taken_from_one_that_can_be_seen_to_serve() {
    let taken_at = |second| {
        let taken = What::AddressMoved {
            allocation: "eipalloc-1".into(),
            from: Some(OLD.into()),
            to: Some(NEW.into()),
            lifecycle: Some("Pending:Wait".into()),
        };
        life()
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(100, "aws", member(NEW, "Pending:Wait"))
            .at(300, "nature", What::ZoneUp { zone: "a".into() })
            .at(second, NEW, taken)
    };
    taken_at(200).holds(7);
    let seen = crate::drill::promises::keepers::SEEN_AFTER.as_secs();
    taken_at(300 + seen).holds(7);
    taken_at(301 + seen).breaks(7, "while that still served");
}

/// That nobody ever wrote to what an instance has cannot be seen from outside.
#[test]
fn an_action_is_closed_soon_after_its_instance_has_let_go() {
    let is = |state: &str| What::InstanceState {
        instance: NEW.into(),
        from: String::new(),
        to: state.into(),
    };
    let closed_at = |second| {
        Tale::default()
            .at(0, "aws", member(NEW, "Pending:Wait"))
            .at(1, NEW, volume("vol-2", "b", None))
            .at(2, "aws", is("running"))
            .at(5, "aws", attached("vol-2", NEW))
            .at(10, "aws", member(NEW, "Terminating:Wait"))
            .at(600, "aws", is("stopped"))
            .at(
                second,
                "controller",
                closed(NEW, "TERMINATING", Closed::Continue),
            )
    };
    closed_at(601).holds(8);
    closed_at(6_000).breaks(8, "after its part was done");
}

/// Whose zone came back in the second before still seemed to be in the dark.
#[test]
fn an_action_is_not_closed_while_its_instance_can_be_seen_to_write() {
    let closed_at = |second| {
        life()
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(100, "aws", member(OLD, "Terminating:Wait"))
            .at(300, "nature", What::ZoneUp { zone: "a".into() })
            .at(second, NEW, closed(OLD, "TERMINATING", Closed::Continue))
    };
    closed_at(200).holds(8);
    let seen = crate::drill::promises::keepers::SEEN_AFTER.as_secs();
    closed_at(300 + seen).holds(8);
    closed_at(301 + seen).breaks(8, "was closed while it wrote");
}

/// EC2 stops it for a quarter of an hour, however often it is told to.
#[test]
fn what_is_on_an_instance_that_does_not_end_is_out_of_reach() {
    let is = |state: &str| What::InstanceState {
        instance: OLD.into(),
        from: String::new(),
        to: state.into(),
    };
    let begins = |volume: &str| What::Tagged {
        resource: volume.into(),
        key: crate::tags::STATE.into(),
        value: crate::tags::STATE_ACTIVE.into(),
    };
    let stopping = || {
        life()
            .at(40, "aws", is("stopping"))
            .at(41, OLD, stops(OLD, "vol-1"))
    };
    let older_at = |second| {
        stopping()
            .at(second, NEW, volume("vol-2", "b", Some("snap-0")))
            .at(second, NEW, loses(NEW, "vol-2", 30))
    };
    older_at(399).breaks(6, "although the newest data could be reached");
    older_at(400).holds(6);
    // Nobody could be told anything while its zone was dark.
    let back = |second| {
        older_at(second)
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(500, "nature", What::ZoneUp { zone: "a".into() })
    };
    back(560).breaks(6, "although the newest data could be reached");
    back(561).holds(6);
    let closed_as = |state, second, on| {
        let close = closed(OLD, "TERMINATING", Closed::Continue);
        stopping()
            .at(50, "aws", member(OLD, "Terminating:Wait"))
            .at(30, OLD, snapshot("snap-0", "vol-1", 5, "set-1", true))
            .at(35, NEW, volume("vol-2", "b", Some("snap-0")))
            .at(second, NEW, begins(on))
            .at(second + 1, "aws", is(state))
            .at(second + 2, NEW, close)
            .at(second + 3, NEW, loses(NEW, "vol-2", 30))
    };
    let closed_at = |second, on| closed_as("shutting-down", second, on);
    closed_at(399, "vol-2").breaks(8, "was attached");
    closed_at(400, "vol-2").holds(8);
    closed_at(400, "vol-1").breaks(8, "was attached");
    // What became of it once something had taken over is all the same.
    closed_as("stopped", 399, "vol-2").breaks(8, "was captured");
    closed_as("stopped", 400, "vol-2").holds(8);
    // As long as nothing has taken over, its part is not done.
    let close = closed(OLD, "TERMINATING", Closed::Continue);
    stopping().at(400, NEW, close).breaks(8, "was attached");
}

/// Nobody on an instance without an agent could hold back what is on its way to it.
#[test]
fn what_was_sent_to_an_instance_comes_and_may_be_written() {
    let sent_at = |second| {
        let sent = What::Attaching {
            volume: "vol-2".into(),
            instance: NEW.into(),
        };
        let mut before =
            life()
                .at(50, OLD, stops(OLD, "vol-1"))
                .at(60, "aws", member(NEW, "Pending:Wait"));
        if second <= 70 {
            before = before.at(second, "controller", sent.clone());
        }
        let mut told = before.at(70, "aws", member(NEW, "Terminating:Wait"));
        if second > 70 {
            told = told.at(second, "controller", sent);
        }
        told.at(120, NEW, writes(NEW, "vol-2"))
    };
    let judged = |second, of| sent_at(second).judged(1, of, &BTreeMap::new(), &[]);
    assert!(judged(69, "no-agent").is_ok());
    assert!(judged(71, "no-agent").is_err(), "it was no holder any more");
    assert!(judged(69, "cross-zone").is_err(), "its agent looks first");
}

/// Which of two members is the newer one, nobody can say of one in the dark.
#[test]
fn a_launch_waits_until_the_other_member_can_be_seen_or_goes() {
    let closed_at = |second: i64, dark: bool| {
        let zone = if dark { "a" } else { "c" };
        let tale = Tale::default()
            .at(1, "aws", member(OLD, "InService"))
            .at(50, "nature", What::ZoneDown { zone: zone.into() })
            .at(60, "aws", member(NEW, "Pending:Wait"))
            .at(300, "aws", member(OLD, "Terminating"))
            .at(second, NEW, closed(NEW, "LAUNCHING", Closed::Continue));
        tale.judged(8, "address-only", &BTreeMap::new(), &[])
    };
    let allowed = 300 + 60;
    assert_eq!(
        closed_at(allowed, true),
        Ok("1 action closed in time".to_owned())
    );
    assert!(closed_at(allowed + 1, true).is_err());
    assert!(closed_at(allowed, false).is_err());
}
