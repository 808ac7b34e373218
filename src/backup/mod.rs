//! A backup now, because somebody asks for one: of a sandbox by a snapshot, of a namespace by Velero.
//!
//! What is meant is found first ([`Target`]); then one object is made ([`of_sandbox`], [`of_namespace`]), or found to be on
//! its way already; then, if somebody waits, it is looked at until it has ended ([`wait`]). All with the rights of whoever
//! asks.

mod error;
mod made;
mod of_namespace;
mod of_sandbox;
mod standing;
mod target;
mod wait;
mod whole;

pub use error::BackupError;
pub use made::{Layer, Made};
pub use of_namespace::of_namespace;
pub use of_sandbox::of_sandbox;
pub use standing::Standing;
pub use target::Target;
pub use wait::{Progress, wait};
