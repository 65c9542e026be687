//! How are the instances that matter? Always asked by id: while a zone is
//! disrupted, a describe fails that names an instance there or names none.

use std::collections::{BTreeMap, BTreeSet};

use super::super::call::Ask;
use super::super::convert::{self, Understood};
use super::super::existing::{Wanted, existing};
use super::super::retry::Policy;
use super::super::tagging::Tags;
use super::super::{Aws, AwsError, Meaning};
use crate::ids::InstanceId;
use crate::world::{Instance, Seen};

/// What one look at some instances brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked {
    found: BTreeMap<InstanceId, (Instance, Tags)>,
    /// Named, but they could not be read; those that do not exist are neither
    /// here nor there.
    unread: BTreeMap<InstanceId, String>,
    /// Instances kept from an earlier look.
    kept: Option<Seen<BTreeMap<InstanceId, Instance>>>,
}

impl Looked {
    /// Adds what was seen before. What is new is only what was not known.
    pub(super) fn on_top_of(mut self, last: &Seen<BTreeMap<InstanceId, Instance>>) -> Self {
        self.kept = Some(last.clone());
        self
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.kept.is_none()
    }

    pub(super) fn get(&self, id: &InstanceId) -> Option<&Instance> {
        self.found.get(id).map(|(instance, _)| instance)
    }

    pub(super) fn tags(&self, id: &InstanceId) -> Option<&Tags> {
        self.found.get(id).map(|(_, tags)| tags)
    }

    pub(super) fn is_unread(&self, id: &InstanceId) -> bool {
        self.unread.contains_key(id)
    }

    pub(super) fn why_unread(&self) -> String {
        self.unread.values().next().cloned().unwrap_or_default()
    }

    /// Why none of them could be read, where that is so.
    pub(super) fn why_none(&self) -> Option<String> {
        (self.found.is_empty() && !self.unread.is_empty()).then(|| self.why_unread())
    }

    /// An instance that could not be read is left out: named elsewhere and not
    /// here, it counts as unknown. Only when none could be read is the whole
    /// part unknown.
    pub(super) fn seen(self) -> Seen<BTreeMap<InstanceId, Instance>> {
        if let Some(Seen::Unknown(why)) = self.kept {
            return Seen::Unknown(why);
        }
        if let Some(why) = self.why_none().filter(|_| self.kept.is_none()) {
            return Seen::Unknown(why);
        }
        let mut instances = match self.kept {
            Some(Seen::Known(kept)) => kept,
            _ => BTreeMap::new(),
        };
        instances.extend(
            self.found
                .into_iter()
                .map(|(id, (instance, _))| (id, instance)),
        );
        Seen::Known(instances)
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.unread.extend(other.unread);
    }

    /// What it says of these.
    pub(super) fn only(&self, ids: &BTreeSet<InstanceId>) -> Self {
        let of = |id: &InstanceId| ids.contains(id);
        let found = self.found.iter().filter(|(id, _)| of(id));
        let unread = self.unread.iter().filter(|(id, _)| of(id));
        Self {
            found: found.map(|(id, seen)| (id.clone(), seen.clone())).collect(),
            unread: unread.map(|(id, why)| (id.clone(), why.clone())).collect(),
            kept: None,
        }
    }

    fn add(&mut self, read: Vec<aws_sdk_ec2::types::Instance>) {
        for of in &read {
            match convert::instance(of) {
                Ok((id, instance, tags)) => {
                    self.found.insert(id, (instance, tags));
                }
                Err(problem) => {
                    tracing::warn!(%problem, "instance not understood");
                    let id = InstanceId::new(of.instance_id().unwrap_or_default());
                    self.unread.insert(id, problem);
                }
            }
        }
    }

    fn miss(&mut self, ids: Vec<String>, error: &AwsError) {
        tracing::warn!(?ids, %error, "instances cannot be read");
        let missed = ids
            .into_iter()
            .map(|id| (InstanceId::new(id), error.to_string()));
        self.unread.extend(missed);
    }
}

/// Up to this many are asked one by one when they cannot be read together.
const FEW: usize = 4;

impl Aws {
    /// Those that exist and can be read. A disrupted zone spoils the describe
    /// of whoever is asked about together with it: a failed one is split, and
    /// who spoiled it is asked apart for a while.
    pub(super) async fn look_at_instances(&self, ids: &BTreeSet<InstanceId>) -> Looked {
        let spoilers = self.memory.spoilers();
        let (apart, together): (Vec<_>, Vec<_>) = ids.iter().partition(|id| spoilers.contains(id));
        let mut batches: Vec<Vec<String>> = apart.iter().map(|id| vec![id.to_string()]).collect();
        batches.push(together.iter().map(ToString::to_string).collect());
        let mut looked = Looked::default();
        while let Some(mut batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            let policy = match apart
                .iter()
                .any(|id| batch.iter().any(|of| of == id.as_str()))
            {
                true => Policy::Once,
                false => Policy::Brief,
            };
            match self.instances_by_id(batch.clone(), policy).await {
                Ok(read) => looked.add(read),
                Err(error) if batch.len() == 1 || !is_spoiled(&error, batch.len()) => {
                    looked.miss(batch, &error);
                }
                Err(_) if batch.len() <= FEW => {
                    batches.extend(batch.into_iter().map(|id| vec![id]));
                }
                Err(_) => {
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([batch, rest]);
                }
            }
        }
        // Where nobody can be read, nobody spoils anything.
        if !looked.found.is_empty() {
            self.memory.note_spoilers(looked.unread.keys());
        }
        self.memory
            .note_read(looked.found.keys(), looked.unread.keys());
        for (id, (instance, _)) in &mut looked.found {
            instance.unstoppable = self.memory.is_unstoppable(id);
            instance.just_back = self.memory.is_just_back(id);
        }
        looked
    }

    pub(in crate::aws) async fn instances_by_id(
        &self,
        ids: Vec<String>,
        policy: Policy,
    ) -> Result<Vec<aws_sdk_ec2::types::Instance>, AwsError> {
        let doing = format!("look at the instances {}", ids.join(", "));
        let ask = Ask::new("ec2:DescribeInstances", doing)
            .with(policy)
            .unpaged();
        let wanted = Wanted {
            ids,
            id_of: aws_sdk_ec2::types::Instance::instance_id,
            doing: &ask.doing,
            action: ask.action,
        };
        existing(wanted, async |ids: Vec<String>| {
            let answer = self
                .ask(&ask, || {
                    let request = self.ec2.describe_instances();
                    request.set_instance_ids(Some(ids.clone()))
                })
                .await?;
            let reservations = answer.reservations.unwrap_or_default();
            Ok(reservations
                .into_iter()
                .flat_map(|reservation| reservation.instances.unwrap_or_default())
                .collect())
        })
        .await
    }

    /// One instance as it is this moment; None if there is none of that id.
    pub(in crate::aws) async fn instance_now(
        &self,
        id: &InstanceId,
    ) -> Result<Option<Instance>, AwsError> {
        let read = self
            .instances_by_id(vec![id.to_string()], Policy::Repeat)
            .await?;
        let of = read.iter().find(|of| of.instance_id() == Some(id.as_str()));
        let understood: Understood<_> = of.map(convert::instance).transpose();
        understood
            .map(|found| found.map(|(_, instance, _)| instance))
            .map_err(|problem| {
                AwsError::odd(&format!("look at {id}"), "ec2:DescribeInstances", problem)
            })
    }
}

/// May one of many be the reason? Not if nobody may ask, or AWS as a whole does
/// not answer.
fn is_spoiled(error: &AwsError, asked: usize) -> bool {
    match error.meaning {
        Meaning::Denied | Meaning::Expired | Meaning::Setup | Meaning::Throttled => false,
        Meaning::NoAnswer => asked <= FEW,
        _ => true,
    }
}
