//! Rehearses a failover: real SDK calls, an emulated region, a paused clock.
//!
//! A scenario is performed on a stage (the region, the instances, their
//! runners), the region's record is replayed into a ledger, and judges read the
//! ledger. Nothing a runner says of itself decides anything here.
//!
//! ```text
//! scenario/   what is rehearsed          perform    the story, statement by statement
//! setting     the region before it
//! stage       who takes part             guest      an instance from the inside
//! connector   the SDK's way to AWS       time       the paused clock
//! roles       what each runner may do
//! blows       who is struck down, held up or frozen, and where    frozen   what that is like
//! ledger      the record, replayed       judge      is everything in its place?
//! promises/   the twelve promises        narrate    the timeline
//! live/       the same with real disks and a real PostgreSQL, in real time
//! ```

#[cfg(test)]
mod asked;
pub mod blows;
pub mod connector;
mod frozen;
pub mod guest;
pub mod judge;
pub mod jury;
pub mod ledger;
pub mod live;
pub mod narrate;
pub mod perform;
pub mod promises;
pub mod roles;
pub mod scenario;
pub mod setting;
pub mod stage;
pub mod swarm;
pub mod time;

use std::io;

use self::blows::{Blow, Blows};
pub use self::connector::Way;
use self::scenario::Scenario;
use crate::report::Rehearsal;

/// What the runner that sits on no instance is called.
pub const CONTROLLER: &str = "controller";
/// And the other one, where there are two.
pub const SECOND_CONTROLLER: &str = "controller-2";

/// Performs one scenario from beginning to end, in its own virtual time.
pub fn rehearse(scenario: &Scenario, seed: u64) -> io::Result<Rehearsal> {
    Ok(rehearse_struck(scenario, seed, &[])?.0)
}

/// The same, with runners struck down on the way; and what became of that.
pub fn rehearse_struck(
    scenario: &Scenario,
    seed: u64,
    blows: &[Blow],
) -> io::Result<(Rehearsal, Blows)> {
    rehearse_by(Way::Sdk, scenario, seed, blows)
}

/// The same, by a way that may be a shorter one.
pub fn rehearse_by(
    way: Way,
    scenario: &Scenario,
    seed: u64,
    blows: &[Blow],
) -> io::Result<(Rehearsal, Blows)> {
    // The SDK draws its jitter here.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let local = tokio::task::LocalSet::new();
    let performed = perform::perform(scenario, seed, blows, way);
    Ok(local.block_on(&runtime, performed))
}
