//! Does a look show what is there, with few calls, and never too little as
//! nothing?

use super::*;
use crate::ids::Zone;
use crate::world::{AddressFound, Lifecycle, Standing, VolumeState};

#[tokio::test(start_paused = true)]
async fn a_first_look_shows_the_group_and_its_belongings() {
    let mut stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let member = stand.look().await;
    let (member, of) = known(&member.group).members.iter().next().unwrap();
    assert_eq!(of.lifecycle, Lifecycle::PendingWait);
    let volume = stand.volume(of.zone.as_str(), &[("team", "shop")]);
    stand.attach(&volume, member);
    let address = stand
        .shared
        .lock()
        .allocate_address(BTreeMap::new(), stand.now());
    stand.spec.addresses = vec![
        AddressSpec::Allocation(address.as_str().into()),
        AddressSpec::Allocation("eipalloc-00000000000000000".into()),
    ];
    stand.spec.alarms = vec!["no such alarm".to_owned()];

    let world = stand.look().await;
    let group = known(&world.group);
    assert_eq!((group.desired, group.hooks.len()), (1, 2));
    let seen = &known(&world.volumes)[&volume];
    assert_eq!(
        (seen.epoch, &seen.standing),
        (Epoch(0), &Standing::Active(None))
    );
    assert_eq!(seen.state, VolumeState::InUse);
    assert_eq!(seen.attachments[0].instance, *member);
    assert_eq!(
        seen.tags,
        BTreeMap::from([("team".to_owned(), "shop".to_owned())])
    );
    assert_eq!(seen.shape.volume_type.as_deref(), Some("gp3"));
    let instance = &known(&world.instances)[member];
    assert_eq!(instance.zone, of.zone);
    assert_eq!(instance.devices["/dev/sdf"], volume);
    assert!(instance.interface.is_some());
    assert!(matches!(
        known(&world.addresses)[..],
        [AddressFound::One(_), AddressFound::Missing]
    ));
    assert!(known(&world.alarms).is_empty() && known(&world.snapshots).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_look_costs_two_round_trips_of_few_calls() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let first = stand.look().await;
    let (member, of) = known(&first.group).members.iter().next().unwrap();
    let volume = stand.volume(of.zone.as_str(), &[]);
    stand.attach(&volume, member);
    let before = stand.look().await;
    let (calls, began) = (stand.calls("*"), stand.now());
    let world = stand
        .aws
        .observe(&stand.spec, Focus::ALL, Some(&before))
        .await;
    assert_eq!(world, before);
    // The group, volumes by tag and by id, snapshots, instances; hooks are kept.
    assert_eq!(stand.calls("*") - calls, 5);
    let took = stand.now().duration_since(began);
    assert!(took < jiff::SignedDuration::from_millis(1500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_focus_costs_nothing_and_stays() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let before = stand.look().await;
    let calls = stand.calls("*");
    let world = stand
        .aws
        .observe(&stand.spec, Focus::NONE, Some(&before))
        .await;
    assert_eq!((world, stand.calls("*")), (before, calls));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_unknown_and_the_rest_is_known() {
    let stand = Stand::prompt();
    stand.group();
    stand.strike(
        "DescribeSnapshots",
        1.0,
        Strike::Refused(Fault::unavailable()),
    );
    let world = stand.look().await;
    assert!(matches!(&world.snapshots, Seen::Unknown(why) if why.contains("snapshots of orders")));
    known(&world.volumes);
    known(&world.group);
    assert_eq!(stand.calls("DescribeSnapshots"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_there_is_unknown() {
    let world = Stand::prompt().look().await;
    assert!(matches!(&world.group, Seen::Unknown(why) if why.contains("orders")));
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_cannot_be_read_makes_the_part_unknown() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[("rehome:epoch", "new")]);
    let world = stand.look().await;
    assert!(matches!(&world.volumes, Seen::Unknown(why) if why.contains(volume.as_str())));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_by_id_is_kept_though_the_index_lags() {
    let stand = Stand::prompt();
    let volume = stand.volume("us-east-1a", &[]);
    let before = stand.look().await;
    stand
        .shared
        .lock()
        .delete_volume_by_hand(volume.as_str(), stand.now());
    let gone = stand
        .aws
        .observe(&stand.spec, Focus::ALL, Some(&before))
        .await;
    let left = known(&gone.volumes).get(&volume);
    assert!(
        left.is_none_or(|left| left.state != VolumeState::Available),
        "{left:?}"
    );
    stand.pass(600).await;
    let gone = stand
        .aws
        .observe(&stand.spec, Focus::ALL, Some(&before))
        .await;
    assert!(known(&gone.volumes).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_in_a_dark_zone_does_not_hide_the_others() {
    let stand = Stand::prompt();
    let (lost, live) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    let mut pair = stand.spec.clone();
    pair.kind = Kind::Pair {
        members: vec![lost.clone(), live.clone()],
    };
    stand
        .shared
        .lock()
        .tag_by_hand(live.as_str(), markers("3"), stand.now());
    let before = stand.aws.observe(&pair, Focus::ALL, None).await;
    assert_eq!(
        known(&before.group).markers,
        BTreeMap::from([("data".into(), Epoch(3))])
    );
    stand.shared.lock().zone_down("us-east-1a", stand.now());

    let world = stand.aws.observe(&pair, Focus::ALL, Some(&before)).await;
    assert_eq!(known(&world.instances).keys().collect::<Vec<_>>(), [&live]);
    let group = known(&world.group);
    assert_eq!(group.members[&lost].zone, Zone::from("us-east-1a"));
    assert_eq!(group.members.len(), 2);
    // The one who spoiled it is now asked apart: two calls, none in vain but its own.
    let calls = stand.calls("DescribeInstances");
    stand.aws.observe(&pair, Focus::ALL, Some(&world)).await;
    assert_eq!(stand.calls("DescribeInstances") - calls, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pair_without_markers_is_no_new_pair_while_a_member_is_in_the_dark() {
    let stand = Stand::prompt();
    let (lost, live) = (
        stand.instance("us-east-1a").await,
        stand.instance("us-east-1b").await,
    );
    let mut pair = stand.spec.clone();
    pair.kind = Kind::Pair {
        members: vec![lost, live],
    };
    stand.shared.lock().zone_down("us-east-1a", stand.now());
    let world = stand.aws.observe(&pair, Focus::ALL, None).await;
    assert!(world.group.known().is_none());
}

fn markers(epoch: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("rehome:epoch:data".to_owned(), epoch.to_owned())])
}

#[tokio::test(start_paused = true)]
async fn a_thousand_groups_do_not_cost_a_thousand_times() {
    let stand = Stand::prompt();
    let specs: Vec<GroupSpec> = (0..1000)
        .map(|at| spec(&format!("group-{at:04}")))
        .collect();
    for spec in &specs {
        let setup = GroupSetup {
            name: spec.name.to_string(),
            min: 1,
            max: 1,
            desired: 1,
            ..GroupSetup::default()
        };
        stand.shared.lock().create_group(setup, stand.now());
    }
    stand.pass(120).await;
    let calls = stand.calls("*");
    let worlds = stand.aws.observe_all(&specs).await;
    assert_eq!(worlds.len(), 1000);
    for world in worlds.values() {
        assert_eq!(known(&world.group).members.len(), 1);
        assert_eq!(known(&world.instances).len(), 1);
    }
    // Groups by hundreds; volumes, snapshots and instances by two hundreds.
    assert_eq!(stand.calls("*") - calls, 10 + 5 + 5 + 5);
}

#[tokio::test(start_paused = true)]
async fn many_groups_look_as_each_does_alone() {
    let stand = Stand::prompt();
    stand.group();
    stand.pass(60).await;
    let alone = stand.look().await;
    let (member, of) = known(&alone.group).members.iter().next().unwrap();
    let volume = stand.volume(
        of.zone.as_str(),
        &[("rehome:epoch", "2"), ("rehome:state", "active")],
    );
    stand.attach(&volume, member);
    let alone = stand.look().await;
    let together = stand
        .aws
        .observe_all(&[spec("other"), stand.spec.clone()])
        .await;
    assert_eq!(together[&stand.spec.name], alone);
    assert!(together[&spec("other").name].group.known().is_none());
}

#[tokio::test(start_paused = true)]
async fn alarms_say_whom_they_are_about_and_come_in_pages() {
    let mut stand = Stand::prompt();
    let instance = stand.instance("us-east-1a").await;
    let names: Vec<String> = (0..130).map(|n| format!("alarm-{n:03}")).collect();
    for name in &names {
        let watched = Some(instance.as_str()).filter(|_| name == "alarm-000");
        stand.shared.lock().put_alarm(name, watched, stand.now());
    }
    stand
        .shared
        .lock()
        .set_alarm("alarm-001", "ALARM", stand.now());
    let composite = stand
        .aws
        .cloudwatch
        .put_composite_alarm()
        .alarm_name("any")
        .alarm_rule("ALARM(alarm-001) OR ALARM(alarm-000)");
    composite.send().await.unwrap();
    stand.spec.alarms = names;
    stand.spec.alarms.push("any".to_owned());
    let before = stand.calls("DescribeAlarms");
    let world = stand.look().await;
    let alarms = known(&world.alarms);
    assert_eq!(alarms.len(), 131);
    assert_eq!(stand.calls("DescribeAlarms") - before, 2);
    assert_eq!(alarms["alarm-000"].about, [instance].into());
    assert!(alarms["alarm-001"].about.is_empty() && alarms["any"].about.is_empty());
    assert!(alarms["alarm-001"].ringing && alarms["any"].ringing);
    assert!(!alarms["alarm-002"].ringing);
}
