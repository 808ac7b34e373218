//! What suspends all deletions: signs that what is seen may not be what is.

use std::fmt;

use jiff::SignedDuration;

use crate::Reason;

/// A local clock that is further than this from the API server's suspends deletions.
pub const MOST_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Every reason for which deletions are suspended.
pub const SUSPENDING: [Reason; 4] =
    [Reason::ClockSkew, Reason::ClockUnknown, Reason::CacheStale, Reason::PolicyUnreadable];

/// How well what is planned with is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    /// The local clock minus the API server's; `None` while nobody has measured it.
    pub skew: Option<SignedDuration>,
    /// Caches that are not kept up to date: the kind, and why.
    pub stale: Vec<(String, String)>,
    /// Names of policies that exist and cannot be read.
    pub unreadable_policies: Vec<String>,
}

/// One reason for which nothing is deleted for the moment. Snapshots go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspension {
    /// The local clock is wrong, or the API server's is.
    ClockSkew {
        /// The local clock minus the API server's.
        skew: SignedDuration,
    },
    /// Nobody knows how far the local clock is from the API server's.
    ClockUnknown,
    /// A cache is not kept up to date: what it lacks may be there.
    StaleCache {
        /// What it holds, as `plural.group`.
        kind: String,
        /// Why.
        cause: String,
    },
    /// A policy cannot be read: it might keep more than the one that seems to be in force.
    UnreadablePolicy {
        /// Its name.
        name: String,
    },
}

/// Everything that suspends deletions; empty when they may go on.
#[must_use]
pub fn suspensions(signals: &Signals) -> Vec<Suspension> {
    let clock = match signals.skew {
        None => Some(Suspension::ClockUnknown),
        Some(skew) if skew > MOST_SKEW || skew < -MOST_SKEW => Some(Suspension::ClockSkew { skew }),
        Some(_) => None,
    };
    let stale = signals.stale.iter().cloned();
    let stale = stale.map(|(kind, cause)| Suspension::StaleCache { kind, cause });
    let unreadable = signals.unreadable_policies.iter().cloned();
    let unreadable = unreadable.map(|name| Suspension::UnreadablePolicy { name });
    clock.into_iter().chain(stale).chain(unreadable).collect()
}

impl Suspension {
    /// Its name.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::ClockSkew { .. } => Reason::ClockSkew,
            Self::ClockUnknown => Reason::ClockUnknown,
            Self::StaleCache { .. } => Reason::CacheStale,
            Self::UnreadablePolicy { .. } => Reason::PolicyUnreadable,
        }
    }

    /// Whether it is about the same thing as another one, however its measure or its words have changed.
    #[must_use]
    pub fn is_of_same_cause(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::StaleCache { kind: a, .. }, Self::StaleCache { kind: b, .. })
            | (Self::UnreadablePolicy { name: a }, Self::UnreadablePolicy { name: b }) => a == b,
            _ => self.reason() == other.reason(),
        }
    }
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockSkew { skew } => {
                let side = if skew.is_negative() { "behind" } else { "ahead of" };
                write!(f, "the controller's clock is {} {side} the API server's", roughly(skew.unsigned_abs().as_secs()))
            }
            Self::ClockUnknown => {
                f.write_str("the API server does not say its time, so nobody knows whether the controller's clock is right")
            }
            Self::StaleCache { kind, cause } => {
                write!(f, "what is known of {kind} may be out of date: {cause}")
            }
            Self::UnreadablePolicy { name } => {
                write!(f, "BackupPolicy {name} cannot be read; it may keep more than the others")
            }
        }
    }
}

/// To the nearest of a large unit: a measure that wavers by a second reads the same.
fn roughly(seconds: u64) -> String {
    let nearest = |unit: u64| (seconds + unit / 2) / unit;
    match nearest(60) {
        0..=1 => "more than a minute".to_owned(),
        minutes @ 2..120 => format!("{minutes} minutes"),
        120..2_880 => format!("{} hours", nearest(3_600)),
        _ => format!("{} days", nearest(86_400)),
    }
}
