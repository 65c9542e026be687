//! Which data is the newest, and which older set may stand in for it: each
//! situation as a row.

use super::worlds::{Story, at, cross_zone, expect, long_ago, open, served, term, words};
use crate::ids::{Epoch, Incident};
use crate::plan::{Hold, Reason, Step};
use crate::world::*;
use Lifecycle::{InService, PendingWait};
use SnapshotState::{Completed, Failed, Pending, Unusable};

/// The heir is called, everything of its predecessor is out of reach, and the
/// time for it is over.
fn given_up() -> Story {
    let mut story = cross_zone()
        .here("i-new", None, Workload::Stopped)
        .address_on("i-new")
        .at(1800);
    story.instances().remove(&"i-old".into());
    story
}

fn restores(story: &Story, from: &str) -> bool {
    words(story).contains(&format!("restore data (epoch 2) from {from} in b"))
}

/// How much would be lost, where a person is asked.
fn asks(story: &Story) -> Option<i64> {
    story.plan().waits.into_iter().find_map(|w| match w.reason {
        Reason::Hold(Hold::DataLoss { loses_seconds, .. }) => loses_seconds,
        _ => None,
    })
}

#[test]
fn of_the_whole_sets_the_newest_complete_one_stands_in() {
    let live = |story: Story, id: &str, state, started| {
        let incident = format!("live/{id}");
        story.snapshot(id, "vol-1", 1, state, at(started), Some(&incident))
    };
    let older = live(given_up(), "snap-1", Completed, -900);
    let newer = live(older.clone(), "snap-2", Completed, -600);
    assert!(restores(&newer, "snap-2"));
    for state in [Pending, Failed, Unusable] {
        let story = live(older.clone(), "snap-2", state, -600);
        assert!(restores(&story, "snap-1"), "{state:?}");
    }
    // Two captures of one move: the one that can be used, then the earlier.
    let twice = |first| {
        let story = given_up().snapshot("snap-1", "vol-1", 1, first, at(-900), Some("live/1"));
        story.snapshot("snap-2", "vol-1", 1, Completed, at(-600), Some("live/1"))
    };
    assert!(restores(&twice(Completed), "snap-1"));
    for state in [Pending, Failed, Unusable] {
        assert!(restores(&twice(state), "snap-2"), "{state:?}");
    }
}

#[test]
fn of_two_captures_the_complete_one_is_restored_and_one_from_before_the_last_start_is_none() {
    let heir = cross_zone()
        .instance("i-old", InstanceState::Stopped, long_ago())
        .capture("snap-1", "vol-1", Pending)
        .capture("snap-2", "vol-1", Completed)
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped);
    assert!(restores(&heir, "snap-2"));
    let captured = |launched| {
        let story = heir.clone();
        let story = story.instance("i-old", InstanceState::Stopped, at(launched));
        !words(&story).contains(&"capture the quiet vol-1 (data, epoch 1)".to_owned())
    };
    assert!(captured(9));
    assert!(!captured(10), "it may have written in that very moment");
}

/// One describe of an instance that had let go of everything failed, and with all
/// deadlines long over an older set was restored: tale 15034695 of the swarm.
#[test]
fn a_capture_on_its_way_is_waited_for_though_its_instance_is_not_described() {
    for zone in ["a", "b"] {
        let story = |started| {
            let set = Some("live/1");
            let mut story = Story::replacement(zone)
                .snapshot("snap-1", "vol-1", 1, Completed, at(-600), set)
                .here("i-new", None, Workload::Stopped)
                .address_on("i-new")
                .at(1800);
            story.instances().remove(&"i-old".into());
            let incident = format!("i-old/{}", long_ago().as_millisecond());
            story.snapshot("snap-2", "vol-1", 1, Pending, at(started), Some(&incident))
        };
        let restores = format!("restore data (epoch 2) from snap-1 in {zone}");
        assert!(!words(&story(1790)).contains(&restores), "{zone}");
        // Not for ever.
        assert!(
            words(&story(1790).at(1790 + 1800)).contains(&restores),
            "{zone}"
        );
    }
}

/// Two controllers, and reads that lag far behind: tale 5116 of the swarm.
#[test]
fn a_superseded_volume_speaks_of_a_newer_one_that_is_not_seen_yet() {
    let behind = cross_zone()
        .volume("vol-1", "a", 1, Standing::Superseded, None)
        .capture("snap-1", "vol-1", Completed)
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped);
    assert!(behind.plan().steps.is_empty(), "{:?}", words(&behind));
    let late = behind.clone().at(1800);
    assert!(!restores(&late, "snap-1"));
    assert!(words(&late).concat().contains("of an older lineage"));
}

/// A person starts the predecessor while its data is being carried away, and it
/// writes again: tale 228 of the swarm.
#[test]
fn what_is_captured_after_another_start_is_no_second_copy() {
    let again = cross_zone()
        .capture("snap-1", "vol-1", Completed)
        .instance("i-old", InstanceState::Stopped, at(20))
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped)
        .no_agent();
    let named = |story: &Story| {
        let mut steps = story.plan().steps.into_iter();
        steps.find_map(|step| match step {
            Step::Capture { incident, .. } => Some(incident),
            _ => None,
        })
    };
    let name = named(&again).unwrap();
    assert_eq!(
        name.as_str(),
        format!(
            "i-old/{}/{}",
            long_ago().as_millisecond(),
            at(20).as_millisecond()
        )
    );
    // The term began no earlier than its instance was started.
    let once = cross_zone().instance("i-old", InstanceState::Stopped, long_ago());
    let once = named(&once.address_on("i-new").no_agent()).unwrap();
    assert_eq!(
        once.as_str(),
        format!("i-old/{}", long_ago().as_millisecond())
    );
    let again = again.snapshot("snap-2", "vol-1", 1, Pending, at(25), Some(name.as_str()));
    assert!(
        !restores(&again, "snap-1"),
        "what was written since is in snap-2 only"
    );
    let mut detached = again;
    let volume = detached.volumes().get_mut(&"vol-1".into()).unwrap();
    volume.attachments.clear();
    volume.state = VolumeState::Available;
    assert!(
        !restores(&detached, "snap-1"),
        "nothing tells of the start any more but its name"
    );
}

#[test]
fn a_set_is_whole_with_a_snapshot_of_every_volume_that_has_data() {
    let data = given_up()
        .with_logs()
        .snapshot("snap-1", "vol-1", 1, Completed, at(-900), Some("live/1"))
        .snapshot("snap-2", "vol-1", 1, Completed, at(-600), Some("live/2"));
    // Logs never had any: they begin anew, beside the newest data.
    assert!(restores(&data, "snap-2"));
    assert!(words(&data).contains(&"make the first, blank volume logs in b".to_owned()));
    // Once they had, only a set with both of them counts.
    let mut both = data.snapshot("snap-3", "vol-3", 1, Completed, at(-890), Some("live/1"));
    both.snapshots().get_mut(&"snap-3".into()).unwrap().name = Some("logs".into());
    assert!(restores(&both, "snap-1"));
    assert!(words(&both).contains(&"restore logs (epoch 2) from snap-3 in b".to_owned()));
}

#[test]
fn what_is_lost_is_counted_from_when_it_may_have_been_written_last() {
    // An hour is allowed, counted until the heir was called.
    let set =
        |story: Story| story.snapshot("snap-1", "vol-1", 1, Completed, at(-3600), Some("live/1"));
    assert!(restores(&set(given_up()), "snap-1"));
    let mut strict = set(given_up());
    strict.spec.policy.max_data_loss = jiff::SignedDuration::from_secs(3599);
    assert_eq!(asks(&strict), Some(3600));
    // An heir in service may have written until now.
    let served = set(given_up().member("i-new", InService, "b"));
    assert_eq!(asks(&served), Some(5400));
    // A predecessor that hangs in its stop may have, too.
    let mut hangs = set(given_up()).instance("i-old", InstanceState::Stopping, long_ago());
    let old = hangs.instances().get_mut(&"i-old".into()).unwrap();
    old.told_to_end = Some(at(0));
    assert_eq!(asks(&hangs), Some(5400));
    // One that is down has not, whenever its volume is to be had.
    let mut lost = set(given_up()).instance("i-old", InstanceState::Terminated, long_ago());
    let volume = lost.volumes().get_mut(&"vol-1".into()).unwrap();
    volume.state = VolumeState::Error;
    assert!(restores(&lost, "snap-1"));
    // Unless it was started once more since.
    let started = |second| {
        let lost = lost.clone();
        lost.instance("i-old", InstanceState::Terminated, at(second))
    };
    assert!(restores(&started(0), "snap-1"));
    assert_eq!(asks(&started(1)), Some(5400));
}

#[test]
fn what_an_appointed_holder_wrote_itself_counts_until_now() {
    let lost = |holder: &str| {
        let mut story = Story::new()
            .member("i-0", InService, "a")
            .instance("i-0", InstanceState::Stopped, long_ago())
            .member("i-1", InService, "b")
            .instance("i-1", InstanceState::Running, at(0))
            .volume("vol-1", "a", 1, term(holder, at(-5)), None)
            .marker(1)
            .snapshot("snap-1", "vol-1", 1, Completed, at(-3600), Some("live/1"))
            .pair(Some(("i-1".to_owned(), at(0))))
            .here("i-1", None, Workload::Stopped)
            .at(1800);
        story.volumes().get_mut(&"vol-1".into()).unwrap().state = VolumeState::Error;
        story
    };
    assert!(restores(&lost("i-0"), "snap-1"));
    assert_eq!(asks(&lost("i-1")), Some(5400));
}

#[test]
fn a_volume_made_ahead_is_used_only_for_its_own_source_zone_and_epoch() {
    let heir = cross_zone()
        .detached("vol-1")
        .capture("snap-1", "vol-1", Completed)
        .address_on("i-new")
        .here("i-new", None, Workload::Stopped);
    let again = "restore data (epoch 3) from snap-1 in b".to_owned();
    let made = |zone, epoch, standing, on, source: Option<&str>| {
        let mut story = heir.clone().volume("vol-2", zone, epoch, standing, on);
        story.volumes().get_mut(&"vol-2".into()).unwrap().source = source.map(Into::into);
        story
    };
    let good = made("b", 2, Standing::New, None, Some("snap-1"));
    let attach = "attach vol-2 to i-new as /dev/sdf".to_owned();
    assert!(words(&good).contains(&attach));
    for other in [
        made("a", 2, Standing::New, None, Some("snap-1")),
        made("b", 2, Standing::New, None, Some("snap-9")),
        made("b", 2, Standing::New, None, None),
        made("b", 2, Standing::New, Some("i-x"), Some("snap-1")),
    ] {
        assert!(words(&other).contains(&again), "{:?}", words(&other));
    }
    let mut broken = good.clone();
    broken.volumes().get_mut(&"vol-2".into()).unwrap().state = VolumeState::Error;
    assert!(words(&broken).contains(&again));
    // One that is not newer than the data it was made from is left over.
    let left_over = made("b", 1, Standing::New, None, Some("snap-1"));
    assert!(words(&left_over).contains(&"restore data (epoch 2) from snap-1 in b".to_owned()));
    let older = made("b", 1, Standing::Superseded, None, Some("snap-1")).volume(
        "vol-1",
        "a",
        2,
        term("i-old", long_ago()),
        None,
    );
    assert!(!words(&older).contains(&attach));
    // Of two, the newest; of two alike, always the same.
    let two = good.volume("vol-3", "b", 3, Standing::New, None);
    let two = two.made_from("vol-3", "snap-1");
    assert!(words(&two).contains(&"attach vol-3 to i-new as /dev/sdf".to_owned()));
}

#[test]
fn a_volume_that_is_being_deleted_is_gone_and_one_without_the_name_is_none_of_it() {
    for state in [VolumeState::Deleting, VolumeState::Deleted] {
        let mut story = served().volume("vol-3", "a", 3, term("i-0", at(0)), None);
        story.volumes().get_mut(&"vol-3".into()).unwrap().state = state;
        expect(&story, &[]);
        let volume = story.volumes().get_mut(&"vol-3".into()).unwrap();
        (volume.state, volume.name) = (VolumeState::Available, None);
        expect(&story, &[]);
        // Were it one of them, it would be the newest.
        story.volumes().get_mut(&"vol-3".into()).unwrap().name = Some("data".into());
        assert_ne!(words(&story), [""; 0]);
    }
}

#[test]
fn two_volumes_of_the_newest_epoch_or_one_on_two_instances_are_for_a_person() {
    let two = "… two volumes claim to be data of epoch 2: remove the rehome:volume tag from the \
               one that is wrong";
    let twice = "… vol-2 is attached to more than one instance, which a data volume must never \
                 be: detach it from the wrong one";
    let story = served().volume("vol-9", "a", 2, term("i-0", long_ago()), None);
    expect(&story, &[two]);
    let mut story = served();
    let volume = story.volumes().get_mut(&"vol-2".into()).unwrap();
    let mut other = volume.attachments[0].clone();
    other.instance = "i-9".into();
    volume.attachments.push(other);
    expect(&story, &[twice]);
    // One that was never active, or no longer is, claims nothing.
    for standing in [Standing::New, Standing::Superseded] {
        expect(&served().volume("vol-9", "a", 2, standing, None), &[]);
    }
}

/// Two runners restored two captures of one move, and neither saw the other's
/// volume: tale 5175 of the swarm.
#[test]
fn of_two_copies_that_began_for_one_heir_the_one_it_has_is_right() {
    let rival = |on| served().volume("vol-9", "a", 2, term("i-1", long_ago()), on);
    // It is marked at once: nothing would tell the two apart once the holder has let
    // go of its own (tale 75198).
    expect(&rival(None), &["mark vol-9 as superseded"]);
    let mut marked = rival(None);
    marked.volumes().get_mut(&"vol-9".into()).unwrap().standing = Standing::Superseded;
    expect(&marked, &[]);
    assert!(words(&rival(Some("i-1"))).concat().contains("two volumes"));
    assert!(words(&rival(Some("i-9"))).concat().contains("two volumes"));

    let neither = |agent: bool| {
        let story = rival(None).detached("vol-2");
        if agent { story } else { story.no_agent() }
    };
    let first = "attach vol-9 to i-1 as /dev/sdf".to_owned();
    assert!(words(&neither(false)).contains(&first));
    let state = SnapshotState::Completed;
    let of_another = neither(false).snapshot("snap-1", "vol-1", 1, state, at(-60), None);
    assert!(words(&of_another).contains(&first));
    let elsewhere = rival(Some("i-9")).detached("vol-2");
    assert!(words(&elsewhere).concat().contains("two volumes"));
    // An agent may have let go of the one that was in use,
    assert!(words(&neither(true)).concat().contains("two volumes"));
    // a capture shows that one was,
    let captured = neither(false).snapshot("snap-9", "vol-9", 2, state, at(-60), None);
    assert!(words(&captured).concat().contains("two volumes"));
    // and a holder that leaves was served by one of them.
    let left = neither(false).member("i-1", Lifecycle::TerminatingWait, "a");
    assert!(!words(&left).concat().contains("attach"));
}

/// One runner's copy failed, so that its next one was of a higher epoch than the one that
/// another runner had made meanwhile: tale 9209886 of the swarm.
#[test]
fn of_two_epochs_that_began_for_one_heir_the_one_it_has_is_right_and_takes_the_next() {
    let made_for = |mut story: Story, id: &str, incident: &str| {
        let volume = story.volumes().get_mut(&id.into()).unwrap();
        volume.incident = Some(Incident::new(incident));
        story
    };
    let both = |holder: &str, incident: &str, on| {
        let story = served()
            .volume("vol-3", "a", 3, term(holder, at(1)), on)
            .marker(3);
        made_for(made_for(story, "vol-2", "i-0/1"), "vol-3", incident)
    };
    let rivals = both("i-1", "i-0/1", None);
    expect(&rivals, &["begin the term of i-1 on data (epoch 4)"]);
    let healed = |mut story: Story| {
        let volume = story.volumes().get_mut(&"vol-2".into()).unwrap();
        volume.epoch = Epoch(4);
        story.marker(4)
    };
    let loser = Step::Supersede {
        volume: "vol-3".into(),
    };
    assert!(healed(rivals.clone()).plan().upkeep.contains(&loser));
    expect(&healed(rivals.clone()), &[]);
    // Neither came to it: where nobody on it could have let go of one, the first.
    let neither = rivals.clone().detached("vol-2").no_agent();
    assert!(words(&neither).contains(&"begin the term of i-1 on data (epoch 4)".to_owned()));
    // Where the holder has let go of the one that it had, a person has to say.
    let state = SnapshotState::Completed;
    let left = rivals.clone().detached("vol-2");
    let captured = |volume, epoch| {
        let story = left.clone();
        story.snapshot("snap-1", volume, epoch, state, at(60), Some("i-1/0"))
    };
    let asks = |story: &Story| words(story).concat().contains("two volumes");
    assert!(asks(&captured("vol-2", 2)));
    assert!(!asks(&left) && !asks(&captured("vol-3", 3)));
    assert!(!asks(&captured("vol-2", 2).snapshot(
        "snap-2",
        "vol-3",
        3,
        state,
        at(60),
        None
    )));
    // What was made for another move, or serves another one, is a newer lineage.
    for newer in [both("i-1", "i-0/2", None), both("i-2", "i-0/1", None)] {
        assert!(words(&newer).contains(&"stop the workload and unmount".to_owned()));
    }
    // And so is what the holder has itself.
    let other = both("i-1", "i-0/1", Some("i-1")).detached("vol-2");
    assert!(!words(&other).concat().contains("(epoch 4)"));
}

/// The predecessor goes and its heir is there: there would be much to do.
#[test]
fn what_is_disputed_stays_where_it_is_with_all_that_hangs_on_it() {
    let rival = |on: Option<&str>| {
        let story = Story::replacement("a").address_on("i-old").at(600);
        let story = story.volume("vol-1", "a", 1, term("i-old", long_ago()), on);
        story.volume("vol-9", "a", 1, term("i-older", long_ago()), None)
    };
    let mut twice = Story::replacement("a").address_on("i-old").at(600);
    let volume = twice.volumes().get_mut(&"vol-1".into()).unwrap();
    let mut other = volume.attachments[0].clone();
    other.instance = "i-9".into();
    volume.attachments.push(other);
    for story in [rival(Some("i-old")), rival(None), twice] {
        for here in [None, Some("i-old"), Some("i-new")] {
            let mut story = story.clone();
            if let Some(id) = here {
                story = story.here(id, None, Workload::Stopped);
            }
            for story in [story.clone(), story.no_agent()] {
                let plan = story.plan();
                assert_eq!(plan.steps, [], "{here:?}");
                let asks = plan.waits.iter().any(|w| {
                    let two = matches!(w.reason, Reason::Hold(Hold::TwoLineages { .. }));
                    two || matches!(w.reason, Reason::Hold(Hold::DoublyAttached { .. }))
                });
                assert_eq!(asks, here != Some("i-old"));
            }
        }
        // Only who has it mounted may still bring its own house in order.
        let old = story.here("i-old", Some("vol-1"), Workload::Healthy);
        assert_eq!(words(&old)[0], "stop the workload and unmount");
        assert_eq!(
            open(&old),
            ["the terminate action of i-old (hook terminate)"]
        );
    }
}

#[test]
fn snapshots_alone_say_that_there_was_data_and_which_is_the_newest() {
    // The group was made anew: no marker, no volume.
    let alone = |epochs: &[u64]| {
        let story = Story::new()
            .member("i-1", PendingWait, "a")
            .instance("i-1", InstanceState::Running, at(0))
            .address_on("i-1")
            .here("i-1", None, Workload::Stopped)
            .at(300);
        epochs.iter().fold(story, |story, epoch| {
            let id = format!("snap-{epoch}");
            let started = at(-i64::try_from(*epoch).unwrap());
            story.snapshot(&id, "vol-1", *epoch, Completed, started, Some(&id))
        })
    };
    expect(&alone(&[]), &["make the first, blank volume data in a"]);
    expect(&alone(&[1]), &["restore data (epoch 2) from snap-1 in a"]);
    expect(
        &alone(&[1, 2]),
        &["restore data (epoch 3) from snap-2 in a"],
    );
    // It is waited for a describe that lags, and no longer.
    let lagging = alone(&[1]).at(299);
    assert!(words(&lagging)[0].contains("a describe may lag behind"));
}
