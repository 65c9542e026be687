//! Does it carry real data? The live drill: the emulated region in real time,
//! with real disks, real networks and a real PostgreSQL behind it.
//!
//! A volume is a file on a loop device, a snapshot its clone, an instance a set
//! of namespaces in which the same program runs that runs on EC2, the Elastic
//! IP an address that moves between them. A client outside keeps every commit
//! that PostgreSQL acknowledged; after each failover PostgreSQL itself is asked
//! what is there.
//!
//! ```text
//! needs     what this machine must have       story     from end to end
//! nest      where it all takes place          deeds     what is done to an instance
//! store     volumes, snapshots, disks         round     one failover
//! machine   an instance                       client    what was promised
//! carry     the region's changes, for real    postgres  how a client speaks
//! setting   the region and the group          ask       what PostgreSQL returns
//! stage     all of that, and how to wait      audit     is it what was promised?
//! report    how it went                       tale      moment by moment
//! ```

mod ask;
mod audit;
mod carry;
mod client;
mod deeds;
mod machine;
mod needs;
mod nest;
mod postgres;
mod report;
mod round;
mod setting;
mod stage;
mod store;
mod story;
mod tale;
mod tool;

pub use self::needs::check;
pub use self::nest::descend;
pub use self::report::{LiveReport, Round};
pub use self::story::{Options, perform};

/// Why a live drill cannot be held, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// This machine cannot hold it.
    #[error("a live drill cannot be held here: {0}")]
    Refused(String),
    /// A part of the stage failed; rehome is not to blame.
    #[error("{what}: {why}")]
    Stage { what: String, why: String },
    /// Something did not come to pass in time.
    #[error("after {seconds} seconds, {what} has still not happened: {open}")]
    Late {
        what: String,
        seconds: i64,
        open: String,
    },
}
