//! Promises 4, 5 and 9: what is made, what is deleted, and what it is made like.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rehome_region::model::Volume;
use rehome_region::{Entry, What};

use super::{Evidence, Finding, count, longer_than};
use crate::drill::ledger::{Ledger, SnapshotLife, VolumeLife, paths};
use crate::tags;

/// A term is noted a little before its first write.
const NOTED_BEFORE: SignedDuration = SignedDuration::from_mins(2);

pub(super) fn blank_once(evidence: &Evidence<'_>) -> Finding {
    let mut blank = 0;
    for entry in evidence.entries {
        match &entry.what {
            What::Formatted {
                volume,
                had_data: true,
            } => {
                return Err(format!("{} formatted {volume}, which held data", entry.who));
            }
            What::VolumeCreated {
                volume,
                source: None,
                tags,
                ..
            } if evidence.is_runner(&entry.who) => {
                let name = tags
                    .get(tags::VOLUME)
                    .map(String::as_str)
                    .unwrap_or_default();
                if let Some(before) = data_before(evidence, name, volume, entry.at) {
                    return Err(format!(
                        "{volume} was made blank although {before} held {name} already"
                    ));
                }
                blank += 1;
            }
            _ => {}
        }
    }
    Ok(format!(
        "{} made, none where data was",
        count(blank, "blank volume")
    ))
}

/// A volume that held something under this name before: it was written. One that
/// is attached as it is holds whatever its instance made of it; one that is to be
/// mounted, and was only formatted, holds nothing yet: nobody wrote to it, since
/// a term is begun before anything is mounted.
fn data_before<'a>(
    evidence: &'a Evidence<'_>,
    name: &str,
    but: &str,
    at: Timestamp,
) -> Option<&'a str> {
    let ledger = evidence.ledger;
    let path = paths(evidence.spec).remove(name);
    let written = ledger
        .terms
        .iter()
        .filter(|term| term.from < at && Some(&term.path) == path.as_ref())
        .map(|term| term.volume.as_str());
    let attached = ledger
        .attachments
        .iter()
        .filter(|(volume, stays)| {
            path.is_none()
                && name_of(ledger, volume) == Some(name)
                && stays.iter().any(|s| s.from < at)
        })
        .map(|(volume, _)| volume.as_str());
    written.chain(attached).find(|volume| *volume != but)
}

fn name_of<'a>(ledger: &'a Ledger, volume: &str) -> Option<&'a str> {
    ledger
        .volumes
        .get(volume)?
        .tags
        .get(tags::VOLUME)
        .map(String::as_str)
}

pub(super) fn nothing_needed_deleted(evidence: &Evidence<'_>) -> Finding {
    let mut deleted = 0;
    for entry in evidence
        .entries
        .iter()
        .filter(|entry| evidence.is_runner(&entry.who))
    {
        match &entry.what {
            What::VolumeDeleted { volume } => may_delete_volume(evidence, volume, entry)?,
            What::SnapshotDeleted { snapshot } => may_delete_snapshot(evidence, snapshot, entry)?,
            _ => continue,
        }
        deleted += 1;
    }
    Ok(format!(
        "{}, nothing of it needed",
        count(deleted, "deletion")
    ))
}

fn may_delete_volume(evidence: &Evidence<'_>, volume: &str, entry: &Entry) -> Result<(), String> {
    let ledger = evidence.ledger;
    let Some(path) = ledger
        .terms
        .iter()
        .find(|term| term.volume == volume)
        .map(|term| &term.path)
    else {
        return Ok(()); // never written: there is nothing on it
    };
    let line = ledger.succession(path, entry.at);
    let mut after = line.iter().skip_while(|other| **other != volume).skip(1);
    let Some(successor) = after.next() else {
        return Err(format!("{volume} was deleted while it was the newest"));
    };
    let since = ledger.first_written(successor).unwrap_or(entry.at);
    let keep = evidence
        .spec
        .policy
        .keep_old_volume
        .saturating_sub(NOTED_BEFORE);
    if !longer_than(keep, since, entry.at) {
        let kept = entry.at.duration_since(since);
        return Err(format!(
            "{volume} was deleted {kept:#} after {successor} took over"
        ));
    }
    let source = ledger
        .volumes
        .get(*successor)
        .and_then(|life| life.source.as_ref());
    let complete = source.is_none_or(|source| {
        ledger
            .snapshots
            .get(source)
            .is_some_and(|s| s.completed.is_some_and(|at| at <= entry.at))
    });
    if complete {
        Ok(())
    } else {
        Err(format!(
            "{volume} was deleted before the source of {successor} was complete"
        ))
    }
}

fn may_delete_snapshot(
    evidence: &Evidence<'_>,
    snapshot: &str,
    entry: &Entry,
) -> Result<(), String> {
    let ledger = evidence.ledger;
    if newest_set(evidence, entry.at).is_some_and(|set| set.need(snapshot, entry.at)) {
        return Err(format!(
            "{snapshot} was deleted while it was of the newest complete set"
        ));
    }
    let in_need = ledger.volumes.iter().find(|(volume, life)| {
        life.source.as_deref() == Some(snapshot)
            && life.created.is_some_and(|created| created <= entry.at)
            && life.deleted.is_none_or(|deleted| deleted > entry.at)
            && ledger
                .first_written(volume)
                .is_none_or(|written| written > entry.at)
            && ledger.attached_to(volume, entry.at).is_some()
            && !has_lost(ledger, life, entry.at)
    });
    match in_need {
        Some((volume, _)) => Err(format!(
            "{snapshot} was deleted while {volume} was being made of it"
        )),
        None => Ok(()),
    }
}

/// Another volume of its name was written to since it was made.
fn has_lost(ledger: &Ledger, life: &VolumeLife, at: Timestamp) -> bool {
    let name = |life: &VolumeLife| life.tags.get(tags::VOLUME).cloned();
    let mut since = ledger
        .terms
        .iter()
        .filter(|term| Some(term.from) > life.created && term.from <= at);
    since.any(|term| ledger.volumes.get(&term.volume).map(name) == Some(name(life)))
}

/// The copies of one move that could be restored at one moment.
#[derive(Default)]
struct Copies<'a> {
    /// Several runners may have made one each: by name.
    by_name: BTreeMap<&'a str, Vec<(&'a str, &'a SnapshotLife)>>,
    /// The generation of the volumes, then the time of the first copy.
    age: (usize, Timestamp),
}

impl Copies<'_> {
    /// No other copy of the same move that stays has as much in it.
    fn need(&self, snapshot: &str, at: Timestamp) -> bool {
        self.by_name.values().any(|copies| {
            copies.iter().any(|(id, life)| {
                *id == snapshot
                    && !copies.iter().any(|(other, beside)| {
                        *other != snapshot
                            && beside.counter >= life.counter
                            && beside.deleted.is_none_or(|deleted| deleted > at)
                    })
            })
        })
    }
}

/// The newest set that is complete for every volume: of the newest generation,
/// then the latest.
fn newest_set<'a>(evidence: &'a Evidence<'_>, at: Timestamp) -> Option<Copies<'a>> {
    let ledger = evidence.ledger;
    let lines: Vec<Vec<&str>> = paths(evidence.spec)
        .values()
        .map(|path| ledger.succession(path, at))
        .collect();
    let mut sets: BTreeMap<&str, Copies<'_>> = BTreeMap::new();
    for (id, life) in &ledger.snapshots {
        // What goes at this very moment is judged as if it were still there.
        let restorable = life.completed.is_some_and(|completed| completed <= at)
            && life.deleted.is_none_or(|deleted| deleted >= at);
        let (Some(incident), Some(name)) =
            (life.tags.get(tags::INCIDENT), life.tags.get(tags::VOLUME))
        else {
            continue;
        };
        if !restorable {
            continue;
        }
        let generation = lines
            .iter()
            .find_map(|line| line.iter().position(|v| *v == life.volume));
        let set = sets.entry(incident).or_insert_with(|| Copies {
            age: (generation.unwrap_or_default(), life.started),
            ..Copies::default()
        });
        set.by_name.entry(name).or_default().push((id, life));
    }
    sets.into_values()
        .filter(|set| set.by_name.len() >= evidence.spec.volumes.len())
        .max_by_key(|set| set.age)
}

pub(super) fn shape_survives(evidence: &Evidence<'_>) -> Finding {
    let ledger = evidence.ledger;
    let mut compared = 0;
    for path in paths(evidence.spec).values() {
        let line = ledger.succession(path, Timestamp::MAX);
        for pair in line.windows(2) {
            let [old, new] = pair else { continue };
            let (Some(old), Some(new)) = (evidence.volumes.get(*old), evidence.volumes.get(*new))
            else {
                continue;
            };
            if let Some(what) = difference(old, new) {
                return Err(format!("{} is not made like {}: {what}", new.id, old.id));
            }
            compared += 1;
        }
    }
    Ok(format!("{} compared", count(compared, "pair")))
}

fn difference(old: &Volume, new: &Volume) -> Option<String> {
    let facts = |volume: &Volume| {
        let tags: BTreeMap<String, String> = volume
            .tags
            .iter()
            .filter(|(key, _)| !tags::is_reserved(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        [
            ("type", volume.kind.clone()),
            ("size", volume.size_gib.to_string()),
            ("IOPS", format!("{:?}", volume.iops)),
            ("throughput", format!("{:?}", volume.throughput)),
            ("encryption", volume.encrypted.to_string()),
            ("KMS key", format!("{:?}", volume.kms_key)),
            ("tags", format!("{tags:?}")),
        ]
    };
    let pairs = facts(old).into_iter().zip(facts(new));
    let different = pairs
        .filter(|(a, b)| a.1 != b.1)
        .map(|(a, b)| format!("{} was {} and is {}", a.0, a.1, b.1));
    let all: Vec<String> = different.collect();
    (!all.is_empty()).then(|| all.join(", "))
}
