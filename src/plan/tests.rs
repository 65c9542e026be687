//! The planner as tables: a situation in, the steps and waits in words out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod outages;
mod pairs;
mod properties;
mod situations;
mod worlds;
