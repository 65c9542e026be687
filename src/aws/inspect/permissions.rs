//! May it be done? EC2 is asked with DryRun. Auto Scaling knows none; it is
//! asked about an action that does not exist, which it refuses after it has
//! seen who asks.

use std::error::Error;

use aws_sdk_ec2::types::{InstanceSpecification, ResourceType, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::{Aws, AwsError, Meaning, tagging};
use super::read;
use crate::check::{Answer, Asked, HookSetup};
use crate::ids::{AllocationId, InstanceId, VolumeName};
use crate::plan::Plan;
use crate::spec::{GroupSpec, Kind};
use crate::tags;
use crate::world::{
    AddressFound, Instance, Seen, Snapshot, SnapshotState, Standing, Transition, Volume, World,
};

/// No action has this token.
const NOBODYS: &str = "00000000-0000-0000-0000-000000000000";
const WITHOUT_DOING_IT: &str = "AWS cannot be asked without doing it";

impl Aws {
    /// A run reads the hooks only while somebody waits at one; here they are
    /// read for the check.
    pub(super) async fn may_it(
        &self,
        spec: &GroupSpec,
        world: &World,
        plan: &Plan,
        hooks: &Seen<Vec<HookSetup>>,
    ) -> Vec<Asked> {
        let mut questions = Questions {
            aws: self,
            spec,
            asked: Vec::new(),
            heeds_dry_run: true,
        };
        let Some(holder) = &plan.holder else {
            return questions.asked;
        };
        // What would do the least harm, should an endpoint not know DryRun,
        // comes first; one that does not is asked nothing more.
        let volume = in_use(world, holder);
        if let Some((name, volume)) = volume {
            let snapshot = oldest(world, name);
            questions.about_copies(name, volume, snapshot, holder).await;
        }
        for address in addresses(world) {
            questions.address(address, holder).await;
        }
        if let Some((_, volume)) = volume {
            questions.about_places(volume, holder).await;
            questions
                .delete(volume, oldest(world, &name_of(volume)))
                .await;
        }
        questions.about_instances(world, holder).await;
        questions.about_lifecycle(hooks).await;
        questions.asked
    }
}

struct Questions<'a> {
    aws: &'a Aws,
    spec: &'a GroupSpec,
    asked: Vec<Asked>,
    /// False: a call that was marked as a dry run was carried out.
    heeds_dry_run: bool,
}

impl Questions<'_> {
    /// Can it be tagged, copied, and made again from the copy?
    async fn about_copies(
        &mut self,
        name: &VolumeName,
        volume: &Volume,
        snapshot: Option<&Snapshot>,
        holder: &InstanceId,
    ) {
        let aws = self.aws;
        let (ec2, id) = (&aws.ec2, volume.id.as_str());
        let group = tagging::tag(tags::GROUP, self.spec.name.as_str());
        self.dry("ec2:CreateTags", id, async || {
            let request = ec2.create_tags().dry_run(true).resources(id);
            request.tags(group.clone()).send().await
        })
        .await;
        let copy = tagging::specification(ResourceType::Snapshot, self.marks(name, volume));
        if self.spec.volumes.len() > 1 {
            let instance = InstanceSpecification::builder()
                .instance_id(holder.as_str())
                .exclude_boot_volume(true)
                .build();
            self.dry("ec2:CreateSnapshots", holder.as_str(), async || {
                let request = ec2.create_snapshots().dry_run(true);
                let request = request.instance_specification(instance.clone());
                request.tag_specifications(copy.clone()).send().await
            })
            .await;
        }
        self.dry("ec2:CreateSnapshot", id, async || {
            let request = ec2.create_snapshot().dry_run(true).volume_id(id);
            request.tag_specifications(copy.clone()).send().await
        })
        .await;
        let Some(snapshot) = snapshot else { return };
        let mut marks = self.marks(name, volume);
        marks.retain(|tag| tag.key() != Some(tags::CONSISTENCY));
        marks.push(tagging::tag(tags::STATE, tags::STATE_NEW));
        let made = tagging::specification(ResourceType::Volume, marks);
        self.dry("ec2:CreateVolume", snapshot.id.as_str(), async || {
            ec2.create_volume()
                .dry_run(true)
                .availability_zone(volume.zone.as_str())
                .snapshot_id(snapshot.id.as_str())
                .tag_specifications(made.clone())
                .send()
                .await
        })
        .await;
    }

    /// The tags that a copy is made with: a policy may insist on them.
    fn marks(&self, name: &VolumeName, volume: &Volume) -> Vec<Tag> {
        let epoch = volume.epoch.next().to_string();
        vec![
            tagging::tag(tags::GROUP, self.spec.name.as_str()),
            tagging::tag(tags::VOLUME, name.as_str()),
            tagging::tag(tags::EPOCH, &epoch),
            tagging::tag(tags::INCIDENT, "check"),
            tagging::tag(tags::CONSISTENCY, tags::CRASH),
        ]
    }

    async fn address(&mut self, allocation: &AllocationId, holder: &InstanceId) {
        let aws = self.aws;
        let ec2 = &aws.ec2;
        self.dry("ec2:AssociateAddress", allocation.as_str(), async || {
            ec2.associate_address()
                .dry_run(true)
                .allocation_id(allocation.as_str())
                .instance_id(holder.as_str())
                .allow_reassociation(true)
                .send()
                .await
        })
        .await;
    }

    async fn about_places(&mut self, volume: &Volume, holder: &InstanceId) {
        let aws = self.aws;
        let (ec2, id) = (&aws.ec2, volume.id.as_str());
        let device = volume.attachments.first().map(|at| at.device.clone());
        self.dry("ec2:AttachVolume", id, async || {
            ec2.attach_volume()
                .dry_run(true)
                .volume_id(id)
                .instance_id(holder.as_str())
                .set_device(device.clone())
                .send()
                .await
        })
        .await;
        self.dry("ec2:DetachVolume", id, async || {
            let request = ec2.detach_volume().dry_run(true).volume_id(id);
            request.instance_id(holder.as_str()).send().await
        })
        .await;
    }

    /// Asked of a volume in use, and of the oldest copy: neither is missed at
    /// once, should anybody carry it out.
    async fn delete(&mut self, volume: &Volume, oldest: Option<&Snapshot>) {
        let aws = self.aws;
        let ec2 = &aws.ec2;
        if let Some(snapshot) = oldest {
            let id = snapshot.id.as_str();
            self.dry("ec2:DeleteSnapshot", id, async || {
                let request = ec2.delete_snapshot().dry_run(true);
                request.snapshot_id(id).send().await
            })
            .await;
        }
        let id = volume.id.as_str();
        self.dry("ec2:DeleteVolume", id, async || {
            ec2.delete_volume().dry_run(true).volume_id(id).send().await
        })
        .await;
    }

    async fn about_instances(&mut self, world: &World, holder: &InstanceId) {
        let aws = self.aws;
        let ec2 = &aws.ec2;
        let spec = self.spec;
        if let Kind::Pair { members } = &spec.kind {
            let known = world.instances.known();
            let there = |id: &&InstanceId| known.is_some_and(|all| all.contains_key(*id));
            for id in members.iter().filter(there) {
                self.dry("ec2:StartInstances", id.as_str(), async || {
                    let request = ec2.start_instances().dry_run(true);
                    request.instance_ids(id.as_str()).send().await
                })
                .await;
            }
        }
        let running = |instance: &Instance| !instance.state.is_down();
        if !world
            .instances
            .known()
            .and_then(|all| all.get(holder))
            .is_some_and(running)
        {
            return;
        }
        self.dry("ec2:StopInstances", holder.as_str(), async || {
            let request = ec2.stop_instances().dry_run(true);
            request.instance_ids(holder.as_str()).send().await
        })
        .await;
    }

    async fn about_lifecycle(&mut self, hooks: &Seen<Vec<HookSetup>>) {
        if self.spec.kind != Kind::Asg {
            return;
        }
        let spec = self.spec;
        let name = spec.name.as_str();
        let hooks = hooks.known().into_iter().flatten();
        if let Some(hook) = hooks.min_by_key(|hook| hook.transition == Transition::Terminate) {
            let aws = self.aws;
            let scaling = &aws.autoscaling;
            let sent = self
                .send("autoscaling:RecordLifecycleActionHeartbeat", async || {
                    scaling
                        .record_lifecycle_action_heartbeat()
                        .auto_scaling_group_name(name)
                        .lifecycle_hook_name(&hook.name)
                        .lifecycle_action_token(NOBODYS)
                        .send()
                        .await
                })
                .await;
            self.refused("autoscaling:RecordLifecycleActionHeartbeat", sent.err());
            let sent = self
                .send("autoscaling:CompleteLifecycleAction", async || {
                    scaling
                        .complete_lifecycle_action()
                        .auto_scaling_group_name(name)
                        .lifecycle_hook_name(&hook.name)
                        .lifecycle_action_token(NOBODYS)
                        .lifecycle_action_result("CONTINUE")
                        .send()
                        .await
                })
                .await;
            self.refused("autoscaling:CompleteLifecycleAction", sent.err());
        }
        let untold = Answer::Unknown(WITHOUT_DOING_IT.to_owned());
        self.note("autoscaling:CreateOrUpdateTags", name, untold.clone());
        if !self.spec.alarms.is_empty() {
            self.note("autoscaling:SetInstanceHealth", name, untold);
        }
    }

    /// Refused because there is no such action: so it was allowed to ask.
    fn refused(&mut self, action: &'static str, error: Option<AwsError>) {
        let answer = match error {
            None => Answer::Allowed,
            Some(error) if error.meaning == Meaning::NoActiveAction => Answer::Allowed,
            Some(error) => unclear(&error),
        };
        let name = self.spec.name.to_string();
        self.note(action, &name, answer);
    }

    async fn dry<T, E>(
        &mut self,
        action: &'static str,
        on: &str,
        send: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
    ) where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answer = if self.heeds_dry_run {
            match self.send(action, send).await {
                Ok(_) => {
                    self.heeds_dry_run = false;
                    Answer::Unknown("this endpoint does not know DryRun".to_owned())
                }
                Err(error) if error.code == "DryRunOperation" => Answer::Allowed,
                Err(error) => unclear(&error),
            }
        } else {
            Answer::Unknown("this endpoint does not know DryRun".to_owned())
        };
        self.note(action, on, answer);
    }

    async fn send<T, E>(
        &self,
        action: &'static str,
        send: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let ask = read(action, format!("ask whether {action} is allowed"));
        Box::pin(self.aws.call(&ask, send)).await
    }

    fn note(&mut self, action: &'static str, on: &str, answer: Answer) {
        self.asked.push(Asked {
            action,
            on: on.to_owned(),
            answer,
        });
    }
}

fn unclear(error: &AwsError) -> Answer {
    match error.is_denied() {
        true => Answer::Denied,
        false if error.code.is_empty() => Answer::Unknown(error.message.clone()),
        false => Answer::Unknown(format!("AWS answers {}", error.code)),
    }
}

/// A volume of the group that the holder uses.
fn in_use<'a>(world: &'a World, holder: &InstanceId) -> Option<(&'a VolumeName, &'a Volume)> {
    let volumes = world.volumes.known()?.values();
    let mut used = volumes.filter(|volume| {
        matches!(volume.standing, Standing::Active(_))
            && volume.attachments.iter().any(|at| at.instance == *holder)
    });
    used.find_map(|volume| Some((volume.name.as_ref()?, volume)))
}

fn name_of(volume: &Volume) -> VolumeName {
    volume.name.clone().unwrap_or_else(|| VolumeName::new(""))
}

fn oldest<'a>(world: &'a World, name: &VolumeName) -> Option<&'a Snapshot> {
    let snapshots = world.snapshots.known()?.values();
    snapshots
        .filter(|snapshot| {
            snapshot.name.as_ref() == Some(name) && snapshot.state == SnapshotState::Completed
        })
        .min_by_key(|snapshot| (snapshot.started, snapshot.id.clone()))
}

fn addresses(world: &World) -> Vec<&AllocationId> {
    let found = world.addresses.known().into_iter().flatten();
    found
        .filter_map(|found| match found {
            AddressFound::One(address) => Some(&address.allocation),
            AddressFound::Missing | AddressFound::Ambiguous(_) => None,
        })
        .collect()
}
