//! Groups through the wire: made, read, changed, emptied; and what is kept warm.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod group;

use common::{World, field, items};
use group::{ask, hooked, lifecycle, members, plain, reaches, serving};
use rehome_region::GroupSetup;

const DB: (&str, &str) = ("AutoScalingGroupName", "db");

fn create(world: &mut World) -> Result<String, (String, String)> {
    let parameters = [
        DB,
        ("MinSize", "1"),
        ("MaxSize", "2"),
        ("LaunchTemplate.LaunchTemplateName", "db-template"),
        ("VPCZoneIdentifier", "subnet-1,subnet-2"),
        ("HealthCheckGracePeriod", "30"),
        (
            "LifecycleHookSpecificationList.member.1.LifecycleHookName",
            "launch",
        ),
        (
            "LifecycleHookSpecificationList.member.1.LifecycleTransition",
            "autoscaling:EC2_INSTANCE_LAUNCHING",
        ),
        ("Tags.member.1.Key", "service"),
        ("Tags.member.1.Value", "orders"),
        ("Tags.member.1.PropagateAtLaunch", "true"),
    ];
    ask(world, "CreateAutoScalingGroup", &parameters)
}

#[test]
fn a_group_is_made_and_read_as_it_was_written() {
    let mut world = World::new();
    create(&mut world).unwrap();
    assert_eq!(create(&mut world).unwrap_err().0, "AlreadyExists");
    let text = ask(&mut world, "DescribeAutoScalingGroups", &[]).unwrap();
    for (element, value) in [
        ("AutoScalingGroupName", "db"),
        ("MinSize", "1"),
        ("MaxSize", "2"),
        ("DesiredCapacity", "1"),
        ("LaunchTemplateName", "db-template"),
        ("VPCZoneIdentifier", "subnet-1,subnet-2"),
        ("HealthCheckGracePeriod", "30"),
        ("Key", "service"),
        ("PropagateAtLaunch", "true"),
    ] {
        assert_eq!(field(&text, element), value, "{element}");
    }
    let zones = "<AvailabilityZones><member>us-east-1a</member><member>us-east-1b</member></AvailabilityZones>";
    assert!(text.contains(zones), "{text}");
    let one = reaches(&mut world, "db", "Pending:Wait", "");
    let tags = &world.region.truth().instances[&one].tags;
    assert_eq!(tags["service"], "orders");
    assert_eq!(tags["aws:autoscaling:groupName"], "db");
    world.wait(5.0);
    let text = ask(
        &mut world,
        "DescribeAutoScalingInstances",
        &[("InstanceIds.member.1", &one)],
    )
    .unwrap();
    assert_eq!(field(&text, "LifecycleState"), "Pending:Wait");
    assert_eq!(field(&text, "HealthStatus"), "HEALTHY");
    let unknown = ask(
        &mut world,
        "DescribeAutoScalingInstances",
        &[("InstanceIds.member.1", "i-0nobody")],
    )
    .unwrap();
    assert_eq!(items(&unknown, "member"), 0);
}

#[test]
fn describes_show_a_lifecycle_state_a_moment_late() {
    let mut world = World::new();
    let old = serving(&mut world, plain("db"));
    world.wait(10.0);
    let terminate = [
        ("InstanceId", old.as_str()),
        ("ShouldDecrementDesiredCapacity", "false"),
    ];
    let text = ask(
        &mut world,
        "TerminateInstanceInAutoScalingGroup",
        &terminate,
    )
    .unwrap();
    assert!(field(&text, "Description").contains(&old), "{text}");
    let shown = |world: &mut World| {
        let text = ask(
            world,
            "DescribeAutoScalingInstances",
            &[("InstanceIds.member.1", &old)],
        )
        .unwrap();
        field(&text, "LifecycleState")
    };
    assert_eq!(lifecycle(&world.region, &old), "Terminating");
    assert_eq!(shown(&mut world), "InService");
    world.wait(5.0);
    assert!(shown(&mut world).starts_with("Terminating"));
}

#[test]
fn sizes_are_checked_with_the_words_of_aws() {
    let mut world = World::new();
    let old = serving(&mut world, plain("db"));
    let decrement = [
        ("InstanceId", old.as_str()),
        ("ShouldDecrementDesiredCapacity", "true"),
    ];
    let (code, message) = ask(
        &mut world,
        "TerminateInstanceInAutoScalingGroup",
        &decrement,
    )
    .unwrap_err();
    assert_eq!(code, "ValidationError");
    assert!(
        message.starts_with("Currently, desiredSize equals minSize (1)."),
        "{message}"
    );
    let above = [DB, ("DesiredCapacity", "2")];
    let (_, message) = ask(&mut world, "SetDesiredCapacity", &above).unwrap_err();
    assert!(message.contains("above max value 1"), "{message}");
    let stranger = [("InstanceId", "i-0nobody"), decrement[1]];
    let (_, message) =
        ask(&mut world, "TerminateInstanceInAutoScalingGroup", &stranger).unwrap_err();
    assert_eq!(
        message,
        "Instance Id not found - No managed instance found for instance ID: i-0nobody"
    );
    let (code, message) = ask(&mut world, "DescribeLifecycleHooks", &[]).unwrap_err();
    assert_eq!(code, "ValidationError");
    assert!(message.contains("'autoScalingGroupName'"), "{message}");
    assert_eq!(
        ask(&mut world, "MakeTea", &[]).unwrap_err().0,
        "InvalidAction"
    );
}

#[test]
fn capacity_goes_up_and_down_and_a_group_is_deleted_by_force() {
    let mut world = World::new();
    let first = serving(
        &mut world,
        GroupSetup {
            max: 3,
            ..plain("db")
        },
    );
    world.region.set_desired("db", 3, world.now);
    world.until("three serve", |region| {
        members(region, "db")
            .iter()
            .filter(|(_, state)| state == "InService")
            .count()
            == 3
    });
    world.region.set_desired("db", 1, world.now);
    world.until("one is left", |region| members(region, "db").len() == 1);
    assert_eq!(
        ask(&mut world, "DeleteAutoScalingGroup", &[DB])
            .unwrap_err()
            .0,
        "ResourceInUse"
    );
    ask(
        &mut world,
        "DeleteAutoScalingGroup",
        &[DB, ("ForceDelete", "true")],
    )
    .unwrap();
    world.until("it is gone", |region| region.truth().groups.is_empty());
    assert_eq!(
        world.region.truth().instances[&first].state.as_str(),
        "terminated"
    );
}

#[test]
fn groups_come_in_pages_and_by_tag() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.region.create_group(plain(name), world.now);
    }
    let text = ask(
        &mut world,
        "DescribeAutoScalingGroups",
        &[("MaxRecords", "2")],
    )
    .unwrap();
    let token = field(&text, "NextToken");
    assert_eq!(items(&text, "AutoScalingGroupName"), 2);
    let rest = ask(
        &mut world,
        "DescribeAutoScalingGroups",
        &[("MaxRecords", "2"), ("NextToken", &token)],
    )
    .unwrap();
    assert_eq!(field(&rest, "AutoScalingGroupName"), "c");
    assert_eq!(field(&rest, "NextToken"), "");
    let tag = [
        ("Tags.member.1.ResourceId", "b"),
        ("Tags.member.1.ResourceType", "auto-scaling-group"),
        ("Tags.member.1.Key", "epoch"),
        ("Tags.member.1.Value", "4"),
        ("Tags.member.1.PropagateAtLaunch", "false"),
    ];
    ask(&mut world, "CreateOrUpdateTags", &tag).unwrap();
    let filter = [
        ("Filters.member.1.Name", "tag:epoch"),
        ("Filters.member.1.Values.member.1", "4"),
    ];
    let text = ask(&mut world, "DescribeAutoScalingGroups", &filter).unwrap();
    assert_eq!(
        (
            items(&text, "AutoScalingGroupName"),
            field(&text, "AutoScalingGroupName")
        ),
        (1, "b".to_owned())
    );
    ask(&mut world, "DeleteTags", &tag[..3]).unwrap();
    let text = ask(&mut world, "DescribeTags", &[]).unwrap();
    assert_eq!(items(&text, "Key"), 0);
}

#[test]
fn standby_keeps_a_member_aside_without_any_hook() {
    let mut world = World::new();
    let one = serving(
        &mut world,
        GroupSetup {
            min: 0,
            ..hooked("db")
        },
    );
    let aside = [
        DB,
        ("InstanceIds.member.1", one.as_str()),
        ("ShouldDecrementDesiredCapacity", "true"),
    ];
    ask(&mut world, "EnterStandby", &aside).unwrap();
    world.wait(120.0);
    assert_eq!(
        members(&world.region, "db"),
        [(one.clone(), "Standby".to_owned())]
    );
    ask(&mut world, "ExitStandby", &aside[..2]).unwrap();
    world.wait(10.0);
    assert_eq!(
        members(&world.region, "db"),
        [(one, "InService".to_owned())]
    );
}

#[test]
fn a_warm_pool_is_filled_used_and_emptied() {
    let mut world = World::new();
    let old = serving(&mut world, plain("db"));
    ask(&mut world, "PutWarmPool", &[DB, ("MinSize", "1")]).unwrap();
    let warm = reaches(&mut world, "db", "Warmed:Stopped", "");
    assert_eq!(
        world.region.truth().instances[&warm].state.as_str(),
        "stopped"
    );
    let text = ask(&mut world, "DescribeAutoScalingGroups", &[DB]).unwrap();
    assert_eq!(field(&text, "WarmPoolSize"), "1");
    assert!(
        !text.contains(&format!("<InstanceId>{warm}")),
        "the pool is described apart"
    );
    world.wait(5.0);
    let text = ask(&mut world, "DescribeWarmPool", &[DB]).unwrap();
    assert_eq!(field(&text, "LifecycleState"), "Warmed:Stopped");

    world.region.fail_instance(&old, world.now);
    world.until("the warm one serves", |region| {
        lifecycle(region, &warm) == "InService"
    });
    let next = reaches(&mut world, "db", "Warmed:Stopped", "");
    ask(&mut world, "DeleteWarmPool", &[DB]).unwrap();
    world.until("the pool is empty", |region| {
        members(region, "db") == [(warm.clone(), "InService".to_owned())]
    });
    assert_eq!(
        world.region.truth().instances[&next].state.as_str(),
        "terminated"
    );
}
