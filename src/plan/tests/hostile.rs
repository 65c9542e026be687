//! What if somebody else wrote the tags, and clocks are far off? A plan is
//! made, always the same, and none that destroys something on a guess.
//!
//! `PROPTEST_CASES` sets how many worlds are tried.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::properties::story;
use super::worlds::{Story, at};
use crate::ids::{Epoch, VolumeName};
use crate::plan::Step;
use crate::world::*;

/// Numbers at which arithmetic goes wrong.
fn epoch() -> impl Strategy<Value = Epoch> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(1 << 40),
        Just(u64::MAX - 1),
        Just(u64::MAX),
        any::<u64>()
    ]
    .prop_map(Epoch)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(Timestamp::UNIX_EPOCH),
        (-100_000..100_000_i64).prop_map(at),
        (Timestamp::MIN.as_second()..Timestamp::MAX.as_second())
            .prop_map(|s| Timestamp::from_second(s).unwrap()),
    ]
}

fn time() -> impl Strategy<Value = SignedDuration> {
    prop_oneof![
        Just(SignedDuration::ZERO),
        Just(SignedDuration::MAX),
        Just(SignedDuration::MIN),
        any::<i64>().prop_map(SignedDuration::from_secs),
    ]
}

fn standing() -> impl Strategy<Value = Standing> {
    let holder = prop::sample::select(vec!["i-0", "i-1", "i-9", "", "i-0 "]);
    prop_oneof![
        Just(Standing::New),
        Just(Standing::Superseded),
        Just(Standing::Active(None)),
        (holder, moment()).prop_map(|(holder, since)| Standing::Active(Some(Term {
            holder: holder.into(),
            since,
        }))),
    ]
}

prop_compose! {
    /// A world as any other, with somebody's hand in it.
    fn tampered()(
        story in story(),
        epochs in prop::collection::vec(epoch(), 12),
        moments in prop::collection::vec(moment(), 16),
        times in prop::collection::vec(time(), 8),
        standings in prop::collection::vec(standing(), 4),
        names in prop::collection::vec(prop::option::of("(data|logs|DATA| |\u{0}|[a-z]{0,3})"), 8),
        desired in prop_oneof![Just(0), Just(1), Just(u32::MAX)],
        now in moment(),
    ) -> Story {
        let mut story = story;
        let (mut epochs, mut moments) = (epochs.into_iter().cycle(), moments.into_iter().cycle());
        let (mut names, mut times) = (names.into_iter().cycle(), times.into_iter().cycle());
        for (volume, standing) in story.volumes().values_mut().zip(standings) {
            volume.epoch = epochs.next().unwrap();
            volume.standing = standing;
            volume.created = moments.next().unwrap();
            volume.name = names.next().unwrap().map(|name| name.as_str().into());
        }
        for snapshot in story.snapshots().values_mut() {
            snapshot.epoch = epochs.next().unwrap();
            snapshot.started = moments.next().unwrap();
            snapshot.name = names.next().unwrap().map(|name| name.as_str().into());
        }
        for instance in story.instances().values_mut() {
            instance.launched = moments.next().unwrap();
            instance.told_to_end = Some(moments.next().unwrap());
        }
        let group = story.group();
        group.desired = desired;
        for epoch in group.markers.values_mut() {
            *epoch = epochs.next().unwrap();
        }
        for hook in &mut group.hooks {
            hook.heartbeat = times.next().unwrap();
        }
        group.moves = moments.by_ref().take(8).collect();
        let ringing = Alarm { ringing: true, since: moments.next().unwrap(), about: Default::default() };
        story.world.alarms = Seen::Known([("status".to_owned(), ringing)].into());
        story.now = now;
        story
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_world_has_one_plan(story in tampered()) {
        let plan = story.plan();
        prop_assert_eq!(&plan, &story.plan());
        // All of it can be said.
        for step in plan.steps.iter().chain(&plan.upkeep) {
            prop_assert!(!step.to_string().is_empty());
        }
        for wait in &plan.waits {
            prop_assert!(!wait.reason.to_string().is_empty());
        }
    }

    #[test]
    fn nothing_is_destroyed_on_a_guess(mut story in tampered()) {
        let plan = story.plan();
        for step in plan.steps.iter().chain(&plan.upkeep) {
            match step {
                Step::CreateVolume { source: None, name, .. } => {
                    let may_be = |of: &Option<VolumeName>| of.as_ref().is_none_or(|of| of == name);
                    prop_assert!(!story.group().markers.contains_key(name));
                    prop_assert!(!story.snapshots().values().any(|s| may_be(&s.name)));
                    let mut volumes = story.volumes().values().filter(|v| may_be(&v.name));
                    prop_assert!(volumes.all(|v| v.standing == Standing::New && v.name.is_some()));
                }
                Step::Format { volume, .. } => {
                    prop_assert_eq!(&story.volumes()[volume].standing, &Standing::New);
                }
                Step::DeleteVolume { volume, .. } => {
                    prop_assert!(story.volumes()[volume].attachments.is_empty());
                }
                Step::Attach { volume, .. } => {
                    prop_assert!(story.volumes()[volume].attachments.is_empty());
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_is_planned_on_what_is_unknown(story in tampered(), part in 0..4_u8) {
        let mut blind = story;
        let why = || "no answer".to_owned();
        match part {
            0 => blind.world.group = Seen::Unknown(why()),
            1 => blind.world.instances = Seen::Unknown(why()),
            2 => blind.world.volumes = Seen::Unknown(why()),
            _ => blind.world.snapshots = Seen::Unknown(why()),
        }
        let plan = blind.plan();
        prop_assert!(plan.steps.iter().all(|step| *step == Step::Quiesce), "{plan:?}");
        prop_assert!(plan.upkeep.is_empty());
    }
}

/// Found by the worlds above: the tag that names the volume was taken away.
#[test]
fn a_copy_without_a_name_is_data_all_the_same() {
    let mut story = Story::new()
        .no_agent()
        .member("i-0", Lifecycle::PendingWait, "a")
        .instance("i-0", InstanceState::Running, at(0))
        .snapshot(
            "snap-0",
            "vol-0",
            3,
            SnapshotState::Completed,
            at(-60),
            None,
        );
    story.snapshots().get_mut(&"snap-0".into()).unwrap().name = None;
    let plan = story.plan();
    let blank = |step: &Step| matches!(step, Step::CreateVolume { .. });
    assert!(!plan.steps.iter().any(blank), "{plan:?}");
    assert!(
        plan.waits
            .iter()
            .any(|wait| wait.reason.to_string().contains("snap-0")),
        "{plan:?}"
    );
}
