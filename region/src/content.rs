//! What is on a volume? A counter that running units write, ten times a second.
//!
//! Writes are not events: they are counted when somebody looks. Every time a
//! writer begins, a branch of history begins, so that of two copies it can always
//! be said how much of one the other has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Acknowledged, AttachmentState, Branch, Content, Model, Power, Writer};
use crate::{Region, What, after, between, critical_path};

/// One write in each of these.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// Counts what was written up to `now`.
pub(crate) fn settle(model: &mut Model, volume: &str, now: Timestamp) {
    let Some(volume) = model.volumes.get_mut(volume) else {
        return;
    };
    let Some(writer) = volume.writer.as_mut().filter(|writer| !writer.paused) else {
        return;
    };
    let writes = between(writer.since, now).as_millis() / WRITE_EVERY.as_millis();
    let Ok(writes) = u32::try_from(writes) else {
        return;
    };
    if writes == 0 {
        return;
    }
    writer.since = after(writer.since, WRITE_EVERY.saturating_mul(writes));
    volume.content.counter += u64::from(writes);
    let service = service_of(&model.instances, &writer.instance);
    let newest = model.acknowledged.get_mut(&(service, writer.path.clone()));
    if let Some(newest) = newest.filter(|newest| newest.history == volume.content.history) {
        newest.counter = volume.content.counter;
    }
}

/// Counts what every writer wrote up to `now`.
pub(crate) fn settle_all(model: &mut Model, now: Timestamp) {
    let written: Vec<String> = model
        .volumes
        .values()
        .filter(|v| v.writer.is_some())
        .map(|v| v.id.clone())
        .collect();
    for volume in written {
        settle(model, &volume, now);
    }
}

/// Whose history an instance's mounts belong to; its own, if it serves nobody.
pub(crate) fn service_of(
    instances: &BTreeMap<String, crate::model::Instance>,
    instance: &str,
) -> String {
    let service = instances.get(instance).and_then(|i| i.service.clone());
    service.unwrap_or_else(|| instance.to_owned())
}

/// Can the instance write at all: up, and a unit running? A dark zone only
/// makes it wait.
fn writes(model: &Model, instance: &str) -> bool {
    model.instances.get(instance).is_some_and(|i| {
        i.guest.power == Power::Up && i.guest.units.values().any(|running| *running)
    })
}

/// The zone of an instance went dark, or came back: its writers hang, or go on
/// in the branch they were in.
pub(crate) fn pause(region: &mut Region, instance: &str, dark: bool, now: Timestamp) {
    let written: Vec<String> = written_by(&region.model, instance)
        .map(|(volume, _)| volume.to_owned())
        .collect();
    for volume in written {
        settle(&mut region.model, &volume, now);
        let Some(found) = region.model.volumes.get_mut(&volume) else {
            continue;
        };
        let counter = found.content.counter;
        let Some(writer) = found.writer.as_mut() else {
            continue;
        };
        writer.paused = dark;
        writer.since = now;
        let (instance, path) = (instance.to_owned(), writer.path.clone());
        let service = service_of(&region.model.instances, &instance);
        let what = match dark {
            true => What::WriterPaused {
                instance: instance.clone(),
                volume,
                path: path.clone(),
                counter,
            },
            false => What::WriterResumed {
                instance: instance.clone(),
                volume,
                path: path.clone(),
                counter,
            },
        };
        region.log(now, &instance, what);
        report_split_brain(region, &service, &path, now);
    }
}

/// Volume and path of everything an instance writes to, or would if its zone were not dark.
fn written_by<'a>(
    model: &'a Model,
    instance: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Writer)> {
    let writers = model
        .volumes
        .values()
        .filter_map(|v| Some((v.id.as_str(), v.writer.as_ref()?)));
    writers.filter(move |(_, writer)| writer.instance == instance)
}

/// Begins and ends writers after anything changed about an instance.
pub(crate) fn reconsider(region: &mut Region, instance: &str, now: Timestamp) {
    let should = wanted(&region.model, instance);
    let is: Vec<(String, String)> = written_by(&region.model, instance)
        .map(|(volume, writer)| (volume.to_owned(), writer.path.clone()))
        .collect();
    for (volume, path) in &is {
        if should.get(volume) != Some(path) {
            end(region, volume, now);
        }
    }
    for (volume, path) in should {
        if !is.iter().any(|(written, _)| *written == volume) {
            begin(region, instance, &volume, &path, now);
        }
    }
}

/// Volume → path: what the instance should be writing to.
fn wanted(model: &Model, instance: &str) -> BTreeMap<String, String> {
    if !writes(model, instance) {
        return BTreeMap::new();
    }
    let Some(machine) = model.instances.get(instance) else {
        return BTreeMap::new();
    };
    let reachable = |volume: &str| {
        let attachment = model
            .volumes
            .get(volume)
            .and_then(|v| v.attachment.as_ref());
        attachment.is_some_and(|a| a.instance == instance && a.state != AttachmentState::Attaching)
    };
    let mounts = machine.guest.mounts.iter();
    mounts
        .filter(|(_, v)| reachable(v))
        .map(|(path, v)| (v.clone(), path.clone()))
        .collect()
}

fn begin(region: &mut Region, instance: &str, volume: &str, path: &str, now: Timestamp) {
    let service = service_of(&region.model.instances, instance);
    let key = (service.clone(), path.to_owned());
    let newest = region.model.acknowledged.get(&key).copied();
    let branch = region.model.branches.len() as u64 + 1;
    let Some(found) = region.model.volumes.get_mut(volume) else {
        return;
    };
    let before = found.content.clone();
    found.content.history = branch;
    found.writer = Some(Writer {
        instance: instance.to_owned(),
        path: path.to_owned(),
        since: now,
        paused: false,
    });
    let from = Branch {
        parent: before.history,
        counter: before.counter,
    };
    region.model.branches.insert(branch, from);
    let lost_writes = newest.map_or(0, |newest| loss(&region.model, &newest, &before));
    let present = Acknowledged {
        counter: before.counter,
        history: branch,
    };
    region.model.acknowledged.insert(key, present);
    let what = What::WriterStarted {
        instance: instance.to_owned(),
        volume: volume.to_owned(),
        path: path.to_owned(),
        counter: before.counter,
        lost_writes,
        lost: time_of(lost_writes),
    };
    region.log(now, instance, what);
    report_split_brain(region, &service, path, now);
    critical_path::serves(region, instance, now);
}

fn report_split_brain(region: &mut Region, service: &str, path: &str, now: Timestamp) {
    let volumes = written_at(&region.model, service, path);
    if volumes.len() > 1 {
        let what = What::SplitBrain {
            group: service.to_owned(),
            path: path.to_owned(),
            volumes,
        };
        region.log(now, "aws", what);
    }
}

/// The volumes somebody writes to under this path of this service.
pub(crate) fn written_at(model: &Model, service: &str, path: &str) -> Vec<String> {
    let written = model.volumes.values().filter(|v| {
        v.writer.as_ref().is_some_and(|writer| {
            !writer.paused
                && writer.path == path
                && service_of(&model.instances, &writer.instance) == service
        })
    });
    written.map(|v| v.id.clone()).collect()
}

fn end(region: &mut Region, volume: &str, now: Timestamp) {
    settle(&mut region.model, volume, now);
    let Some(found) = region.model.volumes.get_mut(volume) else {
        return;
    };
    let Some(writer) = found.writer.take() else {
        return;
    };
    let what = What::WriterStopped {
        instance: writer.instance.clone(),
        volume: volume.to_owned(),
        path: writer.path,
        counter: found.content.counter,
    };
    region.log(now, &writer.instance, what);
}

/// Acknowledged writes the content has never seen.
fn loss(model: &Model, newest: &Acknowledged, content: &Content) -> u64 {
    let shared = common(
        model,
        (newest.history, newest.counter),
        (content.history, content.counter),
    );
    newest.counter.saturating_sub(shared)
}

/// For how long somebody wrote them. While nobody could, nothing was there to lose.
fn time_of(writes: u64) -> Duration {
    WRITE_EVERY.saturating_mul(u32::try_from(writes).unwrap_or(u32::MAX))
}

/// The last write two points of history share.
fn common(model: &Model, a: (u64, u64), b: (u64, u64)) -> u64 {
    let others: BTreeMap<u64, u64> = ancestry(model, b).into_iter().collect();
    for (history, counter) in ancestry(model, a) {
        if let Some(other) = others.get(&history) {
            return counter.min(*other);
        }
    }
    0
}

/// A point of history and the points its branches left from, youngest first.
fn ancestry(model: &Model, (history, counter): (u64, u64)) -> Vec<(u64, u64)> {
    let mut path = vec![(history, counter)];
    let mut at = history;
    // A branch's number is higher than its parent's, so this ends.
    while let Some(branch) = model.branches.get(&at) {
        path.push((branch.parent, branch.counter));
        at = branch.parent;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(history: u64, counter: u64) -> Content {
        Content {
            filesystem: None,
            counter,
            history,
        }
    }

    fn branch(parent: u64, counter: u64) -> Branch {
        Branch { parent, counter }
    }

    #[test]
    fn a_copy_is_measured_by_what_it_has_seen_not_by_its_counter() {
        // 1 was written up to 100; 2 left it at 40 and is the acknowledged one.
        let mut model = Model::default();
        model.branches.insert(1, branch(0, 0));
        model.branches.insert(2, branch(1, 40));
        let newest = Acknowledged {
            counter: 70,
            history: 2,
        };
        let table = [
            ("the acknowledged copy itself", content(2, 70), 0),
            ("an earlier point of it", content(2, 50), 20),
            ("the old branch, written further", content(1, 100), 30),
            ("the old branch, before the fork", content(1, 30), 40),
            ("a foreign volume", content(0, 0), 70),
        ];
        for (name, content, writes) in table {
            assert_eq!(loss(&model, &newest, &content), writes, "{name}");
        }
    }

    #[test]
    fn what_was_lost_before_is_not_lost_again() {
        // 1 was written up to 9,000 and all but 100 of it was lost; 2 went on from there.
        let mut model = Model::default();
        model.branches.insert(1, branch(0, 0));
        model.branches.insert(2, branch(1, 100));
        let newest = Acknowledged {
            counter: 150,
            history: 2,
        };
        let lost = loss(&model, &newest, &content(1, 100));
        assert_eq!((lost, time_of(lost)), (50, Duration::from_secs(5)));
    }
}
