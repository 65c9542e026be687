//! Launches: allowed now, into which zone, and what if they fail?

use std::time::Duration;

use jiff::Timestamp;

use super::model::{Group, LaunchSource, Lifecycle, Member, TemplateVolume};
use super::{GroupDue, activities, member_mut, members, warm_pool, zones};
use crate::ec2::instances::{self, Device, Launch};
use crate::ec2::templates;
use crate::engine::Due;
use crate::latency::Delay;
use crate::record::Tags;
use crate::{Region, after};

/// Launches that keep failing are slowed down to this.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

pub(crate) fn allowed(region: &mut Region, name: &str, now: Timestamp) -> bool {
    let Some(group) = region.model.groups.get(name) else {
        return false;
    };
    if group.suspended.contains("Launch") {
        return false;
    }
    match group.no_launch_before {
        Some(later) if later > now => {
            region.engine.plan(
                later,
                Due::Group(GroupDue::Settle {
                    group: name.to_owned(),
                }),
            );
            false
        }
        _ => true,
    }
}

/// False when it failed and the rest must wait.
pub(crate) fn one(region: &mut Region, name: &str, already: u64, now: Timestamp) -> bool {
    let why = cause(region, name, already, now);
    if warm_pool::draw(region, name, &why, now) {
        return true;
    }
    let Some(zone) = next_zone(region, name) else {
        return false;
    };
    if region.model.dark_zones.contains(&zone) {
        failed(region, name, &zone, why, now);
        return false;
    }
    let instance = into(region, name, &zone, Lifecycle::Pending, now);
    let description = format!("Launching a new EC2 instance: {instance}");
    let activity = activities::begin(region, name, description, why, Some(&zone), now);
    if let Some(member) = member_mut(region, name, &instance) {
        member.activity = Some(activity);
    }
    true
}

fn cause(region: &Region, name: &str, already: u64, now: Timestamp) -> String {
    let Some(group) = region.model.groups.get(name) else {
        return String::new();
    };
    if let Some(handover) = group.handovers.first() {
        return activities::cause(now, &handover.why);
    }
    let replaces = group
        .members
        .values()
        .any(|member| member.lifecycle.leaves() && !member.healthy);
    if replaces {
        return activities::cause(
            now,
            "an instance was launched in response to an unhealthy instance needing to be replaced.",
        );
    }
    let text = format!(
        "an instance was started in response to a difference between desired and actual capacity, \
         increasing the capacity from {already} to {}.",
        already + 1
    );
    activities::cause(now, &text)
}

/// A forced zone is forced once.
pub(crate) fn next_zone(region: &mut Region, name: &str) -> Option<String> {
    let group = region.model.groups.get_mut(name)?;
    let rng = region.dice.stream("zone");
    let zone = zones::choose(group, |count| rng.usize(..count.max(1)))?;
    group.next_zone = None;
    Some(zone)
}

/// Starts a machine and makes it a member.
pub(crate) fn into(
    region: &mut Region,
    name: &str,
    zone: &str,
    as_what: Lifecycle,
    now: Timestamp,
) -> String {
    let launch = region
        .model
        .groups
        .get(name)
        .map(|group| launch_of(region, group, zone))
        .unwrap_or_default();
    let instance = instances::launch(region, launch, now);
    if let Some(group) = region.model.groups.get_mut(name) {
        group.serial += 1;
        group.last_zone = Some(zone.to_owned());
        let mut member = Member::new(&instance, zone, as_what, now);
        member.serial = group.serial;
        group.members.insert(instance.clone(), member);
    }
    members::record_move(region, name, &instance, "", as_what.as_str(), now);
    instance
}

fn launch_of(region: &Region, group: &Group, zone: &str) -> Launch {
    let mut tags: Tags = group
        .tags
        .iter()
        .filter(|(key, _)| group.propagated.contains(*key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    tags.insert("aws:autoscaling:groupName".to_owned(), group.name.clone());
    let device = |volume: &TemplateVolume| Device {
        name: volume.device.clone(),
        size_gib: volume.size_gib,
        delete_on_termination: volume.delete_on_termination,
    };
    let mut devices: Vec<Device> = group.data_volumes.iter().map(device).collect();
    let mut profile = None;
    if let LaunchSource::Template { id, version, .. } = &group.source {
        devices.extend(templates::devices(region, id, version));
        profile = templates::profile(region, id, version);
    }
    Launch {
        zone: zone.to_owned(),
        service: Some(group.name.clone()),
        tags,
        devices,
        profile,
        ..Launch::default()
    }
}

fn failed(region: &mut Region, name: &str, zone: &str, why: String, now: Timestamp) {
    let reason = format!(
        "We currently do not have sufficient capacity in the Availability Zone you requested ({zone}). \
         Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
    );
    let description = "Launching a new EC2 instance".to_owned();
    let activity = activities::begin(region, name, description, why, Some(zone), now);
    activities::fail(region, name, Some(&activity), &reason, now);
    activities::tell(
        region,
        name,
        "",
        Some(&activity),
        "EC2 Instance Launch Unsuccessful",
        now,
    );
    if let Some(group) = region.model.groups.get_mut(name) {
        group.failed_zones.insert(zone.to_owned());
    }
    slow_down(region, name, now);
}

/// A launch failed: the next one waits, longer each time.
pub(crate) fn slow_down(region: &mut Region, name: &str, now: Timestamp) {
    let step = region.draw(Delay::GroupReacts);
    let Some(group) = region.model.groups.get_mut(name) else {
        return;
    };
    group.launch_failures = group.launch_failures.saturating_add(1);
    let factor = 1_u32 << (group.launch_failures - 1).min(8);
    let until = after(now, step.saturating_mul(factor).min(BACKOFF_MAX));
    group.no_launch_before = Some(until);
    region.engine.plan(
        until,
        Due::Group(GroupDue::Settle {
            group: name.to_owned(),
        }),
    );
}
