//! The rules that a namespace's volumes follow.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{Reason, Retention, steady_points};

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

/// Which policy a namespace follows, and whether it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one a namespace, and nearly all are the large one")]
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
    /// VolumeSnapshotClass of drivers that `classes` does not name; `None` takes each driver's default.
    pub class: Option<String>,
    /// VolumeSnapshotClass by CSI driver.
    pub classes: BTreeMap<String, String>,
    /// A volume whose Sandbox has not run since a snapshot was taken at rest needs no other.
    pub skip_unchanged: bool,
    /// AgentTier's own scheduled snapshots are pruned too, by age.
    pub adopt_agenttier: bool,
    /// What a Sandbox's own annotations may ask for.
    pub bounds: Bounds,
    /// When somebody confirmed that a mass deletion is meant.
    pub deletions_confirmed: Option<Timestamp>,
}

/// How far the annotations of a Sandbox may deviate from its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// No shorter interval.
    pub min_interval: SignedDuration,
    /// No longer retention.
    pub max_retention: SignedDuration,
    /// No more recovery points of one volume in the long run, unless the policy itself comes to more.
    pub max_points: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            min_interval: SignedDuration::from_mins(15),
            max_retention: SignedDuration::from_hours(90 * 24),
            max_points: 1500,
        }
    }
}

impl Policy {
    /// The oldest that the newest Ready point of a protected volume may be.
    #[must_use]
    pub fn objective(&self) -> SignedDuration {
        self.interval.duration().saturating_add(self.ready_timeout)
    }

    /// How many Ready points of one volume stay in the long run, where none is pinned or read from: at most; with
    /// thinning, about.
    #[must_use]
    pub fn points_per_volume(&self) -> u64 {
        steady_points(self.interval, &self.retention)
    }
}
