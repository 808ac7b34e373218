//! Observing: what the API server holds, turned into what the planner reasons about.

mod caches;
mod following;
mod governance;
mod judge;
mod observed;
mod recovery_point;
mod retired;
mod setbacks;
mod survey;
mod trim;
mod unconfirmed;
mod volumes;

pub use caches::{Caches, Watches};
pub use governance::{Invalid, Reach, governance, in_force, reach};
pub use judge::judge;
pub use observed::Observed;
pub use recovery_point::{is_pinned, marks_of, recovery_point};
pub use survey::Survey;
pub use unconfirmed::Unconfirmed;
pub use volumes::volumes;
