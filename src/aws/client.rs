//! How does one get to AWS? Region, credentials, time-outs; no retries below
//! ours.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
#[cfg(feature = "drill")]
use aws_smithy_async::time::TimeSource;
#[cfg(feature = "drill")]
use aws_smithy_runtime_api::client::http::HttpConnector;

use super::answer::Answers;
use super::memory::Memory;
use super::pace::Pace;
use super::{Aws, AwsError};

const CONNECT: Duration = Duration::from_secs(3);
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);
/// Moving an address can cut the very connection that asks for it.
const ATTEMPT_AT_OWN_ADDRESS: Duration = Duration::from_secs(5);

impl Aws {
    /// From the environment: region, endpoint and credentials as every AWS tool
    /// finds them (variables, profile, container, instance role).
    ///
    /// # Errors
    /// When there is no region or there are no credentials; the message says
    /// what to set.
    pub async fn from_env() -> Result<Self, AwsError> {
        let config = aws_config::defaults(behavior())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(ATTEMPT))
            .load()
            .await;
        if config.region().is_none() {
            return Err(AwsError::setup(
                "find out the AWS region",
                "none is configured; set AWS_REGION, or a region in the AWS profile",
                None,
            ));
        }
        let Some(provider) = config.credentials_provider() else {
            return Err(no_credentials(None));
        };
        match provider.provide_credentials().await {
            Ok(_) => Ok(Self::from_config(&config)),
            Err(error) => Err(no_credentials(Some(error.into()))),
        }
    }

    /// With given SDK parts: this is how a drill plugs in the emulated region.
    pub fn from_config(config: &SdkConfig) -> Self {
        let behavior = config.behavior_version().unwrap_or_else(behavior);
        // One layer retries, and one time-out bounds an attempt: ours. An
        // answer of a few kilobytes needs no watch over its transfer rate.
        let config = config
            .clone()
            .into_builder()
            .behavior_version(behavior)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(ATTEMPT))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(&config)
                    .interceptor(Answers)
                    .build(),
            ),
            autoscaling: aws_sdk_autoscaling::Client::from_conf(
                aws_sdk_autoscaling::config::Builder::from(&config)
                    .interceptor(Answers)
                    .build(),
            ),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(
                aws_sdk_cloudwatch::config::Builder::from(&config)
                    .interceptor(Answers)
                    .build(),
            ),
            sqs: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(&config)
                    .interceptor(Answers)
                    .build(),
            ),
            #[cfg(feature = "drill")]
            express: None,
            pace: Pace::default(),
            memory: Memory::default(),
        }
    }

    /// What it looks at, it asks the connector for, without the SDK around it.
    #[cfg(feature = "drill")]
    #[must_use]
    pub fn by_express(
        mut self,
        access_key: &str,
        connector: impl HttpConnector + 'static,
        time: impl TimeSource + 'static,
    ) -> Self {
        self.express = Some(super::express::Express::new(access_key, connector, time));
        self
    }
}

/// What overrides the client for a call that may lose its own answer.
pub(super) fn impatient() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::config::Builder::new().timeout_config(timeouts(ATTEMPT_AT_OWN_ADDRESS))
}

/// What overrides the client for a call that AWS answers only after `wait`.
pub(super) fn patient(wait: Duration) -> aws_sdk_sqs::config::Builder {
    aws_sdk_sqs::config::Builder::new().timeout_config(timeouts(ATTEMPT.saturating_add(wait)))
}

fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .build()
}

fn no_credentials(source: Option<Box<dyn std::error::Error + Send + Sync>>) -> AwsError {
    AwsError::setup(
        "sign in to AWS",
        "no credentials were found; give the instance or function a role, or set AWS_PROFILE or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        source,
    )
}
