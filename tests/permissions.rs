//! Are the policies that `rehome iam-policy` prints enough, and no more than
//! that? Every scenario runs under them: a refusal fails it. Here: nothing is
//! allowed that no scenario uses, each statement is missed where it is absent,
//! and docs/permissions.md says what is so.
//!
//! `UPDATE_GOLDEN=1 cargo test --test permissions` writes its tables anew.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use rehome::drill::rehearse;
use rehome::drill::roles::Lack;
use rehome::drill::scenario::{Scenario, parse};
use rehome::iam::{OneOrMany, Place, Policy, Scope, policy};
use rehome::report::{Permission, Rehearsal, terminal};
use rehome::spec::{self, Config, Wake};

/// Where drills run; lambda has a test of its own beside the function.
const PLACES: [Place; 3] = [Place::Instance, Place::Controller, Place::Operator];

/// Only `check` and `history` read these, which no scenario calls:
/// tests/python/test_region_permissions.py takes each of them away.
const LOOKED_AT_CLOSELY: [&str; 4] = [
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSubnets",
];

fn scenarios() -> Vec<Scenario> {
    let mut paths: Vec<PathBuf> = fs::read_dir("tests/scenarios")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy();
        parse(&name, &fs::read_to_string(path).unwrap()).unwrap()
    };
    paths.iter().map(read).collect()
}

/// Each in its own virtual time, over as many threads as there are processors.
fn rehearse_all(scenarios: &[Scenario]) -> Vec<Rehearsal> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(at) else {
                        return;
                    };
                    let rehearsal = rehearse(scenario, 1).unwrap();
                    done.lock().unwrap().insert(at, rehearsal);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

/// Everything that the policies of a scenario's group allow.
fn allowed(scenario: &Scenario) -> BTreeSet<Permission> {
    let config = Config {
        groups: vec![scenario.spec.clone()],
        wake: Wake::default(),
    };
    let mut all = BTreeSet::new();
    for place in PLACES {
        let Ok(policy) = policy(&config, place, &Scope::new(None, None, None)) else {
            continue;
        };
        for of in policy.statement {
            all.extend(of.action.iter().map(|action| Permission {
                place: place.name().to_owned(),
                sid: of.sid.clone(),
                action: action.to_owned(),
            }));
        }
    }
    all
}

/// One test, because its parts share the costly one: all scenarios, once.
#[test]
fn policies_allow_what_is_used_and_nothing_else() {
    let scenarios = scenarios();
    let rehearsals = rehearse_all(&scenarios);
    let allowed: BTreeSet<Permission> = scenarios.iter().flat_map(allowed).collect();
    let used: BTreeSet<&Permission> = rehearsals.iter().flat_map(|r| &r.permissions).collect();
    let in_vain: Vec<String> = allowed
        .iter()
        .filter(|permission| !used.contains(permission) && !is_excused(permission, &used))
        .map(|p| {
            format!(
                "{} allows {} ({}), and no scenario uses it",
                p.place, p.action, p.sid
            )
        })
        .collect();
    assert!(in_vain.is_empty(), "{}", in_vain.join("\n"));
    each_statement_is_missed(&scenarios, &rehearsals);
}

/// Having begun a switchover, a person's own `rehome` goes on as a controller
/// does: what that one uses, this one may.
fn is_excused(permission: &Permission, used: &BTreeSet<&Permission>) -> bool {
    let at_controller = Permission {
        place: Place::Controller.name().to_owned(),
        ..permission.clone()
    };
    permission.place == Place::Operator.name()
        && (used.contains(&at_controller)
            || LOOKED_AT_CLOSELY.contains(&permission.action.as_str()))
}

/// For every place and statement, the shortest scenario that uses it is held
/// without it.
fn each_statement_is_missed(scenarios: &[Scenario], rehearsals: &[Rehearsal]) {
    let mut lacking: BTreeMap<(String, String), (Scenario, BTreeSet<String>)> = BTreeMap::new();
    let mut by_length: Vec<_> = scenarios.iter().zip(rehearsals).collect();
    by_length.sort_by_key(|(_, rehearsal)| rehearsal.timeline.len());
    for (scenario, rehearsal) in by_length {
        for used in &rehearsal.permissions {
            let place = PLACES.into_iter().find(|p| p.name() == used.place).unwrap();
            let key = (used.place.clone(), used.sid.clone());
            let entry = lacking.entry(key).or_insert_with(|| {
                let lack = Lack {
                    place,
                    sid: used.sid.clone(),
                };
                let scenario = Scenario {
                    lack: Some(lack),
                    ..scenario.clone()
                };
                (scenario, BTreeSet::new())
            });
            if entry.0.name == scenario.name {
                entry.1.insert(used.action.clone());
            }
        }
    }
    assert!(lacking.len() > 20, "{} statements", lacking.len());
    let wrong: Vec<Scenario> = lacking.values().map(|(s, _)| s.clone()).collect();
    for (((place, sid), (_, actions)), rehearsal) in lacking.iter().zip(rehearse_all(&wrong)) {
        let faults = terminal::faults(&rehearsal).join("\n");
        let named = actions
            .iter()
            .any(|action| faults.contains(&format!(" may not {action} on ")));
        assert!(
            !rehearsal.succeeded() && named && faults.contains(&format!("--place {place}")),
            "{place} without {sid} goes unseen in {}:\n{faults}",
            rehearsal.scenario
        );
    }
}

const EXAMPLE: &str = "docs/permissions.toml";
const PAGE: &str = "docs/permissions.md";

fn example(place: Place) -> Policy {
    let config = spec::load(Some(Path::new(EXAMPLE)), None).unwrap();
    let scope = Scope::new(None, Some("REGION"), Some("ACCOUNT"));
    policy(&config, place, &scope).unwrap()
}

fn cell(items: &OneOrMany) -> String {
    let code: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    code.join("<br>")
}

fn table(policy: &Policy) -> String {
    let mut text =
        "| statement | allows | on | only if | why |\n|---|---|---|---|---|\n".to_owned();
    for of in &policy.statement {
        let mut conditions = Vec::new();
        for (operator, keys) in &of.condition {
            for (key, values) in keys {
                let values: Vec<&str> = values.iter().collect();
                conditions.push(format!("`{key}` {operator} `{}`", values.join("`, `")));
            }
        }
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            of.sid,
            cell(&of.action),
            cell(&of.resource),
            conditions.join("<br>"),
            of.why
        ));
    }
    text
}

/// What the page should say between the marks of each place.
fn renewed(page: &str) -> String {
    let mut page = page.to_owned();
    for place in Place::ALL {
        let begin = format!("<!-- {} -->\n", place.name());
        let end = format!("<!-- end of {} -->", place.name());
        let (before, rest) = page
            .split_once(&begin)
            .unwrap_or_else(|| panic!("no {begin}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
        page = format!("{before}{begin}{}{end}{after}", table(&example(place)));
    }
    page
}

#[test]
fn the_page_says_what_the_command_prints() {
    let page = fs::read_to_string(PAGE).unwrap();
    let renewed = renewed(&page);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(PAGE, &renewed).unwrap();
        return;
    }
    assert!(
        page == renewed,
        "{PAGE} is not what the command prints; UPDATE_GOLDEN=1 writes its tables anew"
    );
}
