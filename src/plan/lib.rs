//! The decisions of agenttier-backup, and nothing else.
//!
//! Everything here is a function from values to values: no Kubernetes client, no
//! runtime, no clock, no randomness. Cargo enforces the first two, lints the rest.
//! The same functions serve the controller, the `plan` command, the tests and
//! the simulations.
//!
//! - [`decide`] turns one [`Volume`] into a [`Verdict`]: is it protected, which
//!   recovery points are kept and why, what should be done, when to look again.
//! - [`admit`] takes the wishes of all verdicts and lets through what pacing and
//!   the in-flight caps allow, prunes before snapshots, most exposed volume first.
//! - [`suspensions`] says whether what is seen can be trusted with deletions.
//! - [`restore::next_step`] says what a restore has to do next, from what exists.

mod admission;
mod decide;
mod hash;
mod lease;
pub mod marks;
mod name;
mod ownership;
mod pacing;
mod policy;
mod readiness;
mod reason;
mod record;
pub mod restore;
mod retention;
mod setback;
mod slot;
mod suspension;
mod verdict;
mod volume;
pub mod workspace;

pub use admission::{Admission, Limits, Waiting, admit, in_order};
pub use decide::decide;
pub use lease::{LeaseStep, LeaseTimes, Record, Seen, Uptime, lease_step};
pub use name::{LONGEST_NAME, claim_label, snapshot_name};
pub use ownership::{Foreign, Ownership, ownership};
pub use pacing::{Pacer, Rate};
pub use policy::{Governance, Interval, IntervalError, Policy, Retention, SHORTEST_INTERVAL};
pub use readiness::{FAILED_AFTER, Readiness};
pub use reason::Reason;
pub use record::{
    COLLECTED_AFTER, Collection, Contents, Digest, LARGEST_RECORD, LONGEST_LINEAGE, Portion, RecordKey,
    RecordSight, TemplateSight, collection, is_our_record,
};
pub use retention::{Fate, Keep, Spent, retain};
pub use setback::{ActionKind, HeldBack, Setback};
pub use slot::{Slot, Slots};
pub use suspension::{MOST_SKEW, Signals, Suspension, suspensions};
pub use verdict::{Action, Judged, Keeper, Protection, Prune, TakeSnapshot, Verdict, VolumeId};
pub use volume::{ClaimPhase, RecoveryPoint, SandboxRef, Volume, VolumeUid};
