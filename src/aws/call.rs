//! How is one request sent? In its turn, and again if the failure passes.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::pace::Extent;
use super::retry::{Policy, Schedule};
use super::{Aws, AwsError, Meaning};

/// What one call is for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Its IAM name.
    pub(super) action: &'static str,
    /// As it completes "could not …".
    pub(super) doing: String,
    pub(super) policy: Policy,
    pub(super) extent: Extent,
}

impl Ask {
    pub(super) fn new(action: &'static str, doing: impl Into<String>) -> Self {
        Self {
            action,
            doing: doing.into(),
            policy: Policy::Repeat,
            extent: Extent::Bounded,
        }
    }

    pub(super) fn unpaged(mut self) -> Self {
        self.extent = Extent::Unpaged;
        self
    }

    /// Does it change nothing?
    fn is_look(&self) -> bool {
        self.action.contains(":Describe")
    }

    pub(super) fn with(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl Aws {
    /// Sends until it is answered, or the failure does not pass.
    pub(super) async fn call<T, E>(
        &self,
        ask: &Ask,
        send: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let was_in_vain = self.memory.was_in_vain(&ask.doing);
        let policy = if was_in_vain {
            Policy::Once
        } else {
            ask.policy
        };
        let mut schedule = Schedule::new(policy);
        loop {
            self.pace.turn(ask.action, ask.extent).await;
            let error = match self.send(ask, &send).await {
                Ok(answer) => {
                    self.memory.forget_in_vain(&ask.doing);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let Some(pause) = schedule.pause_after(&error) else {
                if error.is_passing() {
                    self.memory.note_in_vain(&ask.doing, ask.is_look());
                }
                return Err(error);
            };
            tracing::debug!(action = ask.action, %error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends once, in a turn the caller has already waited for: what it must
    /// check right before the call, it checks after the wait.
    pub(super) async fn send<T, E>(
        &self,
        ask: &Ask,
        send: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        send().await.map_err(|error| {
            let error = AwsError::from_sdk(&ask.doing, ask.action, error);
            if error.meaning == Meaning::Throttled {
                self.pace.refused(ask.action, ask.extent);
            }
            error
        })
    }
}
