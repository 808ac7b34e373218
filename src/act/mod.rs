//! Acting: the planner's orders turned into API calls.

mod executor;
mod failure;
mod prune;
mod take_snapshot;

pub use executor::{Done, Executor, Outcome};
pub use failure::Failure;
