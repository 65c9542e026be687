#![forbid(unsafe_code)]
//! Keeps a stateful single EC2 instance alive across failures: its EBS volumes
//! and its Elastic IP move to the replacement.

pub mod clock;
pub mod ids;
pub mod plan;
pub mod spec;
pub mod tags;
pub mod world;
