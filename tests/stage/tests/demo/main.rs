//! `cargo demo`, played as a person plays it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may fail where it likes")]

mod guest;
mod host;
mod own;
mod program;
