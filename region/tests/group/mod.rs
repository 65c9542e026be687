//! A group and those who ask it things.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use rehome_region::record::{Closed, What};
use rehome_region::{GroupSetup, HookSetup, Region, Request};

use crate::common::{World, field};

pub fn hooked(name: &str) -> GroupSetup {
    GroupSetup {
        name: name.to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        hooks: vec![HookSetup::launching(600), HookSetup::terminating(300)],
        ..GroupSetup::default()
    }
}

pub fn plain(name: &str) -> GroupSetup {
    GroupSetup {
        hooks: Vec::new(),
        ..hooked(name)
    }
}

/// A call of Auto Scaling: the body, or the error's code and message.
pub fn ask(
    world: &mut World,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<String, (String, String)> {
    let mut body = format!("Action={action}&Version=2011-01-01");
    for (name, value) in parameters {
        body.push_str(&format!("&{name}={value}"));
    }
    let request = Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        body: body.into_bytes(),
        ..Request::default()
    };
    let response = world.region.handle("me", &request, world.now);
    let text = String::from_utf8(response.body).unwrap();
    match response.status {
        200 => Ok(text),
        _ => Err((field(&text, "Code"), field(&text, "Message"))),
    }
}

/// The group's members in order of launch, with where they stand.
pub fn members(region: &Region, group: &str) -> Vec<(String, String)> {
    let truth = region.truth();
    let Some(group) = truth.groups.get(group) else {
        return Vec::new();
    };
    let mut members: Vec<_> = group.members.values().collect();
    members.sort_by_key(|member| member.serial);
    members
        .iter()
        .map(|member| (member.instance.clone(), member.lifecycle.to_string()))
        .collect()
}

pub fn lifecycle(region: &Region, instance: &str) -> String {
    let groups = region.truth().groups;
    let member = groups
        .values()
        .find_map(|group| group.members.get(instance));
    member
        .map(|member| member.lifecycle.to_string())
        .unwrap_or_default()
}

pub fn zone_of(region: &Region, instance: &str) -> String {
    region.truth().instances[instance].zone.clone()
}

/// Waits until the group has a member in this state that is not `other`, and says which.
pub fn reaches(world: &mut World, group: &str, state: &str, other: &str) -> String {
    let found = |region: &Region| {
        let mut members = members(region, group).into_iter();
        members.find(|(id, lifecycle)| lifecycle == state && id != other)
    };
    world.until(&format!("{group} has a member in {state}"), |region| {
        found(region).is_some()
    });
    found(&world.region).unwrap().0
}

pub fn complete(world: &mut World, group: &str, hook: &str, instance: &str, result: &str) {
    let parameters = [
        ("AutoScalingGroupName", group),
        ("LifecycleHookName", hook),
        ("InstanceId", instance),
        ("LifecycleActionResult", result),
    ];
    ask(world, "CompleteLifecycleAction", &parameters).unwrap();
}

/// A group of one whose member is in service.
pub fn serving(world: &mut World, setup: GroupSetup) -> String {
    let name = setup.name.clone();
    let held = setup
        .hooks
        .iter()
        .any(|hook| hook.transition.ends_with("LAUNCHING"));
    world.region.create_group(setup, world.now);
    if held {
        let first = reaches(world, &name, "Pending:Wait", "");
        complete(world, &name, "launch", &first, "CONTINUE");
    }
    reaches(world, &name, "InService", "")
}

pub fn closings(world: &World, instance: &str) -> Vec<(Closed, u32)> {
    let entries = world.region.record().entries().iter();
    let of = |what: &What| match what {
        What::HookClosed {
            instance: id,
            how,
            heartbeats,
            ..
        } if id == instance => Some((*how, *heartbeats)),
        _ => None,
    };
    entries.filter_map(|entry| of(&entry.what)).collect()
}

/// Seconds since the beginning at which the member first came into a state.
pub fn entered(world: &World, instance: &str, state: &str) -> f64 {
    let start = world.region.record().entries()[0].at;
    let found = world.region.record().entries().iter().find(|entry| {
        matches!(&entry.what, What::Lifecycle { instance: id, to, .. } if id == instance && to == state)
    });
    found
        .unwrap_or_else(|| panic!("{instance} was never {state}"))
        .at
        .duration_since(start)
        .as_secs_f64()
}
