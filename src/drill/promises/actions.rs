//! Promise 8: when lifecycle actions were closed, and whether they ran out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rehome_region::{Closed, Entry, Outcome, What};

use super::{Evidence, Finding, count, longer_than};
use crate::ids::VolumeName;
use crate::tags;

/// How soon after its part is done an action must be closed.
const CLOSED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// A fence that a dark zone did not obey is tried again after this part of the night,
/// and within this time.
const TRIED_AGAIN_AFTER: i32 = 10;
const TRIED_AGAIN_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// Who is there within this before an action times out could have kept it open.
const LAST_MINUTE: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn lifecycle_actions(evidence: &Evidence<'_>) -> Finding {
    let mut opened: BTreeMap<(&str, &str), Timestamp> = BTreeMap::new();
    let mut closed = 0;
    for entry in evidence.entries {
        match &entry.what {
            What::HookOpened {
                instance,
                transition,
                ..
            } => {
                opened.insert((instance, transition), entry.at);
            }
            What::HookClosed {
                instance,
                transition,
                how,
                ..
            } => {
                closed += 1;
                let opened = opened
                    .remove(&(instance.as_str(), transition.as_str()))
                    .unwrap_or(Timestamp::MIN);
                close(evidence, instance, transition, *how, opened, entry)?;
            }
            _ => {}
        }
    }
    Ok(format!("{} closed in time", count(closed, "action")))
}

fn close(
    evidence: &Evidence<'_>,
    instance: &str,
    transition: &str,
    how: Closed,
    opened: Timestamp,
    entry: &Entry,
) -> Result<(), String> {
    let launch = transition.contains("LAUNCH");
    let what = if launch { "launch" } else { "terminate" };
    if how == Closed::Withdrawn {
        return Ok(());
    }
    let ready = if launch {
        launch_ready(evidence, instance, entry.at)
    } else {
        quiet_since(evidence, instance, entry.at)
    };
    if how != Closed::Continue {
        // Nobody can keep it open for longer: it must not have been done by then.
        let was_kept = how == Closed::GlobalTimeout && ready.is_err();
        if was_kept || ran_out(evidence, instance, launch, opened, entry.at) {
            return Ok(());
        }
        return Err(format!("the {what} action of {instance} ended by {how:?}"));
    }
    // Its end is the fence, where it cannot be stopped.
    if !launch && ready.is_err() && refused_to_stop(evidence, instance, entry.at) {
        return Ok(());
    }
    let ready = ready?;
    let mut due = ready
        .max(opened)
        .max(resized(evidence, entry.at))
        .max(lit_since(evidence, instance, entry.at))
        .max(tried_in_vain(evidence, instance, entry.at));
    if entry.who != instance && evidence.spec.agent {
        // Its time begins anew with each heir that has to let it have it.
        due = due.max(last_launch(evidence, instance, entry.at));
    }
    if entry.who == instance {
        due = due.max(booted(evidence, instance, entry.at));
    }
    due = due.max(if launch {
        rival_unseen_until(evidence, instance, entry.at)
    } else {
        evidence.hung_until(instance, entry.at)
    });
    let grant = stands_back(evidence, entry.who == instance)
        .saturating_add(evidence.conditions.sees_after)
        .saturating_add(evidence.keeper_napped(instance, due, entry.at))
        .saturating_add(evidence.nobody_there(due, entry.at));
    if longer_than(CLOSED_AFTER.saturating_add(grant), due, entry.at) {
        let late = entry.at.duration_since(due);
        return Err(format!(
            "the {what} action of {instance} was closed {late:#} after its part was done"
        ));
    }
    Ok(())
}

/// Another one closes it in the stead of the instance's own agent only when that had
/// its time; where there is no agent, nobody waits for one.
fn stands_back(evidence: &Evidence<'_>, is_own: bool) -> SignedDuration {
    let conditions = evidence.conditions;
    match (is_own, evidence.spec.agent) {
        (true, _) => SignedDuration::ZERO,
        (false, false) => conditions.hears_after,
        (false, true) => conditions
            .hears_after
            .saturating_add(conditions.clocks_off)
            .saturating_add(evidence.spec.policy.quiesce_timeout),
    }
}

/// When somebody last wanted to close it, and AWS did not.
fn tried_in_vain(evidence: &Evidence<'_>, instance: &str, at: Timestamp) -> Timestamp {
    let until = evidence.entries.iter().take_while(|entry| entry.at < at);
    let tries = until.filter(|entry| {
        matches!(&entry.what, What::Call { action, target, outcome, .. }
            if action == "CompleteLifecycleAction" && target.contains(instance) && *outcome != Outcome::Ok)
    });
    tries.last().map_or(Timestamp::MIN, |entry| entry.at)
}

/// Was it tried to stop it, and EC2 does not do that?
fn refused_to_stop(evidence: &Evidence<'_>, instance: &str, at: Timestamp) -> bool {
    let until = evidence.entries.iter().take_while(|entry| entry.at <= at);
    let mut refused = until.filter_map(|entry| match &entry.what {
        What::Call {
            action,
            target,
            outcome: Outcome::Error(code),
            ..
        } => Some((action, target, code)),
        _ => None,
    });
    refused.any(|(action, target, code)| {
        action == "StopInstances" && target.contains(instance) && code == "UnsupportedOperation"
    })
}

/// Is it nobody's fault that this action ran out?
fn ran_out(
    evidence: &Evidence<'_>,
    instance: &str,
    launch: bool,
    opened: Timestamp,
    at: Timestamp,
) -> bool {
    // Whoever sat in the dark could not be heard, and where agents run only an
    // instance's own knows that it is well.
    let napped = evidence.keeper_napped(instance, opened, at).is_positive();
    let last_minute = at.checked_sub(LAST_MINUTE).unwrap_or(opened);
    let alone = evidence.nobody_there(last_minute, at).is_positive();
    // Whoever steps in for one that stood still hears of it no sooner.
    let hears_after = evidence.conditions.hears_after;
    let since = last_minute.checked_sub(hears_after).unwrap_or(opened);
    let unheard = hears_after.is_positive() && evidence.somebody_napped(since, at);
    let nobody_knew = napped && (launch || !evidence.spec.agent) || alone || unheard;
    // Only a replacement ends that, where nobody on the instance can say what
    // force would lose.
    let hangs = launch && !evidence.spec.agent && evidence.hangs_on(instance, at);
    // Nor can anybody say it for a machine that still boots: it may never come up.
    let boots = launch && evidence.spec.agent && booted(evidence, instance, at) == Timestamp::MIN;
    evidence.is_dark(instance, at) || nobody_knew || hangs || boots
}

/// When it was last able to begin.
fn booted(evidence: &Evidence<'_>, who: &str, at: Timestamp) -> Timestamp {
    let until = evidence.entries.iter().take_while(|entry| entry.at <= at);
    let boots = until.filter(|e| matches!(&e.what, What::Booted { instance } if instance == who));
    boots.last().map_or(Timestamp::MIN, |entry| entry.at)
}

/// When its zone came back last, if it was dark: who is there is heard, and can
/// be looked at, from then on. Where no agent is, somebody from outside tries the
/// fence again, the later the longer it went unheard.
fn lit_since(evidence: &Evidence<'_>, instance: &str, at: Timestamp) -> Timestamp {
    let zone = evidence.zones.get(instance);
    let nights = zone.and_then(|zone| evidence.ledger.dark.get(zone));
    let ended = nights.into_iter().flatten().filter_map(|(from, to)| {
        let lit = to.filter(|lit| *lit <= at)?;
        let unheard = lit.duration_since(*from);
        let late = (unheard / TRIED_AGAIN_AFTER).min(TRIED_AGAIN_WITHIN);
        match evidence.spec.agent {
            true => Some(lit),
            false => lit.checked_add(late).ok().map(|seen| seen.min(at)),
        }
    });
    ended.max().unwrap_or(Timestamp::MIN)
}

/// Until when another member was in the dark that Auto Scaling did not end yet: EC2
/// does not say which of the two is the newer one.
fn rival_unseen_until(evidence: &Evidence<'_>, than: &str, at: Timestamp) -> Timestamp {
    let ledger = evidence.ledger;
    let others = ledger.lifecycles.iter().filter(|(id, _)| *id != than);
    let unseen = others.flat_map(|(id, states)| {
        let goes = states.iter().find(|(_, to)| to.starts_with("Terminat"));
        let stays = goes.map_or(at, |(from, _)| *from).min(at);
        let came = states.first().map_or(at, |(from, _)| *from);
        let zone = evidence.zones.get(id);
        let nights = zone.and_then(|zone| ledger.dark.get(zone));
        let nights = nights.into_iter().flatten().map(|(begin, end)| {
            let until = end.unwrap_or(stays).min(stays);
            (until > (*begin).max(came)).then_some(until)
        });
        nights.flatten().collect::<Vec<_>>()
    });
    unseen.max().unwrap_or(Timestamp::MIN)
}

/// When the last other member came.
fn last_launch(evidence: &Evidence<'_>, than: &str, at: Timestamp) -> Timestamp {
    let members = evidence.ledger.lifecycles.iter();
    let others = members.filter(|(id, _)| id.as_str() != than);
    let came = others.filter_map(|(_, states)| states.first().map(|(since, _)| *since));
    came.filter(|since| *since <= at)
        .max()
        .unwrap_or(Timestamp::MIN)
}

/// When a person last changed the group's size, and a runner has seen it. While it wants
/// more members than can be explained, nothing is changed; and no event says so.
fn resized(evidence: &Evidence<'_>, at: Timestamp) -> Timestamp {
    let until = evidence.entries.iter().take_while(|entry| entry.at <= at);
    let changes = until.filter(|entry| {
        matches!(&entry.what, What::Call { action, .. } if action == "UpdateAutoScalingGroup")
    });
    let seen = |entry: &Entry| entry.at.checked_add(evidence.conditions.looks_every);
    let seen = changes
        .last()
        .map(|entry| seen(entry).unwrap_or(Timestamp::MAX));
    seen.map_or(Timestamp::MIN, |seen| seen.min(at))
}

/// When everything was in place on this instance; it must be, by now. Where
/// agents run, nobody else can say so: not before it has booted.
fn launch_ready(
    evidence: &Evidence<'_>,
    instance: &str,
    at: Timestamp,
) -> Result<Timestamp, String> {
    let ledger = evidence.ledger;
    let booted = evidence.entries.iter().rev().find(
        |entry| matches!(&entry.what, What::Booted { instance: booted } if booted == instance),
    );
    let mut ready = booted
        .filter(|_| evidence.spec.agent)
        .map_or(Timestamp::MIN, |entry| entry.at);
    for volume in &evidence.spec.volumes {
        let path = volume
            .mount
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        let since = match path
            .filter(|_| evidence.spec.agent && !evidence.spec.workload.units.is_empty())
        {
            Some(path) => ledger
                .terms
                .iter()
                .find(|t| t.instance == instance && t.path == path && t.is_open_at(at))
                .map(|t| t.from),
            None => attached_since(evidence, &volume.name, instance, at),
        };
        let since = since.ok_or_else(|| {
            format!(
                "the launch action of {instance} was closed before {} was in its place",
                volume.name
            )
        })?;
        ready = ready.max(since);
    }
    for allocation in evidence.addresses {
        let moved = evidence
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.what {
                What::AddressMoved {
                    allocation: moved,
                    to,
                    ..
                } if moved == allocation && entry.at <= at => {
                    Some((entry.at, to.as_deref() == Some(instance)))
                }
                _ => None,
            });
        match moved {
            Some((since, true)) => ready = ready.max(since),
            _ => {
                return Err(format!(
                    "the launch action of {instance} was closed before {allocation} was with it"
                ));
            }
        }
    }
    Ok(ready)
}

/// Since when a volume of this name is on the instance.
fn attached_since(
    evidence: &Evidence<'_>,
    name: &VolumeName,
    instance: &str,
    at: Timestamp,
) -> Option<Timestamp> {
    let named = |id: &String| {
        let volume = evidence.volumes.get(id);
        volume.is_none_or(|of| of.tags.get(tags::VOLUME).map(String::as_str) == Some(name.as_str()))
    };
    let ids = evidence.ledger.attachments.iter().filter(|of| named(of.0));
    let stays = ids.flat_map(|(_, stays)| stays);
    let here = stays.filter(|stay| stay.instance == instance && stay.from <= at);
    here.map(|stay| stay.from).max()
}

/// When this instance had let go of everything and what had to be captured was
/// being captured; it must have been, by now.
fn quiet_since(
    evidence: &Evidence<'_>,
    instance: &str,
    at: Timestamp,
) -> Result<Timestamp, String> {
    let ledger = evidence.ledger;
    if evidence.seemed_dark(instance, at) {
        return Ok(at);
    }
    // Older data took over when it did not let go.
    if outlived_from(evidence, instance, at).is_some_and(|at| evidence.does_not_end(instance, at)) {
        return Ok(at);
    }
    let mut since = Timestamp::MIN;
    for term in ledger.terms.iter().filter(|term| term.instance == instance) {
        if term.is_open_at(at) && !ledger.is_down(instance, at) {
            return Err(format!(
                "the terminate action of {instance} was closed while it wrote to {}",
                term.path
            ));
        }
        let until = term.until.unwrap_or(at);
        since = since.max(until);
        if let Some(holder) = ledger.attached_to(&term.volume, at)
            && holder == instance
            && !ledger.is_down(instance, at)
        {
            return Err(format!(
                "the terminate action of {instance} was closed while {} was attached",
                term.volume
            ));
        }
        let left = ledger.attachments.get(&term.volume).into_iter().flatten();
        let left = left
            .filter(|stay| stay.instance == instance)
            .filter_map(|stay| stay.until)
            .max();
        since = since.max(left.unwrap_or(until).min(at));
        if !needs_capture(evidence, &term.volume, instance) {
            continue;
        }
        let captured = ledger
            .snapshots
            .values()
            .filter(|s| s.volume == term.volume && s.started >= until);
        match captured.map(|snapshot| snapshot.started).min() {
            Some(started) if started <= at => since = since.max(started),
            // Nothing of it depends on this action.
            _ if ledger.has_ended(instance, at) && may_be_unseen(evidence, &term.volume, at) => {}
            _ => {
                return Err(format!(
                    "the terminate action of {instance} was closed before {} was captured",
                    term.volume
                ));
            }
        }
    }
    Ok(since.max(had_until(evidence, instance, at)))
}

/// When a term first began on another volume than its own since it last wrote.
fn outlived_from(evidence: &Evidence<'_>, instance: &str, at: Timestamp) -> Option<Timestamp> {
    let terms = evidence.ledger.terms.iter();
    let own: Vec<_> = terms.filter(|term| term.instance == instance).collect();
    let last = own.iter().filter_map(|term| term.until).max()?;
    let others = evidence.ledger.volumes.iter();
    let others = others.filter(|(volume, _)| own.iter().all(|term| term.volume != **volume));
    others
        .filter_map(|(_, life)| life.begun)
        .filter(|begun| *begun > last && *begun <= at)
        .min()
}

/// Until when this instance had a volume of the group, whether it wrote to it or not:
/// that nobody ever did cannot be seen from outside.
fn had_until(evidence: &Evidence<'_>, instance: &str, at: Timestamp) -> Timestamp {
    let ledger = evidence.ledger;
    let stays = ledger.attachments.iter();
    let stays = stays.filter(|(volume, _)| !ledger.is_foreign(volume));
    let here = stays
        .flat_map(|(_, stays)| stays)
        .filter(|stay| stay.instance == instance && stay.from <= at);
    let had = here.map(|stay| {
        let down = ledger.down_after(instance, stay.from);
        let ends = [stay.until, down].into_iter().flatten().min();
        ends.unwrap_or(at).min(at)
    });
    had.max().unwrap_or(Timestamp::MIN)
}

/// Is it so young that a describe may not show it?
fn may_be_unseen(evidence: &Evidence<'_>, volume: &str, at: Timestamp) -> bool {
    let life = evidence.ledger.volumes.get(volume);
    let created = life.and_then(|life| life.created);
    created.is_some_and(|created| created > evidence.seen_before(at))
}

/// Did the data of this volume go on in another zone?
fn needs_capture(evidence: &Evidence<'_>, volume: &str, instance: &str) -> bool {
    let ledger = evidence.ledger;
    let own_last = ledger.terms.iter().rev().find(|t| t.volume == volume);
    let last_here = own_last.is_some_and(|term| term.instance == instance);
    let made_of_it = ledger.volumes.iter().any(|(child, life)| {
        let source = life
            .source
            .as_ref()
            .and_then(|source| ledger.snapshots.get(source));
        source.is_some_and(|s| s.volume == volume) && ledger.first_written(child).is_some()
    });
    last_here
        && made_of_it
        && !evidence
            .zones
            .get(instance)
            .is_some_and(|zone| ledger.dark.contains_key(zone))
}
