//! The controller: wiring only.

mod backoff;
mod exposition;
mod health;
mod lately_saved;
mod notice;
mod pass;
mod records;
mod run;
mod unproved;

pub use health::Health;
pub use run::{Settings, VeleroSettings, run};
