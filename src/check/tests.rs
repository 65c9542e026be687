//! Row by row: a set-up that is right in everything, one thing changed in it,
//! and what the check says of that.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod rows;
mod sound;

use std::collections::BTreeSet;

use self::rows::{ASG, PAIR, Row};
use super::*;
use crate::world::Seen;

fn now() -> Timestamp {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

/// What came of one change of what was right.
fn changed(row: &Row, sound: fn() -> (Facts, GroupSpec)) -> Report {
    let (mut facts, mut spec) = sound();
    (row.change)(&mut facts, &mut spec);
    check(&facts, &spec, now())
}

fn holds(row: &Row, sound: fn() -> (Facts, GroupSpec)) {
    let report = changed(row, sound);
    let found = report.findings.iter().find(|finding| {
        finding.check == row.check
            && finding.verdict == row.verdict
            && finding.says.contains(row.says)
    });
    let Some(found) = found else {
        let of_name: Vec<_> = report
            .findings
            .iter()
            .filter(|f| f.check == row.check)
            .collect();
        panic!("{}: no such line, but {of_name:#?}", row.when);
    };
    let mend = found.mend.as_deref().unwrap_or_default();
    assert!(mend.contains(row.mend), "{}: {mend}", row.when);
    let needs_more = matches!(row.verdict, Verdict::Wrong | Verdict::Warning);
    assert_eq!(found.risk.is_some(), needs_more, "{}", row.when);
    assert_eq!(found.mend.is_some(), needs_more, "{}", row.when);
    if row.verdict == Verdict::Wrong {
        assert!(!report.works, "{}", row.when);
    } else if row.verdict != Verdict::Unknown {
        assert!(report.works, "{}: {:#?}", row.when, wrong(&report));
    }
}

fn wrong(report: &Report) -> Vec<&Finding> {
    let all = report.findings.iter();
    all.filter(|f| f.verdict == Verdict::Wrong).collect()
}

#[test]
fn each_row_of_an_auto_scaling_group() {
    for row in ASG {
        holds(row, sound::asg);
    }
}

#[test]
fn each_row_of_a_pair() {
    for row in PAIR {
        holds(row, sound::pair);
    }
}

#[test]
fn what_is_right_is_called_right() {
    for sound in [sound::asg, sound::pair] {
        let (facts, spec) = sound();
        let report = check(&facts, &spec, now());
        let amiss: Vec<_> = report
            .findings
            .iter()
            .filter(|f| f.verdict != Verdict::Right)
            .collect();
        assert!(amiss.is_empty(), "{amiss:#?}");
        assert!(report.works);
    }
}

#[test]
fn what_could_not_be_read_is_not_wrong_and_never_success() {
    let blind = "not allowed (ec2:DescribeVolumes)";
    let (mut facts, spec) = sound::asg();
    facts.world.volumes = Seen::Unknown(blind.to_owned());
    facts.world.snapshots = Seen::Unknown(blind.to_owned());
    let report = check(&facts, &spec, now());
    assert_eq!((report.wrong, report.works), (0, false));
    assert!(report.unknown >= 2);
    // What only a check asks for takes nothing away.
    let (mut facts, spec) = sound::asg();
    facts.subnets = Seen::Unknown(blind.to_owned());
    facts.template = Seen::Unknown(blind.to_owned());
    facts.bodies = Seen::Unknown(blind.to_owned());
    let report = check(&facts, &spec, now());
    assert!(report.works);
    let says = format!("could not be read: {blind}");
    assert!(report.findings.iter().any(|f| f.says == says));
}

/// What can be copied into a shell is no sentence, and says what it is about.
#[test]
fn a_command_can_be_copied() {
    for (rows, sound) in [
        (ASG, sound::asg as fn() -> (Facts, GroupSpec)),
        (PAIR, sound::pair),
    ] {
        for row in rows {
            for finding in changed(row, sound).findings {
                let mend = finding.mend.clone().unwrap_or_default();
                let (command, note) = mend.split_once("  #").unwrap_or((&mend, ""));
                assert!(!note.contains(" --"), "{}: {mend}", row.when);
                let reads = [", ", "; ", " or "]
                    .iter()
                    .any(|part| command.contains(part));
                assert!(!(finding.is_command() && reads), "{}: {mend}", row.when);
                assert!(!mend.contains('…') && !mend.contains("``"), "{mend}");
            }
        }
    }
}

/// Each question is explained, and nothing is that is not asked.
#[test]
fn every_check_stands_in_the_documentation() {
    let text = include_str!("../../docs/checking.md");
    let named = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let explained: BTreeSet<String> = text.lines().filter_map(named).collect();
    let mut asked = BTreeSet::new();
    for (rows, sound) in [
        (ASG, sound::asg as fn() -> (Facts, GroupSpec)),
        (PAIR, sound::pair),
    ] {
        for row in rows {
            let report = changed(row, sound);
            asked.extend(report.findings.iter().map(|f| f.check.to_owned()));
        }
    }
    assert_eq!(asked.difference(&explained).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(explained.difference(&asked).collect::<Vec<_>>(), [""; 0]);
}
