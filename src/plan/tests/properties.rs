//! What holds in every world, likely or not.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::worlds::{Story, at, long_ago, term};
use crate::plan::Step;
use crate::world::*;

fn lifecycle() -> impl Strategy<Value = Lifecycle> {
    prop_oneof![
        Just(Lifecycle::Pending),
        Just(Lifecycle::PendingWait),
        Just(Lifecycle::InService),
        Just(Lifecycle::Terminating),
        Just(Lifecycle::TerminatingWait),
        Just(Lifecycle::TerminatingRetained),
        Just(Lifecycle::Standby),
        Just(Lifecycle::Warmed("Warmed:Stopped".to_owned())),
    ]
}

fn instance_state() -> impl Strategy<Value = InstanceState> {
    prop_oneof![
        Just(InstanceState::Pending),
        Just(InstanceState::Running),
        Just(InstanceState::Running),
        Just(InstanceState::Stopping),
        Just(InstanceState::Stopped),
        Just(InstanceState::Terminated),
    ]
}

prop_compose! {
    /// Up to three members (or a pair), two volumes and three snapshots, in any
    /// state.
    pub(super) fn story()(
        members in prop::collection::vec((lifecycle(), instance_state(), 0..2_u8, any::<bool>()), 0..4),
        volumes in prop::collection::vec((0..2_u8, 0..4_u64, 0..3_u8, prop::option::of(0..3_u8)), 0..3),
        snapshots in prop::collection::vec((0..3_u8, 0..4_u64, any::<bool>(), -7200..60_i64, 0..3_u8), 0..4),
        marker in prop::option::of(0..4_u64),
        seat in prop::option::of(0..3_u8),
        mounted in any::<bool>(),
        agent in any::<bool>(),
        address in prop::option::of(0..3_u8),
        pair in prop::option::weighted(0.4, prop::option::of((0..2_u8, -4000..4000_i64))),
        now in 0..4000_i64,
    ) -> Story {
        let zone = |z: u8| if z == 0 { "a" } else { "b" };
        let mut story = Story::new().at(now);
        story.spec.agent = agent;
        for (n, (lifecycle, state, z, described)) in members.iter().enumerate() {
            let id = format!("i-{n}");
            story = story.member(&id, lifecycle.clone(), zone(*z));
            if *described {
                story = story.instance(&id, *state, at(i64::try_from(n).unwrap() * 7 - 7));
            }
        }
        if let (Some(appointed), 2..) = (pair, members.len()) {
            story = story.pair(appointed.map(|(n, since)| (format!("i-{n}"), at(since))));
        }
        for (n, (z, epoch, standing, on)) in volumes.iter().enumerate() {
            let standing = match standing {
                0 => Standing::New,
                1 => Standing::Active(None),
                _ => term("i-0", long_ago()),
            };
            let on = on.map(|i| format!("i-{i}"));
            story = story.volume(&format!("vol-{n}"), zone(*z), *epoch, standing, on.as_deref());
        }
        for (n, (of, epoch, complete, started, incident)) in snapshots.iter().enumerate() {
            let state = if *complete { SnapshotState::Completed } else { SnapshotState::Pending };
            let incident = match incident {
                0 => None,
                1 => Some("live/1".to_owned()),
                _ => Some(format!("i-0/{}", long_ago().as_millisecond())),
            };
            story = story.snapshot(&format!("snap-{n}"), &format!("vol-{of}"), *epoch, state, at(*started), incident.as_deref());
        }
        if let Some(marker) = marker {
            story = story.marker(marker);
        }
        if let Some(on) = address {
            story = story.address_on(&format!("i-{on}"));
        }
        match seat.map(|s| format!("i-{s}")) {
            Some(id) if story.group().members.contains_key(&id.as_str().into()) => {
                let mounted = mounted.then_some("vol-0");
                story.here(&id, mounted, Workload::Stopped)
            }
            _ => story,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_twice_says_the_same(story in story()) {
        prop_assert_eq!(story.plan(), story.plan());
    }

    /// Promise 1: nothing is attached that another instance has.
    #[test]
    fn only_a_free_volume_is_attached_and_only_to_the_holder(mut story in story()) {
        let plan = story.plan();
        for step in &plan.steps {
            if let Step::Attach { volume, instance, .. } = step {
                prop_assert!(story.volumes()[volume].attachments.is_empty());
                prop_assert_eq!(Some(instance), plan.holder.as_ref());
            }
        }
    }

    /// Promise 2: only what is quiet is captured as clean.
    #[test]
    fn a_capture_is_of_a_quiet_volume(mut story in story()) {
        for step in story.plan().steps {
            if let Step::Capture { volume, .. } = step {
                for a in story.volumes()[&volume].attachments.clone() {
                    prop_assert!(story.instances()[&a.instance].state.is_down());
                }
            }
        }
    }

    /// Nobody stops the holder, and only an appointed one is started.
    #[test]
    fn the_holder_is_not_fenced(mut story in story()) {
        let plan = story.plan();
        let appointed = story.group().appointed.clone().map(|term| term.holder);
        for step in &plan.steps {
            match step {
                Step::Fence { instance, .. } => prop_assert_ne!(Some(instance), plan.holder.as_ref()),
                Step::StartInstance { instance } => {
                    prop_assert_eq!(Some(instance), plan.holder.as_ref());
                    prop_assert_eq!(Some(instance), appointed.as_ref());
                }
                Step::Appoint { heir, .. } => prop_assert_ne!(Some(heir), plan.holder.as_ref()),
                _ => {}
            }
        }
    }

    /// Promise 4: a blank volume only where there is no trace of data.
    #[test]
    fn blank_only_without_any_trace_of_data(mut story in story()) {
        for step in story.plan().steps {
            match step {
                Step::CreateVolume { source: None, .. } => {
                    prop_assert!(story.group().markers.is_empty());
                    prop_assert!(story.snapshots().is_empty());
                    prop_assert!(story.volumes().values().all(|v| v.standing == Standing::New));
                }
                Step::Format { volume, .. } => {
                    let volume = &story.volumes()[&volume];
                    prop_assert!(volume.standing == Standing::New && volume.source.is_none());
                }
                _ => {}
            }
        }
    }

    /// Promise 5: the newest complete set of the newest lineage is never deleted.
    #[test]
    fn the_newest_data_is_never_deleted(mut story in story()) {
        let plan = story.plan();
        let marked = story.group().markers.values().map(|e| e.0).max();
        let top = marked.into_iter()
            .chain(story.volumes().values().filter(|v| v.standing != Standing::New).map(|v| v.epoch.0))
            .max();
        let newest = story.snapshots().values()
            .filter(|s| s.state == SnapshotState::Completed)
            .max_by_key(|s| (s.epoch, s.started, std::cmp::Reverse(s.id.clone())))
            .map(|s| (s.epoch, s.started));
        for step in plan.upkeep.iter().chain(&plan.steps) {
            match step {
                Step::DeleteVolume { volume, .. } => {
                    let volume = &story.volumes()[volume];
                    prop_assert!(volume.attachments.is_empty());
                    prop_assert!(volume.standing == Standing::New || Some(volume.epoch.0) < top);
                }
                Step::DeleteSnapshot { snapshot, .. } => {
                    let snapshot = &story.snapshots()[snapshot];
                    prop_assert!(Some((snapshot.epoch, snapshot.started)) <= newest);
                    prop_assert_eq!(snapshot.state, SnapshotState::Completed);
                }
                _ => {}
            }
        }
    }

    /// Promise 7: an address goes to the holder, running, at its hook or past it.
    #[test]
    fn an_address_goes_to_a_ready_holder(mut story in story()) {
        let plan = story.plan();
        for step in &plan.steps {
            if let Step::Associate { instance, .. } = step {
                prop_assert_eq!(Some(instance), plan.holder.as_ref());
                prop_assert_eq!(story.instances()[instance].state, InstanceState::Running);
                let lifecycle = &story.group().members[instance].lifecycle;
                prop_assert!(lifecycle.is_candidate() && *lifecycle != Lifecycle::Pending);
            }
        }
    }

    /// Promise 12: with a part unknown, nothing is done that rests on it.
    #[test]
    fn nothing_irreversible_rests_on_the_unknown(story in story(), part in 0..4_u8) {
        let mut blind = story;
        let unknown = || "no answer".to_owned();
        match part {
            0 => blind.world.group = Seen::Unknown(unknown()),
            1 => blind.world.instances = Seen::Unknown(unknown()),
            2 => blind.world.volumes = Seen::Unknown(unknown()),
            _ => blind.world.snapshots = Seen::Unknown(unknown()),
        }
        let plan = blind.plan();
        prop_assert!(!plan.is_settled(), "an API that is down was read as success");
        prop_assert!(plan.steps.iter().all(|s| *s == Step::Quiesce), "{plan:?}");
        prop_assert!(plan.upkeep.is_empty());
    }

    /// Steps of one plan are carried out at once, so none may stand there twice
    /// or contradict another.
    #[test]
    fn the_steps_of_a_plan_do_not_contradict_each_other(story in story()) {
        let plan = story.plan();
        let keys: BTreeSet<String> = plan.steps.iter().map(Step::key).collect();
        prop_assert_eq!(keys.len(), plan.steps.len());
        let touched: Vec<_> = plan.steps.iter().filter_map(|s| match s {
            Step::Attach { volume, .. }
            | Step::Detach { volume, .. }
            | Step::Displace { volume, .. } => Some(volume.clone()),
            _ => None,
        }).collect();
        let distinct: BTreeSet<_> = touched.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), touched.len());
    }
}
