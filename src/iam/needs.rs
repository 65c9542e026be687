//! What does a configuration make rehome do at a place?

use std::collections::{BTreeMap, BTreeSet};

use super::Place;
use crate::spec::{AddressSpec, Config, GroupSpec, Kind};

/// What there is to look after, all groups together.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    pub(super) auto_scaling: Scaled<'a>,
    pub(super) pairs: Pairs<'a>,
    /// The groups that have volumes, and whether one of them has several.
    pub(super) with_volumes: BTreeSet<&'a str>,
    pub(super) sets: bool,
    pub(super) addresses: bool,
    pub(super) allocations: BTreeSet<&'a str>,
    /// Key → values of the tags that addresses are found by.
    pub(super) address_tags: BTreeMap<&'a str, BTreeSet<&'a str>>,
    pub(super) alarms: bool,
    pub(super) keys: BTreeSet<&'a str>,
    pub(super) queue: Queue<'a>,
    /// A person looks closer than a run does, and asks for another holder.
    pub(super) by_hand: bool,
}

/// The Auto Scaling groups, by name.
#[derive(Debug, Default)]
pub(super) struct Scaled<'a> {
    pub(super) all: BTreeSet<&'a str>,
    /// Those whose member may be declared sick.
    pub(super) replaced: BTreeSet<&'a str>,
    /// Those that notes are written on.
    pub(super) noted: BTreeSet<&'a str>,
    pub(super) volumes: bool,
    pub(super) sets: bool,
    pub(super) addresses: bool,
}

/// The members of all pairs.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    pub(super) members: BTreeSet<&'a str>,
    pub(super) volumes: bool,
    pub(super) sets: bool,
    pub(super) addresses: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Queue<'a> {
    #[default]
    None,
    /// A daemon takes messages from it.
    Read { url: &'a str },
    /// Lambda takes messages from it, and the function leaves itself more.
    Served { url: Option<&'a str> },
}

impl<'a> Needs<'a> {
    /// None where nothing of rehome runs.
    pub(super) fn of(config: &'a Config, place: Place) -> Option<Self> {
        let runs = |spec: &&GroupSpec| place != Place::Instance || spec.agent;
        let mut groups = config.groups.iter().filter(runs).peekable();
        groups.peek()?;
        let url = config.wake.sqs_queue_url.as_deref();
        let mut needs = Self {
            by_hand: place == Place::Operator,
            queue: match (place, url) {
                (Place::Lambda, url) => Queue::Served { url },
                // Whether SQS answers it knows from a refusal as well.
                (Place::Operator, _) => Queue::None,
                (_, Some(url)) => Queue::Read { url },
                (_, None) => Queue::None,
            },
            ..Self::default()
        };
        for spec in groups {
            needs.add(spec);
        }
        Some(needs)
    }

    fn add(&mut self, spec: &'a GroupSpec) {
        let name = spec.name.as_str();
        let (volumes, sets) = (!spec.volumes.is_empty(), spec.volumes.len() > 1);
        let addresses = !spec.addresses.is_empty();
        if volumes {
            self.with_volumes.insert(name);
        }
        self.sets |= sets;
        self.addresses |= addresses;
        self.alarms |= !spec.alarms.is_empty();
        match &spec.kind {
            Kind::Asg => {
                let scaled = &mut self.auto_scaling;
                scaled.all.insert(name);
                if !spec.alarms.is_empty() || self.by_hand {
                    scaled.replaced.insert(name);
                }
                if volumes || !spec.alarms.is_empty() {
                    scaled.noted.insert(name);
                }
                scaled.volumes |= volumes;
                scaled.sets |= sets;
                scaled.addresses |= addresses;
            }
            Kind::Pair { members } => {
                let pairs = &mut self.pairs;
                pairs.members.extend(members.iter().map(|id| id.as_str()));
                pairs.volumes |= volumes;
                pairs.sets |= sets;
                pairs.addresses |= addresses;
            }
        }
        for address in &spec.addresses {
            match address {
                AddressSpec::Allocation(id) => {
                    self.allocations.insert(id.as_str());
                }
                AddressSpec::Tag { key, value } => {
                    let values = self.address_tags.entry(key).or_default();
                    values.insert(value);
                }
            }
        }
        let keys = spec.volumes.iter().map(|volume| &volume.first.kms_key_id);
        self.keys.extend(keys.flatten().map(String::as_str));
    }
}
