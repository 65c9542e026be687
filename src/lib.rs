#![forbid(unsafe_code)]
//! Keeps a stateful single EC2 instance alive across failures: its EBS volumes
//! and its Elastic IP move to the replacement.

pub mod clock;
pub mod host;
pub mod ids;
pub mod plan;
pub mod report;
pub mod spec;
pub mod tags;
pub mod world;
