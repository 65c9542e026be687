//! How is an instance stopped, started, or declared sick?

use jiff::Timestamp;

use super::super::call::Ask;
use super::super::{Aws, AwsError, Meaning, tagging};
use super::Outcome;
use crate::ids::{GroupName, InstanceId};
use crate::tags;
use crate::world::InstanceState;

impl Aws {
    pub(super) async fn fence(&self, id: &InstanceId, force: bool) -> Result<Outcome, AwsError> {
        let ask = Ask::new("ec2:StopInstances", format!("stop {id}"));
        let sent = self
            .call(&ask, async || {
                let request = self.ec2.stop_instances();
                request.instance_ids(id.as_str()).force(force).send().await
            })
            .await;
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.meaning == Meaning::NotFound => Ok(Outcome::Done),
            // It is not running: on its way down, perhaps, or not up yet.
            Err(error) if error.meaning == Meaning::IncorrectState => {
                match self.instance_now(id).await?.map(|instance| instance.state) {
                    Some(InstanceState::Pending) => {
                        Outcome::overtaken(format!("{id} is still starting"))
                    }
                    Some(InstanceState::Running) => Err(error),
                    Some(_) | None => Ok(Outcome::Done),
                }
            }
            Err(error) => {
                // One-time Spot requests and instance-store roots; stop protection.
                if matches!(
                    &*error.code,
                    "UnsupportedOperation" | "OperationNotPermitted"
                ) {
                    self.memory.note_unstoppable(id);
                }
                Err(error)
            }
        }
    }

    pub(super) async fn start(&self, id: &InstanceId) -> Result<Outcome, AwsError> {
        let ask = Ask::new("ec2:StartInstances", format!("start {id}"));
        let sent = self
            .call(&ask, async || {
                let request = self.ec2.start_instances();
                request.instance_ids(id.as_str()).send().await
            })
            .await;
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.meaning == Meaning::IncorrectState => {
                match self.instance_now(id).await?.map(|instance| instance.state) {
                    Some(InstanceState::Pending | InstanceState::Running) => Ok(Outcome::Done),
                    Some(InstanceState::Stopping) => {
                        Outcome::overtaken(format!("{id} is still stopping"))
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Auto Scaling replaces it at once, grace period or not: it was watched
    /// long enough before this was planned.
    ///
    /// That an alarm caused it is noted first: should the note alone come
    /// through, one move less is allowed for an hour.
    pub(super) async fn report_unhealthy(
        &self,
        group: &GroupName,
        id: &InstanceId,
        moves: &[Timestamp],
    ) -> Result<Outcome, AwsError> {
        let note = vec![(tags::MOVES.to_owned(), tagging::write_moves(moves))];
        let doing = format!("note that an alarm moves {group}");
        self.tag_group(group, &doing, note).await?;
        let ask = Ask::new(
            "autoscaling:SetInstanceHealth",
            format!("report {id} as unhealthy"),
        );
        let sent = self
            .call(&ask, async || {
                self.autoscaling
                    .set_instance_health()
                    .instance_id(id.as_str())
                    .health_status("Unhealthy")
                    .should_respect_grace_period(false)
                    .send()
                    .await
            })
            .await;
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.meaning == Meaning::NotFound => {
                Outcome::overtaken(format!("{id} is no longer a member"))
            }
            Err(error) => Err(error),
        }
    }
}
