//! Promises 7, 11 and 12: how the runners behaved towards AWS.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rehome_region::{Outcome, What};

use super::{Evidence, Finding, count, longer_than};
use crate::drill::judge;
use crate::spec::Kind;

/// How long a look may rest: it takes up to 20 s where its calls have to be
/// repeated, a plan is begun at most 20 s after it was made, and a call is tried
/// for some 20 s. Within that time a describe that fails may be another step's of
/// the same plan, so it takes nothing away from what was seen before; once it has
/// failed for longer, a look of that kind must have succeeded.
const STILL_GOOD: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn address_with_holder(evidence: &Evidence<'_>) -> Finding {
    let mut moves = 0;
    for entry in evidence
        .entries
        .iter()
        .filter(|entry| evidence.is_runner(&entry.who))
    {
        let What::AddressMoved {
            allocation,
            from,
            to: Some(to),
            lifecycle,
        } = &entry.what
        else {
            continue;
        };
        moves += 1;
        // Where it belongs it is brought back to; the end of the story shows it.
        if evidence.came_late(entry) {
            continue;
        }
        if let Some(from) = from.as_deref().filter(|from| *from != to) {
            still_serves(evidence, allocation, from, entry.at)?;
        }
        if evidence.spec.kind != Kind::Asg {
            continue;
        }
        let lifecycle = lifecycle.as_deref().unwrap_or("in no group");
        let may_hold = |state: &str| state.starts_with("Pending") || state == "InService";
        // What it was when it could be seen last.
        let seen = evidence.seen_before(entry.at);
        let mut was = evidence.ledger.lifecycles_within(to, seen, entry.at);
        if !may_hold(lifecycle) && !was.any(may_hold) {
            return Err(format!(
                "{allocation} was moved to {to}, which was {lifecycle}"
            ));
        }
        if let Some(younger) = younger_candidate(evidence, to, entry.at) {
            return Err(format!(
                "{allocation} was moved to {to} although {younger} is the holder"
            ));
        }
    }
    // What is not settled at all is the eleventh promise's business.
    if evidence.must_settle && evidence.unsettled.is_empty() {
        let homes: Vec<_> = evidence
            .addresses
            .iter()
            .map(|allocation| {
                evidence
                    .truth
                    .addresses
                    .get(allocation)
                    .and_then(|a| a.instance.as_deref())
            })
            .collect();
        let dark = judge::dark_zones(evidence.entries);
        let holder = judge::holder(evidence.truth, evidence.spec, &dark);
        if homes.iter().any(|home| *home != holder.as_deref()) {
            return Err(format!(
                "addresses ended at {homes:?}, the holder is {holder:?}"
            ));
        }
    }
    Ok(format!("{}, each to the holder", count(moves, "move")))
}

/// An address is not taken from an instance whose workload still runs, unless
/// nobody can reach it, as far as could be seen by then.
fn still_serves(
    evidence: &Evidence<'_>,
    allocation: &str,
    from: &str,
    at: Timestamp,
) -> Result<(), String> {
    let mut terms = evidence.ledger.terms.iter();
    let serves = terms.any(|term| term.instance == from && term.is_open_at(at));
    if serves && !evidence.seemed_dark(from, at) {
        return Err(format!(
            "{allocation} was taken from {from} while that still served"
        ));
    }
    Ok(())
}

/// A member that came later, and may be the holder: then this one is not.
fn younger_candidate<'a>(evidence: &'a Evidence<'_>, than: &str, at: Timestamp) -> Option<&'a str> {
    let ledger = evidence.ledger;
    let came = |instance: &str| {
        ledger
            .lifecycles
            .get(instance)?
            .first()
            .map(|(since, _)| *since)
    };
    let own = came(than)?;
    let others = ledger
        .lifecycles
        .keys()
        .map(String::as_str)
        .filter(|other| *other != than);
    // It takes over once it can be seen to be ready.
    let seen = evidence.seen_before(at);
    others.into_iter().find(|other| {
        let later = came(other).is_some_and(|other| other > own);
        let state = ledger.lifecycle_at(other, seen).unwrap_or_default();
        let still = ledger.lifecycle_at(other, at).unwrap_or_default();
        let ready = |state: &str| matches!(state, "Pending:Wait" | "Pending:Proceed" | "InService");
        later && ready(state) && ready(still)
    })
}

pub(super) fn final_state(evidence: &Evidence<'_>) -> Finding {
    if evidence.unsettled.is_empty() {
        return Ok("everything is in its place".to_owned());
    }
    Err(evidence.unsettled.join("; "))
}

/// How a caller's last describes of one kind went.
#[derive(Default)]
struct Look {
    succeeded: bool,
    /// Since when none succeeded any more.
    failing: Option<Timestamp>,
}

impl Look {
    /// The last one succeeded, or the first of those that failed since did so a
    /// moment ago: it may have been the question of another step of the same plan.
    fn carries(&self, at: Timestamp) -> bool {
        let failing = self.failing;
        self.succeeded && failing.is_none_or(|since| !longer_than(STILL_GOOD, since, at))
    }
}

/// What a caller must have read successfully, last time it tried, before it may
/// do something that cannot be undone.
const RESTS_ON: [(&str, &[&str]); 6] = [
    (
        "CreateVolume",
        &[
            "DescribeAutoScalingGroups",
            "DescribeVolumes",
            "DescribeSnapshots",
        ],
    ),
    ("DeleteVolume", &["DescribeVolumes", "DescribeSnapshots"]),
    ("DeleteSnapshot", &["DescribeVolumes", "DescribeSnapshots"]),
    (
        "StopInstances",
        &["DescribeAutoScalingGroups", "DescribeVolumes"],
    ),
    ("AssociateAddress", &["DescribeAddresses"]),
    ("CompleteLifecycleAction", &["DescribeAutoScalingGroups"]),
];

pub(super) fn failed_look(evidence: &Evidence<'_>) -> Finding {
    let mut last: BTreeMap<(&str, &str), Look> = BTreeMap::new();
    let mut judged = 0;
    for entry in evidence
        .entries
        .iter()
        .filter(|entry| evidence.is_runner(&entry.who))
    {
        let What::Call {
            action,
            outcome,
            target,
            ..
        } = &entry.what
        else {
            continue;
        };
        if action.starts_with("Describe") {
            let look = last.entry((&entry.who, action)).or_default();
            if *outcome == Outcome::Ok {
                look.succeeded = true;
                look.failing = None;
            } else {
                look.failing.get_or_insert(entry.at);
            }
            continue;
        }
        let Some((_, needs)) = RESTS_ON.iter().find(|(act, _)| act == action) else {
            continue;
        };
        if *outcome != Outcome::Ok {
            continue;
        }
        judged += 1;
        for need in *needs {
            // A pair has no Auto Scaling group, and not every group has volumes.
            let absent = need.contains("AutoScaling") && evidence.spec.kind != Kind::Asg
                || need.contains("Volumes") && evidence.spec.volumes.is_empty();
            let look = last.get(&(entry.who.as_str(), *need));
            if !absent && !look.is_some_and(|look| look.carries(entry.at)) {
                return Err(format!(
                    "{} called {action} {target} when its last {need} had not succeeded",
                    entry.who
                ));
            }
        }
    }
    Ok(format!(
        "{} rested on what was seen",
        count(judged, "decision")
    ))
}
