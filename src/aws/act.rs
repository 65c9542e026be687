//! How is one step carried out? Each is one idempotent call, after a look at
//! what must still be so for it. Nothing is decided here.

mod activate;
mod addresses;
mod appoint;
mod instances;
mod lifecycle;
mod quiet;
mod snapshots;
mod volumes;

use std::collections::BTreeSet;

use aws_sdk_ec2::types::Tag;
use jiff::Timestamp;

use self::addresses::Move;
use self::appoint::Appointment;
use self::snapshots::Shot;
use super::call::Ask;
use super::client::ATTEMPT;
use super::retry::Policy;
use super::token::Wish;
use super::{Aws, AwsError, pace};
use crate::ids::VolumeId;
use crate::plan::step::Step;
use crate::spec::GroupSpec;

/// How often what a change rests on is looked at for answers of one moment.
const LOOKS: usize = 3;
const NO_MOMENT: &str = "AWS answers too seldom to say what is so at one moment";

/// How a step ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// What must be so for it no longer is: look again.
    Overtaken(String),
}

impl Outcome {
    fn overtaken(why: impl Into<String>) -> Result<Self, AwsError> {
        Ok(Self::Overtaken(why.into()))
    }
}

impl Aws {
    /// Carries out one step of a plan. `now` is for the log alone: whatever
    /// depends on the time, the plan has already decided.
    ///
    /// # Errors
    /// When AWS refuses, or does not answer; the sentence says what to do.
    pub async fn act(
        &self,
        spec: &GroupSpec,
        step: &Step,
        now: Timestamp,
    ) -> Result<Outcome, AwsError> {
        tracing::debug!(group = %spec.name, %now, ?step, "acting");
        match step {
            Step::Quiesce | Step::Format { .. } | Step::Mount { .. } | Step::StartWorkload => {
                let why = "it is a step of the instance itself, and no call";
                Err(AwsError::odd("carry out a step", "", why))
            }
            Step::Fence { .. }
            | Step::StartInstance { .. }
            | Step::ReportUnhealthy { .. }
            | Step::Appoint { .. }
            | Step::NoteHolder { .. } => self.act_on_instance(spec, step).await,
            Step::Capture { .. }
            | Step::SnapshotLive { .. }
            | Step::Label { .. }
            | Step::DeleteSnapshot { .. } => self.act_on_snapshots(spec, step).await,
            Step::Detach { .. }
            | Step::Displace { .. }
            | Step::TakeBack { .. }
            | Step::CreateVolume { .. }
            | Step::Attach { .. }
            | Step::Supersede { .. }
            | Step::DeleteVolume { .. } => self.act_on_volume(spec, step).await,
            Step::Activate {
                holder,
                since,
                volumes,
            } => self.activate(spec, holder, *since, volumes).await,
            Step::Associate {
                allocation,
                instance,
                from,
                to,
            } => {
                let to = to.as_ref();
                let from = from.as_ref();
                self.associate(&Move {
                    allocation,
                    instance,
                    from,
                    to,
                })
                .await
            }
            Step::Complete { action } => self.complete(&spec.name, action).await,
        }
    }

    async fn act_on_instance(&self, spec: &GroupSpec, step: &Step) -> Result<Outcome, AwsError> {
        match step {
            Step::Fence { instance, force } => self.fence(instance, *force).await,
            Step::StartInstance { instance } => self.start(instance).await,
            Step::ReportUnhealthy { instance, moves } => {
                self.report_unhealthy(&spec.name, instance, moves).await
            }
            Step::Appoint {
                heir,
                since,
                over,
                moves,
                ..
            } => {
                let since = *since;
                let over = over.as_ref();
                self.appoint(
                    spec,
                    &Appointment {
                        heir,
                        since,
                        over,
                        moves,
                    },
                )
                .await
            }
            Step::NoteHolder {
                on,
                appointed,
                moves,
            } => self.note_holder(spec, on, appointed, moves).await,
            other => misplaced(other),
        }
    }

    async fn act_on_snapshots(&self, spec: &GroupSpec, step: &Step) -> Result<Outcome, AwsError> {
        match step {
            Step::Capture {
                name,
                volume,
                epoch,
                incident,
                consistency,
                quiet_on,
                shape,
                tags,
            } => {
                let shot = Shot {
                    group: &spec.name,
                    name,
                    volume,
                    epoch: *epoch,
                    incident,
                    consistency: *consistency,
                    shape,
                    tags,
                };
                self.capture(&shot, quiet_on.as_ref()).await
            }
            Step::SnapshotLive {
                instance,
                incident,
                volumes,
                ..
            } => {
                self.snapshot_live(&spec.name, instance, incident, volumes)
                    .await
            }
            Step::Label {
                snapshot,
                of,
                incident,
            } => self.label_late(&spec.name, snapshot, of, incident).await,
            Step::DeleteSnapshot { snapshot, .. } => {
                self.delete_snapshot(&spec.name, snapshot).await
            }
            other => misplaced(other),
        }
    }

    async fn act_on_volume(&self, spec: &GroupSpec, step: &Step) -> Result<Outcome, AwsError> {
        match step {
            Step::Detach {
                volume,
                instance,
                force,
            } => self.detach(volume, instance, *force).await,
            Step::Displace {
                volume,
                instance,
                force,
            } => self.displace(volume, instance, *force).await,
            Step::TakeBack { volume, instance } => self.take_back(volume, instance).await,
            Step::CreateVolume {
                name,
                zone,
                epoch,
                incident,
                source,
                shape,
                tags,
            } => {
                let wish = Wish {
                    group: &spec.name,
                    name,
                    source: source.as_ref(),
                    zone,
                    epoch: *epoch,
                };
                self.create_volume(&wish, incident, shape, tags).await
            }
            Step::Attach {
                volume,
                instance,
                device,
            } => self.attach(volume, instance, device).await,
            Step::Supersede { volume } => self.supersede(volume).await,
            Step::DeleteVolume { volume, why } => {
                self.delete_volume(&spec.name, volume, *why).await
            }
            other => misplaced(other),
        }
    }

    async fn create_tags(
        &self,
        doing: &str,
        resources: Vec<String>,
        tags: Vec<Tag>,
    ) -> Result<(), AwsError> {
        let ask = Ask::new("ec2:CreateTags", doing);
        self.send_tags(&ask, resources, tags).await
    }

    /// For tags that say whose data is the newest: ten seconds after one that was not
    /// answered, another may say so.
    async fn create_deciding_tags(
        &self,
        doing: &str,
        resources: Vec<String>,
        tags: Vec<Tag>,
    ) -> Result<(), AwsError> {
        let ask = Ask::new("ec2:CreateTags", doing).with(Policy::WhileRefused);
        self.send_tags(&ask, resources, tags).await
    }

    async fn send_tags(
        &self,
        ask: &Ask,
        resources: Vec<String>,
        tags: Vec<Tag>,
    ) -> Result<(), AwsError> {
        self.call(ask, async || {
            self.ec2
                .create_tags()
                .set_resources(Some(resources.clone()))
                .set_tags(Some(tags.clone()))
                .send()
                .await
        })
        .await
        .map(|_| ())
    }

    /// What a change rests on is asked for together. Where one answer came and another
    /// had to be asked for again, the first is too old by then, and all is asked anew.
    async fn in_one_moment<T>(
        &self,
        look: impl AsyncFn() -> Result<T, AwsError>,
    ) -> Result<Option<T>, AwsError> {
        for _ in 0..LOOKS {
            let asked = pace::now();
            let seen = look().await?;
            if pace::now().duration_since(asked) < ATTEMPT {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    /// One volume as it is this moment; None if there is none of that id.
    async fn volume_now(&self, id: &VolumeId) -> Result<Option<crate::world::Volume>, AwsError> {
        let found = self.volumes_now(&BTreeSet::from([id.clone()])).await;
        found.map(|mut found| found.remove(id))
    }
}

fn misplaced(step: &Step) -> Result<Outcome, AwsError> {
    let why = format!("{step:?} is dispatched wrongly");
    Err(AwsError::odd("carry out a step", "", why))
}
