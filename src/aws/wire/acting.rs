//! Is each step done once, whatever becomes of its answer, and not at all when
//! what it rests on has changed?

use super::*;
use crate::aws::{AwsError, Meaning, Outcome};
use crate::ids::{AllocationId, SnapshotId};
use crate::plan::step::{Action, Activation, LiveVolume, Retired, Step};
use crate::world::{Consistency, SnapshotState, Standing, Transition, VolumeState};

impl Stand {
    async fn act(&self, step: &Step) -> Result<Outcome, AwsError> {
        self.aws.act(&self.spec, step, self.now()).await
    }

    async fn done(&self, step: &Step) {
        assert_eq!(self.act(step).await.unwrap(), Outcome::Done, "{step:?}");
    }

    async fn overtaken(&self, step: &Step) {
        let outcome = self.act(step).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Overtaken(_)),
            "{step:?}: {outcome:?}"
        );
    }
}

fn capture(volume: &VolumeId, quiet_on: Option<&InstanceId>) -> Step {
    Step::Capture {
        name: "data".into(),
        volume: volume.clone(),
        epoch: Epoch(3),
        incident: "orders/i-1/3".into(),
        consistency: Consistency::Clean,
        quiet_on: quiet_on.cloned(),
        shape: Shape {
            volume_type: Some("gp3".to_owned()),
            size_gib: Some(100),
            ..Shape::default()
        },
        tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
    }
}

fn create(source: Option<&SnapshotId>, incident: &str) -> Step {
    Step::CreateVolume {
        name: "data".into(),
        zone: "us-east-1b".into(),
        epoch: Epoch(4),
        incident: incident.into(),
        source: source.cloned(),
        shape: Shape {
            volume_type: Some("gp3".to_owned()),
            size_gib: Some(100),
            iops: Some(4000),
            throughput: Some(200),
            encrypted: Some(false),
            kms_key_id: None,
        },
        tags: BTreeMap::from([
            ("team".to_owned(), "shop".to_owned()),
            ("aws:cloudformation:stack-id".to_owned(), "no".to_owned()),
        ]),
    }
}

// ---------------------------------------------------------------- snapshots

#[tokio::test(start_paused = true)]
async fn a_capture_carries_all_that_the_volume_was() {
    let stand = Stand::new();
    let volume = stand.volume("us-east-1a", &[]);
    stand.pass(10).await;
    stand.done(&capture(&volume, None)).await;
    // Seen at once, though neither the index nor a look by id shows it yet.
    let world = stand.look().await;
    let snapshot = known(&world.snapshots).values().next().unwrap();
    assert_eq!(
        (snapshot.state, snapshot.epoch),
        (SnapshotState::Pending, Epoch(3))
    );
    assert_eq!(snapshot.consistency, Consistency::Clean);
    assert_eq!(snapshot.incident, Some("orders/i-1/3".into()));
    assert_eq!(snapshot.shape.size_gib, Some(100));
    stand.pass(900).await;
    let later = stand.look().await;
    let later = known(&later.snapshots).values().next().unwrap();
    assert_eq!(later.state, SnapshotState::Completed);
    assert_eq!(
        (&later.shape, &later.tags, &later.name),
        (&snapshot.shape, &snapshot.tags, &snapshot.name)
    );
}

#[tokio::test(start_paused = true)]
async fn a_capture_whose_answer_is_lost_is_looked_up_and_not_repeated() {
    for strike in [Strike::LostAfter, Strike::TimedOutAfter] {
        let stand = Stand::new();
        let volume = stand.volume("us-east-1a", &[]);
        stand.pass(10).await;
        stand.strike("CreateSnapshot", 1.0, strike);
        stand.done(&capture(&volume, None)).await;
        assert_eq!(stand.shared.lock().truth().snapshots.len(), 1);
        assert_eq!(stand.calls("CreateSnapshot"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_never_arrives_is_tried_a_few_times() {
    let stand = Stand::new();
    let volume = stand.volume("us-east-1a", &[]);
    stand.pass(10).await;
    stand.strike("CreateSnapshot", 1.0, Strike::LostBefore);
    let error = stand.act(&capture(&volume, None)).await.unwrap_err();
    assert_eq!(error.meaning, Meaning::NoAnswer);
    assert_eq!(stand.calls("CreateSnapshot"), 3);
    stand.heal();
    stand.done(&capture(&volume, None)).await;
    assert_eq!(stand.shared.lock().truth().snapshots.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_captured_as_clean_that_is_not_quiet() {
    let stand = Stand::prompt();
    let (volume, instance) = (
        stand.volume("us-east-1a", &[]),
        stand.instance("us-east-1a").await,
    );
    stand.attach(&volume, &instance);
    stand.overtaken(&capture(&volume, None)).await;
    stand.overtaken(&capture(&volume, Some(&instance))).await;
    assert_eq!(stand.calls("CreateSnapshot"), 0);

    stand
        .done(&Step::Fence {
            instance: instance.clone(),
            force: false,
        })
        .await;
    stand.pass(120).await;
    stand.done(&capture(&volume, Some(&instance))).await;
    stand
        .overtaken(&capture(&"vol-00000000000000000".into(), None))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_live_set_is_taken_at_once_and_leaves_strangers_out() {
    let stand = Stand::prompt();
    let instance = stand.instance("us-east-1a").await;
    let (data, wal) = (
        stand.volume("us-east-1a", &[]),
        stand.volume("us-east-1a", &[]),
    );
    let scratch = stand
        .shared
        .lock()
        .create_volume("us-east-1a", 5, BTreeMap::new(), stand.now());
    for (at, id) in [data.as_str(), wal.as_str(), &scratch]
        .into_iter()
        .enumerate()
    {
        let device = format!("/dev/sd{}", ['f', 'g', 'h'][at]);
        assert!(
            stand
                .shared
                .lock()
                .attach_volume(id, instance.as_str(), &device, stand.now())
        );
    }
    let live = |name: &str, volume: &VolumeId, epoch| LiveVolume {
        name: name.into(),
        volume: volume.clone(),
        epoch: Epoch(epoch),
        shape: Shape::default(),
        tags: BTreeMap::new(),
    };
    let step = Step::SnapshotLive {
        instance: instance.clone(),
        incident: "orders/periodic/1".into(),
        volumes: vec![live("data", &data, 3), live("wal", &wal, 5)],
        exclude: vec![],
    };
    stand.done(&step).await;
    stand.pass(900).await;
    let world = stand.look().await;
    let mut taken: Vec<_> = known(&world.snapshots)
        .values()
        .map(|of| {
            (
                of.name.clone().unwrap().to_string(),
                of.epoch.0,
                of.consistency,
            )
        })
        .collect();
    taken.sort_by(|a, b| a.0.cmp(&b.0));
    let crash = Consistency::Crash;
    assert_eq!(
        taken,
        [("data".to_owned(), 3, crash), ("wal".to_owned(), 5, crash)]
    );
    assert_eq!(stand.shared.lock().truth().snapshots.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn deleting_twice_is_done_twice() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[]);
    stand.done(&capture(&volume, None)).await;
    stand.pass(900).await;
    let snapshot = known(&stand.look().await.snapshots)
        .keys()
        .next()
        .unwrap()
        .clone();
    let step = Step::DeleteSnapshot {
        snapshot,
        why: Retired::BeyondKeep,
    };
    stand.done(&step).await;
    stand.done(&step).await;
    assert!(known(&stand.look().await.snapshots).is_empty());
}

// ------------------------------------------------------------------ volumes

#[tokio::test(start_paused = true)]
async fn a_volume_is_made_once_however_often_it_is_asked_for() {
    let stand = Stand::new();
    stand.strike("CreateVolume", 0.5, Strike::LostAfter);
    stand.done(&create(None, "a")).await;
    stand.heal();
    stand.done(&create(None, "a")).await;
    // Another runner gives the move another name: it finds the one that is there.
    stand.pass(10).await;
    stand.done(&create(None, "b")).await;
    let truth = stand.shared.lock().truth();
    assert_eq!(truth.volumes.len(), 1);
    let world = stand.look().await;
    let volume = known(&world.volumes).values().next().unwrap();
    assert_eq!((volume.epoch, &volume.standing), (Epoch(4), &Standing::New));
    assert_eq!(
        (volume.shape.iops, volume.shape.throughput),
        (Some(4000), Some(200))
    );
    assert_eq!(
        volume.tags,
        BTreeMap::from([("team".to_owned(), "shop".to_owned())])
    );
}

#[tokio::test(start_paused = true)]
async fn a_burned_token_is_left_behind() {
    let stand = Stand::prompt();
    stand.done(&create(None, "a")).await;
    stand.pass(10).await;
    let first = known(&stand.look().await.volumes)
        .keys()
        .next()
        .unwrap()
        .clone();
    stand
        .done(&Step::DeleteVolume {
            volume: first.clone(),
            why: Retired::NeverActive,
        })
        .await;
    stand.pass(60).await;
    stand.done(&create(None, "a")).await;
    stand.pass(10).await;
    let world = stand.look().await;
    let usable: Vec<_> = known(&world.volumes)
        .values()
        .filter(|volume| volume.state == VolumeState::Available)
        .map(|volume| &volume.id)
        .collect();
    assert_eq!(usable.len(), 1);
    assert_ne!(*usable[0], first);
}

#[tokio::test(start_paused = true)]
async fn no_volume_is_made_of_a_snapshot_that_is_not_complete() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[]);
    stand.done(&capture(&volume, None)).await;
    let snapshot = known(&stand.look().await.snapshots)
        .keys()
        .next()
        .unwrap()
        .clone();
    stand.overtaken(&create(Some(&snapshot), "a")).await;
    stand
        .overtaken(&create(Some(&"snap-00000000000000000".into()), "a"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn attaching_and_detaching_survive_a_lost_answer() {
    let stand = Stand::prompt();
    let (here, there) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1a").await,
    );
    let volume = stand.volume("us-east-1a", &[]);
    let attach = |instance: &InstanceId| Step::Attach {
        volume: volume.clone(),
        instance: instance.clone(),
        device: "/dev/sdf".to_owned(),
    };
    let detach = |instance: &InstanceId, force| Step::Detach {
        volume: volume.clone(),
        instance: instance.clone(),
        force,
    };
    stand.strike("AttachVolume", 1.0, Strike::LostAfter);
    stand.done(&attach(&here)).await;
    stand.heal();
    stand.overtaken(&attach(&there)).await;
    stand.pass(10).await;
    stand.overtaken(&detach(&here, true)).await;
    stand.done(&detach(&here, false)).await;
    stand.done(&detach(&here, false)).await;
    stand.pass(60).await;
    stand.done(&detach(&here, false)).await;
    stand.done(&attach(&there)).await;
    stand.pass(10).await;
    stand.overtaken(&detach(&here, false)).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_turns_out_to_be_used_is_not_deleted() {
    let stand = Stand::prompt();
    let used = stand.volume(
        "us-east-1a",
        &[("rehome:epoch", "2"), ("rehome:state", "active")],
    );
    stand
        .overtaken(&Step::DeleteVolume {
            volume: used.clone(),
            why: Retired::NeverActive,
        })
        .await;
    let instance = stand.instance("us-east-1a").await;
    stand.attach(&used, &instance);
    stand
        .overtaken(&Step::DeleteVolume {
            volume: used,
            why: Retired::Superseded,
        })
        .await;
    assert_eq!(stand.calls("DeleteVolume"), 0);
}

// -------------------------------------------------------------------- terms

fn activate(volume: &VolumeId, holder: &InstanceId, epoch: u64) -> Step {
    Step::Activate {
        holder: holder.clone(),
        since: "2026-01-01T01:00:00Z".parse().unwrap(),
        volumes: vec![Activation {
            name: "data".into(),
            volume: volume.clone(),
            epoch: Epoch(epoch),
            mark_group: true,
        }],
    }
}

#[tokio::test(start_paused = true)]
async fn a_term_stands_on_the_volume_and_on_the_group() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let first = stand.look().await;
    let (member, of) = known(&first.group).members.iter().next().unwrap();
    let volume = stand.volume(
        of.zone.as_str(),
        &[("rehome:epoch", "4"), ("rehome:state", "new")],
    );
    stand.attach(&volume, member);
    stand.done(&activate(&volume, member, 4)).await;
    let world = stand.look().await;
    let seen = &known(&world.volumes)[&volume];
    assert!(matches!(&seen.standing, Standing::Active(Some(term)) if term.holder == *member));
    assert_eq!(
        known(&world.group).markers,
        BTreeMap::from([("data".into(), Epoch(4))])
    );

    // A runner that slept through it.
    let old = stand.volume(
        of.zone.as_str(),
        &[("rehome:epoch", "3"), ("rehome:state", "new")],
    );
    stand.overtaken(&activate(&old, member, 3)).await;
    assert_eq!(
        known(&stand.look().await.group).markers[&"data".into()],
        Epoch(4)
    );
    stand
        .done(&Step::Supersede {
            volume: old.clone(),
        })
        .await;
    assert_eq!(stand.tags_of_volume(&old)["rehome:state"], "superseded");
}

#[tokio::test(start_paused = true)]
async fn the_group_is_marked_only_after_its_volumes() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let first = stand.look().await;
    let (member, of) = known(&first.group).members.iter().next().unwrap();
    let volume = stand.volume(of.zone.as_str(), &[]);
    stand.attach(&volume, member);
    stand.strike("CreateOrUpdateTags", 1.0, Strike::LostBefore);
    assert!(stand.act(&activate(&volume, member, 0)).await.is_err());
    assert_eq!(stand.tags_of_volume(&volume)["rehome:epoch"], "0");
    assert_eq!(
        stand.tags_of_volume(&volume)["rehome:holder"],
        member.as_str()
    );
    stand.heal();
    stand.done(&activate(&volume, member, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pairs_marker_stands_on_both() {
    let mut stand = Stand::prompt();
    let (one, two) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    stand.spec.kind = Kind::Pair {
        members: vec![one.clone(), two.clone()],
    };
    let volume = stand.volume(
        "us-east-1a",
        &[("rehome:epoch", "2"), ("rehome:state", "new")],
    );
    stand.attach(&volume, &one);
    stand.done(&activate(&volume, &one, 2)).await;
    let truth = stand.shared.lock().truth();
    for id in [&one, &two] {
        assert_eq!(truth.instances[id.as_str()].tags["rehome:epoch:data"], "2");
    }
}

// ---------------------------------------------------- addresses, lifecycle

#[tokio::test(start_paused = true)]
async fn an_address_moves_once_and_only_from_where_it_was() {
    let stand = Stand::prompt();
    let (old, heir) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    let address = stand
        .shared
        .lock()
        .allocate_address(BTreeMap::new(), stand.now());
    let address = AllocationId::new(address);
    stand
        .shared
        .lock()
        .associate_address(address.as_str(), Some(old.as_str()), stand.now());
    let step = |from: Option<&InstanceId>| Step::Associate {
        allocation: address.clone(),
        instance: heir.clone(),
        from: from.cloned(),
        to: None,
    };
    stand.overtaken(&step(None)).await;
    assert_eq!(stand.calls("AssociateAddress"), 0);
    stand.strike("AssociateAddress", 1.0, Strike::LostAfter);
    stand.done(&step(Some(&old))).await;
    stand.done(&step(Some(&old))).await;
    assert_eq!(stand.calls("AssociateAddress"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_move_of_an_address_is_given_up_sooner() {
    let stand = Stand::prompt();
    let heir = stand.instance("us-east-1b").await;
    let address = stand
        .shared
        .lock()
        .allocate_address(BTreeMap::new(), stand.now());
    stand.strike("AssociateAddress", 1.0, Strike::TimedOutAfter);
    let began = stand.now();
    let step = Step::Associate {
        allocation: address.as_str().into(),
        instance: heir,
        from: None,
        to: None,
    };
    stand.done(&step).await;
    let took = stand.now().duration_since(began).as_secs_f64();
    assert!((5.0..8.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_lifecycle_action_is_kept_open_completed_and_then_closed() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let world = stand.look().await;
    let member = known(&world.group).members.keys().next().unwrap().clone();
    let action = Action {
        hook: "launch".to_owned(),
        transition: Transition::Launch,
        instance: member,
    };
    let name = &stand.spec.name;
    assert_eq!(
        stand.aws.heartbeat(name, &action).await.unwrap(),
        Outcome::Done
    );
    let complete = Step::Complete {
        action: action.clone(),
    };
    stand.done(&complete).await;
    stand.overtaken(&complete).await;
    let late = stand.aws.heartbeat(name, &action).await.unwrap();
    assert!(matches!(late, Outcome::Overtaken(_)));
    // The hooks are asked for anew: they may have been replaced.
    let hooks = stand.calls("DescribeLifecycleHooks");
    stand.look().await;
    assert_eq!(stand.calls("DescribeLifecycleHooks"), hooks + 1);
}

#[tokio::test(start_paused = true)]
async fn fencing_and_starting_are_done_when_they_are_so() {
    let stand = Stand::prompt();
    let instance = stand.instance("us-east-1a").await;
    let fence = Step::Fence {
        instance: instance.clone(),
        force: true,
    };
    stand.done(&fence).await;
    stand.done(&fence).await;
    stand
        .overtaken(&Step::StartInstance {
            instance: instance.clone(),
        })
        .await;
    stand.pass(120).await;
    stand.done(&fence).await;
    let start = Step::StartInstance {
        instance: instance.clone(),
    };
    stand.done(&start).await;
    stand.done(&start).await;
    stand
        .shared
        .lock()
        .kill_instance(instance.as_str(), stand.now());
    stand.pass(120).await;
    stand.done(&fence).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_to_allow() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[]);
    stand.strike(
        "CreateSnapshot",
        1.0,
        Strike::Refused(Fault::denied("ec2:CreateSnapshot")),
    );
    let error = stand.act(&capture(&volume, None)).await.unwrap_err();
    assert_eq!(error.meaning, Meaning::Denied);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("could not take a snapshot of {volume}: ")),
        "{text}"
    );
    assert!(
        text.ends_with("allow ec2:CreateSnapshot for the role in use"),
        "{text}"
    );
    assert_eq!(stand.calls("CreateSnapshot"), 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_only_delays() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[]);
    stand.strike("*", 0.4, Strike::Refused(Fault::request_limit()));
    stand.done(&capture(&volume, None)).await;
    assert_eq!(stand.shared.lock().truth().snapshots.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_machine_is_no_call() {
    let stand = Stand::prompt();
    assert!(stand.act(&Step::Quiesce).await.is_err());
    assert_eq!(stand.calls("*"), 0);
}
