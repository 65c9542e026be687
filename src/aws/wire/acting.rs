//! Is each step done once, whatever becomes of its answer, and not at all when
//! what it rests on has changed?

use super::*;
use crate::aws::Meaning;
use crate::ids::SnapshotId;
use crate::plan::step::{LiveVolume, Retired};
use crate::world::{Consistency, SnapshotState, Standing, VolumeState};

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

/// One of the two answers that a capture rests on was twenty seconds older than the
/// other (swarm seed 9107959).
#[tokio::test(start_paused = true)]
async fn what_a_capture_rests_on_is_of_one_moment() {
    let stand = Stand::prompt();
    let (old, new) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1a").await,
    );
    let volume = stand.volume("us-east-1a", &[]);
    stand.strike("DescribeInstances", 1.0, Strike::TimedOutAfter);
    let step = capture(&volume, Some(&old));
    let meanwhile = async {
        stand.pass(5).await;
        stand.attach(&volume, &new);
        stand.pass(10).await;
        stand.heal();
    };
    let ((), ()) = tokio::join!(stand.overtaken(&step), meanwhile);
    assert_eq!(stand.calls("CreateSnapshot"), 0);
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

/// A key that nobody may use makes one burned token after the other.
#[tokio::test(start_paused = true)]
async fn after_many_burned_tokens_the_next_try_goes_on() {
    let stand = Stand::prompt();
    for _ in 0..9 {
        stand.done(&create(None, "a")).await;
        stand.pass(10).await;
        let world = stand.look().await;
        let volume = known(&world.volumes).keys().next().unwrap().clone();
        let why = Retired::NeverActive;
        stand.done(&Step::DeleteVolume { volume, why }).await;
        stand.pass(60).await;
    }
    stand.done(&create(None, "a")).await;
    stand.pass(10).await;
    assert_eq!(known(&stand.look().await.volumes).len(), 1);
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
    let take_back = |instance: &InstanceId| Step::TakeBack {
        volume: volume.clone(),
        instance: instance.clone(),
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
    stand.overtaken(&take_back(&here)).await;
    stand.overtaken(&detach(&here, true)).await;
    stand.done(&detach(&here, false)).await;
    stand.done(&detach(&here, false)).await;
    stand.done(&take_back(&here)).await;
    stand.pass(60).await;
    stand.overtaken(&take_back(&here)).await;
    stand.done(&detach(&here, false)).await;
    stand.done(&attach(&there)).await;
    stand.pass(10).await;
    stand.overtaken(&detach(&here, false)).await;
}

/// Ten seconds later somebody may have attached it anew, and serve from it (swarm seed
/// 21058430).
#[tokio::test(start_paused = true)]
async fn a_detach_that_is_not_answered_is_not_sent_again_unseen() {
    let stand = Stand::prompt();
    let here = stand.instance("us-east-1a").await;
    let volume = stand.volume("us-east-1a", &[]);
    stand.attach(&volume, &here);
    stand.pass(10).await;
    let detach = Step::Detach {
        volume: volume.clone(),
        instance: here,
        force: false,
    };
    stand.strike("DetachVolume", 1.0, Strike::LostBefore);
    stand.act(&detach).await.unwrap_err();
    assert_eq!(stand.calls("DetachVolume"), 1);
    // Where it is seen to have been carried out, nothing is left to be done.
    stand.strike("DetachVolume", 1.0, Strike::TimedOutAfter);
    stand.done(&detach).await;
    assert_eq!(stand.calls("DetachVolume"), 2);
}

/// The holder's agent may have mounted it since (swarm seeds 21009574, 21015663).
#[tokio::test(start_paused = true)]
async fn an_unused_copy_is_not_displaced_once_a_term_began_on_it() {
    let stand = Stand::prompt();
    let here = stand.instance("us-east-1a").await;
    let made = |state| {
        let tags = [("rehome:state", state), ("rehome:incident", "i-0/1")];
        stand.volume("us-east-1a", &tags)
    };
    let displace = |volume: &VolumeId| Step::Displace {
        volume: volume.clone(),
        instance: here.clone(),
        force: false,
    };
    let (used, unused) = (made("active"), made("new"));
    stand.attach(&used, &here);
    stand.pass(10).await;
    stand.overtaken(&displace(&used)).await;
    assert_eq!(stand.calls("DetachVolume"), 0);
    stand
        .done(&Step::Detach {
            volume: used,
            instance: here.clone(),
            force: false,
        })
        .await;
    stand.pass(10).await;
    stand.attach(&unused, &here);
    stand.pass(10).await;
    stand.done(&displace(&unused)).await;
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

// ----------------------------------------------------------------- refusals

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
