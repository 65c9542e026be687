//! What does a settled runner ask before it does something again?

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing must fail"
)]

use std::time::Duration;

use jiff::SignedDuration;
use rehome_region::record::Tags;
use rehome_region::{GroupSetup, HookSetup, Region, Settings, Staleness, What};
use tokio::sync::Notify;

use super::CONTROLLER;
use super::connector::Shared;
use super::guest::Guest;
use super::time::VirtualTime;
use crate::aws::Aws;
use crate::reconcile::{Runner, Teller};
use crate::spec;

/// So many of its looks at the group alone, and one at everything is not due yet.
const LOOKS: u32 = 10;
const POLL: Duration = Duration::from_secs(10);

/// A member is at its hook, and its heir only boots: all that is to be done is to
/// close that action, on what the runner saw of everything else a while ago.
#[tokio::test(start_paused = true)]
async fn everything_is_looked_at_before_what_a_short_look_suggests() {
    let shared = region();
    let mut runner = Runner::<Guest> {
        aws: Aws::from_config(&shared.sdk_config(CONTROLLER)),
        host: None,
        clock: shared.time.clock(),
        teller: Teller::silent(),
    };
    let config = "[[group]]\nname = \"orders\"\nagent = false\n\
                  [[group.address]]\ntag = { key = \"service\", value = \"orders\" }\n";
    let config = spec::parse("a test", config).unwrap();
    let poll = SignedDuration::try_from(POLL).unwrap();
    let silence = Notify::new();
    let asked = tokio::select! {
        biased;
        asked = until_it_closes(&shared) => asked,
        _ = runner.keep(&config.groups[0], poll, &silence) => unreachable!(),
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
    tokio::time::sleep(POLL * LOOKS).await;
    let given_up = calls(shared).len();
    let member = shared.lock().truth().instances.keys().next().cloned();
    shared
        .lock()
        .fail_instance(&member.unwrap(), shared.time.now());
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.lock().advance(shared.time.now());
        let since = calls(shared).split_off(given_up);
        if let Some(at) = since
            .iter()
            .position(|call| call == "CompleteLifecycleAction")
        {
            return since[..at].to_vec();
        }
    }
    panic!("it never did");
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
        hooks: vec![HookSetup::launching(300), HookSetup::terminating(300)],
        ..GroupSetup::default()
    };
    region.create_group(setup, time.now());
    Shared::new(region, time)
}
