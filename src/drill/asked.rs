//! What does a runner ask of AWS, in which order and how often?

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing must fail"
)]

use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;
use rehome_region::record::Tags;
use rehome_region::{
    Delay, Fault, FaultRule, GroupSetup, HookSetup, Region, Settings, Spread, Staleness, Strike,
    What,
};
use tokio::sync::Notify;

use super::CONTROLLER;
use super::connector::Shared;
use super::guest::Guest;
use super::time::VirtualTime;
use crate::reconcile::{Runner, Teller};
use crate::spec;

/// So many of its looks at the group alone, and one at everything is not due yet.
const LOOKS: u32 = 10;
const POLL: Duration = Duration::from_secs(10);
/// The hooks' heartbeat time-out.
const HEARTBEAT_S: u64 = 300;

const ADDRESS: &str = "[[group.address]]\ntag = { key = \"service\", value = \"orders\" }\n";
const VOLUME: &str = "[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n\
                      mount = \"/srv/data\"\nsize_gib = 10\n";

/// A member is at its hook, and its heir only boots: all that is to be done is to
/// close that action, on what the runner saw of everything else a while ago.
#[tokio::test(start_paused = true)]
async fn everything_is_looked_at_before_what_a_short_look_suggests() {
    let shared = region();
    let asked = tokio::select! {
        biased;
        asked = until_it_closes(&shared) => asked,
        never = serve(&shared, ADDRESS) => match never {},
    };
    // No short look shows where the address is.
    assert!(
        asked.iter().any(|call| call == "DescribeAddresses"),
        "{asked:?}"
    );
}

/// What the runner asked since its member was given up, until it closed the action
/// of its end.
async fn until_it_closes(shared: &Shared) -> Vec<String> {
    pass(shared, POLL * LOOKS).await;
    let given_up = calls(shared).len();
    let member = shared.lock().model().instances.keys().next().cloned();
    let now = shared.time.now();
    shared.lock().fail_instance(&member.unwrap(), now);
    for _ in 0..600 {
        pass(shared, Duration::from_secs(1)).await;
        let since = calls(shared).split_off(given_up);
        let closes = |call: &String| call == "CompleteLifecycleAction";
        if let Some(at) = since.iter().position(closes) {
            return since[..at].to_vec();
        }
    }
    panic!("it never did");
}

/// The launch waits for its volume long after the address has come, and somebody takes
/// that away meanwhile: nothing that is waited for shows it.
#[tokio::test(start_paused = true)]
async fn a_launch_is_completed_only_on_a_new_look_at_the_addresses() {
    let shared = region();
    let slow = Spread::exactly(60_000);
    shared
        .lock()
        .settings_mut()
        .latency
        .set(Delay::Attach, slow);
    let belongings = format!("{ADDRESS}{VOLUME}");
    tokio::select! {
        biased;
        () = robbed_before_it_is_completed(&shared) => {}
        never = serve(&shared, &belongings) => match never {},
    }
    assert!(has_address(&shared), "completed without its address");
}

async fn robbed_before_it_is_completed(shared: &Shared) {
    pass_until(shared, || has_address(shared)).await;
    // Long enough for the runner to have seen it there.
    pass(shared, Duration::from_secs(20)).await;
    let address = shared.lock().model().addresses.keys().next().cloned();
    let now = shared.time.now();
    shared
        .lock()
        .associate_address(&address.unwrap(), None, now);
    let completed = || {
        calls(shared)
            .iter()
            .any(|call| call == "CompleteLifecycleAction")
    };
    pass_until(shared, completed).await;
}

fn has_address(shared: &Shared) -> bool {
    let region = shared.lock();
    let mut addresses = region.model().addresses.values();
    addresses.any(|address| address.instance.is_some())
}

async fn pass_until(shared: &Shared, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        pass(shared, Duration::from_secs(1)).await;
    }
    panic!("it never was so");
}

/// Three in a period are two chances: the third comes as the action ends.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_refused_comes_again_long_before_the_action_ends() {
    let shared = region();
    // The launch action stays open: where the address is cannot be seen.
    let refused = |action: &str| FaultRule {
        action: action.to_owned(),
        caller: None,
        probability: 1.0,
        strike: Strike::Refused(Fault::denied(action)),
    };
    let beat = "RecordLifecycleActionHeartbeat";
    shared.lock().settings_mut().faults.rules = vec![refused("DescribeAddresses"), refused(beat)];
    let beats = || calls(&shared).iter().filter(|call| *call == beat).count();
    let beats = tokio::select! {
        biased;
        beats = async {
            // Until it is at its hook, and for as long as that waits.
            pass(&shared, Duration::from_secs(HEARTBEAT_S)).await;
            beats()
        } => beats,
        never = serve(&shared, ADDRESS) => match never {},
    };
    assert!((8..=15).contains(&beats), "{beats}");
}

/// A dark zone obeys for hours to nothing. Who is to be fenced was found out by a look at
/// everything; at each try it is asked who is a member and who has the volumes, no more.
#[tokio::test(start_paused = true)]
async fn a_fence_that_a_dark_zone_never_obeys_asks_for_little() {
    let shared = region();
    let asked = tokio::select! {
        biased;
        asked = in_the_dark(&shared) => asked,
        never = serve(&shared, VOLUME) => match never {},
    };
    let times = |action: &str| asked.iter().filter(|call| *call == action).count();
    let tries = times("StopInstances");
    assert!(tries >= 20, "{tries} tries: {asked:?}");
    let everything = times("DescribeSnapshots");
    assert!(
        (2..=8).contains(&everything),
        "{everything} looks at everything for {tries} tries"
    );
    // Who is in the dark is asked apart; and not along with the members alone.
    let (instances, keepers) = (times("DescribeInstances"), times("DescribeVolumes"));
    assert!(instances <= 3 * keepers, "{instances} for {keepers} looks");
}

/// What the runner asks in half an hour of its member's zone being dark.
async fn in_the_dark(shared: &Shared) -> Vec<String> {
    pass(shared, POLL * LOOKS).await;
    let before = calls(shared).len();
    let truth = shared.lock().truth();
    let zone = truth.instances.values().next().map(|i| i.zone.clone());
    let now = shared.time.now();
    shared.lock().zone_down(&zone.unwrap(), now);
    pass(shared, Duration::from_secs(1_800)).await;
    calls(shared).split_off(before)
}

async fn serve(shared: &Shared, belongings: &str) -> Infallible {
    let mut runner = Runner::<Guest> {
        aws: shared.aws(CONTROLLER),
        host: None,
        clock: shared.time.clock(),
        teller: Teller::silent(),
    };
    let config = format!("[[group]]\nname = \"orders\"\nagent = false\n{belongings}");
    let config = spec::parse("a test", &config).unwrap();
    let poll = SignedDuration::try_from(POLL).unwrap();
    runner.keep(&config.groups[0], poll, &Notify::new()).await
}

async fn pass(shared: &Shared, time: Duration) {
    let end = shared.time.in_a_while(time);
    while shared.time.in_a_while(Duration::ZERO) < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.lock().advance(shared.time.now());
    }
}

fn calls(shared: &Shared) -> Vec<String> {
    let region = shared.lock();
    let calls = region
        .record()
        .entries()
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Call { action, .. } => Some(action.clone()),
            _ => None,
        });
    calls.collect()
}

fn region() -> Shared {
    let settings = Settings {
        staleness: Staleness::NONE,
        ..Settings::default()
    };
    let time = VirtualTime::start();
    let mut region = Region::new(settings, time.now());
    let ours = Tags::from([("service".to_owned(), "orders".to_owned())]);
    region.allocate_address(ours, time.now());
    let setup = GroupSetup {
        name: "orders".to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        hooks: vec![
            HookSetup::launching(HEARTBEAT_S),
            HookSetup::terminating(HEARTBEAT_S),
        ],
        ..GroupSetup::default()
    };
    region.create_group(setup, time.now());
    Shared::new(region, time)
}
