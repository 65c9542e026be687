//! Which snapshots carry the group's tag, and how far are they?

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types;

use super::super::call::Ask;
use super::super::existing::{Wanted, existing};
use super::super::{Aws, AwsError, convert, tagging};
use super::volumes::{belongs, doing};
use super::{understood, unknown};
use crate::ids::{GroupName, SnapshotId, VolumeId};
use crate::spec::GroupSpec;
use crate::world::{Seen, Shape, Snapshot, SnapshotState, Volume};

pub(super) type Shown = Seen<BTreeMap<SnapshotId, Snapshot>>;

impl Aws {
    /// Between full looks only what is pending is asked about, by id; all else
    /// about a snapshot never changes.
    pub(super) async fn see_snapshots(
        &self,
        spec: &GroupSpec,
        full: bool,
        before: Option<&BTreeMap<SnapshotId, Snapshot>>,
    ) -> Shown {
        if spec.volumes.is_empty() {
            return Seen::Known(BTreeMap::new());
        }
        let made = self.memory.snapshots_of(&spec.name);
        let pending: BTreeSet<SnapshotId> = before
            .into_iter()
            .flatten()
            .filter(|(_, snapshot)| snapshot.state == SnapshotState::Pending)
            .map(|(id, _)| id)
            .chain(made.keys())
            .cloned()
            .collect();
        let seen = match before {
            Some(before) if !full && !pending.is_empty() => {
                self.poll(&spec.name, before, &pending).await
            }
            _ => self.all_snapshots(&spec.name, before, &made).await,
        };
        let Seen::Known(mut snapshots) = seen else {
            return seen;
        };
        for (id, snapshot) in made {
            if snapshots.contains_key(&id) {
                self.memory.forget_snapshot(&spec.name, &id);
            }
            snapshots.entry(id).or_insert(snapshot);
        }
        Seen::Known(snapshots)
    }

    async fn poll(
        &self,
        group: &GroupName,
        before: &BTreeMap<SnapshotId, Snapshot>,
        pending: &BTreeSet<SnapshotId>,
    ) -> Shown {
        let read = match self.snapshots_by_id(pending).await {
            Ok(read) => read,
            Err(error) => return unknown(&error),
        };
        let fresh = match sorted(group, &read) {
            Ok(fresh) => fresh,
            Err(problem) => return understood(Err(problem)),
        };
        let settled = before.iter().filter(|(id, _)| !pending.contains(id));
        let settled = settled.map(|(id, snapshot)| (id.clone(), snapshot.clone()));
        Seen::Known(settled.chain(fresh).collect())
    }

    /// By tag, and by id what the tag should have shown and did not.
    async fn all_snapshots(
        &self,
        group: &GroupName,
        before: Option<&BTreeMap<SnapshotId, Snapshot>>,
        made: &BTreeMap<SnapshotId, Snapshot>,
    ) -> Shown {
        let mut read = match self.snapshots_tagged(std::slice::from_ref(group)).await {
            Ok(read) => read,
            Err(error) => return unknown(&error),
        };
        let shown: BTreeSet<&str> = read
            .iter()
            .filter_map(types::Snapshot::snapshot_id)
            .collect();
        let known = before
            .into_iter()
            .flat_map(BTreeMap::keys)
            .chain(made.keys());
        let missed = known
            .filter(|id| !shown.contains(id.as_str()))
            .cloned()
            .collect();
        match self.snapshots_by_id(&missed).await {
            Ok(more) => read.extend(more),
            Err(error) => return unknown(&error),
        }
        understood(sorted(group, &read))
    }

    pub(super) async fn snapshots_tagged(
        &self,
        groups: &[GroupName],
    ) -> Result<Vec<types::Snapshot>, AwsError> {
        let filters = vec![tagging::of_groups(groups)];
        self.snapshots_where(filters, doing("snapshots", groups))
            .await
    }

    pub(in crate::aws) async fn snapshots_where(
        &self,
        filters: Vec<types::Filter>,
        doing: String,
    ) -> Result<Vec<types::Snapshot>, AwsError> {
        let ask = Ask::new("ec2:DescribeSnapshots", doing);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self
                .ask(&ask, || {
                    self.ec2
                        .describe_snapshots()
                        .owner_ids("self")
                        .set_filters(Some(filters.clone()))
                        .max_results(1000)
                        .set_next_token(next.clone())
                })
                .await?;
            let snapshots = page.snapshots.unwrap_or_default();
            ask.all_fit(&filters, &snapshots)?;
            found.extend(snapshots);
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Those of them that exist.
    async fn snapshots_by_id(
        &self,
        ids: &BTreeSet<SnapshotId>,
    ) -> Result<Vec<types::Snapshot>, AwsError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let doing = format!("look at the snapshots {}", ids.join(", "));
        let ask = Ask::new("ec2:DescribeSnapshots", doing).unpaged();
        let wanted = Wanted {
            ids,
            id_of: types::Snapshot::snapshot_id,
            doing: &ask.doing,
            action: ask.action,
        };
        existing(wanted, async |ids: Vec<String>| {
            let answer = self
                .ask(&ask, || {
                    let request = self.ec2.describe_snapshots().owner_ids("self");
                    request.set_snapshot_ids(Some(ids.clone()))
                })
                .await?;
            Ok(answer.snapshots.unwrap_or_default())
        })
        .await
    }
}

pub(super) fn sorted(
    group: &GroupName,
    read: &[types::Snapshot],
) -> Result<BTreeMap<SnapshotId, Snapshot>, String> {
    read.iter()
        .filter(|of| belongs(of.tags(), group))
        .map(|of| convert::snapshot(of).map(|snapshot| (snapshot.id.clone(), snapshot)))
        .collect()
}

/// A set taken in one call gets the tags that differ by volume in a second
/// one. If that never came, the source volume still tells them: a volume
/// keeps its name and epoch for life.
pub(super) fn with_names(snapshots: Shown, volumes: &Seen<BTreeMap<VolumeId, Volume>>) -> Shown {
    let Seen::Known(mut snapshots) = snapshots else {
        return snapshots;
    };
    let Some(volumes) = volumes.known() else {
        return Seen::Known(snapshots);
    };
    let nameless = snapshots
        .values_mut()
        .filter(|snapshot| snapshot.name.is_none() && snapshot.incident.is_some());
    for snapshot in nameless {
        if let Some(volume) = volumes.get(&snapshot.volume) {
            snapshot.name.clone_from(&volume.name);
            snapshot.epoch = volume.epoch;
            snapshot.shape = Shape {
                size_gib: snapshot.shape.size_gib,
                ..volume.shape.clone()
            };
            snapshot.tags.clone_from(&volume.tags);
        }
    }
    Seen::Known(snapshots)
}
