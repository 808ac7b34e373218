//! Whether a volume can be restored from a recent recovery point.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::sight::Sight;
use crate::{ActionKind, Policy, Protection, Readiness, Reason, Setback, Volume};

/// How a volume that takes part stands. `obstacle` is what keeps the next snapshot from being taken, if anything does.
pub(crate) fn protection(
    now: Timestamp,
    policy: &Policy,
    volume: &Volume,
    sight: &Sight,
    unchanged: bool,
    obstacle: Option<Reason>,
    setbacks: &BTreeMap<ActionKind, Setback>,
) -> Protection {
    let newest = newest(sight, obstacle);
    let by = due_by(policy, volume, newest);
    let reason = match (sight.in_flight, setbacks.get(&ActionKind::TakeSnapshot)) {
        (Some(Readiness::Slow), _) => Reason::SnapshotSlow,
        (Some(_), _) => Reason::SnapshotInFlight,
        // What keeps the next one from being made comes after what befell the last one.
        (None, Some(setback)) => setback.reason,
        (None, None) if obstacle.is_some() => obstacle.unwrap_or(Reason::WaitingForTurn),
        (None, None) if sight.failed => Reason::SnapshotFailed,
        (None, None) => Reason::WaitingForTurn,
    };
    match newest {
        Some(newest) if unchanged || now < by => Protection::Protected { newest },
        None if now < by => Protection::Awaited { by, reason },
        newest => Protection::Overdue { newest, reason },
    }
}

/// When the volume is overdue, unless something comes before.
pub(crate) fn overdue_at(
    policy: &Policy,
    volume: &Volume,
    sight: &Sight,
    obstacle: Option<Reason>,
) -> Timestamp {
    due_by(policy, volume, newest(sight, obstacle))
}

/// Of a volume that takes no part.
pub(crate) fn unprotected(reason: Reason, sight: &Sight) -> Protection {
    let newest = sight.newest_ready;
    match reason {
        Reason::ClaimGone | Reason::ClaimAbandoned | Reason::WorkspaceSwitched => {
            Protection::Retired { newest, reason }
        }
        Reason::PolicyUnknown => Protection::Unknown { newest, reason },
        _ => Protection::Unprotected { reason },
    }
}

/// Where AgentTier's own loop is left to do the work, its snapshots count as well.
fn newest(sight: &Sight, obstacle: Option<Reason>) -> Option<Timestamp> {
    match obstacle {
        Some(Reason::AgentTierLoop) => sight.newest_ready.max(sight.newest_of_agenttier),
        _ => sight.newest_ready,
    }
}

fn due_by(policy: &Policy, volume: &Volume, newest: Option<Timestamp>) -> Timestamp {
    let since = newest.unwrap_or(volume.created);
    since.checked_add(policy.objective()).unwrap_or(Timestamp::MAX)
}
