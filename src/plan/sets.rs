//! Which sets of snapshots are there? For whoever reports, not for decisions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lineage::{self, Lineage};
use crate::ids::{Incident, SnapshotId};
use crate::spec::GroupSpec;
use crate::world::{Consistency, World};

/// One whole set, one snapshot for every volume that has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSeen {
    /// What it holds is at least this old.
    pub started: Timestamp,
    /// Every snapshot of it can be restored from.
    pub complete: bool,
    /// Of the lineage that counts now.
    pub newest_lineage: bool,
    /// Nothing could write to any of the volumes.
    pub clean: bool,
    /// The move, or periodic set, it was taken for.
    pub incident: Option<Incident>,
    pub snapshots: Vec<SnapshotId>,
}

/// The newest first; None where something that decides it is unknown.
pub fn sets(world: &World, spec: &GroupSpec) -> Option<Vec<SetSeen>> {
    let (group, volumes) = (world.group.known()?, world.volumes.known()?);
    let snapshots = world.snapshots.known()?;
    let lineages: BTreeMap<_, _> = spec
        .volumes
        .iter()
        .map(|v| {
            (
                &v.name,
                Lineage::of(&v.name, group, spec, volumes, snapshots),
            )
        })
        .collect();
    let sets = lineage::sets(&lineages).into_iter();
    Some(
        sets.map(|set| SetSeen {
            started: set.started,
            complete: set.is_complete(),
            newest_lineage: set.is_newest_lineage,
            clean: set
                .snapshots
                .values()
                .all(|s| s.consistency == Consistency::Clean),
            incident: set.snapshots.values().find_map(|s| s.incident.clone()),
            snapshots: set.snapshots.values().map(|s| s.id.clone()).collect(),
        })
        .collect(),
    )
}
