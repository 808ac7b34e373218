//! Publishing: what the planner and the executor found, where people look for it.

mod condition;
mod event;
mod policy_status;

pub use condition::set_condition;
pub use event::{Announcer, Occasion};
pub use policy_status::{StatusWriter, policy_status};
