//! Promises 1 and 2: who could write, and what was called quiet.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rehome_region::What;

use super::{Evidence, Finding, count, longer_than};
use crate::drill::ledger::{Stay, Term};
use crate::tags;

/// How soon a revived old instance must stop writing to its old volume: it has
/// to look at the world first, and nothing could reach it before.
const REVIVED: SignedDuration = SignedDuration::from_mins(2);

pub(super) fn one_writer(evidence: &Evidence<'_>) -> Finding {
    for (volume, stays) in &evidence.ledger.attachments {
        if let Some(both) = first_overlap(stays) {
            return Err(format!(
                "{volume} was attached to two instances at once: {both}"
            ));
        }
    }
    for (index, term) in evidence.ledger.terms.iter().enumerate() {
        let earlier = evidence.ledger.terms.iter().take(index);
        let rivals = earlier.filter(|t| t.path == term.path && t.is_open_at(term.from));
        for rival in rivals {
            tolerate(evidence, rival, term)?;
        }
        allowed(evidence, term)?;
    }
    for entry in evidence.entries {
        if let What::SplitBrain { path, volumes, .. } = &entry.what
            && !volumes
                .iter()
                .any(|volume| was_ever_dark(evidence, volume, entry.at))
        {
            return Err(format!(
                "two writers of {path} at once: {}",
                volumes.join(" and ")
            ));
        }
    }
    let writers: BTreeSet<_> = evidence.ledger.terms.iter().map(|t| &t.instance).collect();
    Ok(format!(
        "{} wrote, one after the other",
        count(writers.len(), "instance")
    ))
}

fn first_overlap(stays: &[Stay]) -> Option<String> {
    stays.windows(2).find_map(|pair| match pair {
        [a, b] if a.until.is_none_or(|until| until > b.from) => {
            Some(format!("{} and {}", a.instance, b.instance))
        }
        _ => None,
    })
}

/// Two writers of one path: only the dark excuses it, and only for as long as
/// nobody could tell the old one.
fn tolerate(evidence: &Evidence<'_>, old: &Term, new: &Term) -> Result<(), String> {
    let both = format!(
        "{} began to write {} while {} still did",
        new.instance, new.path, old.instance
    );
    let Some(zone) = evidence.ledger.zone_of_volume(&old.volume) else {
        return Err(both);
    };
    // A zone that comes back while units are being started is not seen before
    // they run.
    let seen = evidence.seen_before(new.from);
    let mut moments = [new.from, seen].into_iter();
    let Some(dark) = moments.find(|at| evidence.ledger.is_dark(zone, *at)) else {
        return Err(both);
    };
    let nights = evidence.ledger.dark.get(zone).into_iter().flatten();
    let lit = nights.filter_map(|(_, to)| *to).find(|to| *to >= dark);
    let Some(lit) = lit else {
        return Ok(());
    };
    // What has not stopped by the end of the story has gone on until then.
    let end = evidence.entries.last().map_or(lit, |entry| entry.at);
    let until = old.until.unwrap_or(end);
    if longer_than(REVIVED, lit, until) {
        let on = until.duration_since(lit);
        return Err(format!(
            "{both}, and went on for {on:#} after its zone came back"
        ));
    }
    Ok(())
}

/// May this writer begin at all?
fn allowed(evidence: &Evidence<'_>, term: &Term) -> Result<(), String> {
    let is_out = |state: &str| state.starts_with("Terminat") || state.starts_with("Warmed");
    // Units that were being started when it was told to go begin all the same.
    let ledger = evidence.ledger;
    let lifecycle = ledger.lifecycle_at(&term.instance, term.from);
    let lifecycle = lifecycle.unwrap_or_default();
    let seen = evidence.seen_before(term.from);
    let mut before = ledger.lifecycles_within(&term.instance, seen, term.from);
    // Nor could one in the dark be told before the units it was starting ran.
    let was_dark = evidence.is_dark(&term.instance, seen);
    // What was on its way to it comes; nobody on it holds back where no agent is.
    let called = called_at(evidence, term).filter(|_| !evidence.spec.agent);
    let called_as = called.and_then(|at| ledger.lifecycle_at(&term.instance, at));
    let was_on_its_way = called_as.is_some_and(|state| !is_out(state));
    if is_out(lifecycle) && before.all(is_out) && !was_dark && !was_on_its_way {
        return Err(format!(
            "{} began to write while it was {lifecycle}",
            term.instance
        ));
    }
    match holder_tag(evidence, &term.volume, term.from) {
        Some(holder) if holder != term.instance => Err(format!(
            "{} wrote to {} in the term of {holder}",
            term.instance, term.volume
        )),
        _ => Ok(()),
    }
}

/// When its volume was sent to this writer.
fn called_at(evidence: &Evidence<'_>, term: &Term) -> Option<Timestamp> {
    let until = evidence.entries.iter().take_while(|e| e.at <= term.from);
    let sent = until.filter(|entry| match &entry.what {
        What::Attaching { volume, instance } => {
            *volume == term.volume && *instance == term.instance
        }
        _ => false,
    });
    sent.last().map(|entry| entry.at)
}

/// Whose term it was at that time, by the volume's tag; none before rehome came.
fn holder_tag(evidence: &Evidence<'_>, volume: &str, at: Timestamp) -> Option<String> {
    let entries = evidence.entries.iter().rev().filter(|entry| entry.at <= at);
    for entry in entries {
        match &entry.what {
            What::Tagged {
                resource,
                key,
                value,
            } if resource == volume && key == tags::HOLDER => {
                return Some(value.clone());
            }
            _ => {}
        }
    }
    None
}

fn was_ever_dark(evidence: &Evidence<'_>, volume: &str, at: Timestamp) -> bool {
    let zone = evidence.ledger.zone_of_volume(volume);
    zone.is_some_and(|zone| {
        evidence.ledger.is_dark(zone, at)
            || evidence
                .ledger
                .lit_before(zone, at)
                .is_some_and(|lit| !longer_than(REVIVED, lit, at))
    })
}

pub(super) fn honest_captures(evidence: &Evidence<'_>) -> Finding {
    let mut looked_at = 0;
    for entry in evidence.entries {
        let What::SnapshotStarted {
            snapshot,
            writer_active,
            ..
        } = &entry.what
        else {
            continue;
        };
        if !evidence.is_runner(&entry.who) {
            continue;
        }
        looked_at += 1;
        let said = evidence
            .ledger
            .snapshots
            .get(snapshot)
            .and_then(|s| s.tags.get(tags::CONSISTENCY));
        let says_clean = said.is_some_and(|said| said == tags::CLEAN);
        if *writer_active && says_clean {
            return Err(format!(
                "{snapshot} says it is clean, and something could write while it was taken"
            ));
        }
    }
    Ok(format!("{} told the truth", count(looked_at, "capture")))
}
