//! Whose is this instance, this volume, this snapshot? Asked when an event
//! names nothing better, in as few calls as it takes.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, Tag};

use super::call::Ask;
use super::{Aws, AwsError};
use crate::ids::{GroupName, InstanceId, SnapshotId, VolumeId};
use crate::tags;

/// As many instances as Auto Scaling is asked about in one call.
const INSTANCES_PER_CALL: usize = 50;
/// As many values as one filter takes.
const VALUES_PER_FILTER: usize = 200;

impl Aws {
    /// The Auto Scaling groups of those instances that are members of one.
    ///
    /// # Errors
    /// When Auto Scaling does not tell.
    pub async fn groups_of_instances(
        &self,
        ids: &BTreeSet<InstanceId>,
    ) -> Result<BTreeMap<InstanceId, GroupName>, AwsError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut groups = BTreeMap::new();
        for ids in ids.chunks(INSTANCES_PER_CALL) {
            let doing = format!("find the groups of the instances {}", ids.join(", "));
            let ask = Ask::new("autoscaling:DescribeAutoScalingInstances", doing);
            let answer = self
                .call(&ask, async || {
                    self.autoscaling
                        .describe_auto_scaling_instances()
                        .set_instance_ids(Some(ids.to_vec()))
                        .send()
                        .await
                })
                .await?;
            let members = answer.auto_scaling_instances.unwrap_or_default();
            groups.extend(members.into_iter().filter_map(|member| {
                let group = GroupName::new(member.auto_scaling_group_name?);
                Some((InstanceId::new(member.instance_id?), group))
            }));
        }
        Ok(groups)
    }

    /// The groups that those of these volumes say they belong to which say so.
    ///
    /// # Errors
    /// When EC2 does not tell.
    pub async fn groups_of_volumes(
        &self,
        ids: &BTreeSet<VolumeId>,
    ) -> Result<BTreeMap<VolumeId, GroupName>, AwsError> {
        let ids: Vec<&str> = ids.iter().map(VolumeId::as_str).collect();
        let mut groups = BTreeMap::new();
        for ids in ids.chunks(VALUES_PER_FILTER) {
            let doing = format!("find the groups of the volumes {}", ids.join(", "));
            let read = self.volumes_where(ours("volume-id", ids), doing).await?;
            groups.extend(read.into_iter().filter_map(|volume| {
                Some((VolumeId::new(volume.volume_id?), group(&volume.tags)?))
            }));
        }
        Ok(groups)
    }

    /// The groups that those of these snapshots say they belong to which say so.
    ///
    /// # Errors
    /// When EC2 does not tell.
    pub async fn groups_of_snapshots(
        &self,
        ids: &BTreeSet<SnapshotId>,
    ) -> Result<BTreeMap<SnapshotId, GroupName>, AwsError> {
        let ids: Vec<&str> = ids.iter().map(SnapshotId::as_str).collect();
        let mut groups = BTreeMap::new();
        for ids in ids.chunks(VALUES_PER_FILTER) {
            let doing = format!("find the groups of the snapshots {}", ids.join(", "));
            let read = self
                .snapshots_where(ours("snapshot-id", ids), doing)
                .await?;
            groups.extend(read.into_iter().filter_map(|snapshot| {
                Some((
                    SnapshotId::new(snapshot.snapshot_id?),
                    group(&snapshot.tags)?,
                ))
            }));
        }
        Ok(groups)
    }
}

/// By filter, not by id: an id that no longer exists fails nothing then.
fn ours(name: &str, ids: &[&str]) -> Vec<Filter> {
    let values = ids.iter().map(|id| (*id).to_owned()).collect();
    vec![
        Filter::builder()
            .name(name)
            .set_values(Some(values))
            .build(),
        Filter::builder()
            .name("tag-key")
            .values(tags::GROUP)
            .build(),
    ]
}

fn group(tags: &Option<Vec<Tag>>) -> Option<GroupName> {
    let mut all = tags.iter().flatten();
    let tag = all.find(|tag| tag.key() == Some(tags::GROUP))?;
    tag.value().map(GroupName::new)
}
