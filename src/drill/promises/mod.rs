//! Were the twelve promises kept? Judged from the region's own record and
//! truth, independently of the planner.
//!
//! Each check answers what it looked at, or what broke the promise.

mod actions;
mod conduct;
mod keepers;
mod lineage;
mod storage;
mod writers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rehome_region::model::Volume;
use rehome_region::{Entry, Truth};

use super::blows::Nap;
use super::ledger::Ledger;
use crate::report::Verdict;
use crate::spec::GroupSpec;
pub use keepers::Conditions;

/// Everything a judge may look at.
pub struct Evidence<'a> {
    pub spec: &'a GroupSpec,
    pub entries: &'a [Entry],
    pub ledger: &'a Ledger,
    pub truth: &'a Truth,
    /// Every volume that ever was, as it was last seen.
    pub volumes: &'a BTreeMap<String, Volume>,
    /// Instance → zone, of every instance that ever was.
    pub zones: &'a BTreeMap<String, String>,
    /// The Elastic IPs that belong to the group.
    pub addresses: &'a [String],
    /// What was not in its place when it had to be; empty if all was.
    pub unsettled: &'a [String],
    pub conditions: Conditions,
    /// Is everything supposed to be in its place at the end?
    pub must_settle: bool,
    /// When whose process stood still.
    pub naps: &'a [Nap],
    /// Calls that AWS carried out long after they were sent: whose, and when.
    pub late: &'a [(String, Timestamp)],
}

/// What was looked at, or what broke the promise.
type Finding = Result<String, String>;
type Check = fn(&Evidence<'_>) -> Finding;

/// Number, title and check, in the order of the README.
const PROMISES: [(&str, Check); 12] = [
    (
        "1 one writer: a volume is on one instance, and only the holder writes",
        writers::one_writer,
    ),
    (
        "2 honest captures: nothing is called clean that was not quiet",
        writers::honest_captures,
    ),
    (
        "3 newest lineage: no older copy ever takes over",
        lineage::newest_lineage,
    ),
    (
        "4 blank once: no blank volume where data was, no format over data",
        storage::blank_once,
    ),
    (
        "5 nothing needed is deleted",
        storage::nothing_needed_deleted,
    ),
    (
        "6 bounded loss: never more than max_data_loss, and never without need",
        lineage::bounded_loss,
    ),
    (
        "7 the address is with the holder",
        conduct::address_with_holder,
    ),
    (
        "8 lifecycle actions: held open, closed exactly when done",
        actions::lifecycle_actions,
    ),
    ("9 shape and tags survive the move", storage::shape_survives),
    (
        "10 one set: volumes are restored from one instant",
        lineage::one_set,
    ),
    (
        "11 the same final state, whatever happened",
        conduct::final_state,
    ),
    ("12 a failed look is never an answer", conduct::failed_look),
];

/// Judges everything.
pub fn judge(evidence: &Evidence<'_>) -> Vec<Verdict> {
    let verdicts = PROMISES.iter().map(|(name, check)| {
        let finding = check(evidence);
        Verdict {
            name: (*name).to_owned(),
            held: finding.is_ok(),
            detail: finding.unwrap_or_else(|broken| broken),
        }
    });
    verdicts.collect()
}

impl Evidence<'_> {
    /// Is this caller one of rehome's runners, and not AWS or a person?
    fn is_runner(&self, who: &str) -> bool {
        who.starts_with("i-") || who.starts_with(super::CONTROLLER)
    }

    /// Was this done by a call that had been sent long before? What was right
    /// then may be wrong now, and AWS takes no call back.
    fn came_late(&self, entry: &Entry) -> bool {
        let mut late = self.late.iter();
        late.any(|(who, at)| *who == entry.who && *at == entry.at)
    }

    /// Was the zone of this instance dark then?
    fn is_dark(&self, instance: &str, at: Timestamp) -> bool {
        let zone = self.zones.get(instance);
        zone.is_some_and(|zone| self.ledger.is_dark(zone, at))
    }

    /// Was it dark there as far as anybody could have seen by then?
    fn seemed_dark(&self, instance: &str, at: Timestamp) -> bool {
        self.is_dark(instance, at) || self.is_dark(instance, self.seen_before(at))
    }
}

/// Is that long before this?
fn longer_than(limit: SignedDuration, from: Timestamp, to: Timestamp) -> bool {
    to.duration_since(from) > limit
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
