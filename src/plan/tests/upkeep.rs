//! What is done at leisure: when the next set is taken, and what is deleted.

use super::worlds::{Story, at, long_ago, served, term, upkeep, words};
use crate::ids::{Epoch, Incident};
use crate::plan::step::{LiveVolume, Step};
use crate::plan::{Reason, sets, snapshot};
use crate::world::*;
use SnapshotState::{Completed, Failed, Pending, Unusable};

const SET: &str = "snapshot 1 live volume(s) as one set";
const OLD: &str = "delete vol-1: a newer epoch took over, and its keep time is over";
const UNUSED: &str = "delete vol-3: it was made for a move that ended otherwise";
const DAY: i64 = 86_400;

/// The upkeep without the next set.
fn retired(story: &Story) -> Vec<String> {
    let mut steps = upkeep(story);
    steps.retain(|step| step != SET);
    steps
}

/// A periodic set of the present lineage.
fn live(story: Story, id: &str, started: i64) -> Story {
    let incident = format!("live/{id}");
    story.snapshot(id, "vol-2", 2, Completed, at(started), Some(&incident))
}

#[test]
fn a_set_is_due_a_quarter_of_an_hour_after_the_newest_or_after_the_term_began() {
    let first = served();
    assert_eq!(upkeep(&first.clone().at(899)), [""; 0]);
    assert_eq!(upkeep(&first.clone().at(900)), [SET]);
    let next = live(live(first.clone(), "snap-2", 500), "snap-1", 100);
    assert_eq!(upkeep(&next.clone().at(1399)), [""; 0]);
    assert_eq!(upkeep(&next.at(1400)), [SET]);
    // Neither a set from before the term nor one of an older lineage counts.
    let before = live(first.clone(), "snap-1", -60);
    assert_eq!(upkeep(&before.at(899)), [""; 0]);
    let other = first.snapshot("snap-1", "vol-1", 1, Completed, at(500), Some("live/1"));
    assert_eq!(upkeep(&other.at(900)), [SET]);
}

/// Tale 31788 of the swarm: five that were being uploaded left no room for the
/// capture.
#[test]
fn no_third_set_is_begun_while_two_are_on_their_way() {
    let pending = |count: i64| {
        let begun = |story: Story, n: i64| {
            let (id, incident) = (format!("snap-{n}"), format!("live/{n}"));
            story.snapshot(&id, "vol-2", 2, Pending, at(n), Some(&incident))
        };
        upkeep(&(1..=count).fold(served(), begun).at(1800))
    };
    assert_eq!(pending(1), [SET]);
    assert_eq!(pending(2), [""; 0]);
}

#[test]
fn a_set_is_of_all_that_the_holder_has_in_use_and_says_what_it_was_made_like() {
    let mut story = served().at(900);
    let volume = story.volumes()[&"vol-2".into()].clone();
    let set = Step::SnapshotLive {
        instance: "i-1".into(),
        incident: Incident::new(format!("live/{}", at(900).as_millisecond())),
        volumes: vec![LiveVolume {
            name: "data".into(),
            volume: "vol-2".into(),
            epoch: Epoch(2),
            shape: volume.shape,
            tags: volume.tags,
        }],
    };
    assert_eq!(story.plan().upkeep, std::slice::from_ref(&set));
    // A person may ask for the same at any time.
    assert_eq!(snapshot(&story.world, &story.spec, at(900)), Ok(set));
}

/// Reads lag, and what was just taken could not be labelled: tale 581 of the swarm.
#[test]
fn what_does_not_say_whose_data_it_is_is_labelled_and_no_older_set_deleted_for_it() {
    let mut story = served().at(60);
    story.spec.policy.keep_snapshots = 1;
    let mut story = live(live(story, "snap-1", 10), "snap-2", 20);
    assert_eq!(
        upkeep(&story),
        ["delete snap-1: the policy keeps fewer sets"]
    );
    let bare = story.snapshots().get_mut(&"snap-2".into()).unwrap();
    bare.labelled = false;
    assert_eq!(upkeep(&story), ["label snap-2 as data"]);
}

/// Its call hung, or whoever sent it stood still, until the next holder wrote: tale
/// 67239 of the swarm.
#[test]
fn a_capture_that_came_when_somebody_wrote_is_called_what_it_is() {
    let capture = |attached: Option<i64>, launched, state| {
        let mut story = served().at(60).capture("snap-1", "vol-2", state);
        story.snapshots().get_mut(&"snap-1".into()).unwrap().started = at(10);
        let volume = story.volumes().get_mut(&"vol-2".into()).unwrap();
        volume.attachments[0].since = attached.map(at);
        story.instance("i-1", InstanceState::Running, at(launched))
    };
    let step = |story: &Story| story.plan().upkeep;
    let belied = capture(Some(8), 8, Pending);
    let Some(Step::Label { incident, of, .. }) = step(&belied).pop() else {
        panic!("{:?}", upkeep(&belied));
    };
    assert_eq!(
        incident,
        Incident::new(format!("live/{}", at(10).as_millisecond()))
    );
    assert_eq!((of.volume, of.epoch), ("vol-2".into(), Epoch(1)));
    // It was quiet before anyone who was up had the volume, and until it is known
    // that one had: EC2 tells that in whole seconds.
    assert_eq!(step(&capture(Some(9), 8, Completed)), []);
    assert_eq!(step(&capture(Some(8), 9, Completed)), []);
    assert_eq!(step(&capture(None, 8, Completed)), []);
    // What is of no use needs no label, what is called crash-consistent is, and
    // another volume's moments are its own.
    assert_eq!(step(&capture(Some(8), 8, Unusable)), []);
    let mut crash = belied.clone();
    crash
        .snapshots()
        .get_mut(&"snap-1".into())
        .unwrap()
        .consistency = Consistency::Crash;
    assert_eq!(step(&crash), []);
    let mut other = belied.clone();
    other.snapshots().get_mut(&"snap-1".into()).unwrap().volume = "vol-1".into();
    assert_eq!(step(&other), []);
    // It may be the newest there is: beside a capture that was in time it is no
    // duplicate (`tests/scenarios/capture-late.txt`, seed 7).
    let mut beside = capture(Some(8), 8, Completed).capture("snap-0", "vol-2", Completed);
    beside
        .snapshots()
        .get_mut(&"snap-0".into())
        .unwrap()
        .started = at(5);
    assert_eq!(upkeep(&beside), ["label snap-1 as data"]);
}

/// Its sender stood still for minutes; whoever wrote when it was carried out was dead a
/// few seconds later: tale 15031176 of the swarm.
#[test]
fn a_second_capture_of_a_move_that_is_over_is_called_what_it_may_be() {
    let captures = |first: (SnapshotState, i64), second: i64, of: &str| {
        let story = served().at(60);
        let story = story.snapshot("snap-0", "vol-2", 2, first.0, at(first.1), Some("i-0/1"));
        let mut story = story.snapshot("snap-1", "vol-2", 2, Completed, at(second), Some(of));
        // Another of the volume's own moves, and the newest there is.
        story = live(story, "snap-2", 50);
        story
    };
    let came = |first, second, of| retired(&captures(first, second, of));
    assert_eq!(came((Completed, 5), 6, "i-0/1"), ["label snap-1 as data"]);
    // Only what came first is known to be in time; until it is whole, it may be needed.
    assert_eq!(
        came((Completed, 6), 6, "i-0/1"),
        ["delete snap-1: another capture of the same move is kept"]
    );
    assert_eq!(came((Pending, 5), 6, "i-0/1"), [""; 0]);
    assert_eq!(came((Completed, 5), 6, "i-0/1/7"), [""; 0], "another start");
    // Of the present term everything is of use yet, and of a volume whose term nobody
    // knows, too.
    let present = format!("i-1/{}", at(0).as_millisecond());
    let mut going = captures((Completed, 5), 6, &present);
    for id in ["snap-0", "snap-1"] {
        let snapshot = going.snapshots().get_mut(&id.into()).unwrap();
        snapshot.incident = Some(Incident::new(&*present));
    }
    let labels = |story: &Story| upkeep(story).iter().any(|step| step.contains("label"));
    assert!(!labels(&going));
    let mut other = captures((Completed, 5), 6, "i-0/1");
    for id in ["snap-0", "snap-1"] {
        other.snapshots().get_mut(&id.into()).unwrap().volume = "vol-1".into();
    }
    assert!(!labels(&other));
    let old = |standing| other.clone().volume("vol-1", "a", 1, standing, None);
    assert!(labels(&old(term("i-1", at(0)))), "its own term is another");
    assert!(!labels(&old(Standing::Superseded)));
}

#[test]
fn a_person_is_told_why_there_is_no_whole_set_to_be_taken() {
    let asked = |story: &Story| snapshot(&story.world, &story.spec, story.now);
    let nobody = Story::new();
    assert_eq!(asked(&nobody), Err(Reason::NoHolder));
    let attaching = served().attachment("vol-2", AttachmentState::Attaching);
    let volume = "vol-2".into();
    assert_eq!(asked(&attaching), Err(Reason::Attaching { volume }));
    let mut gone = served();
    gone.instances().clear();
    gone.volumes().clear();
    let instance = "i-1".into();
    assert_eq!(asked(&gone), Err(Reason::HolderBoots { instance }));
}

#[test]
fn only_the_holders_own_agent_keeps_house_or_a_controller_where_there_is_none() {
    let agent = served().at(900);
    let mut controller = agent.clone();
    controller.world.here = None;
    assert_eq!(upkeep(&controller), [""; 0], "its agent does");
    assert_eq!(upkeep(&controller.no_agent()), [SET]);
    assert_eq!(upkeep(&agent.clone().no_agent()), [""; 0], "it is no agent");
    let mut waiting = agent.clone().member("i-1", Lifecycle::PendingWait, "a");
    waiting.group().hooks.clear();
    assert_eq!(words(&waiting), [""; 0]);
    assert_eq!(upkeep(&waiting), [""; 0], "it does not serve yet");
    let other = agent
        .member("i-2", Lifecycle::Standby, "a")
        .instance("i-2", InstanceState::Running, at(0))
        .here("i-2", None, Workload::Stopped);
    assert_eq!(words(&other), [""; 0]);
    assert_eq!(upkeep(&other), [""; 0], "it is another's");
}

#[test]
fn nothing_is_done_at_leisure_while_anything_else_is_to_be_done() {
    let busy = served().here("i-1", Some("vol-2"), Workload::Unhealthy("no".into()));
    assert_eq!(upkeep(&busy.at(900)), [""; 0]);
    // Nothing to do, and nothing is kept anywhere.
    assert_eq!(upkeep(&served().only_addresses().at(900)), [""; 0]);
}

/// The volume before this one, detached in its zone.
fn with_old(standing: Standing) -> Story {
    served().volume("vol-1", "b", 1, standing, None)
}

#[test]
fn a_superseded_volume_is_marked_at_once_and_deleted_a_day_after_its_successors_term_began() {
    let active = with_old(term("i-0", long_ago()));
    assert_eq!(retired(&active), ["mark vol-1 as superseded"]);
    assert_eq!(retired(&active.at(DAY)), [OLD]);
    let marked = with_old(Standing::Superseded);
    assert_eq!(retired(&marked.clone().at(DAY - 1)), [""; 0]);
    assert_eq!(retired(&marked.at(DAY)), [OLD]);
}

#[test]
fn a_volume_that_was_never_used_is_deleted_a_day_after_it_was_made() {
    let mut story = served().volume("vol-3", "b", 3, Standing::New, None);
    story.volumes().get_mut(&"vol-3".into()).unwrap().created = at(500);
    assert_eq!(retired(&story.clone().at(DAY + 499)), [""; 0]);
    assert_eq!(retired(&story.at(DAY + 500)), [UNUSED]);
}

#[test]
fn a_volume_that_is_attached_or_not_well_is_not_deleted() {
    let attached = served()
        .volume("vol-1", "b", 1, Standing::Superseded, Some("i-0"))
        .at(DAY);
    assert_eq!(retired(&attached), [""; 0]);
    let odd = |state, on| {
        let mut story = served().volume("vol-1", "b", 1, Standing::Superseded, on);
        story.volumes().get_mut(&"vol-1".into()).unwrap().state = state;
        retired(&story.at(DAY))
    };
    assert_eq!(odd(VolumeState::Available, Some("i-0")), [""; 0]);
    assert_eq!(odd(VolumeState::Error, None), [""; 0]);
    assert_eq!(odd(VolumeState::Available, None), [OLD]);
}

#[test]
fn an_old_volume_stays_until_what_its_successor_was_made_from_is_complete() {
    let made = |state| {
        let story = with_old(Standing::Superseded)
            .made_from("vol-2", "snap-1")
            .snapshot("snap-0", "vol-1", 1, Completed, at(-20), Some("i-0/1"))
            .snapshot("snap-1", "vol-1", 1, state, at(-10), Some("i-0/1"));
        retired(&story.at(DAY))
    };
    assert!(!made(Pending).contains(&OLD.to_owned()));
    assert!(made(Completed).contains(&OLD.to_owned()));
    // It was deleted since, so it was complete.
    let gone = with_old(Standing::Superseded).made_from("vol-2", "snap-1");
    assert_eq!(retired(&gone.at(DAY)), [OLD]);
}

#[test]
fn as_many_sets_are_kept_as_the_policy_says_and_one_at_the_least() {
    let kept = |keep, story: Story| {
        let mut story = live(story, "snap-1", 100);
        story.spec.policy.keep_snapshots = keep;
        retired(&live(live(story, "snap-2", 200), "snap-3", 300))
    };
    let gone = |id: &str| format!("delete {id}: the policy keeps fewer sets");
    assert_eq!(kept(3, served()), [""; 0]);
    assert_eq!(kept(2, served()), [gone("snap-1")]);
    assert_eq!(kept(0, served()), [gone("snap-1"), gone("snap-2")]);
    // One that is not complete, or lost, is not counted among them.
    for state in [Pending, Failed, Unusable] {
        let begun = served().snapshot("snap-4", "vol-2", 2, state, at(400), Some("live/4"));
        assert_eq!(kept(2, begun), [gone("snap-1")]);
    }
    // What failed goes once a later one is complete.
    let failed = |at_second| {
        let at_second = at(at_second);
        served().snapshot("snap-4", "vol-2", 2, Failed, at_second, Some("live/4"))
    };
    assert_eq!(kept(3, failed(301)), [""; 0]);
    assert_eq!(
        kept(3, failed(299)),
        ["delete snap-4: EBS could not take it"]
    );
    // Of two sets of one instant neither is beyond the other.
    assert_eq!(kept(3, live(served(), "snap-0", 100)), [""; 0]);
    // What somebody else made is not rehome's to delete, nor what is not complete.
    let foreign = served()
        .snapshot("snap-a", "vol-2", 2, Completed, at(10), None)
        .snapshot("snap-b", "vol-2", 2, Pending, at(20), Some("live/b"));
    assert_eq!(kept(2, foreign), [gone("snap-1")]);
    // Nor what the volume in use was made from.
    assert_eq!(kept(2, served().made_from("vol-2", "snap-1")), [""; 0]);
}

#[test]
fn a_snapshot_of_an_older_lineage_that_began_later_stays() {
    let late = served().snapshot("snap-9", "vol-1", 1, Completed, at(250), Some("i-0/1"));
    let mut story = live(live(late, "snap-1", 100), "snap-2", 200);
    story.spec.policy.keep_snapshots = 2;
    assert_eq!(retired(&story), [""; 0]);
}

#[test]
fn of_two_captures_of_one_move_the_later_is_deleted() {
    let twice = |volume: &str, epoch, incident: &str, state| {
        let story = served()
            .snapshot("snap-1", "vol-1", 1, Completed, at(-20), Some("i-0/1"))
            .snapshot("snap-2", volume, epoch, state, at(-10), Some(incident));
        // While it may be the newest data there is, neither goes.
        assert_eq!(retired(&story), [""; 0]);
        retired(&live(story, "snap-3", -5))
    };
    assert_eq!(
        twice("vol-1", 1, "i-0/1", Completed),
        ["delete snap-2: another capture of the same move is kept"]
    );
    // Not one that can still fail, nor one of another volume or move.
    assert_eq!(twice("vol-1", 1, "i-0/1", Pending), [""; 0]);
    assert_eq!(twice("vol-9", 1, "i-0/1", Completed), [""; 0]);
    assert_eq!(twice("vol-1", 1, "i-0/2", Completed), [""; 0]);
}

#[test]
fn five_things_are_deleted_in_one_turn_at_the_most() {
    let mut story = served();
    story.spec.policy.keep_snapshots = 1;
    for n in 0..9 {
        story = live(story, &format!("snap-{n}"), n);
    }
    assert_eq!(retired(&story).len(), 5);
}

#[test]
fn who_reports_sees_every_whole_set_the_newest_first() {
    let mut story = live(served(), "snap-3", 300)
        .snapshot("snap-1", "vol-1", 1, Completed, at(400), Some("i-0/1"))
        .snapshot("snap-2", "vol-2", 2, Pending, at(200), Some("live/2"))
        .snapshot("snap-0", "vol-2", 2, Unusable, at(500), Some("live/0"));
    let live = story.snapshots().get_mut(&"snap-3".into()).unwrap();
    live.consistency = Consistency::Crash;
    let seen: Vec<_> = sets(&story.world, &story.spec)
        .unwrap()
        .into_iter()
        .map(|set| {
            let said = (set.complete, set.newest_lineage, set.clean);
            let incident = set.incident.map(|i| i.to_string());
            (set.snapshots, set.started, said, incident)
        })
        .collect();
    let row = |id: &str, started, said, incident: &str| {
        (
            vec![id.into()],
            at(started),
            said,
            Some(incident.to_owned()),
        )
    };
    assert_eq!(
        seen,
        [
            row("snap-3", 300, (true, true, false), "live/snap-3"),
            row("snap-2", 200, (false, true, true), "live/2"),
            row("snap-1", 400, (true, false, true), "i-0/1"),
        ]
    );
    story.world.snapshots = Seen::Unknown("no answer".to_owned());
    assert_eq!(sets(&story.world, &story.spec), None);
}
