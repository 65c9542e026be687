//! May a snapshot be taken now? Asked by id, right before the call.

use std::collections::BTreeSet;

use super::super::{Aws, AwsError};
use crate::ids::{InstanceId, VolumeId};
use crate::world::{AttachmentState, Instance, InstanceState, Volume};

impl Aws {
    /// Why the volume is not quiet, if it is not: somebody may write to it.
    pub(super) async fn not_quiet(
        &self,
        volume: &VolumeId,
        quiet_on: Option<&InstanceId>,
    ) -> Result<Option<String>, AwsError> {
        let holder = async || match quiet_on {
            None => Ok(None),
            Some(id) => self.instance_now(id).await,
        };
        let look = async || tokio::try_join!(self.volume_now(volume), holder());
        let Some((now, holder)) = self.in_one_moment(look).await? else {
            return Ok(Some(super::NO_MOMENT.to_owned()));
        };
        Ok(why_not_quiet(
            volume,
            now.as_ref(),
            quiet_on,
            holder.as_ref(),
        ))
    }

    /// Why this is no longer the set that was planned.
    pub(super) async fn not_all_there(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Option<String>, AwsError> {
        let now = self.volumes_now(volumes).await?;
        let elsewhere = volumes.iter().find(|id| !is_on(now.get(*id), instance));
        Ok(elsewhere.map(|id| format!("{id} is no longer attached to {instance}")))
    }
}

fn is_on(volume: Option<&Volume>, instance: &InstanceId) -> bool {
    volume.is_some_and(|volume| {
        volume
            .attachments
            .iter()
            .any(|at| at.instance == *instance && at.state == AttachmentState::Attached)
    })
}

fn why_not_quiet(
    id: &VolumeId,
    now: Option<&Volume>,
    quiet_on: Option<&InstanceId>,
    holder: Option<&Instance>,
) -> Option<String> {
    #[cfg(feature = "mutants")]
    if crate::plan::mutant::is(crate::plan::mutant::Mutant::SkipFence) {
        return None;
    }
    let Some(now) = now else {
        return Some(format!("there is no volume {id} any more"));
    };
    for at in &now.attachments {
        if Some(&at.instance) != quiet_on {
            return Some(format!("{id} is attached to {}", at.instance));
        }
        // An instance that is no longer there writes nothing.
        let state = holder.map_or(InstanceState::Terminated, |holder| holder.state);
        if !state.is_down() {
            return Some(format!("{} is not down any more", at.instance));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::ids::Epoch;
    use crate::world::{Attachment, Shape, Standing, VolumeState};

    fn volume(on: &[&str]) -> Volume {
        let at = |instance: &&str| Attachment {
            instance: (*instance).into(),
            device: "/dev/sdf".to_owned(),
            state: AttachmentState::Attached,
            delete_on_termination: false,
            since: None,
        };
        Volume {
            id: "vol-1".into(),
            name: None,
            epoch: Epoch(0),
            standing: Standing::New,
            state: VolumeState::Available,
            zone: "us-east-1a".into(),
            attachments: on.iter().map(at).collect(),
            source: None,
            shape: Shape::default(),
            created: Timestamp::UNIX_EPOCH,
            incident: None,
            tags: BTreeMap::new(),
        }
    }

    fn instance(state: InstanceState) -> Instance {
        Instance {
            state,
            zone: "us-east-1a".into(),
            launched: Timestamp::UNIX_EPOCH,
            interface: None,
            told_to_end: None,
            unstoppable: false,
            just_back: false,
            devices: BTreeMap::new(),
        }
    }

    #[test]
    fn quiet_is_detached_or_on_one_that_is_down() {
        let (id, old) = (VolumeId::from("vol-1"), InstanceId::from("i-1"));
        let stopped = instance(InstanceState::Stopped);
        let running = instance(InstanceState::Running);
        let why = |now: Option<&Volume>, on, holder| why_not_quiet(&id, now, on, holder);
        assert_eq!(why(Some(&volume(&[])), None, None), None);
        assert_eq!(
            why(Some(&volume(&["i-1"])), Some(&old), Some(&stopped)),
            None
        );
        assert_eq!(why(Some(&volume(&["i-1"])), Some(&old), None), None);
        assert!(why(None, None, None).is_some());
        assert!(why(Some(&volume(&["i-1"])), None, None).is_some());
        assert!(why(Some(&volume(&["i-1"])), Some(&old), Some(&running)).is_some());
        assert!(why(Some(&volume(&["i-1", "i-2"])), Some(&old), Some(&stopped)).is_some());
    }
}
