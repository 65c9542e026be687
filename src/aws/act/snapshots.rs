//! How is a snapshot taken, and deleted? Taking has no client token, so what
//! became of a call without an answer is looked up before another one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::types::{self, InstanceSpecification, ResourceType};

use super::super::call::Ask;
use super::super::retry::{Policy, Schedule};
use super::super::tagging::{self, Tags};
use super::super::{Aws, AwsError, Meaning, convert};
use super::Outcome;
use crate::ids::{Epoch, GroupName, Incident, InstanceId, SnapshotId, VolumeId, VolumeName};
use crate::plan::step::LiveVolume;
use crate::tags;
use crate::world::{Consistency, Shape, Snapshot};

/// The pauses before a new snapshot is looked for again.
const NOT_FOUND_YET: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(1_200),
];

/// One snapshot to be taken, and all it must remember.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot<'a> {
    pub(super) group: &'a GroupName,
    pub(super) name: &'a VolumeName,
    pub(super) volume: &'a VolumeId,
    pub(super) epoch: Epoch,
    pub(super) incident: &'a Incident,
    pub(super) consistency: Consistency,
    pub(super) shape: &'a Shape,
    pub(super) tags: &'a Tags,
}

impl Shot<'_> {
    fn tags(&self) -> Vec<types::Tag> {
        let epoch = self.epoch.to_string();
        let shape = tagging::write_shape(self.shape);
        let ours = [
            (tags::GROUP, self.group.as_str()),
            (tags::VOLUME, self.name.as_str()),
            (tags::EPOCH, &epoch),
            (tags::INCIDENT, self.incident.as_str()),
            (tags::CONSISTENCY, tagging::consistency(self.consistency)),
            (tags::SHAPE, &shape),
        ];
        tagging::with_user_tags(&ours, self.tags)
    }
}

/// After a call without an answer, the index may take this long to show what
/// it did.
const LOOKS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
];

impl Aws {
    pub(super) async fn capture(
        &self,
        shot: &Shot<'_>,
        quiet_on: Option<&InstanceId>,
    ) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "ec2:CreateSnapshot",
            format!("take a snapshot of {}", shot.volume),
        );
        let volumes = BTreeSet::from([shot.volume.clone()]);
        let check = async || match shot.consistency {
            Consistency::Crash => Ok(None),
            Consistency::Clean => self.not_quiet(shot.volume, quiet_on).await,
        };
        let take = async || {
            self.create_snapshot(&ask, shot)
                .await
                .map(|taken| vec![taken])
        };
        let taken = self
            .once(&ask, shot.consistency, shot.incident, &volumes, check, take)
            .await?;
        Ok(self.remember(shot.group, taken))
    }

    /// One crash-consistent set. A single volume needs no set, and gets all
    /// its tags in the one call.
    pub(super) async fn snapshot_live(
        &self,
        group: &GroupName,
        instance: &InstanceId,
        incident: &Incident,
        live: &[LiveVolume],
    ) -> Result<Outcome, AwsError> {
        let shots: Vec<Shot<'_>> = live
            .iter()
            .map(|of| live_shot(group, incident, of))
            .collect();
        if let [shot] = shots.as_slice() {
            return self.capture(shot, None).await;
        }
        let ask = Ask::new(
            "ec2:CreateSnapshots",
            format!("take snapshots of the volumes on {instance}"),
        );
        let volumes: BTreeSet<VolumeId> = live.iter().map(|of| of.volume.clone()).collect();
        let check = async || self.not_all_there(instance, &volumes).await;
        let take = async || {
            self.create_snapshots(&ask, group, instance, incident, &volumes)
                .await
        };
        let taken = self
            .once(&ask, Consistency::Crash, incident, &volumes, check, take)
            .await?;
        let snapshots: Vec<(SnapshotId, VolumeId)> = taken
            .shots()
            .map(|taken| (taken.id.clone(), taken.volume.clone()))
            .collect();
        let outcome = self.remember(group, taken);
        // In the one call all get the same tags; what differs follows.
        for (snapshot, volume) in snapshots {
            if let Some(shot) = shots.iter().find(|shot| *shot.volume == volume) {
                self.label_snapshot(&snapshot, shot).await?;
            }
        }
        Ok(outcome)
    }

    /// What could not be done when the set was taken.
    pub(super) async fn label_late(
        &self,
        group: &GroupName,
        snapshot: &SnapshotId,
        of: &LiveVolume,
        incident: &Incident,
    ) -> Result<Outcome, AwsError> {
        let shot = live_shot(group, incident, of);
        self.label_snapshot(snapshot, &shot).await?;
        Ok(Outcome::Done)
    }

    /// What was made a moment ago may not be found for another moment.
    async fn label_snapshot(&self, snapshot: &SnapshotId, shot: &Shot<'_>) -> Result<(), AwsError> {
        let doing = format!("label the snapshot {snapshot}");
        let label = async || {
            self.create_tags(&doing, vec![snapshot.to_string()], shot.tags())
                .await
        };
        for pause in NOT_FOUND_YET {
            match label().await {
                Err(error) if error.meaning == Meaning::NotFound => {
                    tokio::time::sleep(pause).await;
                }
                labelled => return labelled,
            }
        }
        label().await
    }

    /// Takes at most once: checks right before, and looks up after a doubt.
    ///
    /// A live set holds its moment: after a doubt it is not taken once more
    /// under the same name, or two moments could pass for one.
    async fn once(
        &self,
        ask: &Ask,
        consistency: Consistency,
        incident: &Incident,
        volumes: &BTreeSet<VolumeId>,
        check: impl AsyncFn() -> Result<Option<String>, AwsError>,
        take: impl AsyncFn() -> Result<Vec<Snapshot>, AwsError>,
    ) -> Result<Taken, AwsError> {
        let mut schedule = Schedule::new(Policy::Repeat);
        let mut in_doubt = false;
        loop {
            self.pace.turn(ask.action, ask.extent).await;
            if let Some(why) = check().await? {
                return Ok(Taken::Overtaken(why));
            }
            let error = match take().await {
                Ok(taken) => return Ok(Taken::Shots(taken)),
                Err(error) if error.meaning == Meaning::NotFound => {
                    return Ok(Taken::Overtaken(error.message));
                }
                Err(error) => error,
            };
            in_doubt |= error.outcome_is_unknown();
            // "Too soon" after a doubt may well mean our own first call.
            if in_doubt && error.meaning != Meaning::Throttled {
                let found = self.look_up(incident, volumes).await?;
                if !found.is_empty() {
                    return Ok(Taken::Shots(found));
                }
                if consistency == Consistency::Crash {
                    return Err(error);
                }
            }
            match schedule.pause_after(&error) {
                None => return Err(error),
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn create_snapshot(&self, ask: &Ask, shot: &Shot<'_>) -> Result<Snapshot, AwsError> {
        let made = tagging::specification(ResourceType::Snapshot, shot.tags());
        let description = format!(
            "rehome: {} of {}, epoch {}",
            shot.name, shot.group, shot.epoch
        );
        let answer = self
            .send(ask, async || {
                self.ec2
                    .create_snapshot()
                    .volume_id(shot.volume.as_str())
                    .description(&description)
                    .tag_specifications(made.clone())
                    .send()
                    .await
            })
            .await?;
        if let Some(of) = answer.volume_id().filter(|of| *of != shot.volume.as_str()) {
            let problem = format!("the answer is about a snapshot of {of}");
            return Err(AwsError::garbled(&ask.doing, ask.action, problem));
        }
        let answer = types::Snapshot::builder()
            .set_snapshot_id(answer.snapshot_id)
            .volume_id(shot.volume.as_str())
            .set_state(answer.state)
            .set_progress(answer.progress)
            .set_start_time(answer.start_time)
            .set_volume_size(answer.volume_size)
            .set_encrypted(answer.encrypted)
            .set_kms_key_id(answer.kms_key_id)
            .set_tags(Some(shot.tags()))
            .build();
        read(ask, &answer)
    }

    async fn create_snapshots(
        &self,
        ask: &Ask,
        group: &GroupName,
        instance: &InstanceId,
        incident: &Incident,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Snapshot>, AwsError> {
        let now = self
            .instances_by_id(vec![instance.to_string()], Policy::Repeat)
            .await?;
        let excluded: Vec<String> = now.iter().flat_map(|of| others_on(of, volumes)).collect();
        let of = InstanceSpecification::builder()
            .instance_id(instance.as_str())
            .exclude_boot_volume(true)
            .set_exclude_data_volume_ids((!excluded.is_empty()).then_some(excluded))
            .build();
        let common = vec![
            tagging::tag(tags::GROUP, group.as_str()),
            tagging::tag(tags::INCIDENT, incident.as_str()),
            tagging::tag(tags::CONSISTENCY, tags::CRASH),
        ];
        let made = tagging::specification(ResourceType::Snapshot, common.clone());
        let answer = self
            .send(ask, async || {
                self.ec2
                    .create_snapshots()
                    .instance_specification(of.clone())
                    .description(format!("rehome: {group}"))
                    .tag_specifications(made.clone())
                    .send()
                    .await
            })
            .await?;
        let taken = answer.snapshots.unwrap_or_default();
        let of: BTreeSet<VolumeId> = taken
            .iter()
            .filter_map(|info| info.volume_id().map(VolumeId::from))
            .collect();
        if of != *volumes {
            let problem = "the answer is about snapshots of other volumes";
            return Err(AwsError::garbled(&ask.doing, ask.action, problem));
        }
        taken
            .iter()
            .map(|info| read(ask, &whole(info, &common)))
            .collect()
    }

    /// The incident's snapshots of these volumes, usable or on the way: all of
    /// them, or none.
    async fn look_up(
        &self,
        incident: &Incident,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Snapshot>, AwsError> {
        let doing = format!("look up the snapshots of incident {incident}");
        let ids = volumes.iter().map(ToString::to_string).collect();
        let of_volumes = types::Filter::builder()
            .name("volume-id")
            .set_values(Some(ids))
            .build();
        let of_incident = tagging::filter(&format!("tag:{}", tags::INCIDENT), incident.as_str());
        for pause in LOOKS {
            tokio::time::sleep(pause).await;
            let filters = vec![of_incident.clone(), of_volumes.clone()];
            let found = self.snapshots_where(filters, doing.clone()).await?;
            let usable = found.iter().filter(|of| {
                matches!(
                    of.state(),
                    Some(types::SnapshotState::Pending | types::SnapshotState::Completed)
                )
            });
            let found = usable
                .map(|of| convert::snapshot(of).map(|snapshot| (snapshot.volume.clone(), snapshot)))
                .collect::<Result<BTreeMap<_, _>, _>>()
                .map_err(|problem| AwsError::odd(&doing, "ec2:DescribeSnapshots", problem))?;
            if found.len() == volumes.len() {
                return Ok(found.into_values().collect());
            }
        }
        Ok(Vec::new())
    }

    fn remember(&self, group: &GroupName, taken: Taken) -> Outcome {
        match taken {
            Taken::Overtaken(why) => Outcome::Overtaken(why),
            Taken::Shots(taken) => {
                for snapshot in taken {
                    self.memory.made_snapshot(group, snapshot);
                }
                Outcome::Done
            }
        }
    }

    pub(super) async fn delete_snapshot(
        &self,
        group: &GroupName,
        id: &SnapshotId,
    ) -> Result<Outcome, AwsError> {
        let ask = Ask::new("ec2:DeleteSnapshot", format!("delete the snapshot {id}"));
        let sent = self
            .call(&ask, async || {
                self.ec2
                    .delete_snapshot()
                    .snapshot_id(id.as_str())
                    .send()
                    .await
            })
            .await;
        match sent {
            Err(error) if error.meaning != Meaning::NotFound => Err(error),
            _ => {
                self.memory.forget_snapshot(group, id);
                Ok(Outcome::Done)
            }
        }
    }
}

/// What came of a call that is made at most once.
enum Taken {
    Shots(Vec<Snapshot>),
    Overtaken(String),
}

impl Taken {
    fn shots(&self) -> impl Iterator<Item = &Snapshot> {
        match self {
            Self::Shots(taken) => taken.as_slice(),
            Self::Overtaken(_) => &[],
        }
        .iter()
    }
}

fn live_shot<'a>(group: &'a GroupName, incident: &'a Incident, of: &'a LiveVolume) -> Shot<'a> {
    Shot {
        group,
        name: &of.name,
        volume: &of.volume,
        epoch: of.epoch,
        incident,
        consistency: Consistency::Crash,
        shape: &of.shape,
        tags: &of.tags,
    }
}

fn read(ask: &Ask, answer: &types::Snapshot) -> Result<Snapshot, AwsError> {
    convert::snapshot(answer).map_err(|problem| AwsError::odd(&ask.doing, ask.action, problem))
}

/// The answer of CreateSnapshots, as a describe would put it.
fn whole(info: &types::SnapshotInfo, tags: &[types::Tag]) -> types::Snapshot {
    types::Snapshot::builder()
        .set_snapshot_id(info.snapshot_id.clone())
        .set_volume_id(info.volume_id.clone())
        .set_state(info.state.clone())
        .set_progress(info.progress.clone())
        .set_start_time(info.start_time)
        .set_volume_size(info.volume_size)
        .set_encrypted(info.encrypted)
        .set_tags(Some(tags.to_vec()))
        .build()
}

/// Every other data volume of the instance. The root volume is excluded by its
/// own flag; naming it here is an error.
fn others_on(of: &types::Instance, volumes: &BTreeSet<VolumeId>) -> Vec<String> {
    of.block_device_mappings()
        .iter()
        .filter(|mapping| mapping.device_name() != of.root_device_name())
        .filter_map(|mapping| mapping.ebs()?.volume_id())
        .filter(|id| !volumes.contains(&VolumeId::from(*id)))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_excludes_strangers_but_never_names_the_root() {
        let mapping = |device: &str, volume: &str| {
            types::InstanceBlockDeviceMapping::builder()
                .device_name(device)
                .ebs(
                    types::EbsInstanceBlockDevice::builder()
                        .volume_id(volume)
                        .build(),
                )
                .build()
        };
        let of = types::Instance::builder()
            .root_device_name("/dev/xvda")
            .block_device_mappings(mapping("/dev/xvda", "vol-root"))
            .block_device_mappings(mapping("/dev/sdf", "vol-1"))
            .block_device_mappings(mapping("/dev/sdg", "vol-scratch"))
            .build();
        let ours = BTreeSet::from(["vol-1".into()]);
        assert_eq!(others_on(&of, &ours), ["vol-scratch"]);
    }
}
