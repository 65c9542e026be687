//! How does a term begin? First on the volumes, then on the group; only with
//! both written is anything mounted. A crash in between leaves volumes that
//! say more than the group, and the next runner writes the rest.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types as scaling;
use jiff::Timestamp;

use super::super::call::Ask;
use super::super::{Aws, AwsError, Meaning, convert, tagging};
use super::Outcome;
use crate::ids::{Epoch, GroupName, InstanceId, VolumeId, VolumeName};
use crate::plan::step::Activation;
use crate::spec::{GroupSpec, Kind};
use crate::tags;
use crate::world::{Standing, Volume, VolumeState};

/// What the group says right before a term begins.
#[derive(Default)]
struct Said {
    markers: BTreeMap<VolumeName, Epoch>,
    /// The holder is not to be the holder any more.
    is_relieved: bool,
}

impl Aws {
    pub(super) async fn activate(
        &self,
        spec: &GroupSpec,
        holder: &InstanceId,
        since: Timestamp,
        volumes: &[Activation],
    ) -> Result<Outcome, AwsError> {
        let ids: BTreeSet<VolumeId> = volumes.iter().map(|of| of.volume.clone()).collect();
        let marked: Vec<&Activation> = volumes.iter().filter(|of| of.is_to_be_marked()).collect();
        let look = async || {
            tokio::try_join!(
                self.volumes_now(&ids),
                self.volumes_shown(&spec.name),
                self.group_says(spec, holder, since, !marked.is_empty())
            )
        };
        let Some((now, shown, said)) = self.in_one_moment(look).await? else {
            return Outcome::overtaken(super::NO_MOMENT);
        };
        // Another may have begun its term meanwhile, on the volumes that these are
        // copies of, and these would pass for the newer ones.
        if said.is_relieved {
            return Outcome::overtaken(format!("{holder} is relieved by now"));
        }
        for of in volumes {
            if let Some(newer) = newer_in_use(of, &shown) {
                return Outcome::overtaken(format!(
                    "epoch {} of {} is in use by now, on {}",
                    newer.epoch, of.name, newer.id
                ));
            }
            if let Err(why) = may_begin(
                of,
                now.get(&of.volume),
                said.markers.get(&of.name),
                holder,
                since,
            ) {
                return Outcome::overtaken(why);
            }
        }
        for of in volumes {
            if !is_labelled(of, now.get(&of.volume)) {
                self.label(of).await?;
            }
        }
        self.begin_term(spec, holder, since, &ids).await?;
        if !marked.is_empty() {
            self.mark(spec, holder, &marked).await?;
        }
        Ok(Outcome::Done)
    }

    /// Name and epoch, which differ by volume; before the volume is active, so
    /// that nothing active ever lacks them.
    async fn label(&self, of: &Activation) -> Result<(), AwsError> {
        let labels = vec![
            tagging::tag(tags::VOLUME, of.name.as_str()),
            tagging::tag(tags::EPOCH, &of.epoch.to_string()),
        ];
        let doing = format!("label {} as {}", of.volume, of.name);
        self.create_tags(&doing, vec![of.volume.to_string()], labels)
            .await
    }

    async fn begin_term(
        &self,
        spec: &GroupSpec,
        holder: &InstanceId,
        since: Timestamp,
        ids: &BTreeSet<VolumeId>,
    ) -> Result<(), AwsError> {
        let term = vec![
            tagging::tag(tags::GROUP, spec.name.as_str()),
            tagging::tag(tags::STATE, tags::STATE_ACTIVE),
            tagging::tag(tags::HOLDER, holder.as_str()),
            tagging::tag(tags::SINCE, &since.to_string()),
        ];
        let doing = format!("note that {holder} now uses the volumes of {}", spec.name);
        let ids = ids.iter().map(ToString::to_string).collect();
        self.create_deciding_tags(&doing, ids, term).await
    }

    /// The group as it stands, so that a late runner lowers no marker, and begins
    /// nothing for one whom Auto Scaling takes away, or another was appointed after.
    async fn group_says(
        &self,
        spec: &GroupSpec,
        holder: &InstanceId,
        since: Timestamp,
        wanted: bool,
    ) -> Result<Said, AwsError> {
        match &spec.kind {
            Kind::Asg if wanted => {
                let described = self
                    .describe_groups(std::slice::from_ref(&spec.name))
                    .await?;
                let doing = format!("read the markers of {}", spec.name);
                let odd = |why: String| {
                    AwsError::odd(&doing, "autoscaling:DescribeAutoScalingGroups", why)
                };
                let of = described
                    .first()
                    .ok_or_else(|| odd("there is no such group".to_owned()))?;
                let group = convert::group(of).map_err(odd)?;
                let member = group.members.get(holder);
                Ok(Said {
                    is_relieved: member.is_none_or(|member| !member.lifecycle.is_candidate()),
                    markers: group.markers,
                })
            }
            Kind::Pair { members } if wanted => {
                let (markers, appointed) = self.pair_now(members).await?;
                let other = appointed.filter(|term| term.holder != *holder);
                Ok(Said {
                    is_relieved: other.is_some_and(|term| term.since > since),
                    markers,
                })
            }
            Kind::Asg | Kind::Pair { .. } => Ok(Said::default()),
        }
    }

    async fn mark(
        &self,
        spec: &GroupSpec,
        holder: &InstanceId,
        marked: &[&Activation],
    ) -> Result<(), AwsError> {
        let doing = format!("mark on {} how new its data is", spec.name);
        match &spec.kind {
            Kind::Asg => self.mark_group(spec, &doing, marked).await,
            Kind::Pair { members } => self.mark_members(members, holder, &doing, marked).await,
        }
    }

    async fn mark_group(
        &self,
        spec: &GroupSpec,
        doing: &str,
        marked: &[&Activation],
    ) -> Result<(), AwsError> {
        let tags = marked
            .iter()
            .map(|of| (marker(&of.name), of.epoch.to_string()))
            .collect();
        self.tag_group(&spec.name, doing, tags).await
    }

    pub(super) async fn tag_group(
        &self,
        group: &GroupName,
        doing: &str,
        tags: Vec<(String, String)>,
    ) -> Result<(), AwsError> {
        let tags: Vec<_> = tags
            .into_iter()
            .map(|(key, value)| {
                scaling::Tag::builder()
                    .resource_id(group.as_str())
                    .resource_type("auto-scaling-group")
                    .key(key)
                    .value(value)
                    .propagate_at_launch(false)
                    .build()
            })
            .collect();
        let ask = Ask::new("autoscaling:CreateOrUpdateTags", doing);
        self.call(&ask, async || {
            let request = self.autoscaling.create_or_update_tags();
            request.set_tags(Some(tags.clone())).send().await
        })
        .await
        .map(|_| ())
    }

    /// On both members, so that either can tell when the other is gone; a
    /// member that no longer exists needs none.
    async fn mark_members(
        &self,
        members: &[InstanceId],
        holder: &InstanceId,
        doing: &str,
        marked: &[&Activation],
    ) -> Result<(), AwsError> {
        let tags: Vec<_> = marked
            .iter()
            .map(|of| tagging::tag(&marker(&of.name), &of.epoch.to_string()))
            .collect();
        let both = members.iter().map(ToString::to_string).collect();
        match self.create_tags(doing, both, tags.clone()).await {
            Err(error) if error.meaning == Meaning::NotFound => {
                self.create_tags(doing, vec![holder.to_string()], tags)
                    .await
            }
            other => other,
        }
    }
}

fn marker(name: &VolumeName) -> String {
    format!("{}{name}", tags::MARKER_PREFIX)
}

fn is_labelled(of: &Activation, now: Option<&Volume>) -> bool {
    // Epoch 0 is also what a missing tag says: then it is written once more.
    now.is_some_and(|now| {
        now.name.as_ref() == Some(&of.name) && now.epoch == of.epoch && of.epoch != Epoch::default()
    })
}

/// Whoever was cut off before the marker was written has begun a term of which
/// only its volume speaks.
fn newer_in_use<'a>(of: &Activation, shown: &'a BTreeMap<VolumeId, Volume>) -> Option<&'a Volume> {
    shown.values().find(|other| {
        other.name.as_ref() == Some(&of.name)
            && other.epoch > of.epoch
            && matches!(other.standing, Standing::Active(_))
            && !matches!(other.state, VolumeState::Deleting | VolumeState::Deleted)
    })
}

/// A plan that has gone stale must not turn the lineage back.
fn may_begin(
    of: &Activation,
    now: Option<&Volume>,
    marker: Option<&Epoch>,
    holder: &InstanceId,
    since: Timestamp,
) -> Result<(), String> {
    let id = &of.volume;
    let now = now.ok_or_else(|| format!("there is no volume {id} any more"))?;
    if let Some(other) = now.attachments.iter().find(|at| at.instance != *holder) {
        return Err(format!("{id} is attached to {} by now", other.instance));
    }
    if now.epoch > of.epoch {
        return Err(format!("{id} has epoch {} by now", now.epoch));
    }
    if let Some(marker) = marker.filter(|marker| **marker > of.epoch) {
        return Err(format!("epoch {marker} of {} is active by now", of.name));
    }
    // The plan saw a lower marker, and this volume is not why it is higher now:
    // data was active of which the plan knew nothing.
    if let Some(marker) = marker.filter(|marker| of.marked.as_ref() < Some(*marker))
        && of.is_to_be_marked()
        && now.standing == Standing::New
    {
        return Err(format!("{} has epoch {marker} by now", of.name));
    }
    match &now.standing {
        Standing::Superseded => Err(format!("{id} is superseded by now")),
        Standing::Active(Some(term)) if term.since > since => Err(format!(
            "{} has used {id} since {}",
            term.holder, term.since
        )),
        Standing::New | Standing::Active(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Attachment, AttachmentState, Shape, Term};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn volume(epoch: u64, standing: Standing, on: &str) -> Volume {
        Volume {
            id: "vol-1".into(),
            name: Some("data".into()),
            epoch: Epoch(epoch),
            standing,
            state: VolumeState::InUse,
            zone: "us-east-1a".into(),
            attachments: vec![Attachment {
                instance: on.into(),
                device: "/dev/sdf".to_owned(),
                state: AttachmentState::Attached,
                delete_on_termination: false,
                since: None,
            }],
            source: None,
            shape: Shape::default(),
            created: at(0),
            incident: None,
            tags: BTreeMap::new(),
        }
    }

    fn judged(now: Option<Volume>, marker: Option<u64>) -> Result<(), String> {
        let of = Activation {
            name: "data".into(),
            volume: "vol-1".into(),
            epoch: Epoch(3),
            marked: Some(Epoch(1)),
        };
        let marker = marker.map(Epoch);
        may_begin(&of, now.as_ref(), marker.as_ref(), &"i-2".into(), at(100))
    }

    #[test]
    fn a_term_begins_on_what_the_plan_saw() {
        assert_eq!(
            judged(Some(volume(3, Standing::New, "i-2")), Some(1)),
            Ok(())
        );
        let own = Term {
            holder: "i-2".into(),
            since: at(100),
        };
        assert_eq!(
            judged(Some(volume(3, Standing::Active(Some(own)), "i-2")), Some(3)),
            Ok(())
        );
    }

    #[test]
    fn a_stale_plan_turns_nothing_back() {
        let later = Term {
            holder: "i-3".into(),
            since: at(101),
        };
        let cases = [
            (None, None),
            (Some(volume(3, Standing::New, "i-9")), None),
            (Some(volume(4, Standing::New, "i-2")), None),
            (Some(volume(3, Standing::New, "i-2")), Some(4)),
            // Another runner was quicker, with another copy.
            (Some(volume(3, Standing::New, "i-2")), Some(3)),
            // This copy is of what was the newest data before epoch 2.
            (Some(volume(3, Standing::New, "i-2")), Some(2)),
            (Some(volume(3, Standing::Superseded, "i-2")), None),
            (Some(volume(3, Standing::Active(Some(later)), "i-2")), None),
        ];
        for (now, marker) in cases {
            assert!(judged(now.clone(), marker).is_err(), "{now:?} {marker:?}");
        }
    }

    #[test]
    fn what_was_adopted_gets_its_labels_once_more() {
        let of = |epoch| Activation {
            name: "data".into(),
            volume: "vol-1".into(),
            epoch: Epoch(epoch),
            marked: Some(Epoch(epoch)),
        };
        assert!(is_labelled(&of(3), Some(&volume(3, Standing::New, "i-2"))));
        assert!(!is_labelled(
            &of(0),
            Some(&volume(0, Standing::Active(None), "i-2"))
        ));
    }
}
