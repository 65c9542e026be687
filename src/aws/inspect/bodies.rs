//! What are the instances like, beside what a run wants to know of them?

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    HttpTokensState, Instance, InstanceAttributeName, InstanceBlockDeviceMapping,
    InstanceMetadataEndpointState, InstanceMetadataTagsState,
};

use super::super::retry::Policy;
use super::super::{Aws, AwsError, convert};
use super::{group, read};
use crate::check::{Body, Mapping, Protection};
use crate::ids::{InstanceId, Zone};

impl Aws {
    /// Those of them that exist.
    pub(super) async fn bodies(
        &self,
        ids: &BTreeSet<InstanceId>,
    ) -> Result<BTreeMap<InstanceId, Body>, AwsError> {
        let ids = ids.iter().map(ToString::to_string).collect();
        let found = self.instances_by_id(ids, Policy::Brief).await?;
        let bodies = found.iter().filter_map(|of| {
            let id = InstanceId::new(of.instance_id()?);
            Some((id, body(of)))
        });
        Ok(bodies.collect())
    }

    pub(super) async fn protection(&self, id: &InstanceId) -> Result<Protection, AwsError> {
        let ask = read(
            "ec2:DescribeInstanceAttribute",
            format!("see how {id} is protected"),
        );
        let attribute = async |name: InstanceAttributeName| {
            self.call(&ask, async || {
                self.ec2
                    .describe_instance_attribute()
                    .instance_id(id.as_str())
                    .attribute(name.clone())
                    .send()
                    .await
            })
            .await
        };
        let termination = attribute(InstanceAttributeName::DisableApiTermination).await?;
        let stop = attribute(InstanceAttributeName::DisableApiStop).await?;
        let shutdown = attribute(InstanceAttributeName::InstanceInitiatedShutdownBehavior).await?;
        Ok(Protection {
            against_termination: termination
                .disable_api_termination()
                .is_some_and(|value| value.value() == Some(true)),
            against_stop: stop
                .disable_api_stop()
                .is_some_and(|value| value.value() == Some(true)),
            shutdown_terminates: shutdown
                .instance_initiated_shutdown_behavior()
                .is_some_and(|value| value.value() == Some("terminate")),
        })
    }
}

fn body(of: &Instance) -> Body {
    let options = of.metadata_options();
    let profile = of.iam_instance_profile().and_then(|profile| profile.arn());
    Body {
        state: convert::instance(of).ok().map(|(_, known, _)| known.state),
        zone: of
            .placement()
            .and_then(|placement| placement.availability_zone())
            .map(Zone::new),
        kind: of.instance_type().map(|kind| kind.as_str().to_owned()),
        network: of.vpc_id().map(str::to_owned),
        security_groups: of
            .security_groups()
            .iter()
            .filter_map(|group| group.group_id().map(str::to_owned))
            .collect(),
        profile: profile.map(|arn| arn.rsplit('/').next().unwrap_or(arn).to_owned()),
        root_device: of.root_device_name().map(str::to_owned),
        root_kind: of.root_device_type().map(|kind| kind.as_str().to_owned()),
        mappings: of
            .block_device_mappings()
            .iter()
            .filter_map(mapping)
            .collect(),
        metadata_endpoint: options
            .and_then(|of| of.http_endpoint())
            .map(|state| *state == InstanceMetadataEndpointState::Enabled),
        metadata_tokens_required: options
            .and_then(|of| of.http_tokens())
            .map(|state| *state == HttpTokensState::Required),
        metadata_tags: options
            .and_then(|of| of.instance_metadata_tags())
            .map(|state| *state == InstanceMetadataTagsState::Enabled),
        group: group::group_of(of.tags()),
    }
}

fn mapping(of: &InstanceBlockDeviceMapping) -> Option<Mapping> {
    Some(Mapping {
        device: of.device_name()?.to_owned(),
        is_volume: of.ebs().is_some(),
        delete_on_termination: of
            .ebs()
            .is_some_and(|ebs| ebs.delete_on_termination() == Some(true)),
    })
}
