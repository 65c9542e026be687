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
