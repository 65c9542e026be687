//! Are the promises able to fail? Planners with one rule removed, each
//! performing a scenario in which the rule matters, each caught by the promise
//! that the rule keeps. `docs/reliability.md` shows what came of it, and is held
//! to it here.
//!
//! `cargo test --features mutants --test mutants`; with `UPDATE_DOCS=1` the
//! table is written anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

use rehome::drill::rehearse;
use rehome::drill::scenario::{BUILT_IN, Scenario, built_in, parse};
use rehome::plan::mutant::{self, Mutant};
use rehome::report::{Rehearsal, terminal};

/// The old one still serves when the new one is ready, and a controller has to
/// fence it: the only while in which taking its address away does harm.
const HANDOVER: &str = "handover";

/// Nobody can read the volumes at first.
const BLIND: &str = "blind first boot";
const BLIND_STORY: &str = "title The volumes cannot be read for ten minutes\n\
    mishap DescribeVolumes broken 100%\n\
    launch in us-east-1a\npass 10m\nheal\nsettle within 30m\nexpect blank 1\n";

/// So many seeds are tried before a wrong planner counts as not found.
const SEEDS: u64 = 10;

/// A rule of the planner, the promise it keeps, and where that shows.
struct Row {
    rule: &'static str,
    mutant: Mutant,
    promise: u32,
    scenario: &'static str,
}

const fn row(promise: u32, rule: &'static str, mutant: Mutant, scenario: &'static str) -> Row {
    Row {
        rule,
        mutant,
        promise,
        scenario,
    }
}

const ROWS: [Row; 12] = [
    row(
        1,
        "who still serves is fenced before another one takes over",
        Mutant::SkipFence,
        HANDOVER,
    ),
    row(
        2,
        "what is not quiet is fenced before it is captured",
        Mutant::SkipFence,
        "no-agent",
    ),
    row(
        3,
        "the newest is found by lineage, not by the clock",
        Mutant::NewestByStartTime,
        "zombie",
    ),
    row(
        4,
        "the group's marker is asked before a blank volume is made",
        Mutant::BlankWithoutMarker,
        "vanished",
    ),
    row(
        5,
        "the newest set and volume are kept",
        Mutant::DeleteNewest,
        "upkeep",
    ),
    row(
        6,
        "an older set is used only within `max_data_loss`",
        Mutant::IgnoreDataLoss,
        "hold",
    ),
    row(
        7,
        "an address is not taken from one that still serves",
        Mutant::AddressToAnyone,
        HANDOVER,
    ),
    row(
        8,
        "a launch is completed only when everything is in place",
        Mutant::CompleteEarly,
        "cross-zone",
    ),
    row(
        9,
        "a restored volume gets the shape of the old one",
        Mutant::ForgetShape,
        "multi-volume",
    ),
    row(
        10,
        "several volumes are restored from one set",
        Mutant::MixSets,
        "multi-outage",
    ),
    row(
        11,
        "what was begun for this move is taken up",
        Mutant::BeginAnew,
        "cross-zone",
    ),
    row(
        12,
        "what could not be read is unknown, not absent",
        Mutant::UnknownIsAbsent,
        BLIND,
    ),
];

fn scenario(name: &str) -> Scenario {
    match name {
        HANDOVER => handover(),
        BLIND => parse(BLIND, BLIND_STORY).unwrap(),
        name => built_in(name).unwrap().unwrap(),
    }
}

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

fn perform(mutant: Option<Mutant>, scenario: &Scenario, seed: u64) -> Rehearsal {
    mutant::set(mutant);
    let rehearsal = rehearse(scenario, seed).unwrap();
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

/// How many seeds it took, or what was wrong.
fn seeds_until_caught(row: &Row) -> Result<u64, String> {
    let scenario = scenario(row.scenario);
    for seed in 1..=SEEDS {
        let right = perform(None, &scenario, seed);
        if !right.succeeded() {
            return Err(format!(
                "{} does not go well by itself with seed {seed}: {:?}",
                row.scenario,
                terminal::faults(&right)
            ));
        }
        if is_broken(&perform(Some(row.mutant), &scenario, seed), row.promise) {
            return Ok(seed);
        }
    }
    let told = perform(Some(row.mutant), &scenario, 1);
    Err(format!(
        "{:?} should break promise {} in {}:\n{}",
        row.mutant,
        row.promise,
        row.scenario,
        terminal::golden(&told)
    ))
}

/// Of all rows, each with a planner of its own: what is removed from it is
/// known to its thread alone.
fn all_seeds() -> Vec<Result<u64, String>> {
    thread::scope(|scope| {
        let (odd, even): (Vec<_>, Vec<_>) = ROWS.iter().enumerate().partition(|(i, _)| i % 2 == 1);
        let halves = [even, odd].map(|half| {
            scope.spawn(|| {
                let caught = half.into_iter();
                caught
                    .map(|(index, row)| (index, seeds_until_caught(row)))
                    .collect::<Vec<_>>()
            })
        });
        let mut caught: Vec<_> = halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect();
        caught.sort_by_key(|(index, _)| *index);
        caught.into_iter().map(|(_, seeds)| seeds).collect()
    })
}

#[test]
fn each_rule_removed_breaks_its_promise_and_the_table_says_so() {
    let mut table = String::from(
        "| promise | rule removed from the planner | its name | scenario | seeds needed |\n\
         |---|---|---|---|---|\n",
    );
    let caught = all_seeds();
    let missed: Vec<_> = caught.iter().filter_map(|row| row.as_ref().err()).collect();
    for what in &missed {
        eprintln!("{what}");
    }
    assert!(missed.is_empty(), "{} rows are not caught", missed.len());
    for (row, seeds) in ROWS.iter().zip(caught) {
        let seeds = seeds.unwrap();
        let Row {
            rule,
            mutant,
            promise,
            scenario,
        } = row;
        let _ = writeln!(
            table,
            "| {promise} | {rule} | `{mutant:?}` | {scenario} | {seeds} |"
        );
    }
    let path = Path::new("docs/reliability.md");
    let page = fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- mutants -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{before}<!-- mutants -->\n{table}<!-- end -->{after}");
        fs::write(path, page).unwrap();
    } else {
        assert_eq!(found, table, "UPDATE_DOCS=1 writes the table anew");
    }
}

#[test]
fn every_promise_has_a_rule_that_keeps_it() {
    for promise in 1..=12 {
        assert!(ROWS.iter().any(|row| row.promise == promise), "{promise}");
    }
}
