//! Who had the data, from when until when?
//!
//! A volume remembers its last term, a capture the term that it ended. Between
//! them they tell of every term whose capture is still kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Sources;
use crate::ids::{Epoch, Incident, InstanceId, VolumeId, VolumeName};
use crate::world::{Consistency, Snapshot, Standing, Term};

/// One holder's time with the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TermTold {
    pub holder: InstanceId,
    pub since: Timestamp,
    /// When the capture that ended it was begun; nothing wrote after that.
    pub captured: Option<Timestamp>,
    /// The capture was of volumes that nothing could write to.
    pub clean: Option<bool>,
    pub volumes: Vec<Carried>,
    pub current: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Carried {
    pub name: VolumeName,
    pub volume: VolumeId,
    pub epoch: Epoch,
}

impl TermTold {
    /// As captures name it.
    pub(super) fn incident(&self) -> Incident {
        Incident::new(format!("{}/{}", self.holder, self.since.as_millisecond()))
    }
}

/// The oldest first.
pub(super) fn terms(sources: &Sources) -> Vec<TermTold> {
    let mut found: BTreeMap<(Timestamp, InstanceId), TermTold> = BTreeMap::new();
    let snapshots = sources.world.snapshots.known().into_iter().flatten();
    for (_, snapshot) in snapshots {
        if let Some(term) = snapshot.incident.as_ref().and_then(named) {
            captured(place(&mut found, term), snapshot);
        }
    }
    let volumes = sources.world.volumes.known();
    for (id, term) in sources.terms.known().into_iter().flatten() {
        let Some(volume) = volumes.and_then(|all| all.get(id)) else {
            continue;
        };
        let told = place(&mut found, to_the_millisecond(term));
        if let Some(name) = &volume.name {
            carry(told, name, id, volume.epoch);
        }
        told.current |= matches!(&volume.standing, Standing::Active(Some(now)) if now == term);
    }
    let mut all: Vec<TermTold> = found.into_values().collect();
    // A volume that was never marked as superseded still says it is active.
    let last = all.iter().rposition(|term| term.current);
    for (at, term) in all.iter_mut().enumerate() {
        term.current = Some(at) == last;
    }
    all
}

fn place(found: &mut BTreeMap<(Timestamp, InstanceId), TermTold>, term: Term) -> &mut TermTold {
    found
        .entry((term.since, term.holder.clone()))
        .or_insert_with(|| TermTold {
            holder: term.holder,
            since: term.since,
            captured: None,
            clean: None,
            volumes: Vec::new(),
            current: false,
        })
}

/// `i-0abc/1760000000000`; what is not of that form is no term.
pub(super) fn named(incident: &Incident) -> Option<Term> {
    let (holder, since) = incident.as_str().split_once('/')?;
    if !holder.starts_with("i-") {
        return None;
    }
    let since = Timestamp::from_millisecond(since.parse().ok()?).ok()?;
    Some(Term {
        holder: InstanceId::new(holder),
        since,
    })
}

fn to_the_millisecond(term: &Term) -> Term {
    let since = Timestamp::from_millisecond(term.since.as_millisecond());
    Term {
        holder: term.holder.clone(),
        since: since.unwrap_or(term.since),
    }
}

/// Of several captures of one volume the first one ended the term.
fn captured(term: &mut TermTold, snapshot: &Snapshot) {
    let clean = snapshot.consistency == Consistency::Clean;
    term.captured = Some(match term.captured {
        Some(before) => before.min(snapshot.started),
        None => snapshot.started,
    });
    term.clean = Some(term.clean.unwrap_or(true) && clean);
    if let Some(name) = &snapshot.name {
        carry(term, name, &snapshot.volume, snapshot.epoch);
    }
}

fn carry(term: &mut TermTold, name: &VolumeName, volume: &VolumeId, epoch: Epoch) {
    let carried = Carried {
        name: name.clone(),
        volume: volume.clone(),
        epoch,
    };
    if !term.volumes.contains(&carried) {
        term.volumes.push(carried);
        term.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    }
}
