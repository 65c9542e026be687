//! How fast could a failover have been? The longest chain over the durations the
//! region itself drew, for the operations on the path that was taken.
//!
//! An incident begins when a serving instance begins to go away, and ends when
//! another one serves: it writes under every path that was written to, and has
//! every address the old one had.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::ec2::addresses;
use crate::latency::Delay;
use crate::model::{Instance, InstanceState, Released, Volume};
use crate::{Region, What, autoscaling, between};

/// One incident: from a serving instance going away until the service is up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalPath {
    pub group: String,
    /// The instance that went away.
    pub instance: String,
    pub cause: String,
    pub started: Timestamp,
    pub recovered: Option<Timestamp>,
    pub rto: Option<Duration>,
    /// The shortest the region's own durations would have allowed.
    pub shortest: Option<Duration>,
    /// The chain that took longest, in order.
    pub steps: Vec<(String, Duration)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Incidents {
    all: Vec<Incident>,
    /// Indices of those that are not over.
    open: BTreeSet<usize>,
    /// Services that were up once.
    seen: BTreeSet<String>,
    /// Services something happened to since they were last looked at: with a
    /// thousand open incidents, looking at each of them each time takes too long.
    touched: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Incident {
    path: CriticalPath,
    /// Path → the volume that was written there.
    mounts: BTreeMap<String, String>,
    addresses: BTreeSet<String>,
}

impl Incidents {
    pub(crate) fn paths(&self) -> Vec<CriticalPath> {
        self.all
            .iter()
            .map(|incident| incident.path.clone())
            .collect()
    }
}

const ZONE_DOWN: &str = "zone down";
const CRASHED: &str = "crashed";

/// A serving instance of `service` is about to go away. Call it *before* the
/// change; nothing happens if it does not serve or an incident is open already.
pub(crate) fn begin(
    region: &mut Region,
    service: &str,
    instance: &str,
    cause: &str,
    now: Timestamp,
) {
    let incidents = &region.incidents;
    let open = incidents
        .open
        .iter()
        .filter_map(|at| incidents.all.get(*at));
    if open
        .into_iter()
        .any(|incident| incident.path.group == service)
    {
        return;
    }
    let mounts = mounts_written(region, instance);
    let addresses: BTreeSet<String> = addresses::of(region, instance)
        .map(|a| a.allocation.clone())
        .collect();
    let in_service = autoscaling::lifecycle_of(region, instance).as_deref() == Some("InService");
    if mounts.is_empty()
        && addresses.is_empty()
        && !(in_service && is_alone(region, service, instance))
    {
        return;
    }
    for volume in mounts.values() {
        // How it became quiet in an earlier move says nothing about this one.
        if let Some(volume) = region.model.volumes.get_mut(volume) {
            volume.released = None;
        }
    }
    let path = CriticalPath {
        group: service.to_owned(),
        instance: instance.to_owned(),
        cause: cause.to_owned(),
        started: now,
        recovered: None,
        rto: None,
        shortest: None,
        steps: Vec::new(),
    };
    region.incidents.open.insert(region.incidents.all.len());
    region.incidents.all.push(Incident {
        path,
        mounts,
        addresses,
    });
    let what = What::IncidentStarted {
        group: service.to_owned(),
        instance: instance.to_owned(),
        cause: cause.to_owned(),
    };
    region.log(now, "aws", what);
}

fn mounts_written(region: &Region, instance: &str) -> BTreeMap<String, String> {
    let written = region.model.volumes.values().filter_map(|volume| {
        let writer = volume
            .writer
            .as_ref()
            .filter(|writer| writer.instance == instance && !writer.paused)?;
        Some((writer.path.clone(), volume.id.clone()))
    });
    written.collect()
}

/// Nobody else of the service writes, has an address, or is in service.
fn is_alone(region: &Region, service: &str, instance: &str) -> bool {
    let mut others =
        region.model.instances.values().filter(|i| {
            i.id != instance && i.service.as_deref() == Some(service) && i.state.lives()
        });
    !others.any(|other| {
        !mounts_written(region, &other.id).is_empty()
            || addresses::of(region, &other.id).next().is_some()
            || autoscaling::lifecycle_of(region, &other.id).as_deref() == Some("InService")
    })
}

/// Somebody begins to write or gets an address. The first time a service comes up
/// there is no incident that ends with it.
pub(crate) fn serves(region: &mut Region, instance: &str, now: Timestamp) {
    let service = region
        .model
        .instances
        .get(instance)
        .and_then(|i| i.service.clone());
    let Some(service) = service else { return };
    if region.incidents.seen.insert(service.clone()) {
        let what = What::ServiceUp {
            group: service,
            instance: instance.to_owned(),
        };
        region.log(now, instance, what);
    }
}

/// Could this have brought a service up? Asked of everything that is recorded.
pub(crate) fn note(region: &mut Region, what: &What) {
    if region.incidents.open.is_empty() {
        return;
    }
    let instance = match what {
        What::WriterStarted { instance, .. }
        | What::WriterResumed { instance, .. }
        | What::AddressMoved {
            to: Some(instance), ..
        }
        | What::Lifecycle { instance, .. }
        | What::InstanceState { instance, .. } => instance,
        What::ZoneUp { .. } => {
            let all = region.incidents.all.iter().map(|i| i.path.group.clone());
            return region.incidents.touched.extend(all);
        }
        _ => return,
    };
    let service = region
        .model
        .instances
        .get(instance)
        .and_then(|i| i.service.clone());
    region.incidents.touched.extend(service);
}

/// Is a service up again? Asked after everything that happens.
pub(crate) fn look(region: &mut Region, now: Timestamp) {
    let touched = std::mem::take(&mut region.incidents.touched);
    if touched.is_empty() {
        return;
    }
    let open: Vec<usize> = region.incidents.open.iter().copied().collect();
    for at in open {
        let incident = region.incidents.all.get(at);
        let Some(incident) = incident.filter(|i| touched.contains(&i.path.group)) else {
            continue;
        };
        let Some(heir) = heir(region, incident) else {
            continue;
        };
        let recovered = recover(region, incident, &heir, now);
        let what = What::ServiceUp {
            group: recovered.group.clone(),
            instance: heir.clone(),
        };
        if let Some(incident) = region.incidents.all.get_mut(at) {
            incident.path = recovered;
        }
        region.incidents.open.remove(&at);
        region.log(now, &heir, what);
    }
}

/// The instance that serves everything the old one served, if there is one.
fn heir(region: &Region, incident: &Incident) -> Option<String> {
    let path = &incident.path;
    let model = &region.model;
    let candidates = model
        .instances
        .values()
        .filter(|i| i.service.as_deref() == Some(path.group.as_str()));
    let mut fit = candidates.filter(|i| {
        let anew = i.launched > path.started;
        let may_be = i.id != path.instance || path.cause == ZONE_DOWN || anew;
        let lifecycle = autoscaling::lifecycle_of(region, &i.id);
        let has = |allocation: &String| {
            model
                .addresses
                .get(allocation)
                .is_some_and(|a| a.instance.as_ref() == Some(&i.id))
        };
        let writes = mounts_written(region, &i.id);
        may_be
            && i.state == InstanceState::Running
            && !model.dark_zones.contains(&i.zone)
            && lifecycle.is_none_or(|state| {
                matches!(
                    state.as_str(),
                    "InService" | "Pending:Wait" | "Pending:Proceed"
                )
            })
            && incident.addresses.iter().all(has)
            && incident.mounts.keys().all(|path| writes.contains_key(path))
    });
    fit.next().map(|i| i.id.clone())
}

fn recover(region: &Region, incident: &Incident, heir: &str, now: Timestamp) -> CriticalPath {
    let rto = between(incident.path.started, now);
    let chain = longest(region, incident, heir);
    let shortest: Duration = chain.iter().map(|(_, duration)| *duration).sum();
    CriticalPath {
        recovered: Some(now),
        rto: Some(rto),
        // What happened was possible: a run that beats the formula sets the mark.
        shortest: Some(shortest.min(rto)),
        steps: chain,
        ..incident.path.clone()
    }
}

type Chain = Vec<(String, Duration)>;

fn total(chain: &Chain) -> Duration {
    chain.iter().map(|(_, duration)| *duration).sum()
}

fn longer(a: Chain, b: Chain) -> Chain {
    if total(&b) > total(&a) { b } else { a }
}

fn longest(region: &Region, incident: &Incident, heir: &str) -> Chain {
    let Some(machine) = region.model.instances.get(heir) else {
        return Chain::new();
    };
    let serves_at_once = incident.mounts.is_empty() && incident.addresses.is_empty();
    let boot = boot(region, incident, machine, !serves_at_once);
    let mut longest = boot.clone();
    if !incident.addresses.is_empty() {
        let mut chain = boot.clone();
        chain.push(("associate call".to_owned(), trip(region)));
        longest = longer(longest, chain);
    }
    for (path, old) in &incident.mounts {
        let new = region.model.volumes.values().find(|v| {
            v.writer
                .as_ref()
                .is_some_and(|w| w.instance == heir && w.path == *path)
        });
        let Some(new) = new else { continue };
        let mut chain = longer(boot.clone(), data(region, incident, old, new));
        if new.id != *old {
            chain.push(("create call".to_owned(), trip(region)));
            push(&mut chain, "create", &new.drawn, Delay::CreateVolume);
        }
        // A standby may have had it attached all along.
        if new.drawn.contains_key(&Delay::Attach) {
            chain.push(("attach call".to_owned(), trip(region)));
            push(&mut chain, "attach", &new.drawn, Delay::Attach);
        }
        push(&mut chain, "mount", &machine.drawn, Delay::Mount);
        push(&mut chain, "unit start", &machine.drawn, Delay::UnitStart);
        longest = longer(longest, chain);
    }
    longest
}

/// One median round trip.
fn trip(region: &Region) -> Duration {
    region.scaled(region.settings.latency.spread(Delay::MutateTrip).median)
}

fn push(chain: &mut Chain, name: &str, drawn: &BTreeMap<Delay, Duration>, kind: Delay) {
    if let Some(duration) = drawn.get(&kind) {
        chain.push((name.to_owned(), *duration));
    }
}

/// Until the heir's user data runs; nothing if it ran before.
fn boot(region: &Region, incident: &Incident, heir: &Instance, with_guest: bool) -> Chain {
    let mut chain = Chain::new();
    let started = incident.path.started;
    if heir.launched < started {
        let drawn = |kind| heir.drawn.get(&kind).copied().unwrap_or_default();
        let guest = if with_guest {
            drawn(Delay::Boot)
        } else {
            Duration::ZERO
        };
        let comes_up = drawn(Delay::Run).saturating_add(guest);
        let rest = comes_up.saturating_sub(between(heir.launched, started));
        if !rest.is_zero() {
            chain.push(("rest of the heir's start".to_owned(), rest));
        }
        return chain;
    }
    let by_group = autoscaling::lifecycle_of(region, &heir.id).is_some();
    if incident.path.cause == CRASHED || !by_group {
        // Somebody has to ask for it.
        chain.push(("launch call".to_owned(), trip(region)));
        if by_group {
            let reacts = region.settings.latency.spread(Delay::GroupReacts).median;
            chain.push(("group reacts".to_owned(), region.scaled(reacts)));
        }
    } else {
        chain.push(("group launches".to_owned(), between(started, heir.launched)));
    }
    push(&mut chain, "heir runs", &heir.drawn, Delay::Run);
    if with_guest {
        push(&mut chain, "heir boots", &heir.drawn, Delay::Boot);
    }
    chain
}

/// Until the data can come to the heir: the volume free, or its snapshot complete.
fn data(region: &Region, incident: &Incident, old: &str, new: &Volume) -> Chain {
    let moved = new.id == old;
    let snapshot = new
        .snapshot
        .as_ref()
        .and_then(|id| region.model.snapshots.get(id));
    let Some(snapshot) = snapshot.filter(|_| !moved) else {
        return quiet(region, incident, old, true);
    };
    let started = incident.path.started;
    if snapshot.started < started {
        let rest = between(started, snapshot.completed.unwrap_or(started));
        return vec![("rest of snapshot upload".to_owned(), rest)];
    }
    let mut chain = quiet(region, incident, old, false);
    chain.push(("snapshot call".to_owned(), trip(region)));
    push(
        &mut chain,
        "snapshot upload",
        &snapshot.drawn,
        Delay::SnapshotUpload,
    );
    chain
}

/// Until nobody can write to the old volume, the way it really came about.
fn quiet(region: &Region, incident: &Incident, old: &str, to_move: bool) -> Chain {
    let mut chain = Chain::new();
    let Some(volume) = region.model.volumes.get(old) else {
        return chain;
    };
    let Some(machine) = region.model.instances.get(&incident.path.instance) else {
        return chain;
    };
    let detach = |chain: &mut Chain| {
        chain.push(("detach call".to_owned(), trip(region)));
        push(chain, "detach", &volume.drawn, Delay::Detach);
    };
    match quiet_by(volume, machine, to_move) {
        Some(Released::Terminated) => {
            push(&mut chain, "termination", &machine.drawn, Delay::Terminate)
        }
        Some(Released::Fenced) => {
            chain.push(("stop call".to_owned(), trip(region)));
            push(&mut chain, "stop", &machine.drawn, Delay::Stop);
            if to_move {
                detach(&mut chain);
            }
        }
        Some(Released::Detached) => {
            if machine.drawn.contains_key(&Delay::Unmount) {
                push(&mut chain, "unit stop", &machine.drawn, Delay::UnitStop);
                push(&mut chain, "unmount", &machine.drawn, Delay::Unmount);
            }
            detach(&mut chain);
        }
        None => {}
    }
    chain
}

/// A volume that is still attached can be quiet too: its instance is stopped.
fn quiet_by(volume: &Volume, machine: &Instance, to_move: bool) -> Option<Released> {
    match volume.released {
        Some(how) if volume.attachment.is_none() || to_move => Some(how),
        _ if machine.state == InstanceState::Stopped => Some(Released::Fenced),
        how => how,
    }
}
