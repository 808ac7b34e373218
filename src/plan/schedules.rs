//! Layer 2: one Velero Schedule per namespace that holds sandboxes.
//!
//! - [`name()`] is what a namespace's Schedule is called, [`Spread`] when its backups are made.
//! - [`plan()`] says of every namespace, and of every Schedule that is there, what is to become of its Schedule.

mod decide;
mod name;
mod spread;

pub use decide::{NamespaceSight, Owner, Plan, Rule, ScheduleSight, Why, Wish, plan};
pub use name::{LONGEST_CLUSTER, name};
pub use spread::{Spread, SpreadError};
