//! The decisions of agenttier-backup, and nothing else.
//!
//! Everything here is a function from values to values: no Kubernetes client, no
//! runtime, no clock, no randomness. Cargo enforces the first two, lints the rest.
//! The same functions serve the controller, the `plan` command, the tests and
//! the simulations.
//!
//! - [`decide`] turns one [`Volume`] into a [`Verdict`]: is it protected, which
//!   recovery points are kept and why, what should be done, when to look again.
//! - [`on_request`] answers somebody who wants a snapshot now, due or not.
//! - [`admit`] takes the wishes of all verdicts and lets through what pacing and
//!   the in-flight caps allow, prunes before snapshots, most exposed volume first.
//! - [`suspensions`] says whether what is seen can be trusted with deletions.
//! - [`restore::next_step`] says what a restore has to do next, from what exists.

mod admission;
mod amendment;
mod capacity;
mod class;
mod closing;
mod course;
mod decide;
mod fate;
mod gone;
mod hash;
mod history;
mod lease;
pub mod marks;
mod mass;
mod name;
mod obstacle;
mod on_request;
mod overrides;
mod ownership;
mod pacing;
mod period;
mod policy;
mod pressure;
mod protection;
mod readiness;
mod reason;
mod record;
pub mod restore;
mod retain;
mod retention;
pub mod schedules;
mod setback;
mod sight;
mod slot;
mod surroundings;
mod suspension;
mod thinning;
mod turn;
mod verdict;
mod volume;
pub mod workspace;

pub use admission::{Admission, Limits, Waiting, admit, in_order};
pub use amendment::{Amendment, Amendments, AmendmentsError};
pub use capacity::{Capacity, steady_points};
pub use class::SnapshotClass;
pub use decide::decide;
pub use fate::{Fate, Keep, Spent};
pub use history::SHORTENING_DELAY;
pub use lease::{LeaseStep, LeaseTimes, Record, Seen, Uptime, lease_step};
pub use mass::{MassDeletion, is_of_mass, mass_deletions};
pub use name::{LONGEST_NAME, claim_label, snapshot_name};
pub use on_request::{Response, on_request};
pub use overrides::Overrides;
pub use ownership::{Foreign, Ownership, ownership};
pub use pacing::{Pacer, Rate};
pub use period::read_period;
pub use policy::{Bounds, Governance, Interval, IntervalError, Policy, SHORTEST_INTERVAL};
pub use pressure::{Pressure, excess};
pub use readiness::{FAILED_AFTER, Readiness};
pub use reason::Reason;
pub use record::{
    COLLECTED_AFTER, Collection, Contents, Digest, LARGEST_RECORD, LONGEST_LINEAGE, Portion, RecordKey,
    RecordSight, Subject, TemplateSight, collection, is_of_one_moment, is_our_record,
};
pub use retain::{Rules, retain};
pub use retention::{Retention, RetentionError, Thinning};
pub use setback::{ActionKind, HeldBack, Setback};
pub use slot::{Slot, Slots};
pub use surroundings::Surroundings;
pub use suspension::{MOST_SKEW, SUSPENDING, Signals, Suspension, suspensions};
pub use verdict::{
    Action, FormerUser, Judged, Keeper, Mark, Note, Notice, Protection, Prune, Safety, TakeSnapshot, Verdict,
    VolumeId,
};
pub use volume::{AgentTierLoop, ClaimPhase, RecoveryPoint, SandboxRef, Volume, VolumeUid};
