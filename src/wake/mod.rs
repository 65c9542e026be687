//! Whom does an event make worth a look?
//!
//! An event never says what to do: a payload yields names and ids, nothing
//! else, and what is decided rests on what AWS says when asked. A forged, late
//! or repeated event costs a look; a lost one costs the polling interval.

mod batch;
mod bridge;
mod envelope;
mod json;
mod letter;
mod names;
#[cfg(test)]
mod tests;
mod unheard;
mod whom;

use std::collections::BTreeSet;

pub use self::batch::{Message, batch};
pub use self::unheard::Unheard;
pub use self::whom::{Strangers, named, whom};
use crate::ids::{GroupName, InstanceId, SnapshotId, VolumeId};

/// Whom a payload makes worth a look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Everyone,
    Group(GroupName),
    Instance(InstanceId),
    Volume(VolumeId),
    Snapshot(SnapshotId),
    /// By its name.
    Alarm(String),
}

/// What our own message to ourselves is called.
pub const FOLLOW_UP: &str = "follow-up";

/// A payload that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What kind of event it is, for the logs.
    pub what: &'static str,
    /// Empty for what concerns nobody: a test notification, for example.
    pub subjects: BTreeSet<Subject>,
}

/// Reads one payload of at most 1 MiB, in whatever envelope it arrives: from
/// EventBridge, from SNS (inside SQS, raw, or to a Lambda function), from an
/// Auto Scaling hook directly, from a CloudWatch alarm directly, from a
/// schedule, a batch of any of these, or our own follow-up.
///
/// # Errors
/// When nothing in it says whom to look at; the reason is safe to log.
pub fn hear(payload: &[u8]) -> Result<Heard, Unheard> {
    let letters = envelope::open(payload)?;
    let mut all: Option<Heard> = None;
    let mut unheard = None;
    for letter in letters {
        match letter.and_then(|letter| letter::read(&letter)) {
            Ok(heard) => match &mut all {
                None => all = Some(heard),
                Some(all) => all.add(heard),
            },
            // One that is not understood does not spoil the others.
            Err(error) => unheard = unheard.or(Some(error)),
        }
    }
    match (all, unheard) {
        (Some(heard), _) => Ok(heard),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Unheard::Foreign("an empty batch".to_owned())),
    }
}

impl Heard {
    fn of(what: &'static str, subjects: impl IntoIterator<Item = Subject>) -> Self {
        Self {
            what,
            subjects: subjects.into_iter().collect(),
        }
    }

    fn nobody(what: &'static str) -> Self {
        Self::of(what, [])
    }

    fn add(&mut self, other: Self) {
        if self.what != other.what {
            self.what = "several events";
        }
        self.subjects.extend(other.subjects);
    }
}
