//! The planner as tables: a situation in, the steps and waits in words out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod addresses;
mod hands;
mod hooks;
mod hostile;
mod lineages;
mod machine;
mod outages;
mod pairs;
mod predecessors;
mod properties;
mod situations;
mod turns;
mod upkeep;
mod wording;
mod worlds;
