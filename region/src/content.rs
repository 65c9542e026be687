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
    volume.content.last_write = Some(writer.since);
    let service = service_of(&model.instances, &writer.instance);
    let newest = model.acknowledged.get_mut(&(service, writer.path.clone()));
    if let Some(newest) = newest.filter(|newest| newest.history == volume.content.history) {
        newest.counter = volume.content.counter;
        newest.at = writer.since;
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
        last_write: before.last_write,
    };
    region.model.branches.insert(branch, from);
    let (lost_writes, lost) =
        newest.map_or((0, Duration::ZERO), |n| loss(&region.model, &n, &before));
    let at = before.last_write.unwrap_or(now);
    let present = Acknowledged {
        counter: before.counter,
        at,
        history: branch,
    };
    region.model.acknowledged.insert(key, present);
    let what = What::WriterStarted {
        instance: instance.to_owned(),
        volume: volume.to_owned(),
        path: path.to_owned(),
        counter: before.counter,
        lost_writes,
        lost,
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

/// Acknowledged writes the content has never seen, and the time they span.
fn loss(model: &Model, newest: &Acknowledged, content: &Content) -> (u64, Duration) {
    let shared = common(
        model,
        (newest.history, newest.counter),
        (content.history, content.counter),
    );
    let lost = newest.counter.saturating_sub(shared.0);
    if lost == 0 {
        return (0, Duration::ZERO);
    }
    let seen_until = if shared.0 == content.counter {
        content.last_write
    } else {
        shared.1
    };
    let span = match seen_until {
        Some(at) => between(at, newest.at),
        None => WRITE_EVERY.saturating_mul(u32::try_from(lost).unwrap_or(u32::MAX)),
    };
    (lost, span)
}

/// The last write two points of history share, and when it was written if a
/// branch remembers.
fn common(model: &Model, a: (u64, u64), b: (u64, u64)) -> (u64, Option<Timestamp>) {
    let others: BTreeMap<u64, (u64, Option<Timestamp>)> = ancestry(model, b)
        .into_iter()
        .map(|(history, counter, at)| (history, (counter, at)))
        .collect();
    for (history, counter, at) in ancestry(model, a) {
        if let Some((other, other_at)) = others.get(&history) {
            return if counter <= *other {
                (counter, at)
            } else {
                (*other, *other_at)
            };
        }
    }
    (0, None)
}

/// A point of history and the points its branches left from, youngest first.
fn ancestry(model: &Model, (history, counter): (u64, u64)) -> Vec<(u64, u64, Option<Timestamp>)> {
    let mut path = vec![(history, counter, None)];
    let mut at = history;
    // A branch's number is higher than its parent's, so this ends.
    while let Some(branch) = model.branches.get(&at) {
        path.push((branch.parent, branch.counter, branch.last_write));
        at = branch.parent;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn content(history: u64, counter: u64, last_write: i64) -> Content {
        Content {
            filesystem: None,
            counter,
            last_write: Some(at(last_write)),
            history,
        }
    }

    /// 1 was written up to 100; 2 left it at 40 and is the acknowledged one.
    fn forked() -> (Model, Acknowledged) {
        let mut model = Model::default();
        model.branches.insert(
            1,
            Branch {
                parent: 0,
                counter: 0,
                last_write: None,
            },
        );
        model.branches.insert(
            2,
            Branch {
                parent: 1,
                counter: 40,
                last_write: Some(at(4)),
            },
        );
        (
            model,
            Acknowledged {
                counter: 70,
                at: at(20),
                history: 2,
            },
        )
    }

    #[test]
    fn a_copy_is_measured_by_what_it_has_seen_not_by_its_counter() {
        let (model, newest) = forked();
        let table = [
            ("the acknowledged copy itself", content(2, 70, 20), (0, 0)),
            ("an earlier point of it", content(2, 50, 10), (20, 10)),
            (
                "the old branch, written further",
                content(1, 100, 30),
                (30, 16),
            ),
            (
                "the old branch, before the fork",
                content(1, 30, 3),
                (40, 17),
            ),
            ("a foreign volume", content(0, 0, 0), (70, 20)),
        ];
        for (name, content, (writes, seconds)) in table {
            assert_eq!(
                loss(&model, &newest, &content),
                (writes, Duration::from_secs(seconds)),
                "{name}"
            );
        }
    }
}
