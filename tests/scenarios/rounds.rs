//! The worst of days at scale: in each round 50 volumes are due and 50 recovery points prunable, what others made
//! lies among them, and something dies or freezes in mid-batch. Each write that was ever stored is looked at.
//!
//! `ROUNDS=30 cargo test --test scenarios rounds -- --nocapture` makes 30 rounds of kills instead of 2; `SEED=…`
//! repeats those of a run that failed, which printed it.

mod audit;
mod field;
mod kills;
mod outages;
mod quota;
pub(crate) mod random;
mod succession;
