//! Fifty groups, one daemon, no queue: what does a quiet minute cost?

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use rehome_region::{Fault, FaultRule, GroupSetup, HookSetup, Region, Settings, Strike, What};
use tokio::task::LocalSet;

use super::*;
use crate::drill::connector::Shared;
use crate::drill::roles;
use crate::drill::time::VirtualTime;
use crate::iam::Place;
use crate::spec::parse;

const GROUPS: usize = 50;
const MINUTE: Duration = Duration::from_secs(60);

/// A region with groups that nobody serves yet.
struct Stand {
    shared: Shared,
    aws: Aws,
    config: Rc<Config>,
}

impl Stand {
    fn new() -> Self {
        let time = VirtualTime::start();
        let mut region = Region::new(Settings::default(), time.now());
        let mut text = String::new();
        for number in 0..GROUPS {
            let name = format!("group-{number}");
            let setup = GroupSetup {
                name: name.clone(),
                min: 1,
                max: 1,
                desired: 1,
                hooks: vec![HookSetup::launching(300), HookSetup::terminating(300)],
                ..GroupSetup::default()
            };
            region.create_group(setup, time.now());
            text.push_str(&format!(
                "[[group]]\nname = \"{name}\"\nagent = false\n\
                 [[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\nsize_gib = 1\n\
                 [[group.alarm]]\nname = \"{name}-status\"\n"
            ));
        }
        let shared = Shared::new(region, time);
        let aws = shared.aws("daemon");
        let config = Rc::new(parse("rehome.toml", &text).unwrap());
        Self {
            shared,
            aws,
            config,
        }
    }

    fn crew(&self) -> Crew {
        let manager = Rc::new(Manager::from_env());
        let clock = self.shared.time.clock();
        Crew::engage(&self.aws, &self.config, clock, &manager, None)
    }

    /// The calls from here on, by action.
    fn calls_since(&self, start: usize) -> BTreeMap<String, usize> {
        let region = self.shared.lock();
        let mut calls = BTreeMap::new();
        for entry in &region.record().entries()[start..] {
            if let What::Call { action, .. } = &entry.what {
                *calls.entry(action.clone()).or_default() += 1;
            }
        }
        calls
    }

    fn recorded(&self) -> usize {
        self.shared.lock().record().entries().len()
    }
}

async fn serve_for(crew: &mut Crew, time: Duration) {
    let serving = async {
        loop {
            crew.attend().await.unwrap();
        }
    };
    let never: Result<(), _> = tokio::time::timeout(time, serving).await;
    assert!(never.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_minute_of_fifty_groups_costs_a_dozen_calls() {
    let work = async {
        fastrand::seed(1);
        let stand = Stand::new();
        let mut crew = stand.crew();
        // Each gets its first volume and its first snapshot meanwhile.
        serve_for(&mut crew, 6 * MINUTE).await;
        let roster = Rc::clone(&crew.common.roster);
        assert_eq!(roster.watched(&stand.config.groups).len(), GROUPS);
        let mut most = 0;
        for _ in 0..6 {
            let start = stand.recorded();
            serve_for(&mut crew, MINUTE).await;
            let calls = stand.calls_since(start);
            most = most.max(calls.values().sum());
            assert!(calls["DescribeAlarms"] <= 5, "{calls:?}");
        }
        assert!((8..=14).contains(&most), "{most} calls in a minute");
        crew.dismiss().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_at_everyone_is_one_look_for_all() {
    let work = async {
        fastrand::seed(1);
        let stand = Stand::new();
        let mut crew = stand.crew();
        serve_for(&mut crew, 6 * MINUTE).await;
        let start = stand.recorded();
        crew.common.calls.send(Call::Everyone).await.unwrap();
        serve_for(&mut crew, Duration::from_secs(5)).await;
        let calls = stand.calls_since(start);
        for action in [
            "DescribeAutoScalingGroups",
            "DescribeVolumes",
            "DescribeInstances",
        ] {
            assert!((1..=2).contains(&calls[action]), "{calls:?}");
        }
        assert!(calls.values().sum::<usize>() <= 10, "{calls:?}");
        crew.dismiss().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_down_is_not_stormed() {
    let work = async {
        fastrand::seed(1);
        let stand = Stand::new();
        let mut crew = stand.crew();
        serve_for(&mut crew, 6 * MINUTE).await;
        let down = FaultRule {
            action: "DescribeAutoScalingGroups".to_owned(),
            caller: None,
            probability: 1.0,
            strike: Strike::Refused(Fault::unavailable()),
        };
        stand.shared.lock().settings_mut().faults.rules = vec![down];
        let start = stand.recorded();
        serve_for(&mut crew, MINUTE).await;
        let calls = stand.calls_since(start);
        assert!(calls["DescribeAutoScalingGroups"] <= 30, "{calls:?}");
        assert!(calls.values().sum::<usize>() <= 50, "{calls:?}");
        stand.shared.lock().settings_mut().faults.rules.clear();
        serve_for(&mut crew, 10 * MINUTE).await;
        let roster = &crew.common.roster;
        assert_eq!(roster.watched(&stand.config.groups).len(), GROUPS);
        crew.dismiss().await;
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn each_by_itself_would_cost_two_hundred() {
    let work = async {
        fastrand::seed(1);
        let stand = Stand::new();
        let mut crew = stand.crew();
        serve_for(&mut crew, 6 * MINUTE).await;
        crew.dismiss().await;
        let mut runners = JoinSet::new();
        for spec in stand.config.groups.clone() {
            let mut runner = Runner::<LinuxHost> {
                aws: stand.aws.clone(),
                host: None,
                clock: stand.shared.time.clock(),
                teller: crate::reconcile::Teller::silent(),
            };
            let poll_every = stand.config.wake.poll_every;
            runners.spawn_local(async move {
                runner.keep(&spec, poll_every, &Notify::new()).await;
            });
        }
        tokio::time::sleep(MINUTE).await;
        let start = stand.recorded();
        tokio::time::sleep(MINUTE).await;
        let calls: usize = stand.calls_since(start).values().sum();
        assert!(calls > 200, "{calls}");
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_killed_is_followed_and_the_others_are_left_alone() {
    let work = async {
        fastrand::seed(1);
        let stand = Stand::new();
        let mut crew = stand.crew();
        serve_for(&mut crew, 6 * MINUTE).await;
        let start = stand.recorded();
        let killed = stand.shared.lock().truth().groups["group-7"]
            .members
            .keys()
            .next()
            .unwrap()
            .clone();
        let now = stand.shared.time.now();
        stand.shared.lock().kill_instance(&killed, now);
        serve_for(&mut crew, 20 * MINUTE).await;
        let truth = stand.shared.lock().truth();
        let heir = truth.groups["group-7"].members.keys().next().unwrap();
        assert_ne!(*heir, killed);
        let brought = truth.volumes.values().filter(|volume| {
            let held = volume.attachment.as_ref();
            volume.tags.contains_key("rehome:group")
                && held.is_some_and(|held| held.instance == *heir)
        });
        assert_eq!(brought.count(), 1);
        let calls: usize = stand.calls_since(start).values().sum();
        // Twenty minutes, a periodic snapshot of each, and one failover.
        assert!(calls < 800, "{calls}");
        assert_eq!(
            crew.common.roster.watched(&stand.config.groups).len(),
            GROUPS
        );
        crew.dismiss().await;
    };
    LocalSet::new().run_until(work).await;
}

/// With a queue, a daemon is told whose instance, volume or snapshot something
/// happened to, and asks for what it is not told.
#[tokio::test(start_paused = true)]
async fn a_queue_is_read_with_two_permissions_and_one_question() {
    let work = async {
        fastrand::seed(1);
        let mut stand = Stand::new();
        let mut config = Config::clone(&stand.config);
        config.groups.truncate(1);
        config.wake.sqs_queue_url =
            Some("https://sqs.us-east-1.amazonaws.com/123456789012/events".to_owned());
        stand.config = Rc::new(config);
        let (place, keys) = (Place::Controller, "daemon");
        roles::permit(&mut stand.shared.lock(), &stand.config, place, keys, None);
        let mut crew = stand.crew();
        serve_for(&mut crew, 6 * MINUTE).await;
        let (refusal, used) = {
            let region = stand.shared.lock();
            (roles::refusal(&region), roles::used(&region))
        };
        assert_eq!(refusal, None);
        for (sid, action) in [
            ("ReadQueue", "sqs:ReceiveMessage"),
            ("ReadQueue", "sqs:DeleteMessage"),
            ("LookAround", "autoscaling:DescribeAutoScalingInstances"),
        ] {
            let so = used.iter().any(|u| u.sid == sid && u.action == action);
            assert!(so, "{sid} allows {action} in vain");
        }
        crew.dismiss().await;
    };
    LocalSet::new().run_until(work).await;
}

#[test]
fn a_post_is_free_when_it_is_settled_and_does_nothing() {
    use crate::plan::Step;
    let post = Post::default();
    assert!(!post.is_free(), "nobody has looked yet");
    post.hear(&Told::Settled);
    assert!(post.is_free());
    post.hear(&Told::Doing(&Step::Quiesce));
    assert!(!post.is_free());
    post.hear(&Told::Failed(&Step::Quiesce, "no such unit"));
    assert!(post.is_free());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_steps_under_way() {
    use crate::plan::Step;
    let post = Post::default();
    post.steps_ended().await;
    post.hear(&Told::Doing(&Step::Quiesce));
    post.hear(&Told::Doing(&Step::StartWorkload));
    post.hear(&Told::Did(&Step::Quiesce));
    let soon = Duration::from_secs(1);
    assert!(
        tokio::time::timeout(soon, post.steps_ended())
            .await
            .is_err()
    );
    post.hear(&Told::Failed(&Step::StartWorkload, "no such unit"));
    assert!(tokio::time::timeout(soon, post.steps_ended()).await.is_ok());
}
