//! Are the promises able to fail? Planners with one rule removed, each
//! performing a scenario in which the rule matters, each caught by the promise
//! that the rule keeps.
//!
//! `cargo test --features mutants --test mutants`

#![allow(clippy::unwrap_used, clippy::panic)]

use rehome::drill::rehearse;
use rehome::drill::scenario::{BUILT_IN, Scenario, built_in, parse};
use rehome::plan::mutant::{self, Mutant};
use rehome::report::{Rehearsal, terminal};

/// The old one still serves when the new one is ready, and a controller has to
/// fence it: the only while in which taking its address away does harm.
const HANDOVER: &str = "handover";

fn handover() -> Scenario {
    let (_, text) = BUILT_IN
        .iter()
        .find(|(name, _)| *name == "no-agent")
        .unwrap();
    let text = text
        .replace("controller\n", "controller\noverlap\n")
        .replace("fail    holder", "rebalance");
    parse(HANDOVER, &text).unwrap()
}

fn perform(mutant: Option<Mutant>, scenario: &str) -> Rehearsal {
    let scenario = match scenario {
        HANDOVER => handover(),
        name => built_in(name).unwrap().unwrap(),
    };
    mutant::set(mutant);
    let rehearsal = rehearse(&scenario, 1).unwrap();
    mutant::set(None);
    rehearsal
}

fn is_broken(rehearsal: &Rehearsal, number: u32) -> bool {
    let prefix = format!("{number} ");
    let promise = rehearsal
        .promises
        .iter()
        .find(|promise| promise.name.starts_with(&prefix));
    !promise
        .unwrap_or_else(|| panic!("there is no promise {number}"))
        .held
}

fn is_caught(mutant: Mutant, scenario: &str, number: u32) {
    assert!(
        !is_broken(&perform(None, scenario), number),
        "{scenario} breaks promise {number} by itself"
    );
    let wrong = perform(Some(mutant), scenario);
    assert!(
        is_broken(&wrong, number),
        "{mutant:?} should break promise {number}:\n{}",
        terminal::golden(&wrong)
    );
}

#[test]
fn picking_by_start_time_alone_breaks_promise_3() {
    is_caught(Mutant::NewestByStartTime, "zombie", 3);
}

#[test]
fn skipping_the_fence_breaks_promise_1_or_2() {
    let wrong = perform(Some(Mutant::SkipFence), "no-agent");
    let told = terminal::golden(&wrong);
    assert!(
        is_broken(&wrong, 1) || is_broken(&wrong, 2),
        "neither is broken:\n{told}"
    );
}

#[test]
fn a_blank_volume_without_asking_the_marker_breaks_promise_4() {
    is_caught(Mutant::BlankWithoutMarker, "vanished", 4);
}

#[test]
fn deleting_the_newest_breaks_promise_5() {
    is_caught(Mutant::DeleteNewest, "upkeep", 5);
}

#[test]
fn losing_whatever_it_takes_breaks_promise_6() {
    is_caught(Mutant::IgnoreDataLoss, "hold", 6);
}

#[test]
fn giving_the_address_to_anyone_breaks_promise_7() {
    is_caught(Mutant::AddressToAnyone, HANDOVER, 7);
}

#[test]
fn completing_the_launch_early_breaks_promise_8() {
    is_caught(Mutant::CompleteEarly, "cross-zone", 8);
}

#[test]
fn forgetting_the_shape_breaks_promise_9() {
    is_caught(Mutant::ForgetShape, "multi-volume", 9);
}

#[test]
fn mixing_sets_breaks_promise_10() {
    is_caught(Mutant::MixSets, "multi-outage", 10);
}
