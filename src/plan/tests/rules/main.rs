//! The planner's rules, each with a test that fails without it: examples by rule, properties over random
//! volumes, a restore against every interleaving of AgentTier's steps, and a simulation in virtual time.
#![allow(clippy::unwrap_used)]

mod admission;
mod due;
mod promises;
mod protection;
mod retention;
mod world;
