//! Who did what, when? The record and what the runners said, as one timeline.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rehome_region::{Closed, CriticalPath, Entry, What};

use super::ledger::Ledger;
use super::stage::Stage;
use crate::reconcile::Told;
use crate::report::{Incident, Kind, Moment, seconds};
use crate::spec::GroupSpec;
use crate::tags;

/// What a runner said, with ids as they are.
#[derive(Clone, Debug)]
pub struct Remark {
    pub at: Timestamp,
    pub who: String,
    pub what: String,
    pub kind: Kind,
}

/// What is worth telling of what a runner tells.
pub fn remark(at: Timestamp, who: &str, told: &Told<'_>) -> Option<Remark> {
    let (kind, what) = match told {
        Told::Doing(step) => (Kind::Does, step.to_string()),
        Told::Did(_) => return None, // the region's own record says it
        Told::Overtaken(step, why) => (Kind::Waits, format!("need not {step}: {why}")),
        Told::Failed(step, why) => (Kind::Fails, format!("cannot {step}: {why}")),
        Told::Waiting(wait) => (Kind::Waits, wait.reason.to_string()),
        Told::Settled => (Kind::Reached, "settled".to_owned()),
    };
    Some(Remark {
        at,
        who: who.to_owned(),
        what,
        kind,
    })
}

/// The cast, and everything in order.
pub fn timeline(
    stage: &Stage,
    entries: &[Entry],
    ledger: &Ledger,
    zero: Timestamp,
) -> (BTreeMap<String, String>, Vec<Moment>) {
    let names = names(entries, ledger);
    let told = entries.iter().filter(|entry| {
        !is_of_root_volume(&entry.what, ledger)
            && !is_hollow(&entry.what, ledger, &stage.spec, entry.at)
    });
    let happened = told.filter_map(happening);
    let mut remarks: Vec<Remark> = happened
        .chain(stage.remarks.borrow().iter().cloned())
        .collect();
    // Stable: what happens in one instant stays in its order, AWS before the
    // runners that react to it.
    remarks.sort_by_key(|remark| remark.at);
    let moments = remarks.into_iter().map(|remark| Moment {
        at_seconds: seconds_since(zero, remark.at),
        who: renamed(&names, &remark.who),
        what: renamed(&names, &remark.what),
        kind: remark.kind,
    });
    let timeline = moments.collect();
    let cast = names.into_iter().map(|(id, name)| (name, id)).collect();
    (cast, timeline)
}

/// What the record alone tells of one part of it, and the cast.
pub fn chapter(
    entries: &[Entry],
    ledger: &Ledger,
    from: Timestamp,
    is_told: impl Fn(&What) -> bool,
) -> (BTreeMap<String, String>, Vec<Moment>) {
    let names = names(entries, ledger);
    let told = entries
        .iter()
        .filter(|entry| entry.at >= from && is_told(&entry.what))
        .filter(|entry| !is_of_root_volume(&entry.what, ledger));
    let moments = told.filter_map(happening).map(|remark| Moment {
        at_seconds: seconds_since(from, remark.at),
        who: renamed(&names, &remark.who),
        what: renamed(&names, &remark.what),
        kind: remark.kind,
    });
    let moments = moments.collect();
    (names, moments)
}

/// The incidents of the region, told from the first one on.
pub fn incidents(paths: &[CriticalPath], zero: Timestamp) -> Vec<Incident> {
    let told = paths.iter().map(|path| Incident {
        cause: path.cause.trim_end_matches('.').to_owned(),
        at_seconds: seconds_since(zero, path.started),
        rto_seconds: path.rto.map(seconds),
        critical_path_seconds: path.shortest.map(seconds),
        path: path
            .steps
            .iter()
            .map(|(step, time)| (step.clone(), seconds(*time)))
            .collect(),
    });
    told.collect()
}

pub fn seconds_since(zero: Timestamp, at: Timestamp) -> f64 {
    at.duration_since(zero).as_millis() as f64 / 1000.0
}

fn renamed(names: &BTreeMap<String, String>, text: &str) -> String {
    let mut text = text.to_owned();
    for (id, name) in names {
        if text.contains(id.as_str()) {
            text = text.replace(id.as_str(), name);
        }
    }
    text
}

const ORDINALS: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "sixth"];

/// Id → the name it goes by, in the order of appearance.
fn names(entries: &[Entry], ledger: &Ledger) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries
        .iter()
        .filter(|entry| !is_of_root_volume(&entry.what, ledger))
    {
        let (id, kind) = match &entry.what {
            What::InstanceState { instance, .. } => (instance, "instance".to_owned()),
            What::VolumeCreated { volume, .. } => (volume, volume_kind(ledger, volume)),
            What::SnapshotStarted { snapshot, .. } => (snapshot, "snapshot".to_owned()),
            What::AddressAllocated { allocation } => (allocation, "address".to_owned()),
            _ => continue,
        };
        if names.contains_key(id) {
            continue;
        }
        let count = counts.entry(kind.clone()).or_default();
        *count += 1;
        let name = match ORDINALS.get(*count - 1).filter(|_| kind == "instance") {
            Some(ordinal) => (*ordinal).to_owned(),
            None => format!("{kind} {count}"),
        };
        names.insert(id.clone(), name);
    }
    names
}

fn volume_kind(ledger: &Ledger, volume: &str) -> String {
    let life = ledger.volumes.get(volume);
    let name = life.and_then(|life| life.tags.get(tags::VOLUME));
    name.cloned().unwrap_or_else(|| "volume".to_owned())
}

/// Root volumes come and go with their instances: nobody asks about them.
fn is_of_root_volume(what: &What, ledger: &Ledger) -> bool {
    match what {
        What::VolumeCreated { volume, .. }
        | What::VolumeState { volume, .. }
        | What::VolumeDeleted { volume }
        | What::Attached { volume, .. }
        | What::Detached { volume, .. } => ledger.is_foreign(volume),
        _ => false,
    }
}

/// The region takes an instance without mounts for a service that is up, which a
/// group with volumes is not before its workload writes.
fn is_hollow(what: &What, ledger: &Ledger, spec: &GroupSpec, at: Timestamp) -> bool {
    let What::ServiceUp { instance, .. } = what else {
        return false;
    };
    let mut terms = ledger.terms.iter();
    let writes = terms.any(|term| term.instance == *instance && term.from <= at);
    !writes && spec.volumes.iter().any(|volume| volume.mount.is_some())
}

/// What of the record a person wants to read, and who did it.
fn happening(entry: &Entry) -> Option<Remark> {
    let (who, kind, what) = instance_news(&entry.what)
        .or_else(|| storage_news(&entry.what))
        .or_else(|| nature_news(&entry.who, &entry.what))?;
    Some(Remark {
        at: entry.at,
        who,
        what,
        kind,
    })
}

type News = Option<(String, Kind, String)>;

fn instance_news(what: &What) -> News {
    let auto_scaling = || "auto scaling".to_owned();
    Some(match what {
        What::InstanceState { instance, to, .. } => {
            (instance.clone(), Kind::Happens, format!("is {to}"))
        }
        What::Booted { instance } => (instance.clone(), Kind::Happens, "has booted".to_owned()),
        What::GuestDown { instance } => (
            instance.clone(),
            Kind::Happens,
            "its system is down".to_owned(),
        ),
        What::Lifecycle {
            instance, from, to, ..
        } if from.is_empty() => (auto_scaling(), Kind::Happens, format!("{instance}: {to}")),
        What::Lifecycle {
            instance, from, to, ..
        } => (
            auto_scaling(),
            Kind::Happens,
            format!("{instance}: {from} → {to}"),
        ),
        What::HookClosed { instance, how, .. } if *how != Closed::Continue => (
            auto_scaling(),
            Kind::Fails,
            format!("the lifecycle action of {instance} ended by {how:?}"),
        ),
        What::Health {
            instance,
            status,
            by,
        } => (
            auto_scaling(),
            Kind::Happens,
            format!("{instance} is {status}, says {by}"),
        ),
        _ => return None,
    })
}

fn storage_news(what: &What) -> News {
    let ebs = |kind, text: String| Some(("ebs".to_owned(), kind, text));
    match what {
        What::VolumeState { volume, from, to } if from == "creating" && to != "in-use" => {
            ebs(Kind::Happens, format!("{volume} is {to}"))
        }
        What::Attached { volume, instance } => {
            ebs(Kind::Happens, format!("{volume} is attached to {instance}"))
        }
        What::Detached { volume, instance } => ebs(
            Kind::Happens,
            format!("{volume} is detached from {instance}"),
        ),
        What::SnapshotStarted {
            snapshot,
            volume,
            writer_active,
            ..
        } => {
            let quiet = if *writer_active {
                "while it was in use"
            } else {
                "while it was quiet"
            };
            ebs(
                Kind::Happens,
                format!("{snapshot} of {volume} began, {quiet}"),
            )
        }
        What::SnapshotCompleted { snapshot } => {
            ebs(Kind::Happens, format!("{snapshot} is complete"))
        }
        What::SnapshotFailed { snapshot } => ebs(Kind::Fails, format!("{snapshot} failed")),
        What::SnapshotDeleted { snapshot } => ebs(Kind::Happens, format!("{snapshot} is gone")),
        What::VolumeDeleted { volume } => ebs(Kind::Happens, format!("{volume} is gone")),
        What::AddressMoved { allocation, to, .. } => {
            let to = to.as_deref().unwrap_or("nobody");
            Some((
                "ec2".to_owned(),
                Kind::Happens,
                format!("{allocation} is with {to}"),
            ))
        }
        _ => None,
    }
}

fn nature_news(who: &str, what: &What) -> News {
    Some(match what {
        What::IncidentStarted {
            instance, cause, ..
        } => (
            "nature".to_owned(),
            Kind::Incident,
            format!("{}: {instance}", cause.trim_end_matches('.')),
        ),
        What::ZoneDown { zone } => (
            "nature".to_owned(),
            Kind::Incident,
            format!("{zone} goes dark"),
        ),
        What::ZoneUp { zone } => (
            "nature".to_owned(),
            Kind::Incident,
            format!("{zone} is back"),
        ),
        What::AlarmState { alarm, to, .. } => (
            "cloudwatch".to_owned(),
            Kind::Happens,
            format!("alarm {alarm} is {to}"),
        ),
        What::SplitBrain { path, .. } => (
            "nature".to_owned(),
            Kind::Fails,
            format!("two write to {path} at once"),
        ),
        _ => return guest_news(who, what),
    })
}

/// What an instance does within itself.
fn guest_news(who: &str, what: &What) -> News {
    Some(match what {
        What::Formatted { volume, had_data } => {
            let kind = if *had_data {
                Kind::Fails
            } else {
                Kind::Happens
            };
            (who.to_owned(), kind, format!("{volume} is formatted"))
        }
        What::Mounted {
            instance,
            volume,
            path,
        } => (
            instance.clone(),
            Kind::Happens,
            format!("{volume} is mounted at {path}"),
        ),
        What::Unmounted {
            instance,
            volume,
            path,
        } => (
            instance.clone(),
            Kind::Happens,
            format!("{volume} is unmounted from {path}"),
        ),
        What::WriterStarted {
            instance,
            path,
            counter,
            lost_writes,
            lost,
            ..
        } => {
            let loss = if *lost_writes > 0 {
                format!(
                    ", {lost_writes} writes ({:.1} s) are lost",
                    lost.as_secs_f64()
                )
            } else {
                ", nothing is lost".to_owned()
            };
            (
                instance.clone(),
                Kind::Happens,
                format!("the workload writes to {path} from {counter} on{loss}"),
            )
        }
        What::WriterStopped {
            instance,
            path,
            counter,
            ..
        } => (
            instance.clone(),
            Kind::Happens,
            format!("the workload's last write to {path} is {counter}"),
        ),
        What::ServiceUp { instance, .. } => (
            instance.clone(),
            Kind::Reached,
            "the service is up".to_owned(),
        ),
        _ => return None,
    })
}
