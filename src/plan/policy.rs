//! The rules that a namespace's volumes follow.

use jiff::SignedDuration;
use serde::Serialize;

use crate::Reason;

/// The shortest interval between two recovery points of a volume. Real storage wants minutes; this bound
/// only keeps a slip of the pen from hammering it.
pub const SHORTEST_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// Time between two recovery points of one volume: whole seconds, at least [`SHORTEST_INTERVAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Interval(SignedDuration);

/// An interval that no volume can be backed up at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalError;

impl std::fmt::Display for IntervalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an interval is a whole number of seconds, at least {}", SHORTEST_INTERVAL.as_secs())
    }
}

impl std::error::Error for IntervalError {}

impl Interval {
    /// Checks the bounds.
    ///
    /// # Errors
    /// When it is shorter than [`SHORTEST_INTERVAL`] or has a fraction of a second.
    pub fn new(duration: SignedDuration) -> Result<Self, IntervalError> {
        if duration < SHORTEST_INTERVAL || duration.subsec_nanos() != 0 {
            return Err(IntervalError);
        }
        Ok(Self(duration))
    }

    /// The interval as a duration.
    #[must_use]
    pub fn duration(self) -> SignedDuration {
        self.0
    }

    /// The interval in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.as_secs()
    }
}

/// How long recovery points are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// A Ready point older than this may go.
    pub max_age: SignedDuration,
    /// So many of the newest Ready points stay whatever their age. Zero counts as one: the newest Ready
    /// point of a volume never goes.
    pub keep_last: u32,
}

/// Which policy a namespace follows, and whether it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Governance {
    /// No policy selects the namespace.
    Nobody,
    /// Whoever asks may not read what decides it. The controller never does without.
    Unknown,
    /// A policy selects it, but is not in force: nothing is made and nothing is deleted.
    ///
    /// No lower policy takes its place: that one might keep less.
    Held {
        /// Name of the policy.
        policy: String,
        /// Why it is not in force.
        reason: Reason,
    },
    /// This policy is in force.
    By(Policy),
}

impl Governance {
    /// Name of the policy, in force or not.
    #[must_use]
    pub fn policy_name(&self) -> Option<&str> {
        match self {
            Self::Nobody | Self::Unknown => None,
            Self::Held { policy, .. } => Some(policy),
            Self::By(policy) => Some(&policy.name),
        }
    }
}

/// A policy in force, as the planner needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Time between two recovery points.
    pub interval: Interval,
    /// Past this a snapshot that is not ready counts as slow.
    pub ready_timeout: SignedDuration,
    /// What is kept.
    pub retention: Retention,
    /// VolumeSnapshotClass to name; `None` leaves the choice to the snapshot controller.
    pub class: Option<String>,
}

impl Policy {
    /// The oldest that the newest Ready point of a protected volume may be.
    #[must_use]
    pub fn objective(&self) -> SignedDuration {
        self.interval.duration().saturating_add(self.ready_timeout)
    }
}
