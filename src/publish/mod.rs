//! Publishing: what the planner and the executor found, where people look for it.

mod condition;
mod event;
mod figures;
mod gauge;
mod incidents;
mod metrics;
mod of_policy;
mod policy_status;
mod repetition;
mod status_writer;
mod tally;
mod velero_figures;
mod velero_told;
#[cfg(test)]
mod verdict_fixture;
mod warnings;

pub use condition::set_condition;
pub use event::{Announcer, Occasion};
pub use figures::Figures;
pub use incidents::IncidentAnnouncer;
pub use metrics::{CONTENT_TYPE, Metrics};
pub use of_policy::{confirm, notices_of};
pub use policy_status::{Pace, Told, policy_status};
pub use repetition::Repetition;
pub use status_writer::StatusWriter;
pub(crate) use velero_told::{VELERO_WITHOUT_CSI, WITHOUT_CSI};
pub use warnings::{DELETIONS_AWAIT_CONFIRMATION, DELETIONS_SUSPENDED};
