//! What a look at AWS asks: requests that change nothing.

use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
#[cfg(feature = "drill")]
use aws_smithy_types::error::operation::BuildError;

use super::call::Ask;
use super::{Aws, AwsError};

/// A request that changes nothing, ready to be sent.
pub(super) trait Describe: Sized {
    type Output: Clone + Debug + Send + Sync + 'static;
    type Error: ProvideErrorMetadata + Error + Send + Sync + 'static;

    /// By way of the SDK, from its first interceptor to its last.
    fn send(
        self,
    ) -> impl Future<Output = Result<Self::Output, SdkError<Self::Error, HttpResponse>>>;

    #[cfg(feature = "drill")]
    fn parts(&self) -> Result<super::express::Parts, BuildError>;
}

macro_rules! describes {
    ($($sdk:ident :: $module:ident as $operation:ident, $builder:ident, $output:ident, $error:ident;)*) => {$(
        impl Describe for $sdk::operation::$module::builders::$builder {
            type Output = $sdk::operation::$module::$output;
            type Error = $sdk::operation::$module::$error;

            fn send(
                self,
            ) -> impl Future<Output = Result<Self::Output, SdkError<Self::Error, HttpResponse>>> {
                // The builder's own, which is found before the trait's.
                self.send()
            }

            #[cfg(feature = "drill")]
            fn parts(&self) -> Result<super::express::Parts, BuildError> {
                let operation = $sdk::operation::$module::$operation::new();
                let input = self.as_input().clone().build()?;
                Ok(super::express::Parts::new(input, &operation))
            }
        }
    )*};
}

describes! {
    aws_sdk_ec2::describe_instances as DescribeInstances,
        DescribeInstancesFluentBuilder, DescribeInstancesOutput, DescribeInstancesError;
    aws_sdk_ec2::describe_volumes as DescribeVolumes,
        DescribeVolumesFluentBuilder, DescribeVolumesOutput, DescribeVolumesError;
    aws_sdk_ec2::describe_snapshots as DescribeSnapshots,
        DescribeSnapshotsFluentBuilder, DescribeSnapshotsOutput, DescribeSnapshotsError;
    aws_sdk_ec2::describe_addresses as DescribeAddresses,
        DescribeAddressesFluentBuilder, DescribeAddressesOutput, DescribeAddressesError;
    aws_sdk_autoscaling::describe_auto_scaling_groups as DescribeAutoScalingGroups,
        DescribeAutoScalingGroupsFluentBuilder, DescribeAutoScalingGroupsOutput,
        DescribeAutoScalingGroupsError;
    aws_sdk_autoscaling::describe_lifecycle_hooks as DescribeLifecycleHooks,
        DescribeLifecycleHooksFluentBuilder, DescribeLifecycleHooksOutput,
        DescribeLifecycleHooksError;
    aws_sdk_cloudwatch::describe_alarms as DescribeAlarms,
        DescribeAlarmsFluentBuilder, DescribeAlarmsOutput, DescribeAlarmsError;
}

impl Aws {
    /// Asks until it is answered, or the failure does not pass.
    pub(super) fn ask<D: Describe>(
        &self,
        ask: &Ask,
        request: impl Fn() -> D,
    ) -> impl Future<Output = Result<D::Output, AwsError>> {
        self.call(ask, async move || {
            let request = request();
            #[cfg(feature = "drill")]
            if let Some(express) = &self.express {
                return Box::pin(express.ask(&request)).await;
            }
            request.send().await
        })
    }
}
