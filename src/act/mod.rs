//! Acting: the planner's orders turned into API calls.

mod collect;
mod executor;
mod failure;
mod gone;
mod mark;
mod pause;
mod prune;
mod record;
mod rest;
mod switched;
mod take_snapshot;

pub use executor::{Done, Executor, Outcome};
pub use failure::Failure;
pub use pause::Row;
pub(crate) use switched::prove_switched;
