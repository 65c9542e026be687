//! Deliberately wrong planners, one rule removed each: a test shows that the
//! promise which the rule keeps is seen to break. Compiled only with the
//! feature `mutants`, never into what people run.

use std::cell::Cell;

/// The rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Pick the newest set by start time, whatever its lineage. Promise 3.
    NewestByStartTime,
    /// Take a predecessor's volume for quiet while it still runs, and do not look
    /// again before the call. Promises 1 and 2.
    SkipFence,
    /// Make a blank volume although the group's marker says there was data. Promise 4.
    BlankWithoutMarker,
    /// Delete old sets and volumes without asking whether they are the newest. Promise 5.
    DeleteNewest,
    /// Use an older set however much it loses. Promise 6.
    IgnoreDataLoss,
    /// Move the address as soon as there is any other member. Promise 7.
    AddressToAnyone,
    /// Complete the launch action before the data is there. Promise 8.
    CompleteEarly,
    /// Forget what the old volume was made like. Promise 9.
    ForgetShape,
    /// Restore each volume from its own newest snapshot. Promise 10.
    MixSets,
    /// Take up nothing that was made before for the same move. Promise 11.
    BeginAnew,
    /// Take what could not be read for not there. Promise 12.
    UnknownIsAbsent,
}

thread_local! {
    static MUTANT: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// From now on, on this thread, the planner leaves this rule out.
pub fn set(mutant: Option<Mutant>) {
    MUTANT.with(|cell| cell.set(mutant));
}

pub(crate) fn is(mutant: Mutant) -> bool {
    MUTANT.with(Cell::get) == Some(mutant)
}

/// `MixSets`: each volume's own newest snapshot instead of the set's.
pub(super) fn mixed<'a>(
    lineage: &super::lineage::Lineage<'a>,
    of_set: &'a crate::world::Snapshot,
) -> &'a crate::world::Snapshot {
    if !is(Mutant::MixSets) {
        return of_set;
    }
    lineage
        .snapshots
        .iter()
        .filter(|s| s.state == crate::world::SnapshotState::Completed)
        .max_by_key(|s| s.started)
        .copied()
        .unwrap_or(of_set)
}
