//! What do describes of groups and their instances answer?
//!
//! A group's own data is read as it was written; the lifecycle states of its
//! members are shown a moment late.

use jiff::Timestamp;

use super::model::{Group, LaunchSource, Member, WarmPool};
use super::pages::page;
use super::{flag, invalid, tags};
use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

const INSTANCE_IDS_MAX: usize = 50;

/// DescribeAutoScalingGroups: unknown names are left out in silence.
pub(crate) fn groups(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let names = params.list("AutoScalingGroupNames");
    let filters = params.structures("Filters");
    let mut found = Vec::new();
    for group in region.model.groups.values() {
        let named = names.is_empty()
            || names
                .iter()
                .any(|name| *name == group.name || *name == group.arn);
        let mut fits = named;
        for filter in &filters {
            fits &= filter_fits(filter, group)?;
        }
        if fits {
            found.push(group);
        }
    }
    let with_instances = flag(params, "IncludeInstances")?.unwrap_or(true);
    let (page, next) = page(params, &found, 50, |group| group.name.clone())?;
    let mut xml = Xml::new();
    xml.list("AutoScalingGroups", "member", page, |xml, group| {
        write_group(xml, region, group, with_instances, now)
    });
    xml.maybe("NextToken", next);
    Ok(xml)
}

fn filter_fits(filter: &Params, group: &Group) -> Result<bool, ApiError> {
    let name = filter.get("Name").unwrap_or_default();
    let values = filter.list("Values");
    match name.split_once(':') {
        Some(("tag", key)) => Ok(group
            .tags
            .get(key)
            .is_some_and(|value| values.contains(value))),
        None if name == "tag-key" => Ok(values.iter().any(|key| group.tags.contains_key(key))),
        None if name == "tag-value" => Ok(group.tags.values().any(|value| values.contains(value))),
        _ => Err(invalid(format!(
            "Filter type {name} is not correct. Allowed Filter types are: tag-key, tag-value, tag:<key>"
        ))),
    }
}

fn write_group(
    xml: &mut Xml,
    region: &Region,
    group: &Group,
    with_instances: bool,
    now: Timestamp,
) {
    xml.leaf("AutoScalingGroupName", &group.name);
    xml.leaf("AutoScalingGroupARN", &group.arn);
    write_source(xml, &group.source);
    xml.leaf("MinSize", group.min);
    xml.leaf("MaxSize", group.max);
    xml.leaf("DesiredCapacity", group.desired);
    xml.leaf("DefaultCooldown", group.cooldown_s);
    xml.list("AvailabilityZones", "member", &group.zones, |xml, zone| {
        xml.text(zone)
    });
    xml.list("LoadBalancerNames", "member", [""; 0], |xml, name| {
        xml.text(name)
    });
    xml.list("TargetGroupARNs", "member", [""; 0], |xml, arn| {
        xml.text(arn)
    });
    xml.leaf("HealthCheckType", &group.health_check_type);
    xml.leaf("HealthCheckGracePeriod", group.grace_period_s);
    if with_instances {
        let members = in_order(group).filter(|member| !member.lifecycle.warmed());
        xml.list("Instances", "member", members, |xml, member| {
            write_member(xml, region, group, member, now)
        });
    }
    xml.time("CreatedTime", group.created);
    xml.list(
        "SuspendedProcesses",
        "member",
        &group.suspended,
        |xml, process| {
            xml.leaf("ProcessName", process);
            xml.leaf("SuspensionReason", "User suspended");
        },
    );
    xml.leaf(
        "VPCZoneIdentifier",
        group.subnets.as_deref().unwrap_or_default(),
    );
    xml.list("EnabledMetrics", "member", [""; 0], |xml, metric| {
        xml.text(metric)
    });
    if group.deleting {
        xml.leaf("Status", "Delete in progress");
    }
    xml.list("Tags", "member", &group.tags, |xml, (key, value)| {
        tags::write(xml, group, key, value)
    });
    xml.list(
        "TerminationPolicies",
        "member",
        ["Default"],
        |xml, policy| xml.text(policy),
    );
    xml.leaf("NewInstancesProtectedFromScaleIn", false);
    write_policies(xml, region, group);
}

fn write_policies(xml: &mut Xml, region: &Region, group: &Group) {
    let (account, role) = (&region.settings.account, "AWSServiceRoleForAutoScaling");
    let role =
        format!("arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/{role}");
    xml.leaf("ServiceLinkedRoleARN", role);
    xml.leaf("CapacityRebalance", group.capacity_rebalance);
    if let Some(pool) = &group.warm_pool {
        xml.node("WarmPoolConfiguration", |xml| write_pool(xml, pool));
        let size = group
            .members
            .values()
            .filter(|member| member.lifecycle.warmed())
            .count();
        xml.leaf("WarmPoolSize", size);
    }
    xml.list("TrafficSources", "member", [""; 0], |xml, source| {
        xml.text(source)
    });
    if let Some(maintenance) = group.maintenance {
        xml.node("InstanceMaintenancePolicy", |xml| {
            xml.leaf("MinHealthyPercentage", maintenance.min_healthy);
            xml.leaf("MaxHealthyPercentage", maintenance.max_healthy);
        });
    }
    xml.node("AvailabilityZoneDistribution", |xml| {
        let strategy = if group.balanced_only {
            "balanced-only"
        } else {
            "balanced-best-effort"
        };
        xml.leaf("CapacityDistributionStrategy", strategy);
    });
    if group.retain_on_abandon {
        xml.node("InstanceLifecyclePolicy", |xml| {
            xml.node("RetentionTriggers", |xml| {
                xml.leaf("TerminateHookAbandon", "retain")
            });
        });
    }
}

pub(crate) fn write_pool(xml: &mut Xml, pool: &WarmPool) {
    xml.maybe("MaxGroupPreparedCapacity", pool.prepared_max);
    xml.leaf("MinSize", pool.min);
    xml.leaf("PoolState", pool.state.as_str());
    if pool.deleting {
        xml.leaf("Status", "PendingDelete");
    }
    if pool.reuse_on_scale_in {
        xml.node("InstanceReusePolicy", |xml| {
            xml.leaf("ReuseOnScaleIn", true)
        });
    }
}

fn write_source(xml: &mut Xml, source: &LaunchSource) {
    match source {
        LaunchSource::Template { id, name, version } => xml.node("LaunchTemplate", |xml| {
            xml.leaf("LaunchTemplateId", id);
            xml.leaf("LaunchTemplateName", name);
            xml.leaf("Version", version);
        }),
        LaunchSource::Configuration(name) => xml.leaf("LaunchConfigurationName", name),
    }
}

/// Members in the order they were launched.
pub(crate) fn in_order(group: &Group) -> impl Iterator<Item = &Member> {
    let mut members: Vec<&Member> = group.members.values().collect();
    members.sort_by_key(|member| member.serial);
    members.into_iter()
}

pub(crate) fn write_member(
    xml: &mut Xml,
    region: &Region,
    group: &Group,
    member: &Member,
    now: Timestamp,
) {
    write_member_as(xml, region, group, member, health(member), now);
}

fn write_member_as(
    xml: &mut Xml,
    region: &Region,
    group: &Group,
    member: &Member,
    health: &str,
    now: Timestamp,
) {
    let machine = region.model.instances.get(&member.instance);
    xml.leaf("InstanceId", &member.instance);
    xml.maybe("InstanceType", machine.map(|machine| &machine.kind));
    xml.leaf("AvailabilityZone", &member.zone);
    xml.leaf("LifecycleState", member.shown(now));
    xml.leaf("HealthStatus", health);
    write_source(xml, &group.source);
    xml.maybe("ImageId", machine.map(|machine| &machine.image));
    xml.leaf("ProtectedFromScaleIn", member.protected);
}

fn health(member: &Member) -> &'static str {
    if member.healthy {
        "Healthy"
    } else {
        "Unhealthy"
    }
}

/// DescribeAutoScalingInstances: unknown ids are left out in silence.
pub(crate) fn instances(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let ids = params.list("InstanceIds");
    if ids.len() > INSTANCE_IDS_MAX {
        return Err(invalid(format!(
            "The number of instance ids may not exceed {INSTANCE_IDS_MAX}"
        )));
    }
    let mut found: Vec<(&Group, &Member)> = Vec::new();
    for group in region.model.groups.values() {
        let wanted = |member: &&Member| ids.is_empty() || ids.contains(&member.instance);
        found.extend(
            group
                .members
                .values()
                .filter(wanted)
                .map(|member| (group, member)),
        );
    }
    found.sort_by_key(|(_, member)| &member.instance);
    let (page, next) = page(params, &found, 50, |(_, member)| member.instance.clone())?;
    let mut xml = Xml::new();
    xml.list(
        "AutoScalingInstances",
        "member",
        page,
        |xml, (group, member)| {
            xml.leaf("AutoScalingGroupName", &group.name);
            // Upper case here and mixed case in the other describe: that is how AWS answers.
            write_member_as(
                xml,
                region,
                group,
                member,
                &health(member).to_ascii_uppercase(),
                now,
            );
        },
    );
    xml.maybe("NextToken", next);
    Ok(xml)
}
