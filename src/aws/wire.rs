//! What do the calls do against the emulated region? The SDK's own serializers
//! and parsers are on the way, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing must fail"
)]

mod acting;
mod asking;
mod bitten;
mod garbled;
mod moving;
mod observing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rehome_region::{
    Fault, FaultRule, GroupSetup, HookSetup, Region, Settings, Staleness, Strike, What,
};

use super::{Aws, AwsError, Focus, Outcome};
use crate::drill::connector::Shared;
use crate::drill::time::VirtualTime;
use crate::ids::{Epoch, InstanceId, VolumeId};
use crate::plan::step::Step;
use crate::spec::{AddressSpec, Filesystem, GroupSpec, Kind, Policy, VolumeSpec, WorkloadSpec};
use crate::world::{Seen, Shape, World};

const CALLER: &str = "a test";

/// A region with one group, "orders", and someone who looks at it.
struct Stand {
    shared: Shared,
    aws: Aws,
    spec: GroupSpec,
}

impl Stand {
    /// Must be made inside a runtime whose clock is paused.
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        fastrand::seed(1);
        let time = VirtualTime::start();
        let shared = Shared::new(Region::new(settings, time.now()), time);
        let aws = Aws::from_config(&shared.sdk_config(CALLER));
        let spec = spec("orders");
        Self { shared, aws, spec }
    }

    fn prompt() -> Self {
        Self::with(Settings {
            staleness: Staleness::NONE,
            ..Settings::default()
        })
    }

    fn now(&self) -> jiff::Timestamp {
        self.shared.time.now()
    }

    /// A running instance in the zone.
    async fn instance(&self, zone: &str) -> InstanceId {
        let id = self
            .shared
            .lock()
            .run_instance(zone, None, BTreeMap::new(), self.now());
        self.pass(60).await;
        InstanceId::new(id)
    }

    /// One of the group's own volumes, as from a life before unless tagged.
    fn volume(&self, zone: &str, tags: &[(&str, &str)]) -> VolumeId {
        let ours = [("rehome:group", "orders"), ("rehome:volume", "data")];
        let tags = ours.iter().chain(tags);
        let tags = tags.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let id = self
            .shared
            .lock()
            .create_volume(zone, 100, tags.collect(), self.now());
        VolumeId::new(id)
    }

    fn attach(&self, volume: &VolumeId, instance: &InstanceId) {
        let mut region = self.shared.lock();
        let now = self.shared.time.now();
        assert!(region.attach_volume(volume.as_str(), instance.as_str(), "/dev/sdf", now));
    }

    /// A group with hooks, whose first member is launched at once.
    fn group(&self) {
        let setup = GroupSetup {
            name: "orders".to_owned(),
            min: 1,
            max: 1,
            desired: 1,
            hooks: vec![HookSetup::launching(300), HookSetup::terminating(300)],
            ..GroupSetup::default()
        };
        self.shared.lock().create_group(setup, self.now());
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.shared.lock().advance(self.now());
    }

    fn strike(&self, action: &str, probability: f64, strike: Strike) {
        let rule = FaultRule {
            action: action.to_owned(),
            caller: None,
            probability,
            strike,
        };
        self.shared.lock().settings_mut().faults.rules = vec![rule];
    }

    fn heal(&self) {
        self.shared.lock().settings_mut().faults.rules.clear();
    }

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

    async fn look(&self) -> World {
        self.aws.observe(&self.spec, Focus::ALL, None).await
    }

    /// How often this action was asked for, carried out or not.
    fn calls(&self, wanted: &str) -> usize {
        let region = self.shared.lock();
        let entries = region.record().entries().iter();
        let calls = entries.filter(|entry| match &entry.what {
            What::Call { action, .. } => wanted == "*" || action == wanted,
            _ => false,
        });
        calls.count()
    }

    fn tags_of_volume(&self, id: &VolumeId) -> BTreeMap<String, String> {
        self.shared.lock().truth().volumes[id.as_str()].tags.clone()
    }
}

pub(super) fn spec(name: &str) -> GroupSpec {
    GroupSpec {
        name: name.into(),
        kind: Kind::Asg,
        agent: true,
        addresses: Vec::new(),
        volumes: vec![VolumeSpec {
            name: "data".into(),
            device: "/dev/sdf".to_owned(),
            mount: None,
            filesystem: Filesystem::Ext4,
            first: Shape::default(),
        }],
        workload: WorkloadSpec::default(),
        alarms: Vec::new(),
        policy: Policy::default(),
    }
}

fn known<T>(part: &Seen<T>) -> &T {
    match part {
        Seen::Known(known) => known,
        Seen::Unknown(why) => panic!("unknown: {why}"),
    }
}
