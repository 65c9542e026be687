//! What has become of a group so far? Its terms, its moves, how long each took
//! and what each lost, out of what AWS still knows: tags, snapshots, activities.
//!
//! Pure. What cannot be told is said to be unknown, never guessed: a bound is
//! called a bound.

mod copies;
mod moves;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

pub use self::copies::{Copied, Goes, OldVolume};
pub use self::moves::{Loss, Move};
pub use self::terms::{Carried, TermTold};
use crate::ids::{InstanceId, VolumeId};
use crate::spec::GroupSpec;
use crate::world::{Seen, Term, World};

/// Everything a history is told from.
#[derive(Clone, Debug)]
pub struct Sources {
    pub world: World,
    /// The last term of each volume that still exists.
    pub terms: Seen<BTreeMap<VolumeId, Term>>,
    /// Of the last six weeks, the oldest first.
    pub activities: Seen<Vec<Activity>>,
}

/// Something Auto Scaling did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activity {
    pub deed: Deed,
    pub instance: Option<InstanceId>,
    pub what: String,
    pub cause: String,
    pub status: String,
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    Launch,
    Terminate,
    Other,
}

/// What was promised, to hold the moves against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Objectives {
    pub snapshot_every_seconds: f64,
    pub max_data_loss_seconds: f64,
}

/// The story of one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    pub group: String,
    pub objectives: Objectives,
    /// The oldest first.
    pub terms: Vec<TermTold>,
    pub moves: Vec<Move>,
    /// The longest of those that can be told.
    pub worst_rto_seconds: Option<f64>,
    pub worst_loss_seconds: Option<f64>,
    /// Sets of snapshots, the newest first.
    pub copies: Vec<Copied>,
    pub old_volumes: Vec<OldVolume>,
    pub activities: Vec<Activity>,
    /// What could not be read, and so is missing above.
    pub unknown: Vec<String>,
}

/// As far as it can be told now.
pub fn tell(sources: &Sources, spec: &GroupSpec, now: Timestamp) -> History {
    let terms = terms::terms(sources);
    let moves = moves::moves(sources, spec, &terms);
    let worst = |all: Vec<f64>| all.into_iter().reduce(f64::max);
    History {
        group: spec.name.to_string(),
        objectives: Objectives {
            snapshot_every_seconds: spec.policy.snapshot_every.as_secs_f64(),
            max_data_loss_seconds: spec.policy.max_data_loss.as_secs_f64(),
        },
        worst_rto_seconds: worst(moves.iter().filter_map(|m| m.rto_seconds).collect()),
        worst_loss_seconds: worst(moves.iter().filter_map(|m| m.loss.seconds()).collect()),
        copies: copies::copies(&sources.world, spec),
        old_volumes: copies::old_volumes(&sources.world, spec),
        activities: sources.activities.known().cloned().unwrap_or_default(),
        unknown: unknown(sources, spec, now),
        terms,
        moves,
    }
}

fn unknown(sources: &Sources, spec: &GroupSpec, now: Timestamp) -> Vec<String> {
    fn part<T>(name: &str, seen: &Seen<T>) -> Option<String> {
        match seen {
            Seen::Known(_) => None,
            Seen::Unknown(why) => Some(format!("{name}: {why}")),
        }
    }
    let world = &sources.world;
    let mut all: Vec<String> = [
        part("group", &world.group),
        part("volumes", &world.volumes),
        part("snapshots", &world.snapshots),
        part("terms", &sources.terms),
        part("activities", &sources.activities),
    ]
    .into_iter()
    .flatten()
    .collect();
    if spec.volumes.is_empty() {
        all.push("without a volume a group leaves no record of its holders".to_owned());
    }
    let future = |at: &Timestamp| *at > now;
    if sources
        .terms
        .known()
        .is_some_and(|terms| terms.values().any(|term| future(&term.since)))
    {
        all.push("a term begins in the future: the clocks of the machines differ".to_owned());
    }
    all
}
