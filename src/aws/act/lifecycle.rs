//! How does Auto Scaling learn that its part is done, or is not done yet?

use super::super::call::Ask;
use super::super::{Aws, AwsError, Meaning};
use super::Outcome;
use crate::ids::GroupName;
use crate::plan::step::Action;

impl Aws {
    /// Completes a lifecycle action, by instance: no token has to be known.
    pub(super) async fn complete(
        &self,
        group: &GroupName,
        action: &Action,
    ) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "autoscaling:CompleteLifecycleAction",
            format!(
                "complete the lifecycle action {} of {}",
                action.hook, action.instance
            ),
        );
        let sent = self
            .call(&ask, async || {
                self.autoscaling
                    .complete_lifecycle_action()
                    .auto_scaling_group_name(group.as_str())
                    .lifecycle_hook_name(&action.hook)
                    .instance_id(action.instance.as_str())
                    .lifecycle_action_result("CONTINUE")
                    .send()
                    .await
            })
            .await;
        self.unless_closed(group, action, sent.map(|_| ()))
    }

    /// Keeps a lifecycle action open for another whole period.
    ///
    /// # Errors
    /// When Auto Scaling does not take it. An action that is no longer open is
    /// [`Outcome::Overtaken`].
    pub async fn heartbeat(&self, group: &GroupName, action: &Action) -> Result<Outcome, AwsError> {
        let ask = Ask::new(
            "autoscaling:RecordLifecycleActionHeartbeat",
            format!(
                "keep the lifecycle action {} of {} open",
                action.hook, action.instance
            ),
        );
        let sent = self
            .call(&ask, async || {
                self.autoscaling
                    .record_lifecycle_action_heartbeat()
                    .auto_scaling_group_name(group.as_str())
                    .lifecycle_hook_name(&action.hook)
                    .instance_id(action.instance.as_str())
                    .send()
                    .await
            })
            .await;
        self.unless_closed(group, action, sent.map(|_| ()))
    }

    /// "No active action" means completed, timed out, or not waiting yet: the
    /// member's state tells, and the hook itself may have been replaced.
    fn unless_closed(
        &self,
        group: &GroupName,
        action: &Action,
        sent: Result<(), AwsError>,
    ) -> Result<Outcome, AwsError> {
        match sent {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if matches!(error.meaning, Meaning::NoActiveAction | Meaning::NotFound) => {
                self.memory.forget_hooks(group);
                Outcome::overtaken(format!(
                    "{} has no open lifecycle action {}",
                    action.instance, action.hook
                ))
            }
            Err(error) => Err(error),
        }
    }
}
