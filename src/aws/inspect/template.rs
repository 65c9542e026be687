//! What are new instances made like?

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMapping, LaunchTemplateHttpTokensState,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateVersion, MarketType, ResourceType,
};

use super::super::{Aws, AwsError};
use super::read;
use crate::check::{Mapping, Template};

impl Aws {
    /// None: there is no such template, or no such version of it.
    pub(super) async fn template(
        &self,
        template: &str,
        version: &str,
    ) -> Result<Option<Template>, AwsError> {
        let doing = format!("look at the launch template {template}");
        let ask = read("ec2:DescribeLaunchTemplateVersions", doing);
        let answer = self
            .call(&ask, async || {
                let request = self.ec2.describe_launch_template_versions();
                let request = match template.starts_with("lt-") {
                    true => request.launch_template_id(template),
                    false => request.launch_template_name(template),
                };
                request.versions(version).send().await
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.launch_template_versions().first().map(read_version)),
            Err(error) if error.code.contains("NotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn read_version(of: &LaunchTemplateVersion) -> Template {
    let name = of.launch_template_name().or(of.launch_template_id());
    let mut template = Template {
        name: name.unwrap_or_default().to_owned(),
        version: of.version_number().unwrap_or_default().to_string(),
        ..Template::default()
    };
    let Some(data) = of.launch_template_data() else {
        return template;
    };
    template.mappings = data
        .block_device_mappings()
        .iter()
        .filter_map(mapping)
        .collect();
    template.profile = data.iam_instance_profile().and_then(|profile| {
        let name = profile.name().or(profile.arn())?;
        Some(name.rsplit('/').next().unwrap_or(name).to_owned())
    });
    if let Some(options) = data.metadata_options() {
        template.metadata_endpoint = options
            .http_endpoint()
            .map(|state| *state == LaunchTemplateInstanceMetadataEndpointState::Enabled);
        template.metadata_tokens_required = options
            .http_tokens()
            .map(|state| *state == LaunchTemplateHttpTokensState::Required);
    }
    template.public_ip = data
        .network_interfaces()
        .iter()
        .find_map(|interface| interface.associate_public_ip_address());
    template.user_data = data.user_data().map(decoded);
    template.is_spot = data
        .instance_market_options()
        .is_some_and(|options| options.market_type() == Some(&MarketType::Spot));
    template.bars_stop = data.disable_api_stop() == Some(true);
    template.volume_tags = data
        .tag_specifications()
        .iter()
        .filter(|of| of.resource_type() == Some(&ResourceType::Volume))
        .flat_map(|of| of.tags())
        .filter_map(|tag| tag.key().map(str::to_owned))
        .collect();
    template
}

fn mapping(of: &LaunchTemplateBlockDeviceMapping) -> Option<Mapping> {
    Some(Mapping {
        device: of.device_name()?.to_owned(),
        is_volume: of.ebs().is_some() && of.no_device().is_none(),
        // What a launch makes goes with it, unless it says not to.
        delete_on_termination: of
            .ebs()
            .and_then(|ebs| ebs.delete_on_termination())
            .unwrap_or(true),
    })
}

/// Compressed user data, which cloud-init allows, is not text.
fn decoded(text: &str) -> String {
    match aws_smithy_types::base64::decode(text.trim()) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => text.to_owned(),
    }
}
