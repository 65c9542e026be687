//! How is the Auto Scaling group set up, with its hooks and subnets?

use aws_sdk_autoscaling::types::{
    AutoScalingGroup, CapacityDistributionStrategy, ImpairedZoneHealthCheckBehavior,
    LaunchTemplateSpecification, LifecycleHook,
};
use aws_sdk_ec2::types::Subnet as Ec2Subnet;
use jiff::SignedDuration;

use super::super::{Aws, AwsError, tagging};
use super::read;
use crate::check::{GroupSetup, HookSetup, LaunchSource, Subnet, WarmPool};
use crate::ids::{GroupName, Zone};
use crate::world::Transition;

impl Aws {
    pub(super) async fn group_setup(
        &self,
        name: &GroupName,
    ) -> Result<Option<GroupSetup>, AwsError> {
        let found = self.describe_groups(std::slice::from_ref(name)).await?;
        let named = found
            .iter()
            .find(|of| of.auto_scaling_group_name() == Some(name.as_str()));
        Ok(named.map(setup))
    }

    pub(super) async fn hook_setups(&self, name: &GroupName) -> Result<Vec<HookSetup>, AwsError> {
        let doing = format!("look at the lifecycle hooks of {name}");
        let ask = read("autoscaling:DescribeLifecycleHooks", doing);
        let answer = self
            .call(&ask, async || {
                self.autoscaling
                    .describe_lifecycle_hooks()
                    .auto_scaling_group_name(name.as_str())
                    .send()
                    .await
            })
            .await?;
        Ok(answer.lifecycle_hooks().iter().filter_map(hook).collect())
    }

    /// By filter: a subnet that is gone is left out, and spoils nothing.
    pub(super) async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, AwsError> {
        let ask = read("ec2:DescribeSubnets", "look at the group's subnets");
        let mut filter = aws_sdk_ec2::types::Filter::builder().name("subnet-id");
        for id in ids {
            filter = filter.values(id);
        }
        let filter = filter.build();
        let answer = self
            .call(&ask, async || {
                self.ec2
                    .describe_subnets()
                    .filters(filter.clone())
                    .send()
                    .await
            })
            .await?;
        Ok(answer.subnets().iter().filter_map(subnet).collect())
    }
}

fn setup(of: &AutoScalingGroup) -> GroupSetup {
    let count = |value: Option<i32>| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(0);
    let subnets = of.vpc_zone_identifier().unwrap_or_default().split(',');
    let subnets = subnets.map(str::trim).filter(|id| !id.is_empty());
    let distribution = of.availability_zone_distribution();
    let impairment = of.availability_zone_impairment_policy();
    let maintenance = of.instance_maintenance_policy();
    GroupSetup {
        min: count(of.min_size()),
        max: count(of.max_size()),
        desired: count(of.desired_capacity()),
        zones: of.availability_zones().iter().map(Zone::new).collect(),
        subnets: subnets.map(str::to_owned).collect(),
        balanced_only: distribution.and_then(|of| of.capacity_distribution_strategy())
            == Some(&CapacityDistributionStrategy::BalancedOnly),
        suspended: of
            .suspended_processes()
            .iter()
            .filter_map(|process| process.process_name().map(str::to_owned))
            .collect(),
        maintenance: maintenance.and_then(|of| {
            Some((of.min_healthy_percentage()?, of.max_healthy_percentage()?))
                .filter(|(min, max)| *min >= 0 && *max >= 0)
        }),
        capacity_rebalance: of.capacity_rebalance() == Some(true),
        warm_pool: of.warm_pool_configuration().map(|pool| WarmPool {
            reuse_on_scale_in: pool
                .instance_reuse_policy()
                .is_some_and(|policy| policy.reuse_on_scale_in() == Some(true)),
        }),
        ignores_unhealthy: impairment.is_some_and(|of| {
            of.zonal_shift_enabled() == Some(true)
                && of.impaired_zone_health_check_behavior()
                    == Some(&ImpairedZoneHealthCheckBehavior::IgnoreUnhealthy)
        }),
        takes_spot: takes_spot(of),
        source: source(of),
    }
}

/// A group of one is On-Demand as long as the base takes that one, or all above it
/// is: what Auto Scaling does where nothing is said.
fn takes_spot(of: &AutoScalingGroup) -> bool {
    let distribution = of
        .mixed_instances_policy()
        .and_then(|policy| policy.instances_distribution());
    distribution.is_some_and(|of| {
        of.on_demand_base_capacity().unwrap_or(0) == 0
            && of.on_demand_percentage_above_base_capacity().unwrap_or(100) < 100
    })
}

fn source(of: &AutoScalingGroup) -> LaunchSource {
    let mixed = of
        .mixed_instances_policy()
        .and_then(|policy| policy.launch_template())
        .and_then(|template| template.launch_template_specification());
    let named = |template: &LaunchTemplateSpecification| {
        let id = template.launch_template_id().filter(|id| !id.is_empty());
        let name = id.or(template.launch_template_name())?;
        Some(LaunchSource::Template {
            template: name.to_owned(),
            version: template.version().unwrap_or("$Default").to_owned(),
        })
    };
    of.launch_template()
        .or(mixed)
        .and_then(named)
        .or_else(|| {
            let name = of.launch_configuration_name()?;
            Some(LaunchSource::Configuration(name.to_owned()))
        })
        .unwrap_or_default()
}

/// Hooks of other transitions do not concern us.
fn hook(of: &LifecycleHook) -> Option<HookSetup> {
    let transition = match of.lifecycle_transition()? {
        "autoscaling:EC2_INSTANCE_LAUNCHING" => Transition::Launch,
        "autoscaling:EC2_INSTANCE_TERMINATING" => Transition::Terminate,
        _ => return None,
    };
    let heartbeat = i64::from(of.heartbeat_timeout().unwrap_or(3600));
    // As AWS documents it, where it does not say.
    let global = of
        .global_timeout()
        .map_or((heartbeat * 100).min(48 * 3600), i64::from);
    Some(HookSetup {
        name: of.lifecycle_hook_name()?.to_owned(),
        transition,
        heartbeat: SignedDuration::from_secs(heartbeat),
        global: SignedDuration::from_secs(global),
        default_result: of.default_result().unwrap_or("ABANDON").to_owned(),
    })
}

fn subnet(of: &Ec2Subnet) -> Option<Subnet> {
    let free = of.available_ip_address_count().unwrap_or(0);
    Some(Subnet {
        id: of.subnet_id()?.to_owned(),
        zone: Zone::new(of.availability_zone()?),
        free_addresses: u32::try_from(free).unwrap_or(0),
        gives_public_ip: of.map_public_ip_on_launch() == Some(true),
    })
}

/// What a body says of the Auto Scaling group it is in.
pub(super) fn group_of(tags: &[aws_sdk_ec2::types::Tag]) -> Option<String> {
    tagging::read(tags).remove("aws:autoscaling:groupName")
}
