//! The planner's rules, each with a test that fails without it: examples by rule, properties over random
//! volumes, a restore against every interleaving with AgentTier's steps, and two weeks of a cluster in virtual time.
#![allow(clippy::unwrap_used)]

mod admission;
mod agenttier;
mod closing;
mod cluster;
mod due;
mod hidden;
mod json;
mod promises;
mod protection;
mod records;
mod restore;
mod retention;
mod shortened;
mod simulation;
mod suspension;
mod switched;
mod world;
