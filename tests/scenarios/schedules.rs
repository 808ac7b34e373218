//! Layer 2: Schedules of a real Velero, kept by the controller, and what Velero makes of them.

mod absent;
mod backups;
mod commands;
mod edits;
mod failures;
mod inputs;
mod namesakes;
mod rendered;
mod site;
