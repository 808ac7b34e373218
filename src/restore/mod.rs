//! Restoring: one sandbox from one recovery point.
//!
//! What comes next is the planner's [`next_step`](agenttier_backup_plan::restore::next_step); here it is
//! fed with what exists, and done.

mod error;
mod look;
mod order;
mod origin;
mod parked;
mod perform;
mod point;
mod prepare;
mod quantity;
mod rehearsal;
mod render;
mod run;
mod size;
mod source;
mod standing;
mod target;
mod unchosen;
mod waited_for;

pub use error::{Leftover, RestoreError};
pub use order::Order;
pub use origin::Origin;
pub(crate) use point::candidate;
pub use prepare::Restore;
pub use run::{Restored, restore};
pub use standing::Progress;
pub use target::{Target, TargetError};
pub use unchosen::{Offer, Unchosen};
