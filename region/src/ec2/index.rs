//! What do reads by filter see? Copies of the resources, a little late.
//!
//! Every change of a resource sends a copy on its way; when it arrives, filters
//! and listings see it. Reads by id look at the truth instead.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::Region;
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{Instance, Snapshot, Volume};

/// A copy of a resource on its way into the index.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    version: u64,
    copy: Copied,
}

#[derive(Clone, Debug)]
enum Copied {
    Instance(String, Option<Instance>),
    Volume(String, Option<Volume>),
    Snapshot(String, Option<Snapshot>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    /// The newest version that arrived for each id: copies may overtake each other.
    arrived: BTreeMap<String, u64>,
}

pub(crate) fn instance_touched(region: &mut Region, id: &str, now: Timestamp) {
    let copy = Copied::Instance(id.to_owned(), region.model.instances.get(id).cloned());
    send(region, copy, now);
}

pub(crate) fn volume_touched(region: &mut Region, id: &str, now: Timestamp) {
    let copy = Copied::Volume(id.to_owned(), region.model.volumes.get(id).cloned());
    send(region, copy, now);
}

pub(crate) fn snapshot_touched(region: &mut Region, id: &str, now: Timestamp) {
    let copy = Copied::Snapshot(id.to_owned(), region.model.snapshots.get(id).cloned());
    send(region, copy, now);
}

fn send(region: &mut Region, copy: Copied, now: Timestamp) {
    let indexed = Box::new(Indexed {
        version: region.next_order(),
        copy,
    });
    let lag = region.draw(Delay::FilterLag);
    if lag.is_zero() {
        arrive(region, *indexed);
    } else {
        region
            .engine
            .plan(crate::after(now, lag), Due::Indexed(indexed));
    }
}

pub(crate) fn arrive(region: &mut Region, indexed: Indexed) {
    let index = &mut region.index;
    let id = match &indexed.copy {
        Copied::Instance(id, _) | Copied::Volume(id, _) | Copied::Snapshot(id, _) => id.clone(),
    };
    if index
        .arrived
        .get(&id)
        .is_some_and(|newest| *newest > indexed.version)
    {
        return;
    }
    index.arrived.insert(id, indexed.version);
    match indexed.copy {
        Copied::Instance(id, copy) => put(&mut index.instances, id, copy),
        Copied::Volume(id, copy) => put(&mut index.volumes, id, copy),
        Copied::Snapshot(id, copy) => put(&mut index.snapshots, id, copy),
    }
}

fn put<T>(map: &mut BTreeMap<String, T>, id: String, copy: Option<T>) {
    match copy {
        Some(copy) => map.insert(id, copy),
        None => map.remove(&id),
    };
}
