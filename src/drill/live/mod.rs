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
//! needs     what this machine must have       deeds     what is done to an instance
//! nest      where it all takes place          story     a round, from end to end
//! store     volumes, snapshots, disks         client    what was promised
//! machine   an instance                       postgres  how a client speaks
//! carry     the region's changes, for real    audit     is it there?
//! setting   the region and the group          report    how it went
//! ```

mod audit;
mod carry;
mod client;
mod deeds;
mod machine;
mod needs;
mod nest;
mod postgres;
mod report;
mod setting;
mod stage;
mod store;
mod story;
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
