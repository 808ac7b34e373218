//! Whether a recovery point can be restored from.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::RecoveryPoint;

/// A snapshot that is not ready after this long has failed. Uploading drivers need hours, none needs a day.
pub const FAILED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How far a snapshot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Readiness {
    /// Ready to use: it counts.
    Ready,
    /// On its way.
    InFlight,
    /// On its way for longer than the policy's `readyTimeout`: reported, still its volume's only one, and
    /// still good if it gets there.
    Slow,
    /// Not ready after [`FAILED_AFTER`], or after `readyTimeout` with an error that has not gone away.
    Failed,
}

impl Readiness {
    /// Judges a point at `now`.
    #[must_use]
    pub fn of(point: &RecoveryPoint, now: Timestamp, ready_timeout: SignedDuration) -> Self {
        let age = now.duration_since(point.created);
        match () {
            () if point.ready => Self::Ready,
            () if age >= FAILED_AFTER => Self::Failed,
            // The snapshot controller reports errors that it then overcomes; until then it is given time.
            () if age >= ready_timeout && point.error.is_some() => Self::Failed,
            () if age >= ready_timeout => Self::Slow,
            () => Self::InFlight,
        }
    }

    /// Under way: it holds its volume's only place in flight, and its slot.
    #[must_use]
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight | Self::Slow)
    }

    /// When this judgement changes by time alone.
    #[must_use]
    pub fn changes_at(self, point: &RecoveryPoint, ready_timeout: SignedDuration) -> Option<Timestamp> {
        match self {
            Self::InFlight => point.created.checked_add(ready_timeout.min(FAILED_AFTER)).ok(),
            Self::Slow => point.created.checked_add(FAILED_AFTER).ok(),
            Self::Ready | Self::Failed => None,
        }
    }
}
