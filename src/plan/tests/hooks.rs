//! Who completes which lifecycle action, who keeps it open, and until when.

use super::worlds::{Story, at, cross_zone, expect, long_ago, open, served, term, waits, words};
use crate::world::*;
use Lifecycle::{InService, PendingWait, TerminatingWait};
use SnapshotState::{Completed, Pending};

const LAUNCH: &str = "the launch action of i-new (hook launch)";
const TERMINATE: &str = "the terminate action of i-old (hook terminate)";

fn completes(story: &Story, action: &str) -> bool {
    words(story).contains(&format!("complete {action}"))
}

/// A gateway that is taken away while its heir boots.
fn addresses_alone() -> Story {
    cross_zone().only_addresses().address_on("i-new")
}

#[test]
fn a_member_at_its_hook_that_is_not_the_holder_is_kept_there() {
    let story = Story::new()
        .only_addresses()
        .no_agent()
        .member("i-old", InService, "a")
        .instance("i-old", InstanceState::Running, long_ago())
        .member("i-new", PendingWait, "a")
        .instance("i-new", InstanceState::Pending, at(0))
        .address_on("i-old");
    expect(&story, &["… i-new is still booting"]);
    assert_eq!(open(&story), [LAUNCH]);
}

#[test]
fn as_long_as_nobody_is_the_holder_whoever_may_become_it_keeps_all_open() {
    let opened_by = |id, desired| {
        let mut story = cross_zone().here(id, None, Workload::Stopped);
        story.group().desired = desired;
        story.spec.agent = true;
        open(&story)
    };
    assert_eq!(opened_by("i-new", 2), [LAUNCH, TERMINATE]);
    assert_eq!(opened_by("i-old", 2), [TERMINATE], "it goes itself");
    assert_eq!(opened_by("i-old", 1), [TERMINATE]);
}

/// Its volume did not come, was taken back, and is stuck on that way, too: another
/// instance in its place ends that, and Auto Scaling makes one where nobody
/// heartbeats (swarm seeds 44212 and 61699).
#[test]
fn a_launch_that_a_stuck_volume_holds_up_runs_out_where_nobody_may_use_force() {
    let story = |state, now| {
        let mut story = Story::new()
            .member("i-new", PendingWait, "a")
            .instance("i-new", InstanceState::Running, at(0))
            .volume("vol-1", "a", 1, term("i-new", at(20)), Some("i-new"))
            .attachment("vol-1", state)
            .address_on("i-new")
            .at(now);
        let volume = story.volumes().get_mut(&"vol-1".into()).unwrap();
        volume.attachments[0].since = Some(at(20));
        story
    };
    // Six and a half minutes to come, two to leave.
    for state in [AttachmentState::Detaching, AttachmentState::Busy] {
        assert_eq!(open(&story(state, 529).no_agent()), [LAUNCH]);
        assert!(open(&story(state, 530).no_agent()).is_empty());
        let its_agent_can_tell = story(state, 530).here("i-new", None, Workload::Stopped);
        assert_eq!(open(&its_agent_can_tell), [LAUNCH]);
    }
    assert_eq!(
        open(&story(AttachmentState::Attaching, 530).no_agent()),
        [LAUNCH]
    );
}

#[test]
fn a_launch_is_completed_by_the_machine_itself_or_without_an_agent_by_a_controller() {
    let story = addresses_alone();
    let here = story.clone().here("i-new", None, Workload::None);
    assert!(completes(&here, LAUNCH));
    assert!(!completes(&story, LAUNCH), "its agent does");
    let kept = open(&story);
    assert!(!kept.contains(&LAUNCH.to_owned()), "and keeps it open");
    assert!(completes(&story.clone().no_agent(), LAUNCH));
    let other = story.here("i-old", None, Workload::None).no_agent();
    assert!(!completes(&other, LAUNCH), "it is another's");
}

#[test]
fn a_launch_waits_for_a_workload_that_says_it_is_healthy() {
    let story = |workload| {
        let mut story = served().here("i-1", Some("vol-2"), workload);
        story
            .group()
            .members
            .get_mut(&"i-1".into())
            .unwrap()
            .lifecycle = PendingWait;
        (words(&story), open(&story).len())
    };
    let done = "complete the launch action of i-1 (hook launch)".to_owned();
    assert_eq!(story(Workload::Healthy), (vec![done.clone()], 0));
    assert_eq!(story(Workload::None), (vec![done], 0));
    let no = Workload::Unhealthy("no".to_owned());
    let says = "… the workload is not healthy yet: no".to_owned();
    assert_eq!(story(no), (vec![says], 1));
}

#[test]
fn a_termination_is_completed_by_the_machine_itself_and_for_it_once_it_is_down_or_overdue() {
    let let_go = cross_zone()
        .detached("vol-1")
        .capture("snap-1", "vol-1", Pending)
        .address_on("i-new");
    let seen_by = |story: &Story, id: &str| story.clone().here(id, None, Workload::Stopped);
    assert!(completes(&seen_by(&let_go, "i-old"), TERMINATE));
    // The holder and a controller leave it to the agent, for as long as a stop may take.
    for story in [let_go.clone(), seen_by(&let_go, "i-new")] {
        assert!(!completes(&story.clone().at(59), TERMINATE));
        // Nor does it run out until then, though a clock be minutes behind.
        assert!(open(&story.clone().at(59)).contains(&TERMINATE.to_owned()));
        assert!(completes(&story.clone().at(60), TERMINATE));
        let down = story
            .clone()
            .instance("i-old", InstanceState::Stopped, long_ago());
        assert!(completes(&down, TERMINATE));
        let mut gone = story.clone();
        gone.instances().remove(&"i-old".into());
        assert!(completes(&gone, TERMINATE));
    }
    assert!(completes(&let_go.clone().no_agent(), TERMINATE));
    // A machine that is neither says nothing about it, whatever the time is.
    let third = let_go.member("i-x", Lifecycle::Standby, "a").instance(
        "i-x",
        InstanceState::Running,
        long_ago(),
    );
    for story in [
        seen_by(&third, "i-x").at(600),
        seen_by(&third, "i-x").no_agent(),
    ] {
        assert!(!completes(&story, TERMINATE));
        assert!(!open(&story).contains(&TERMINATE.to_owned()));
    }
}

#[test]
fn a_machine_may_end_once_its_data_is_quiet_and_its_capture_has_begun() {
    let old = |story: Story, mounted| story.here("i-old", mounted, Workload::Stopped);
    let free = cross_zone().detached("vol-1").address_on("i-new");
    let begun = |story: Story| story.capture("snap-1", "vol-1", Pending);
    // Neither before its capture, nor while it has the volume.
    assert!(!completes(&old(free.clone(), None), TERMINATE));
    assert!(!completes(&old(begun(cross_zone()), None), TERMINATE));
    assert!(completes(&old(begun(free.clone()), None), TERMINATE));
    // An older copy that is still mounted has to be let go as well.
    assert!(!completes(
        &old(begun(free.clone()), Some("vol-0")),
        TERMINATE
    ));
    // What others have mounted does not matter to it.
    let heir = begun(free)
        .at(60)
        .here("i-new", Some("vol-0"), Workload::Stopped);
    assert!(completes(&heir, TERMINATE));
    // A volume from before rehome's time has no term, and is its own all the same.
    let mut adopted = cross_zone().address_on("i-new");
    adopted.volumes().get_mut(&"vol-1".into()).unwrap().standing = Standing::Active(None);
    assert!(!completes(&old(adopted.clone(), None), TERMINATE));
    // Its heir in the same zone may have it before it begins its term (tale 7008146).
    let taken = Story::replacement("a")
        .volume("vol-1", "a", 1, term("i-old", long_ago()), Some("i-new"))
        .address_on("i-new");
    assert!(!completes(&old(taken.clone(), None), TERMINATE));
    assert!(completes(&old(begun(taken), None), TERMINATE));
    // And what is another's does not hold it up.
    let other = adopted
        .member("i-x", Lifecycle::Standby, "a")
        .instance("i-x", InstanceState::Running, long_ago())
        .volume("vol-1", "a", 1, Standing::Active(None), Some("i-x"));
    assert!(completes(&old(other, None), TERMINATE));
}

#[test]
fn the_warm_pool_moves_nothing_in_either_direction() {
    let warmed = |state: &str| {
        let story = Story::new()
            .member("i-w", Lifecycle::Warmed(state.to_owned()), "a")
            .here("i-w", None, Workload::Stopped);
        let steps = story.plan().steps;
        steps.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warmed("Warmed:Stopped"), [""; 0]);
    assert_eq!(
        warmed("Warmed:Pending:Wait"),
        ["complete the launch action of i-w (hook launch)"]
    );
    assert_eq!(
        warmed("Warmed:Terminating:Wait"),
        ["complete the terminate action of i-w (hook terminate)"]
    );
}

/// Its agent was gone, and everyone else found all settled six seconds before it
/// became theirs: tale 71920 of the swarm.
#[test]
fn an_action_of_another_is_waited_for_until_it_becomes_ones_own() {
    let left = |second| {
        let mut story = addresses_alone().here("i-new", None, Workload::None);
        let hooks = &mut story.group().hooks;
        hooks.retain(|h| h.transition == Transition::Terminate);
        waits(&story.at(second))
    };
    let until = (
        "i-old is expected to let go by itself".to_owned(),
        None,
        Some(at(60)),
    );
    assert_eq!(left(59), [until]);
    assert_eq!(left(60), []);
}

#[test]
fn of_several_hooks_the_one_named_after_rehome_is_meant() {
    let hooks = |names: &[&str]| {
        let mut story = addresses_alone().here("i-new", None, Workload::None);
        story
            .group()
            .hooks
            .retain(|h| h.transition == Transition::Terminate);
        story.group().hooks.extend(names.iter().map(|name| Hook {
            name: (*name).to_owned(),
            transition: Transition::Launch,
            heartbeat: jiff::SignedDuration::from_secs(300),
        }));
        words(&story)
    };
    let done = |hook: &str| [format!("complete the launch action of i-new (hook {hook})")];
    let which =
        ["… the group has 2 launch hooks: put \"rehome\" into the name of the one that is meant"];
    assert_eq!(hooks(&[]), ["… i-old is expected to let go by itself"]);
    assert_eq!(hooks(&["other"]), done("other"));
    assert_eq!(hooks(&["other", "my-rehome"]), done("my-rehome"));
    assert_eq!(hooks(&["other", "another"]), which);
    assert_eq!(hooks(&["rehome-1", "rehome-2"]), which);
}

#[test]
fn what_cannot_be_decided_keeps_every_action_open_that_is_this_runners() {
    let blind = |mut story: Story| {
        story.world.volumes = Seen::Unknown("no answer".to_owned());
        open(&story)
    };
    assert_eq!(blind(cross_zone()), [LAUNCH, TERMINATE]);
    let here = |id| cross_zone().here(id, None, Workload::Stopped);
    assert_eq!(blind(here("i-old")), [TERMINATE]);
    // It may become the holder, who closes what others left open.
    assert_eq!(blind(here("i-new")), [LAUNCH, TERMINATE]);
    // What another one comes or goes by is its own.
    let third = |id, state| here(id).member("i-3", state, "a");
    assert_eq!(
        blind(third("i-new", Lifecycle::PendingWait)),
        [LAUNCH, TERMINATE]
    );
    assert_eq!(
        blind(third("i-old", Lifecycle::TerminatingWait)),
        [TERMINATE]
    );
    let mut unseen = cross_zone();
    unseen.world.group = Seen::Unknown("no answer".to_owned());
    assert_eq!(open(&unseen), [""; 0]);
}

#[test]
fn nobody_ends_as_long_as_the_volume_with_the_newest_data_is_not_to_be_seen() {
    let story = |now| {
        let mut story = cross_zone().at(now);
        story.volumes().clear();
        let old = story.instances().get_mut(&"i-old".into()).unwrap();
        old.devices.clear();
        story
    };
    let ends = |now| {
        let story = story(now).here("i-old", None, Workload::Stopped);
        (completes(&story, TERMINATE), open(&story).len())
    };
    assert_eq!(ends(299), (false, 1));
    assert_eq!(ends(300), (true, 0));
    // Who has ended has let go. With one that is stopped, the volume may end.
    let is = |state| completes(&story(100).instance("i-old", state, long_ago()), TERMINATE);
    assert!(is(InstanceState::Terminated) && !is(InstanceState::Stopped));
}

#[test]
fn a_member_on_its_way_is_waited_for_by_whoever_serves_it() {
    let moving = "… Auto Scaling has not moved i-1 on yet";
    let is = |story: &Story, lifecycle| words(&story.clone().member("i-1", lifecycle, "a"));
    let agent = served().instance("i-1", InstanceState::Running, at(0));
    let mut controller = agent.clone();
    controller.world.here = None;
    let backup = controller.clone().at(90);
    let alone = controller.clone().no_agent();
    for lifecycle in [Lifecycle::Pending, Lifecycle::PendingProceed] {
        assert_eq!(is(&agent, lifecycle.clone()), [moving]);
        assert_eq!(is(&alone, lifecycle.clone()), [moving]);
        assert_eq!(
            is(&controller, lifecycle.clone()),
            [""; 0],
            "its agent does"
        );
        assert_eq!(is(&backup, lifecycle), [moving]);
    }
    assert_eq!(is(&agent, InService), [""; 0]);
    // Another member on its way to its hook is waited for by whoever closes that.
    let other = served()
        .member("i-2", Lifecycle::Terminating, "a")
        .instance("i-2", InstanceState::Running, long_ago());
    let comes = ["… Auto Scaling has not moved i-2 on yet"];
    expect(&other, &comes);
    expect(&other.clone().here("i-2", None, Workload::Stopped), &comes);
    // So is who was relieved and does not go yet: the group wants one (tale 9202416).
    let relieved = other.clone().member("i-2", InService, "a").instance(
        "i-2",
        InstanceState::Running,
        at(-90_000),
    );
    expect(&relieved.clone().at(599), &comes);
    // One that stays for good keeps nothing waiting: snapshots are due.
    expect(&relieved.clone().at(600), &[]);
    let gateway = relieved.clone().only_addresses();
    expect(&gateway, &[]);
    let just_launched = gateway.instance("i-1", InstanceState::Running, at(0));
    expect(&just_launched.clone().at(599), &comes);
    expect(&just_launched.at(600), &[]);
    expect(&relieved.here("i-2", None, Workload::Stopped), &[]);
    let without = |transition| {
        let mut story = other.clone();
        story
            .group()
            .hooks
            .retain(|hook| hook.transition != transition);
        words(&story)
    };
    assert_eq!(without(Transition::Terminate), [""; 0]);
    assert_eq!(without(Transition::Launch), comes);
    let beyond = other
        .clone()
        .member("i-2", Lifecycle::TerminatingProceed, "a");
    expect(&beyond, &[]);
    let third =
        other
            .member("i-3", Lifecycle::Terminating, "a")
            .here("i-3", None, Workload::Stopped);
    expect(&third, &["… Auto Scaling has not moved i-3 on yet"]);
}

#[test]
fn a_machine_that_was_told_to_go_waits_for_auto_scaling_to_know_it() {
    let told = |lifecycle| {
        let story = Story::new()
            .only_addresses()
            .member("i-1", lifecycle, "a")
            .instance("i-1", InstanceState::Running, long_ago())
            .member("i-2", InService, "a")
            .instance("i-2", InstanceState::Running, at(0))
            .address_on("i-2")
            .here("i-1", None, Workload::None)
            .told_to_go();
        words(&story)
    };
    assert_eq!(told(InService), ["… Auto Scaling has not moved i-1 on yet"]);
    assert_eq!(told(Lifecycle::TerminatingProceed), [""; 0]);
    assert_eq!(
        told(TerminatingWait),
        ["complete the terminate action of i-1 (hook terminate)"]
    );
}

#[test]
fn a_capture_that_cannot_be_used_does_not_let_its_machine_end() {
    let lost = cross_zone()
        .detached("vol-1")
        .capture("snap-1", "vol-1", SnapshotState::Unusable)
        .address_on("i-new")
        .here("i-old", None, Workload::Stopped);
    expect(&lost, &["capture the quiet vol-1 (data, epoch 1)"]);
    let again = lost.capture("snap-2", "vol-1", Completed);
    assert!(completes(&again, TERMINATE));
}

/// EBS counts five of a volume that are under way or failed: after five failures no
/// capture would ever be taken (tale 18004716 of the swarm).
#[test]
fn a_capture_that_failed_makes_way_for_the_next_one() {
    const FAILED: SnapshotState = SnapshotState::Failed;
    let failed = |story: Story| {
        story
            .detached("vol-1")
            .address_on("i-new")
            .here("i-old", None, Workload::Stopped)
    };
    let gone = |id: &str| format!("delete {id}: EBS could not take it");
    let capture = "capture the quiet vol-1 (data, epoch 1)".to_owned();
    let twice = cross_zone()
        .capture("snap-1", "vol-1", FAILED)
        .capture("snap-2", "vol-1", FAILED);
    assert_eq!(
        words(&failed(twice)),
        [gone("snap-1"), gone("snap-2"), capture.clone()]
    );
    // Not what another volume needs, what somebody else took, or what comes yet.
    let others = cross_zone()
        .capture("snap-1", "vol-0", FAILED)
        .snapshot("snap-2", "vol-1", 1, FAILED, at(10), None)
        .snapshot("snap-3", "vol-1", 1, Pending, at(10), Some("live/1"));
    assert_eq!(words(&failed(others)), [capture]);
}
