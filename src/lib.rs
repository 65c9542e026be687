//! Keeps a stateful single EC2 instance alive across failures: its EBS volumes
//! and its Elastic IP move to the replacement.

#![forbid(unsafe_code)]

pub mod aws;
pub mod check;
pub mod cli;
pub mod clock;
#[cfg(feature = "drill")]
pub mod drill;
pub mod history;
pub mod host;
pub mod iam;
pub mod ids;
mod patience;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod spec;
pub mod tags;
pub mod wake;
pub mod world;
