//! What is going to happen, and in which order?

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::autoscaling::GroupDue;
use crate::cloudwatch::AlarmDue;
use crate::ec2::index::Indexed;
use crate::events::Delivery;

/// A change that will come by itself.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    VolumeCreated {
        volume: String,
    },
    /// Its key was refused: it is gone without a word.
    VolumeVanishes {
        volume: String,
    },
    AttachEnds {
        volume: String,
        order: u64,
    },
    DetachEnds {
        volume: String,
        order: u64,
    },
    SnapshotEnds {
        snapshot: String,
    },
    InstanceRuns {
        instance: String,
        order: u64,
    },
    GuestBoots {
        instance: String,
        order: u64,
    },
    GuestHalts {
        instance: String,
        order: u64,
    },
    InstanceStops {
        instance: String,
        order: u64,
    },
    InstanceTerminates {
        instance: String,
        order: u64,
    },
    InstanceForgotten {
        instance: String,
    },
    SpotEnds {
        instance: String,
    },
    /// A change reaches the index that filters read.
    Indexed(Box<Indexed>),
    /// Anything of Auto Scaling.
    Group(GroupDue),
    /// An alarm is evaluated or changes.
    Alarm(AlarmDue),
    /// An event reaches a queue.
    Deliver(Delivery),
}

/// The queue of due changes; those of one instant come in the order they were planned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engine {
    planned: BTreeMap<(Timestamp, u64), Due>,
    serial: u64,
    /// What cannot happen while its zone is dark.
    held: BTreeMap<String, Vec<Due>>,
}

impl Engine {
    pub(crate) fn plan(&mut self, at: Timestamp, due: Due) {
        self.serial += 1;
        self.planned.insert((at, self.serial), due);
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.planned.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, Due)> {
        self.next().filter(|at| *at <= until)?;
        self.planned.pop_first().map(|((at, _), due)| (at, due))
    }

    pub(crate) fn hold(&mut self, zone: &str, due: Due) {
        self.held.entry(zone.to_owned()).or_default().push(due);
    }

    /// Takes back what waited for the zone, in the order it came up.
    pub(crate) fn release(&mut self, zone: &str) -> Vec<Due> {
        self.held.remove(zone).unwrap_or_default()
    }
}
