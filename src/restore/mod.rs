//! Restoring: one sandbox from one recovery point.
//!
//! What comes next is the planner's [`next_step`](agenttier_backup_plan::restore::next_step); here it is
//! fed with what exists, and done.

mod look;
mod order;
mod perform;
mod point;
mod render;
mod run;

pub use order::Restore;
pub use point::{Point, PointError, resolve};
pub use run::{RestoreError, Restored};
