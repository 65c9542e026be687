//! What holds a member, for how long, and what happens when nobody answers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod group;

use common::{World, field};
use group::{ask, closings, complete, entered, hooked, lifecycle, members, reaches, serving};
use rehome_region::{Closed, GroupSetup, HookSetup};

const DB: (&str, &str) = ("AutoScalingGroupName", "db");

#[test]
fn a_launch_that_nobody_completes_is_abandoned_and_replaced() {
    let mut world = World::new();
    world.region.create_group(hooked("db"), world.now);
    let first = reaches(&mut world, "db", "Pending:Wait", "");
    let second = reaches(&mut world, "db", "Pending:Wait", &first);
    let held = entered(&world, &first, "Terminating") - entered(&world, &first, "Pending:Wait");
    assert!((600.0..601.0).contains(&held), "held for {held} s");
    assert_eq!(closings(&world, &first)[0], (Closed::TimedOut, 0));
    assert_ne!(first, second);
}

#[test]
fn a_terminate_hook_that_times_out_lets_go_with_its_default_result() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    world.region.fail_instance(&old, world.now);
    world.until("the old one ends", |region| {
        lifecycle(region, &old) == "Terminating:Proceed"
    });
    let held =
        entered(&world, &old, "Terminating:Proceed") - entered(&world, &old, "Terminating:Wait");
    assert!((300.0..301.0).contains(&held), "held for {held} s");
}

#[test]
fn a_heartbeat_begins_the_period_anew_up_to_the_global_time_out() {
    let mut world = World::new();
    let setup = GroupSetup {
        hooks: vec![HookSetup::terminating(30)],
        ..hooked("db")
    };
    let old = serving(&mut world, setup);
    world.region.fail_instance(&old, world.now);
    world.until("it is held", |region| {
        lifecycle(region, &old) == "Terminating:Wait"
    });
    let beat = [
        DB,
        ("LifecycleHookName", "terminate"),
        ("InstanceId", old.as_str()),
    ];
    while lifecycle(&world.region, &old) == "Terminating:Wait" {
        ask(&mut world, "RecordLifecycleActionHeartbeat", &beat).unwrap();
        world.wait(20.0);
    }
    let held =
        entered(&world, &old, "Terminating:Proceed") - entered(&world, &old, "Terminating:Wait");
    assert!(
        (3_000.0..3_001.0).contains(&held),
        "a hundred heartbeat time-outs, not {held} s"
    );
    assert_eq!(closings(&world, &old)[0].0, Closed::GlobalTimeout);
    assert!(closings(&world, &old)[0].1 >= 100);
}

#[test]
fn completing_what_is_not_open_is_refused_in_the_words_of_aws() {
    let mut world = World::new();
    let one = serving(&mut world, hooked("db"));
    let late = [
        DB,
        ("LifecycleHookName", "launch"),
        ("InstanceId", one.as_str()),
        ("LifecycleActionResult", "CONTINUE"),
    ];
    let (code, message) = ask(&mut world, "CompleteLifecycleAction", &late).unwrap_err();
    assert_eq!(code, "ValidationError");
    assert_eq!(
        message,
        format!("No active Lifecycle Action found with instance ID {one}")
    );
    let token = "0af5a5b8-0000-4000-8000-000000000000";
    let by_token = [DB, late[1], ("LifecycleActionToken", token), late[3]];
    let (_, message) = ask(&mut world, "CompleteLifecycleAction", &by_token).unwrap_err();
    assert_eq!(
        message,
        format!("No active Lifecycle Action found with token {token}")
    );
}

#[test]
fn an_abandoned_terminate_hook_retains_the_instance_if_the_group_says_so() {
    let mut world = World::new();
    let setup = GroupSetup {
        retain_on_abandon: true,
        ..hooked("db")
    };
    let old = serving(&mut world, setup);
    let terminate = [
        ("InstanceId", old.as_str()),
        ("ShouldDecrementDesiredCapacity", "false"),
    ];
    ask(
        &mut world,
        "TerminateInstanceInAutoScalingGroup",
        &terminate,
    )
    .unwrap();
    let new = reaches(&mut world, "db", "Pending:Wait", &old);
    complete(&mut world, "db", "launch", &new, "CONTINUE");
    complete(&mut world, "db", "terminate", &old, "ABANDON");
    world.wait(3_600.0);
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Retained");
    assert_eq!(
        world.region.truth().instances[&old].state.as_str(),
        "running"
    );
    assert_eq!(members(&world.region, "db").len(), 2);
    ask(
        &mut world,
        "TerminateInstanceInAutoScalingGroup",
        &terminate,
    )
    .unwrap();
    world.until("it is gone", |region| members(region, "db").len() == 1);
}

#[test]
fn every_hook_of_a_transition_must_answer() {
    let mut world = World::new();
    let mut setup = hooked("db");
    let mut second = HookSetup::launching(600);
    second.name = "second".to_owned();
    setup.hooks.push(second);
    world.region.create_group(setup, world.now);
    let first = reaches(&mut world, "db", "Pending:Wait", "");
    complete(&mut world, "db", "launch", &first, "CONTINUE");
    world.wait(60.0);
    assert_eq!(lifecycle(&world.region, &first), "Pending:Wait");
    complete(&mut world, "db", "second", &first, "CONTINUE");
    reaches(&mut world, "db", "InService", "");
}

#[test]
fn hooks_are_kept_checked_and_described() {
    let mut world = World::new();
    world.region.create_group(hooked("db"), world.now);
    let update = [
        DB,
        ("LifecycleHookName", "launch"),
        ("HeartbeatTimeout", "7200"),
    ];
    ask(&mut world, "PutLifecycleHook", &update).unwrap();
    let text = ask(
        &mut world,
        "DescribeLifecycleHooks",
        &[DB, ("LifecycleHookNames.member.1", "launch")],
    )
    .unwrap();
    assert_eq!(field(&text, "HeartbeatTimeout"), "7200");
    assert_eq!(field(&text, "GlobalTimeout"), "172800");
    assert_eq!(field(&text, "DefaultResult"), "ABANDON");
    let short = [
        DB,
        ("LifecycleHookName", "launch"),
        ("HeartbeatTimeout", "29"),
    ];
    assert_eq!(
        ask(&mut world, "PutLifecycleHook", &short).unwrap_err().0,
        "ValidationError"
    );
    let unknown = [("AutoScalingGroupName", "nobody"), update[1]];
    assert_eq!(
        ask(&mut world, "PutLifecycleHook", &unknown).unwrap_err().0,
        "ValidationError"
    );
}

#[test]
fn a_deleted_hook_lets_go() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    world.region.fail_instance(&old, world.now);
    world.until("it is held", |region| {
        lifecycle(region, &old) == "Terminating:Wait"
    });
    ask(
        &mut world,
        "DeleteLifecycleHook",
        &[DB, ("LifecycleHookName", "terminate")],
    )
    .unwrap();
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Proceed");
}
