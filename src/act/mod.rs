//! Acting: the planner's orders turned into API calls.

mod executor;
mod failure;
mod gone;
mod mark;
mod prune;
mod rest;
mod take_snapshot;

pub use executor::{Done, Executor, Outcome};
pub use failure::Failure;
