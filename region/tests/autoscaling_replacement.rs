//! How a group replaces its one member: after a failed check, a kill, a dark zone, by rebalancing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod group;

use common::World;
use group::{ask, complete, entered, hooked, lifecycle, members, plain, reaches, serving, zone_of};
use rehome_region::{Closed, GroupSetup, Settings, What};

#[test]
fn an_unhealthy_member_is_replaced_while_its_hook_still_holds_it() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    world.region.fail_instance(&old, world.now);
    let new = reaches(&mut world, "db", "Pending:Wait", &old);
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Wait");
    let machine = &world.region.truth().instances[&old];
    assert_eq!(
        machine.state.as_str(),
        "running",
        "the hook holds the machine itself"
    );
    assert_ne!(zone_of(&world.region, &old), zone_of(&world.region, &new));

    complete(&mut world, "db", "terminate", &old, "CONTINUE");
    complete(&mut world, "db", "launch", &new, "CONTINUE");
    world.until("the new one is alone", |region| {
        members(region, "db") == [(new.clone(), "InService".to_owned())]
    });
    let ended = world.region.truth().instances[&old].state;
    assert_eq!(ended.as_str(), "terminated");
}

#[test]
fn a_rebalance_launches_first_and_terminates_when_the_new_one_is_in_service() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    world.region.rebalance("db", world.now);
    let new = reaches(&mut world, "db", "Pending:Wait", &old);
    world.wait(120.0);
    assert_eq!(lifecycle(&world.region, &old), "InService");
    complete(&mut world, "db", "launch", &new, "CONTINUE");
    world.until("the old one is asked", |region| {
        lifecycle(region, &old) == "Terminating:Wait"
    });
    assert!(entered(&world, &new, "InService") <= entered(&world, &old, "Terminating"));
    complete(&mut world, "db", "terminate", &old, "CONTINUE");
    world.until("one is left", |region| members(region, "db").len() == 1);
    world.wait(600.0);
    assert_eq!(
        members(&world.region, "db"),
        [(new, "InService".to_owned())]
    );
}

#[test]
fn a_maintenance_policy_that_launches_first_does_so_for_unhealthy_members_too() {
    let mut world = World::new();
    let setup = GroupSetup {
        launch_before_terminate: true,
        ..plain("db")
    };
    let old = serving(&mut world, setup);
    world.region.fail_instance(&old, world.now);
    let new = reaches(&mut world, "db", "InService", &old);
    assert!(entered(&world, &new, "InService") <= entered(&world, &old, "Terminating"));
    world.until("one is left", |region| members(region, "db").len() == 1);
}

#[test]
fn a_kill_is_noticed_late_and_the_hook_fires_for_a_dead_machine() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    let killed = world.now;
    world.region.kill_instance(&old, world.now);
    world.until("the group notices", |region| {
        lifecycle(region, &old) == "Terminating:Wait"
    });
    let noticed = world.now.duration_since(killed).as_secs();
    assert!((20..=90).contains(&noticed), "noticed after {noticed} s");
    assert_eq!(
        world.region.truth().instances[&old].state.as_str(),
        "terminated"
    );
    complete(&mut world, "db", "terminate", &old, "CONTINUE");
    world.until("it is gone", |region| {
        !members(region, "db").iter().any(|(id, _)| *id == old)
    });
}

#[test]
fn a_kill_can_pass_without_any_hook() {
    let settings = Settings {
        hook_after_kill: false,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    let old = serving(&mut world, hooked("db"));
    world.region.kill_instance(&old, world.now);
    reaches(&mut world, "db", "Pending:Wait", &old);
    world.wait(60.0);
    assert_eq!(
        world.count(|what| matches!(what,
        What::HookOpened { instance, transition, .. }
            if *instance == old && transition.ends_with("TERMINATING"))),
        0
    );
    assert_eq!(lifecycle(&world.region, &old), "");
}

#[test]
fn a_dark_zone_loses_its_member_and_keeps_it_terminating_until_it_is_back() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    let zone = zone_of(&world.region, &old);
    world.region.zone_down(&zone, world.now);
    let new = reaches(&mut world, "db", "Pending:Wait", &old);
    assert_ne!(zone_of(&world.region, &new), zone);
    complete(&mut world, "db", "terminate", &old, "CONTINUE");
    complete(&mut world, "db", "launch", &new, "CONTINUE");
    world.wait(1_800.0);
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Proceed");
    world.region.zone_up(&zone, world.now);
    world.until("the old one is gone", |region| {
        members(region, "db") == [(new.clone(), "InService".to_owned())]
    });
}

#[test]
fn launches_into_a_dark_zone_fail_and_another_zone_is_tried() {
    let mut world = World::new();
    world.region.create_group(hooked("db"), world.now);
    world.region.set_next_zone("db", Some("us-east-1b"));
    world.region.zone_down("us-east-1b", world.now);
    let first = reaches(&mut world, "db", "Pending:Wait", "");
    assert_ne!(zone_of(&world.region, &first), "us-east-1b");
    let text = ask(
        &mut world,
        "DescribeScalingActivities",
        &[("AutoScalingGroupName", "db")],
    )
    .unwrap();
    assert!(text.contains("<StatusCode>Failed</StatusCode>"), "{text}");
    assert!(
        text.contains("sufficient capacity in the Availability Zone you requested (us-east-1b)")
    );
}

#[test]
fn a_crash_is_believed_after_minutes_and_only_after_the_grace_period() {
    let mut world = World::new();
    let setup = GroupSetup {
        grace_period_s: 1_200,
        ..plain("db")
    };
    let old = serving(&mut world, setup);
    world.region.crash_guest(&old, world.now);
    world.wait(900.0);
    assert_eq!(lifecycle(&world.region, &old), "InService");
    reaches(&mut world, "db", "InService", &old);
}

#[test]
fn set_instance_health_respects_the_grace_period_unless_told_not_to() {
    let mut world = World::new();
    let setup = GroupSetup {
        grace_period_s: 600,
        ..plain("db")
    };
    let old = serving(&mut world, setup);
    let respectful = [("InstanceId", old.as_str()), ("HealthStatus", "Unhealthy")];
    ask(&mut world, "SetInstanceHealth", &respectful).unwrap();
    world.wait(60.0);
    assert_eq!(lifecycle(&world.region, &old), "InService");
    let blunt = [
        respectful[0],
        respectful[1],
        ("ShouldRespectGracePeriod", "false"),
    ];
    ask(&mut world, "SetInstanceHealth", &blunt).unwrap();
    reaches(&mut world, "db", "InService", &old);
    let healthy = [("InstanceId", old.as_str()), ("HealthStatus", "Healthy")];
    let (code, _) = ask(&mut world, "SetInstanceHealth", &healthy).unwrap_err();
    assert_eq!(code, "ValidationError");
}

#[test]
fn suspended_processes_stop_what_they_stand_for() {
    let mut world = World::new();
    let old = serving(&mut world, plain("db"));
    let parameters = [
        ("AutoScalingGroupName", "db"),
        ("ScalingProcesses.member.1", "Launch"),
    ];
    ask(&mut world, "SuspendProcesses", &parameters).unwrap();
    world.region.fail_instance(&old, world.now);
    world.wait(300.0);
    assert!(
        members(&world.region, "db").is_empty(),
        "ended, and not replaced"
    );
    ask(&mut world, "ResumeProcesses", &parameters).unwrap();
    reaches(&mut world, "db", "InService", &old);
}

#[test]
fn a_stopped_member_is_unhealthy_at_once() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    world
        .call("StopInstances", &[("InstanceId.1", &old)])
        .unwrap();
    reaches(&mut world, "db", "Pending:Wait", &old);
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Wait");
}

#[test]
fn a_spot_notice_ends_the_machine_whatever_the_hook_says() {
    let mut world = World::new();
    let old = serving(&mut world, hooked("db"));
    let parameters = [
        ("AutoScalingGroupName", "db"),
        ("CapacityRebalance", "true"),
    ];
    ask(&mut world, "UpdateAutoScalingGroup", &parameters).unwrap();
    world.region.spot_notice(&old, world.now);
    world.wait(10.0);
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Wait");
    world.wait(200.0);
    assert_eq!(
        world.region.truth().instances[&old].state.as_str(),
        "terminated"
    );
    assert_eq!(lifecycle(&world.region, &old), "Terminating:Wait");
    assert!(
        group::closings(&world, &old)
            .iter()
            .all(|(how, _)| *how != Closed::TimedOut)
    );
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut world = World::with(Settings {
            seed,
            ..Settings::default()
        });
        let old = serving(&mut world, hooked("db"));
        world.region.fail_instance(&old, world.now);
        world.wait(1_000.0);
        format!("{:?}", world.region.record().entries())
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

#[test]
fn a_group_that_may_not_check_or_rebalance_does_neither() {
    let mut world = World::new();
    let old = serving(&mut world, plain("db"));
    let parameters = [
        ("AutoScalingGroupName", "db"),
        ("ScalingProcesses.member.1", "HealthCheck"),
        ("ScalingProcesses.member.2", "AZRebalance"),
    ];
    ask(&mut world, "SuspendProcesses", &parameters).unwrap();
    world.region.rebalance("db", world.now);
    world.region.kill_instance(&old, world.now);
    world.wait(600.0);
    assert_eq!(
        members(&world.region, "db"),
        [(old.clone(), "InService".to_owned())]
    );
    ask(&mut world, "ResumeProcesses", &parameters).unwrap();
    reaches(&mut world, "db", "InService", &old);
}
