//! The product on a real control plane, with the rights that its own chart gives it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may fail where it likes")]

mod acceptance;
mod chart;
mod claims;
mod contract;
mod crd;
mod inputs;
mod leaders;
mod listing;
mod manifests;
mod metrics;
mod orders;
mod pins;
mod place;
mod protection;
mod pruning;
mod records;
mod restarts;
mod restores;
mod rounds;
mod s3_sync;
mod schedules;
mod suspensions;
mod switches;
