//! What if a real answer is damaged on its way? All of our calls' answers go
//! through the SDK's parsers and ours with a piece bitten out and another put in
//! its place: nothing panics, and nothing that is there is taken for absent.
//!
//! `PROPTEST_CASES` sets how many answers are bitten.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use super::*;
use crate::plan::{Seat, plan};

/// Of whose answers, from where on, how much of it goes, and what comes instead.
#[derive(Clone, Debug, Default)]
struct Bite {
    action: &'static str,
    at: f64,
    length: usize,
    put: Vec<u8>,
}

impl Bite {
    fn of(&self, body: &[u8]) -> Vec<u8> {
        let from = ((body.len() as f64 * self.at) as usize).min(body.len());
        let to = (from + self.length).min(body.len());
        [&body[..from], &self.put, &body[to..]].concat()
    }
}

/// Passes everything on, and bites what comes back.
#[derive(Clone)]
struct Biter {
    on: SharedHttpClient,
    bite: Arc<Mutex<Bite>>,
}

impl fmt::Debug for Biter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Biter")
    }
}

impl HttpClient for Biter {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.on.http_connector(settings, components);
        SharedHttpConnector::new(Teeth(connector, Arc::clone(&self.bite)))
    }
}

#[derive(Debug)]
struct Teeth(SharedHttpConnector, Arc<Mutex<Bite>>);

impl HttpConnector for Teeth {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let bite = self.1.lock().unwrap().clone();
        let asked = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        let asked = format!("{}&{asked}&", request.uri());
        let meant = [
            format!("Action={}&", bite.action),
            format!("/{}&", bite.action),
        ];
        let bites = meant.iter().any(|of| asked.contains(of));
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            if bites {
                let body = bite.of(answer.body().bytes().unwrap_or_default());
                *answer.body_mut() = SdkBody::from(body);
            }
            Ok(answer)
        })
    }
}

fn bite() -> impl Strategy<Value = Bite> {
    let actions = vec![
        "DescribeAutoScalingGroups",
        "DescribeLifecycleHooks",
        "DescribeInstances",
        "DescribeVolumes",
        "DescribeSnapshots",
        "DescribeAddresses",
        "DescribeAlarms",
    ];
    let put = prop_oneof![
        Just(Vec::new()),
        "[<>/a-z0-9:\"& -]{0,8}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    (select(actions), 0.0..1.0, 0..40_usize, put).prop_map(|(action, at, length, put)| Bite {
        action,
        at,
        length,
        put,
    })
}

/// A group that serves, with a volume in its second epoch, a snapshot, an
/// address and an alarm.
async fn furnished() -> (Stand, Aws, Biter) {
    let mut stand = Stand::prompt();
    let setup = GroupSetup {
        name: "orders".to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        ..GroupSetup::default()
    };
    stand.shared.lock().create_group(setup, stand.now());
    stand.pass(120).await;
    let group = stand.look().await.group;
    let (member, of) = known(&group).members.iter().next().unwrap();
    let epoch = [("rehome:epoch", "2"), ("rehome:state", "new")];
    let volume = stand.volume(of.zone.as_str(), &epoch);
    stand.attach(&volume, member);
    stand.done(&moving::activate(&volume, member, 2)).await;
    let address = {
        let mut region = stand.shared.lock();
        let tags = stand_tags();
        region.snapshot_by_hand(volume.as_str(), tags, stand.shared.time.now());
        region.allocate_address(BTreeMap::new(), stand.shared.time.now())
    };
    stand.spec.addresses = vec![AddressSpec::Allocation(address.as_str().into())];
    stand.spec.alarms = vec!["orders-status".to_owned()];
    stand.pass(3600).await;
    let config = stand.shared.sdk_config(CALLER);
    let biter = Biter {
        on: config.http_client().unwrap(),
        bite: Arc::default(),
    };
    let config = config.into_builder().http_client(biter.clone()).build();
    (stand, Aws::from_config(&config), biter)
}

fn stand_tags() -> BTreeMap<String, String> {
    [
        ("rehome:group", "orders"),
        ("rehome:volume", "data"),
        ("rehome:epoch", "2"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

#[test]
fn a_bitten_answer_hides_nothing_that_is_there() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (stand, aws, biter) = runtime.block_on(furnished());
    let whole = runtime.block_on(aws.observe(&stand.spec, Focus::ALL, None));
    assert_eq!(known(&whole.volumes).len(), 1);
    assert_eq!(known(&whole.snapshots).len(), 1);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let found = runner.run(&bite(), |bite| {
        *biter.bite.lock().unwrap() = bite;
        let world = runtime.block_on(aws.observe(&stand.spec, Focus::ALL, None));
        let there = |count: Option<usize>| count.is_none_or(|count| count == 1);
        prop_assert!(there(world.volumes.known().map(BTreeMap::len)), "{world:?}");
        prop_assert!(
            there(world.snapshots.known().map(BTreeMap::len)),
            "{world:?}"
        );
        let plan = plan(&world, &stand.spec, &Seat { at: None }, stand.now());
        for step in plan.steps.iter().chain(&plan.upkeep) {
            let destroys = matches!(
                step,
                Step::CreateVolume { source: None, .. } | Step::Format { .. }
            );
            prop_assert!(!destroys, "{step:?}");
        }
        Ok(())
    });
    found.unwrap();
}
