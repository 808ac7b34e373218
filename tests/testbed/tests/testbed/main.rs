//! The testbed, tried out: real components, real files, real deaths.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may fail where it likes")]

mod backups;
mod clocks;
mod identities;
mod joined;
mod leftovers;
mod nodes;
mod object_stores;
mod objects;
mod outages;
mod pod_folders;
mod pods;
mod proxies;
mod regions;
mod releases;
mod sanity;
mod shared_cluster;
mod snapshots;
mod stores;
