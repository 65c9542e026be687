//! Promises 3, 6 and 10: which copy of the data came to be used.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rehome_region::{Entry, What};

use super::{Evidence, Finding, count, longer_than};
use crate::drill::ledger::{Ledger, SnapshotLife, Term, paths};
use crate::tags;

/// A snapshot that completed so shortly before the choice may not have been
/// visible yet: reads lag.
const VISIBLE_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// An instance that could not be read for a while may do now what it was told then.
const COMES_BACK: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn newest_lineage(evidence: &Evidence<'_>) -> Finding {
    let ledger = evidence.ledger;
    let mut successions = 0;
    for path in paths(evidence.spec).values() {
        let mut line: Vec<&str> = Vec::new();
        for term in ledger.terms.iter().filter(|term| term.path == *path) {
            let volume = term.volume.as_str();
            match line.last() {
                Some(last) if *last == volume => continue,
                Some(_) if line.contains(&volume) => {
                    return Err(format!(
                        "{volume} was written again after a newer one had taken over"
                    ));
                }
                Some(last) => descends(evidence, last, term)?,
                None => {}
            }
            line.push(volume);
        }
        successions += line.len().saturating_sub(1);
    }
    Ok(format!(
        "{}, each from the line before it",
        count(successions, "succession")
    ))
}

/// The new volume must come from the newest copy there was of the last one.
fn descends(evidence: &Evidence<'_>, last: &str, term: &Term) -> Result<(), String> {
    let ledger = evidence.ledger;
    let Some(life) = ledger.volumes.get(&term.volume) else {
        return Ok(());
    };
    let (Some(source), Some(created)) = (&life.source, life.created) else {
        return Ok(());
    };
    let Some(chosen) = ledger.snapshots.get(source) else {
        return Err(format!(
            "{} was made from {source}, which never was",
            term.volume
        ));
    };
    if !descends_from(ledger, last, chosen) {
        return Err(format!(
            "{} was made from {source}, a copy of {} from before {last} took over",
            term.volume, chosen.volume
        ));
    }
    // With several volumes a newer copy of one alone may rightly be passed
    // over: what counts is the newest complete set (promise 10).
    if evidence.spec.volumes.len() > 1 {
        return Ok(());
    }
    // Once its term is begun, a volume is the newer line, though its holder never came
    // to write to it: what it was made from was chosen then.
    let model = ledger.volumes.get(&chosen.volume);
    let at = if model.is_some_and(|life| life.begun.is_some()) {
        chosen_at(ledger, term).map_or(created, |at| at.min(created))
    } else {
        created
    };
    let visible = at.checked_sub(VISIBLE_AFTER).unwrap_or(Timestamp::MIN);
    let better = ledger.snapshots.iter().find(|(_, other)| {
        other.counter > chosen.counter
            && other
                .completed
                .is_some_and(|completed| completed <= visible)
            && other.deleted.is_none_or(|deleted| deleted > at)
            && descends_from(ledger, last, other)
    });
    match better {
        Some((better, _)) => Err(format!(
            "{} was made from {source} although {better} was newer",
            term.volume
        )),
        None => Ok(()),
    }
}

/// Is there nothing in this snapshot but what is on the line that `volume` ends?
/// Volumes that nobody ever wrote to may lie between: a holder that vanished
/// before it could mount what was its own by then.
fn descends_from(ledger: &Ledger, volume: &str, snapshot: &SnapshotLife) -> bool {
    let mut copy = snapshot;
    for _ in 0..=ledger.volumes.len() {
        if on_branch(ledger, volume, copy) {
            return true;
        }
        let untouched = !ledger.terms.iter().any(|term| term.volume == copy.volume);
        let source = ledger.volumes.get(&copy.volume);
        let source = source.and_then(|life| life.source.as_ref());
        match source.and_then(|source| ledger.snapshots.get(source)) {
            Some(source) if untouched => copy = source,
            _ => return false,
        }
    }
    false
}

/// Is this snapshot a copy of `volume`, or of what that one itself came from?
fn on_branch(ledger: &Ledger, volume: &str, snapshot: &SnapshotLife) -> bool {
    let mut volume = volume.to_owned();
    let mut before = Timestamp::MAX;
    // As many steps as there are volumes: a line cannot be longer.
    for _ in 0..=ledger.volumes.len() {
        if snapshot.volume == volume && snapshot.started <= before {
            return true;
        }
        let source = ledger
            .volumes
            .get(&volume)
            .and_then(|life| life.source.as_ref());
        let Some(source) = source.and_then(|source| ledger.snapshots.get(source)) else {
            return false;
        };
        volume.clone_from(&source.volume);
        before = source.started;
    }
    false
}

pub(super) fn bounded_loss(evidence: &Evidence<'_>) -> Finding {
    let limit = evidence.spec.policy.max_data_loss;
    let mut worst = SignedDuration::ZERO;
    for term in evidence
        .ledger
        .terms
        .iter()
        .filter(|term| term.lost_writes > 0)
    {
        let lost = SignedDuration::try_from(term.lost).unwrap_or(SignedDuration::MAX);
        let said = format!(
            "{} writes, {lost:#}, were gone from {} when {} began",
            term.lost_writes, term.path, term.instance
        );
        if lost.saturating_sub(written_since(evidence.ledger, term)) > limit {
            return Err(format!("{said}; at most {limit:#} may be lost"));
        }
        // All volumes go back together: one of them is reason enough.
        let mut beside = evidence.ledger.terms.iter();
        if !beside.any(|b| begins_with(b, term) && out_of_reach(evidence, b)) {
            return Err(format!("{said}, although the newest data could be reached"));
        }
        worst = worst.max(lost);
    }
    Ok(format!("lost {worst:#} of at most {limit:#}"))
}

/// For how long somebody went on writing after an older set was chosen: that cannot
/// be known then, and nobody chooses again for it. In the dark nobody writes.
fn written_since(ledger: &Ledger, term: &Term) -> SignedDuration {
    let Some(at) = chosen_at(ledger, term) else {
        return SignedDuration::ZERO;
    };
    let others = ledger
        .terms
        .iter()
        .filter(|other| other.path == term.path && other.from < at && other.volume != term.volume);
    // What is lost counts until this term began.
    let end = |other: &Term| other.until.unwrap_or(term.from).min(term.from);
    let Some(last) = others.max_by_key(|other| end(other)) else {
        return SignedDuration::ZERO;
    };
    let beyond = end(last).duration_since(at);
    let dark = dark_within(ledger, &last.volume, at, end(last));
    beyond.saturating_sub(dark).max(SignedDuration::ZERO)
}

/// For how long of this time was the zone of this volume dark?
fn dark_within(ledger: &Ledger, volume: &str, from: Timestamp, until: Timestamp) -> SignedDuration {
    let zone = ledger.zone_of_volume(volume);
    let nights = zone.and_then(|zone| ledger.dark.get(zone));
    let spans = nights.into_iter().flatten().map(|(begin, end)| {
        let end = end.unwrap_or(until).min(until);
        end.duration_since((*begin).max(from))
    });
    spans
        .filter(SignedDuration::is_positive)
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

/// When it was chosen what this term goes on with: for the first volume on its
/// line that was not written to, by a holder that never came to it perhaps.
fn chosen_at(ledger: &Ledger, term: &Term) -> Option<Timestamp> {
    let mut life = ledger.volumes.get(&term.volume)?;
    // As many steps as there are volumes: a line cannot be longer.
    for _ in 0..=ledger.volumes.len() {
        let source = life.source.as_ref();
        let before = source.and_then(|source| ledger.snapshots.get(source));
        let unused = before.filter(|s| !ledger.terms.iter().any(|t| t.volume == s.volume));
        match unused.and_then(|s| ledger.volumes.get(&s.volume)) {
            Some(before) => life = before,
            None => break,
        }
    }
    let created = life.created?;
    // Made for a move that never came to its end, and taken up after another
    // volume had been in use: it was chosen anew, when its own term began.
    let used_between = |other: &Term| {
        other.path == term.path
            && other.volume != term.volume
            && other.from > created
            && other.from < term.from
    };
    let taken_up = ledger.terms.iter().any(used_between);
    Some(match life.begun.unwrap_or(term.from) {
        begun if taken_up => begun.min(term.from),
        _ => created,
    })
}

/// The same instance brought it up in the same go.
fn begins_with(other: &Term, term: &Term) -> bool {
    other.instance == term.instance && overlap(other, term)
}

/// Was the volume with the newest data beyond reach when this term began?
fn out_of_reach(evidence: &Evidence<'_>, term: &Term) -> bool {
    let ledger = evidence.ledger;
    let line = ledger.succession(&term.path, term.from);
    let before = line.iter().rev().find(|volume| **volume != term.volume);
    let Some(before) = before else { return false };
    let Some(life) = ledger.volumes.get(*before) else {
        return true;
    };
    let at = chosen_at(ledger, term).unwrap_or(term.from);
    let keeper = ledger.attached_to(before, at);
    let lit = ledger.lit_before(&life.zone, at);
    let just_back = lit.is_some_and(|lit| !longer_than(COMES_BACK, lit, at));
    ledger.is_dark(&life.zone, at)
        || keeper.is_some_and(|keeper| !just_back && evidence.does_not_end(keeper, at))
        || life.deleted.is_some_and(|deleted| deleted <= at)
        || capture_failed(evidence.entries, ledger, before, at)
        || capture_takes_too_long(evidence, before, at)
}

/// The first copy of what was written last was waited for as long as the policy
/// says; a second one, which another runner began, may have begun later.
fn capture_takes_too_long(evidence: &Evidence<'_>, volume: &str, at: Timestamp) -> bool {
    let ledger = evidence.ledger;
    let terms = ledger.terms.iter().filter(|term| term.volume == volume);
    let written = terms.map(|term| term.until.unwrap_or(at)).max();
    let copies = ledger.snapshots.values();
    let of_all = copies.filter(|s| s.volume == volume && Some(s.started) >= written);
    // What was deleted, or done, in the moments before was waited for all the same.
    let seen = evidence.seen_before(at);
    let kept = of_all.filter(|s| s.deleted.is_none_or(|deleted| deleted > seen));
    let first = kept.filter(|s| s.started <= at).min_by_key(|s| s.started);
    let patience = evidence.spec.policy.capture_timeout;
    let patience = patience.saturating_sub(evidence.conditions.clocks_off);
    first.is_some_and(|first| {
        first.completed.is_none_or(|completed| completed > seen)
            && at.duration_since(first.started) >= patience
    })
}

fn capture_failed(entries: &[Entry], ledger: &Ledger, volume: &str, at: Timestamp) -> bool {
    entries.iter().any(|entry| match &entry.what {
        What::SnapshotFailed { snapshot } => {
            entry.at <= at
                && ledger
                    .snapshots
                    .get(snapshot)
                    .is_some_and(|s| s.volume == volume)
        }
        _ => false,
    })
}

pub(super) fn one_set(evidence: &Evidence<'_>) -> Finding {
    let ledger = evidence.ledger;
    if evidence.spec.volumes.len() < 2 {
        return Ok("one volume is always one set".to_owned());
    }
    // A member of a pair may get a set more than once: told apart by the move.
    let move_of = |term: &Term| {
        let volume = evidence.volumes.get(&term.volume)?;
        volume.tags.get(tags::INCIDENT).cloned()
    };
    let mut arrivals: BTreeMap<(&str, Option<String>), Vec<&Term>> = BTreeMap::new();
    for term in &ledger.terms {
        // Volumes that another one wrote to before moved as they were.
        if first_of(ledger, term) == term.instance {
            let arrival = (term.instance.as_str(), move_of(term));
            arrivals.entry(arrival).or_default().push(term);
        }
    }
    let mut sets = 0;
    for ((instance, _), restored) in arrivals {
        let sources: Vec<&SnapshotLife> = restored
            .iter()
            .filter_map(|term| ledger.volumes.get(&term.volume)?.source.as_ref())
            .filter_map(|source| ledger.snapshots.get(source))
            .collect();
        let (Some(first), Some(last)) = (
            sources.iter().map(|s| s.started).min(),
            sources.iter().map(|s| s.started).max(),
        ) else {
            continue;
        };
        // What moved as it was must be as old as the copies beside it.
        let moved = ledger.terms.iter().filter(|term| {
            term.instance == instance
                && first_of(ledger, term) != instance
                && restored.iter().any(|beside| overlap(term, beside))
        });
        let moved: Vec<&str> = moved.map(|term| term.volume.as_str()).collect();
        let until = if moved.is_empty() {
            last
        } else {
            restored.iter().map(|t| t.from).min().unwrap_or(last)
        };
        let copied = sources.iter().map(|s| s.volume.as_str());
        let of: BTreeSet<&str> = copied.chain(moved).collect();
        if let Some(writer) = writes_between(ledger, &of, first, until) {
            return Err(format!(
                "{instance} got copies of different instants: {writer} wrote between them"
            ));
        }
        sets += 1;
    }
    Ok(format!(
        "{} restored, each of one instant",
        count(sets, "set")
    ))
}

fn overlap(one: &Term, other: &Term) -> bool {
    let ends_after = |term: &Term, at: Timestamp| term.until.is_none_or(|until| until > at);
    ends_after(one, other.from) && ends_after(other, one.from)
}

/// Who first wrote to the volume of this term.
fn first_of<'a>(ledger: &'a Ledger, term: &Term) -> &'a str {
    let first = ledger
        .terms
        .iter()
        .find(|other| other.volume == term.volume);
    first.map_or("", |first| first.instance.as_str())
}

/// Who wrote to one of these volumes in between. Two copies of one call have
/// one instant.
fn writes_between<'a>(
    ledger: &'a Ledger,
    volumes: &BTreeSet<&str>,
    first: Timestamp,
    last: Timestamp,
) -> Option<&'a str> {
    if first == last {
        return None;
    }
    let writer = ledger.terms.iter().find(|term| {
        volumes.contains(term.volume.as_str())
            && term.from < last
            && term.until.is_none_or(|until| until > first)
    })?;
    Some(&writer.instance)
}
