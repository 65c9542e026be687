//! Which volumes carry the group's tag, and how are they? Tags discover, ids
//! tell: a describe by tag is read from an index that lags behind.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types;

use super::super::call::Ask;
use super::super::existing::{Wanted, existing};
use super::super::{Aws, AwsError, convert, tagging};
use super::{understood, unknown};
use crate::ids::{GroupName, VolumeId};
use crate::spec::GroupSpec;
use crate::tags;
use crate::world::{Seen, Volume};

pub(super) type Shown = Seen<BTreeMap<VolumeId, Volume>>;

impl Aws {
    pub(super) async fn see_volumes(
        &self,
        spec: &GroupSpec,
        full: bool,
        before: Option<&BTreeMap<VolumeId, Volume>>,
    ) -> Shown {
        if spec.volumes.is_empty() {
            return Seen::Known(BTreeMap::new());
        }
        let made = self.memory.volumes_of(&spec.name);
        let ids = before
            .into_iter()
            .flat_map(BTreeMap::keys)
            .chain(made.keys());
        let known: BTreeSet<VolumeId> = ids.cloned().collect();
        let read = if full || known.is_empty() {
            self.all_volumes(&spec.name, known).await
        } else {
            self.volumes_by_id(&known).await
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return unknown(&error),
        };
        match sorted(&spec.name, &read) {
            Ok(mut volumes) => {
                for (id, volume) in made {
                    if volumes.contains_key(&id) {
                        self.memory.forget_volume(&spec.name, &id);
                    }
                    volumes.entry(id).or_insert(volume);
                }
                Seen::Known(volumes)
            }
            Err(problem) => understood(Err(problem)),
        }
    }

    /// What is known by id, and at the same time what the tag knows; then the
    /// newcomers by id as well.
    async fn all_volumes(
        &self,
        group: &GroupName,
        known: BTreeSet<VolumeId>,
    ) -> Result<Vec<types::Volume>, AwsError> {
        let groups = [group.clone()];
        let (tagged, by_id) =
            tokio::join!(self.volumes_tagged(&groups), self.volumes_by_id(&known));
        let mut all = by_id?;
        let newcomers = tagged?
            .iter()
            .filter_map(|of| of.volume_id().map(VolumeId::new))
            .filter(|id| !known.contains(id))
            .collect();
        all.extend(self.volumes_by_id(&newcomers).await?);
        Ok(all)
    }

    pub(super) async fn volumes_tagged(
        &self,
        groups: &[GroupName],
    ) -> Result<Vec<types::Volume>, AwsError> {
        self.volumes_where(vec![tagging::of_groups(groups)], doing("volumes", groups))
            .await
    }

    pub(in crate::aws) async fn volumes_where(
        &self,
        filters: Vec<types::Filter>,
        doing: String,
    ) -> Result<Vec<types::Volume>, AwsError> {
        let ask = Ask::new("ec2:DescribeVolumes", doing);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self
                .ask(&ask, || {
                    self.ec2
                        .describe_volumes()
                        .set_filters(Some(filters.clone()))
                        .max_results(500)
                        .set_next_token(next.clone())
                })
                .await?;
            let volumes = page.volumes.unwrap_or_default();
            ask.all_fit(&filters, &volumes)?;
            found.extend(volumes);
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Those of them that exist.
    pub(in crate::aws) async fn volumes_by_id(
        &self,
        ids: &BTreeSet<VolumeId>,
    ) -> Result<Vec<types::Volume>, AwsError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let doing = format!("look at the volumes {}", ids.join(", "));
        let ask = Ask::new("ec2:DescribeVolumes", doing).unpaged();
        let wanted = Wanted {
            ids,
            id_of: types::Volume::volume_id,
            doing: &ask.doing,
            action: ask.action,
        };
        existing(wanted, async |ids: Vec<String>| {
            let answer = self
                .ask(&ask, || {
                    let request = self.ec2.describe_volumes();
                    request.set_volume_ids(Some(ids.clone()))
                })
                .await?;
            Ok(answer.volumes.unwrap_or_default())
        })
        .await
    }

    /// All that carry the group's tag, as far as the index shows them by now.
    pub(in crate::aws) async fn volumes_shown(
        &self,
        group: &GroupName,
    ) -> Result<BTreeMap<VolumeId, Volume>, AwsError> {
        let read = self.volumes_tagged(std::slice::from_ref(group)).await?;
        sorted(group, &read)
            .map_err(|problem| AwsError::odd("look at volumes", "ec2:DescribeVolumes", problem))
    }

    /// Volumes as they are this moment; those that do not exist are left out.
    pub(in crate::aws) async fn volumes_now(
        &self,
        ids: &BTreeSet<VolumeId>,
    ) -> Result<BTreeMap<VolumeId, Volume>, AwsError> {
        let read = self.volumes_by_id(ids).await?;
        read.iter()
            .map(|of| convert::volume(of).map(|volume| (volume.id.clone(), volume)))
            .collect::<Result<_, _>>()
            .map_err(|problem| AwsError::odd("look at volumes", "ec2:DescribeVolumes", problem))
    }
}

pub(super) fn doing(what: &str, groups: &[GroupName]) -> String {
    match groups {
        [one] => format!("look at the {what} of {one}"),
        many => format!("look at the {what} of {} groups", many.len()),
    }
}

/// Those of the group, by id.
pub(super) fn sorted(
    group: &GroupName,
    read: &[types::Volume],
) -> Result<BTreeMap<VolumeId, Volume>, String> {
    read.iter()
        .filter(|of| belongs(of.tags(), group))
        .map(|of| convert::volume(of).map(|volume| (volume.id.clone(), volume)))
        .collect()
}

pub(super) fn belongs(tags: &[types::Tag], group: &GroupName) -> bool {
    tags.iter()
        .any(|tag| tag.key() == Some(tags::GROUP) && tag.value() == Some(group.as_str()))
}
