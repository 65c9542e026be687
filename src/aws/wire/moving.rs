//! Do terms, addresses, instances and lifecycle actions come out right?

use jiff::Timestamp;

use super::*;
use crate::ids::AllocationId;
use crate::plan::step::{Action, Activation, Cause};
use crate::world::{Standing, Term, Transition};

pub(super) fn activate(volume: &VolumeId, holder: &InstanceId, epoch: u64) -> Step {
    Step::Activate {
        holder: holder.clone(),
        since: "2026-01-01T01:00:00Z".parse().unwrap(),
        volumes: vec![Activation {
            name: "data".into(),
            volume: volume.clone(),
            epoch: Epoch(epoch),
            marked: None,
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

/// A runner whose looks took half a minute: Auto Scaling has replaced it meanwhile, and
/// another serves from the volumes that these are copies of (swarm seed 21004579).
#[tokio::test(start_paused = true)]
async fn no_term_begins_for_whom_auto_scaling_takes_away() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let first = stand.look().await;
    let (member, of) = known(&first.group).members.iter().next().unwrap();
    let copy = stand.volume(
        of.zone.as_str(),
        &[("rehome:epoch", "4"), ("rehome:state", "new")],
    );
    let stranger = stand.instance("us-east-1a").await;
    stand.overtaken(&activate(&copy, &stranger, 4)).await;
    stand
        .done(&Step::ReportUnhealthy {
            instance: member.clone(),
            moves: Vec::new(),
        })
        .await;
    stand.pass(60).await;
    stand.overtaken(&activate(&copy, member, 4)).await;
    assert_eq!(stand.tags_of_volume(&copy)["rehome:state"], "new");
}

#[tokio::test(start_paused = true)]
async fn a_term_whose_beginning_is_not_answered_is_looked_up_first() {
    let stand = Stand::prompt();
    let here = stand.instance("us-east-1a").await;
    let volume = stand.volume("us-east-1a", &[("rehome:epoch", "1")]);
    stand.attach(&volume, &here);
    stand.pass(10).await;
    let mut begin = activate(&volume, &here, 1);
    if let Step::Activate { volumes, .. } = &mut begin {
        volumes[0].marked = Some(Epoch(1));
    }
    stand.strike("CreateTags", 1.0, Strike::TimedOutAfter);
    stand.act(&begin).await.unwrap_err();
    assert_eq!(stand.calls("CreateTags"), 1);
}

/// Its runner was cut off before it wrote the marker.
#[tokio::test(start_paused = true)]
async fn a_term_of_which_only_its_volume_speaks_is_not_turned_back() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let first = stand.look().await;
    let (member, of) = known(&first.group).members.iter().next().unwrap();
    let tags = |epoch, state| [("rehome:epoch", epoch), ("rehome:state", state)];
    let old = stand.volume(of.zone.as_str(), &tags("3", "active"));
    stand.volume("us-east-1b", &tags("4", "new"));
    stand.pass(60).await;
    stand.done(&activate(&old, member, 3)).await;
    stand.volume("us-east-1b", &tags("4", "active"));
    stand.pass(60).await;
    stand.overtaken(&activate(&old, member, 3)).await;
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

#[tokio::test(start_paused = true)]
async fn an_appointment_stands_on_both_and_a_stale_one_is_overtaken() {
    let mut stand = Stand::prompt();
    let (one, two) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    stand.spec.kind = Kind::Pair {
        members: vec![one.clone(), two.clone()],
    };
    let since: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
    let appoint = |over| Step::Appoint {
        heir: two.clone(),
        since,
        over,
        cause: Cause::Asked,
        moves: vec![since],
    };
    assert_eq!(known(&stand.look().await.group).appointed, None);
    stand.done(&appoint(None)).await;
    let world = stand.look().await;
    let term = Term {
        holder: two.clone(),
        since,
    };
    assert_eq!(known(&world.group).appointed, Some(term.clone()));
    assert_eq!(known(&world.group).moves, [since]);
    let truth = stand.shared.lock().truth();
    for id in [&one, &two] {
        assert_eq!(
            truth.instances[id.as_str()].tags["rehome:holder"],
            two.as_str()
        );
    }

    // A runner that planned before it knew of that.
    stand.overtaken(&appoint(None)).await;
    stand.done(&appoint(Some(term))).await;

    // Nor does a term begin that was decided before (swarm seed 21025148).
    let copy = stand.volume(
        "us-east-1a",
        &[("rehome:epoch", "2"), ("rehome:state", "new")],
    );
    let begin = |holder: &InstanceId, second: u32| {
        let mut step = activate(&copy, holder, 2);
        if let Step::Activate { since, .. } = &mut step {
            *since = format!("2026-01-01T00:59:{second}Z").parse().unwrap();
        }
        step
    };
    stand.overtaken(&begin(&one, 59)).await;
    stand.done(&begin(&two, 58)).await;
}

/// What the heir's note says counts; the other's is of use when the heir cannot be read.
#[tokio::test(start_paused = true)]
async fn an_appointment_that_failed_on_one_member_is_seen_and_noted_there() {
    let mut stand = Stand::prompt();
    let (one, two) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    stand.spec.kind = Kind::Pair {
        members: vec![one.clone(), two.clone()],
    };
    let note = |on: &InstanceId, holder: &InstanceId, hour| {
        let tags = [
            ("rehome:holder", holder.to_string()),
            ("rehome:since", format!("2026-01-01T0{hour}:00:00Z")),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value)).into();
        let now = stand.now();
        stand.shared.lock().tag_by_hand(on.as_str(), tags, now);
    };
    note(&one, &one, 1);
    note(&two, &two, 2);
    let term = |holder: &InstanceId, hour| Term {
        holder: holder.clone(),
        since: format!("2026-01-01T0{hour}:00:00Z").parse().unwrap(),
    };
    let seen = stand.look().await.group;
    assert_eq!(known(&seen).appointed, Some(term(&two, 2)));
    assert_eq!(known(&seen).unnoted, std::slice::from_ref(&one));
    let wish = |appointed| Step::NoteHolder {
        on: one.clone(),
        appointed,
        moves: vec![],
    };
    stand.overtaken(&wish(term(&one, 1))).await;
    stand.done(&wish(term(&two, 2))).await;
    assert_eq!(known(&stand.look().await.group).unnoted, []);
    let truth = stand.shared.lock().truth();
    let tags = &truth.instances[one.as_str()].tags;
    assert_eq!(tags["rehome:holder"], two.as_str());
    assert_eq!(tags["rehome:since"], "2026-01-01T02:00:00Z");
}

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
async fn a_step_of_the_machine_is_no_call() {
    let stand = Stand::prompt();
    assert!(stand.act(&Step::Quiesce).await.is_err());
    assert_eq!(stand.calls("*"), 0);
}
