//! How is a volume made, attached, detached, deleted?

use std::time::Duration;

use aws_sdk_ec2::types::{self, ResourceType, VolumeType};

use super::super::call::Ask;
use super::super::retry::Policy;
use super::super::tagging::{self, Tags};
use super::super::token::{Wish, client_token};
use super::super::{Aws, AwsError, Meaning, convert};
use super::Outcome;
use crate::ids::{GroupName, Incident, InstanceId, SnapshotId, VolumeId};
use crate::plan::step::Retired;
use crate::tags;
use crate::world::{Attachment, AttachmentState, Shape, Standing, Volume};

/// A token may be burned by a volume that failed or was deleted, as each one of a
/// KMS key that cannot be used is. So many are tried at once; the next try goes on
/// after them, for as long as AWS remembers them.
const TOKENS: u32 = 5;
/// How long the index may take to show a volume made a moment ago.
const INDEX_LAG: Duration = Duration::from_millis(1500);

impl Aws {
    pub(super) async fn create_volume(
        &self,
        wish: &Wish<'_>,
        incident: &Incident,
        shape: &Shape,
        user: &Tags,
    ) -> Result<Outcome, AwsError> {
        let doing = format!(
            "make the volume {} of {} in {}",
            wish.name, wish.group, wish.zone
        );
        let ask = Ask::new("ec2:CreateVolume", doing);
        let made_tags = new_tags(wish, incident, user);
        let first = client_token(wish, 0);
        let begun = self.memory.burned(&first);
        let mut attempt = begun;
        loop {
            let sent = self
                .send_create(&ask, wish, shape, &made_tags, attempt)
                .await;
            let error = match sent {
                Ok(volume) => {
                    self.memory.made_volume(wish.group, volume);
                    return Ok(Outcome::Done);
                }
                Err(error) => error,
            };
            match error.meaning {
                // The snapshot is not completed any more, or not yet, or gone.
                Meaning::IncorrectState | Meaning::NotFound if wish.source.is_some() => {
                    return Ok(Outcome::Overtaken(error.message));
                }
                // At the edge of a quota, AWS may refuse what it has made; and
                // another runner may have made it with other tags.
                Meaning::TokenBurned | Meaning::LimitExceeded => {
                    if let Some(volume) = self.find_made(wish).await? {
                        self.memory.made_volume(wish.group, volume);
                        return Ok(Outcome::Done);
                    }
                }
                _ => return Err(error),
            }
            if error.meaning == Meaning::LimitExceeded {
                return Err(error);
            }
            attempt = attempt.saturating_add(1);
            self.memory.note_burned(&first, attempt);
            if attempt - begun == TOKENS {
                return Err(error);
            }
        }
    }

    async fn send_create(
        &self,
        ask: &Ask,
        wish: &Wish<'_>,
        shape: &Shape,
        made_tags: &[types::Tag],
        attempt: u32,
    ) -> Result<Volume, AwsError> {
        let token = client_token(wish, attempt);
        let kind = shape.volume_type.as_deref().map(VolumeType::from);
        let (iops, throughput) = provisioned(kind.as_ref(), shape);
        let made = tagging::specification(ResourceType::Volume, made_tags.to_vec());
        let answer = self
            .call(ask, async || {
                self.ec2
                    .create_volume()
                    .client_token(&token)
                    .availability_zone(wish.zone.as_str())
                    .set_snapshot_id(wish.source.map(ToString::to_string))
                    .set_volume_type(kind.clone())
                    .set_size(shape.size_gib.and_then(signed))
                    .set_iops(iops)
                    .set_throughput(throughput)
                    // A volume made from an encrypted snapshot is encrypted
                    // anyhow; saying "not" would be an error.
                    .set_encrypted(shape.encrypted.filter(|encrypted| *encrypted))
                    .set_kms_key_id(shape.kms_key_id.clone())
                    .tag_specifications(made.clone())
                    .send()
                    .await
            })
            .await?;
        let zone = answer.availability_zone.as_deref();
        let source = answer.snapshot_id.as_deref().filter(|id| !id.is_empty());
        if zone.is_some_and(|zone| zone != wish.zone.as_str())
            || source != wish.source.map(SnapshotId::as_str)
        {
            let problem = "the answer is about another volume";
            return Err(AwsError::garbled(&ask.doing, ask.action, problem));
        }
        let answer = types::Volume::builder()
            .set_attachments(Some(Vec::new()))
            .set_volume_id(answer.volume_id)
            .set_state(answer.state)
            .availability_zone(wish.zone.as_str())
            .set_snapshot_id(answer.snapshot_id)
            .set_volume_type(answer.volume_type)
            .set_size(answer.size)
            .set_iops(answer.iops)
            .set_throughput(answer.throughput)
            .set_encrypted(answer.encrypted)
            .set_kms_key_id(answer.kms_key_id)
            .set_create_time(answer.create_time)
            .set_tags(Some(made_tags.to_vec()))
            .build();
        convert::volume(&answer).map_err(|problem| AwsError::odd(&ask.doing, ask.action, problem))
    }

    /// A usable volume that is just what was wished for, found by its tags.
    async fn find_made(&self, wish: &Wish<'_>) -> Result<Option<Volume>, AwsError> {
        let doing = format!(
            "look for a volume {} of {} made before",
            wish.name, wish.group
        );
        let tag = |key: &str, value: &str| tagging::filter(&format!("tag:{key}"), value);
        let filters = vec![
            tag(tags::GROUP, wish.group.as_str()),
            tag(tags::VOLUME, wish.name.as_str()),
            tag(tags::EPOCH, &wish.epoch.to_string()),
            tagging::filter("availability-zone", wish.zone.as_str()),
        ];
        for pause in [Duration::ZERO, INDEX_LAG] {
            tokio::time::sleep(pause).await;
            let found = self.volumes_where(filters.clone(), doing.clone()).await?;
            for of in &found {
                let volume = convert::volume(of)
                    .map_err(|problem| AwsError::odd(&doing, "ec2:DescribeVolumes", problem))?;
                if is_wished(&volume, wish) {
                    return Ok(Some(volume));
                }
            }
        }
        Ok(None)
    }

    pub(super) async fn attach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "ec2:AttachVolume",
            format!("attach {volume} to {instance} at {device}"),
        );
        let sent = self
            .call(&ask, async || {
                self.ec2
                    .attach_volume()
                    .volume_id(volume.as_str())
                    .instance_id(instance.as_str())
                    .device(device)
                    .send()
                    .await
            })
            .await;
        let error = match sent {
            Ok(_) => return Ok(Outcome::Done),
            Err(error) => error,
        };
        match error.meaning {
            // Perhaps by our own call, whose answer was lost.
            Meaning::InUse | Meaning::NoAnswer | Meaning::Unavailable => {
                match self.volume_now(volume).await? {
                    Some(now) if is_coming_to(&now, instance) => Ok(Outcome::Done),
                    Some(now) if error.meaning == Meaning::InUse => {
                        Outcome::overtaken(whereabouts(&now))
                    }
                    Some(_) => Err(error),
                    None => Outcome::overtaken(format!("there is no volume {volume} any more")),
                }
            }
            // Not available yet, or the instance is not up yet or no longer.
            Meaning::IncorrectState | Meaning::NotFound => Ok(Outcome::Overtaken(error.message)),
            _ => Err(error),
        }
    }

    /// Nobody has written to it, unless somebody began a term on it since: whoever did
    /// may have it mounted by now.
    pub(super) async fn displace(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Result<Outcome, AwsError> {
        if self.is_unused(volume).await? {
            self.send_detach(volume, instance, force).await
        } else {
            Outcome::overtaken(format!("{volume} is used by now"))
        }
    }

    /// Did rehome make it, and no term ever begin on it? Then nobody has written to it.
    async fn is_unused(&self, volume: &VolumeId) -> Result<bool, AwsError> {
        let now = self.volume_now(volume).await?;
        Ok(now.is_some_and(|now| now.incident.is_some() && now.standing == Standing::New))
    }

    pub(super) async fn detach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Result<Outcome, AwsError> {
        // By force the instance's last writes may be lost: only if it has none.
        if force
            && let Some(now) = self.instance_now(instance).await?
            && !now.state.is_down()
        {
            return Outcome::overtaken(format!("{instance} is not down any more"));
        }
        self.send_detach(volume, instance, force).await
    }

    async fn send_detach(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        force: bool,
    ) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "ec2:DetachVolume",
            format!("detach {volume} from {instance}"),
        )
        .with(Policy::WhileRefused);
        let sent = self
            .call(&ask, async || {
                self.ec2
                    .detach_volume()
                    .volume_id(volume.as_str())
                    .instance_id(instance.as_str())
                    .force(force)
                    .send()
                    .await
            })
            .await;
        let error = match sent {
            Ok(_) => return Ok(Outcome::Done),
            Err(error) => error,
        };
        if !matches!(
            error.meaning,
            Meaning::IncorrectState
                | Meaning::NotFound
                | Meaning::Validation
                | Meaning::NoAnswer
                | Meaning::Unavailable
        ) {
            return Err(error);
        }
        match self.volume_now(volume).await? {
            None => Ok(Outcome::Done),
            Some(now) if now.attachments.is_empty() => Ok(Outcome::Done),
            Some(now) => match now.attachments.iter().find(|at| at.instance == *instance) {
                None => Outcome::overtaken(whereabouts(&now)),
                Some(at) if is_going(at) => Ok(Outcome::Done),
                Some(_) => Err(error),
            },
        }
    }

    /// Only what is still on its way, or on its way back: once attached, it may be
    /// in use. What does not come back by itself is cut off.
    pub(super) async fn take_back(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
    ) -> Result<Outcome, AwsError> {
        let now = self.volume_now(volume).await?;
        let mut at = now.iter().flat_map(|now| &now.attachments);
        match at.find(|at| at.instance == *instance).map(|at| at.state) {
            Some(AttachmentState::Attaching) => self.send_detach(volume, instance, false).await,
            Some(AttachmentState::Detaching | AttachmentState::Busy) => {
                self.send_detach(volume, instance, true).await
            }
            Some(AttachmentState::Attached) | None => {
                Outcome::overtaken(format!("{volume} is not on its way to {instance} any more"))
            }
        }
    }

    pub(super) async fn supersede(&self, volume: &VolumeId) -> Result<Outcome, AwsError> {
        let note = vec![tagging::tag(tags::STATE, tags::STATE_SUPERSEDED)];
        let doing = format!("note that {volume} is superseded");
        match self
            .create_deciding_tags(&doing, vec![volume.to_string()], note)
            .await
        {
            Err(error) if error.meaning != Meaning::NotFound => Err(error),
            _ => Ok(Outcome::Done),
        }
    }

    /// What is never coming back is looked at once more, by id.
    pub(super) async fn delete_volume(
        &self,
        group: &GroupName,
        id: &VolumeId,
        why: Retired,
    ) -> Result<Outcome, AwsError> {
        let Some(now) = self.volume_now(id).await? else {
            self.memory.forget_volume(group, id);
            return Ok(Outcome::Done);
        };
        if let Some(reason) = why_not_delete(&now, why) {
            return Outcome::overtaken(reason);
        }
        let ask = Ask::new("ec2:DeleteVolume", format!("delete the volume {id}"));
        let sent = self
            .call(&ask, async || {
                self.ec2.delete_volume().volume_id(id.as_str()).send().await
            })
            .await;
        match sent {
            Err(error) if matches!(error.meaning, Meaning::InUse | Meaning::IncorrectState) => {
                Ok(Outcome::Overtaken(error.message))
            }
            Err(error) if error.meaning != Meaning::NotFound => Err(error),
            _ => {
                self.memory.forget_volume(group, id);
                Ok(Outcome::Done)
            }
        }
    }
}

fn new_tags(wish: &Wish<'_>, incident: &Incident, user: &Tags) -> Vec<types::Tag> {
    let epoch = wish.epoch.to_string();
    let ours = [
        (tags::GROUP, wish.group.as_str()),
        (tags::VOLUME, wish.name.as_str()),
        (tags::EPOCH, epoch.as_str()),
        (tags::STATE, tags::STATE_NEW),
        (tags::INCIDENT, incident.as_str()),
    ];
    tagging::with_user_tags(&ours, user)
}

/// IOPS and throughput, where the type lets one choose them: a describe also
/// reports what other types have by their size.
fn provisioned(kind: Option<&VolumeType>, shape: &Shape) -> (Option<i32>, Option<i32>) {
    let iops = shape.iops.and_then(signed);
    let throughput = shape.throughput.and_then(signed);
    match kind {
        Some(VolumeType::Gp3) => (iops, throughput),
        Some(VolumeType::Io1 | VolumeType::Io2) => (iops, None),
        _ => (None, None),
    }
}

fn signed(value: u32) -> Option<i32> {
    i32::try_from(value).ok()
}

fn is_wished(volume: &Volume, wish: &Wish<'_>) -> bool {
    use crate::world::VolumeState::{Available, Creating, InUse};
    matches!(volume.state, Creating | Available | InUse)
        && volume.standing == Standing::New
        && volume.source.as_ref() == wish.source
}

fn is_coming_to(volume: &Volume, instance: &InstanceId) -> bool {
    volume.attachments.iter().any(|at| {
        at.instance == *instance
            && matches!(
                at.state,
                AttachmentState::Attaching | AttachmentState::Attached
            )
    })
}

fn is_going(at: &Attachment) -> bool {
    matches!(at.state, AttachmentState::Detaching | AttachmentState::Busy)
}

fn whereabouts(volume: &Volume) -> String {
    match volume.attachments.first() {
        None => format!("{} is in a state of its own", volume.id),
        Some(at) if at.state == AttachmentState::Detaching => {
            format!("{} is still detaching from {}", volume.id, at.instance)
        }
        Some(at) => format!("{} is attached to {}", volume.id, at.instance),
    }
}

fn why_not_delete(now: &Volume, why: Retired) -> Option<String> {
    if !now.attachments.is_empty() {
        return Some(whereabouts(now));
    }
    let used = now.standing != Standing::New;
    (why == Retired::NeverActive && used).then(|| format!("{} is in use after all", now.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_type_lets_choose_is_asked_for() {
        let shape = Shape {
            iops: Some(3000),
            throughput: Some(125),
            ..Shape::default()
        };
        let of = |kind: &str| provisioned(Some(&VolumeType::from(kind)), &shape);
        assert_eq!(of("gp3"), (Some(3000), Some(125)));
        assert_eq!(of("io2"), (Some(3000), None));
        assert_eq!(of("gp2"), (None, None));
        assert_eq!(provisioned(None, &shape), (None, None));
    }
}
