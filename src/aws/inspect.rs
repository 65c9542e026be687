//! What does AWS say of a group's set-up, beside what a run needs to know?
//! Asked for a check only, with reads that a run does without.

mod alarms;
mod bodies;
mod chronicle;
mod group;
mod permissions;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use super::call::Ask;
use super::retry::Policy;
use super::{Aws, AwsError, Meaning};
use crate::check::{Body, Facts, GroupSetup, LaunchSource, Reached};
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::spec::{GroupSpec, Kind};
use crate::world::{AddressFound, Seen, World};

/// As Auto Scaling's endpoint is named, and so on.
const EC2: &str = "ec2";
const AUTOSCALING: &str = "autoscaling";
const MONITORING: &str = "monitoring";
const SQS: &str = "sqs";

impl Aws {
    /// Never fails: what could not be read is unknown. `world` was observed
    /// just now; `queue` is the one that a daemon listens to.
    pub async fn inspect(
        &self,
        spec: &GroupSpec,
        world: World,
        plan: Plan,
        queue: Option<&str>,
    ) -> Facts {
        let mut route = Route::default();
        let asg = spec.kind == Kind::Asg;
        let setup = match asg {
            true => route.seen(AUTOSCALING, Box::pin(self.group_setup(&spec.name)).await),
            false => Seen::Known(None),
        };
        let hooks = match asg {
            true => route.seen(AUTOSCALING, Box::pin(self.hook_setups(&spec.name)).await),
            false => Seen::Known(Vec::new()),
        };
        let found = setup.known().and_then(Option::as_ref);
        let subnets = match found.filter(|setup| !setup.subnets.is_empty()) {
            Some(setup) => route.seen(EC2, Box::pin(self.subnets(&setup.subnets)).await),
            None => Seen::Known(Vec::new()),
        };
        let template = match source(found) {
            Some((template, version)) => {
                let read = Box::pin(self.template(template, version)).await;
                route.seen(EC2, read)
            }
            None => Seen::Known(None),
        };
        let ids = everyone(spec, &world);
        let bodies = match ids.is_empty() {
            true => route.seen(EC2, Box::pin(self.ask_ec2()).await),
            false => route.seen(EC2, Box::pin(self.bodies(&ids)).await),
        };
        let mut protection = BTreeMap::new();
        if let Kind::Pair { members } = &spec.kind {
            for id in members {
                let read = Box::pin(self.protection(id)).await;
                protection.insert(id.clone(), route.seen(EC2, read));
            }
        }
        let alarms = match spec.alarms.as_slice() {
            [] => Seen::Known(BTreeMap::new()),
            names => route.seen(MONITORING, Box::pin(self.alarm_setups(names)).await),
        };
        let queue = match queue {
            Some(url) => Some(route.seen(SQS, Box::pin(self.is_queue(url)).await)),
            None => None,
        };
        let asked = Box::pin(self.may_it(spec, &world, &plan, &hooks)).await;
        Facts {
            world,
            plan,
            hooks,
            setup,
            subnets,
            template,
            bodies,
            protection,
            alarms,
            queue,
            asked,
            reached: route.reached(),
            machine: None,
            mute: None,
        }
    }

    /// Whether EC2 answers, where there is no instance to ask it about.
    async fn ask_ec2(&self) -> Result<BTreeMap<InstanceId, Body>, AwsError> {
        let ask = read("ec2:DescribeInstances", "look at any instance");
        self.call(&ask, async || {
            self.ec2.describe_instances().max_results(5).send().await
        })
        .await
        .map(|_| BTreeMap::new())
    }

    /// Whether it exists; its attributes are not looked at.
    async fn is_queue(&self, url: &str) -> Result<bool, AwsError> {
        let ask = read("sqs:GetQueueAttributes", format!("look at the queue {url}"));
        let answer = self
            .call(&ask, async || {
                self.sqs.get_queue_attributes().queue_url(url).send().await
            })
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.meaning == Meaning::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A read that has no second way round, and whose failure is a finding.
fn read(action: &'static str, doing: impl Into<String>) -> Ask {
    Ask::new(action, doing).with(Policy::Brief)
}

/// Which services have answered, whatever they said.
#[derive(Debug, Default)]
struct Route(BTreeMap<&'static str, Option<String>>);

impl Route {
    fn seen<T>(&mut self, service: &'static str, read: Result<T, AwsError>) -> Seen<T> {
        self.note(service, read.as_ref().err());
        match read {
            Ok(value) => Seen::Known(value),
            Err(error) => Seen::Unknown(why(&error)),
        }
    }

    /// One answer is enough to know that there is a way.
    fn note(&mut self, service: &'static str, error: Option<&AwsError>) {
        let silence = error
            .filter(|error| error.meaning == Meaning::NoAnswer)
            .map(|error| error.message.clone());
        let before = self.0.entry(service).or_insert_with(|| silence.clone());
        if silence.is_none() {
            *before = None;
        }
    }

    fn reached(self) -> Vec<Reached> {
        let all = self.0.into_iter();
        all.map(|(service, silence)| Reached { service, silence })
            .collect()
    }
}

/// In short: whoever may not read something knows that with one word.
fn why(error: &AwsError) -> String {
    match error.is_denied() {
        true => format!("not allowed ({})", error.action),
        false => error.to_string(),
    }
}

fn source(setup: Option<&GroupSetup>) -> Option<(&str, &str)> {
    match &setup?.source {
        LaunchSource::Template { template, version } => Some((template, version)),
        LaunchSource::Configuration(_) | LaunchSource::Nothing => None,
    }
}

/// The members, and whoever else holds something of the group.
fn everyone(spec: &GroupSpec, world: &World) -> BTreeSet<InstanceId> {
    let pair = match &spec.kind {
        Kind::Pair { members } => members.as_slice(),
        Kind::Asg => &[],
    };
    let members = world.group.known().into_iter();
    let members = members.flat_map(|group| group.members.keys());
    let volumes = world.volumes.known().into_iter().flatten();
    let attached = volumes
        .flat_map(|(_, volume)| &volume.attachments)
        .map(|at| &at.instance);
    let addresses = world.addresses.known().into_iter().flatten();
    let addressed = addresses.filter_map(|found| match found {
        AddressFound::One(address) => address.instance.as_ref(),
        AddressFound::Missing | AddressFound::Ambiguous(_) => None,
    });
    pair.iter()
        .chain(members)
        .chain(attached)
        .chain(addressed)
        .cloned()
        .collect()
}
