//! Retention: which recovery points stay, which may go, and why.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Foreign, Keeper, Ownership, Readiness, RecoveryPoint, Retention, VolumeUid};

/// What becomes of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Fate {
    /// It stays.
    Keep(Keep),
    /// It may go; `keeper` is the newer point that makes that safe.
    Prune {
        /// A newer Ready point of the same volume that stays.
        keeper: Keeper,
    },
}

/// Why a recovery point stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Keep {
    /// It is the newest Ready one of its volume.
    Newest,
    /// It is among the newest `keepLast`.
    KeepLast,
    /// It is younger than `maxAge`.
    Young {
        /// When it will be older.
        until: Timestamp,
    },
    /// Somebody pinned it.
    Pinned,
    /// Something reads from it.
    ReadBy(String),
    /// It is not Ready; only Ready ones are counted and pruned.
    NotReady(Readiness),
    /// It holds another volume: that of an earlier sandbox with the same name.
    OtherVolume,
    /// AgentTier made it.
    AgentTiers,
    /// Somebody else made it.
    Foreign(Foreign),
    /// It is being deleted already.
    Leaving,
    /// Nothing of its volume is pruned now.
    PruningHeld,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest ready"),
            Self::KeepLast => f.write_str("keepLast"),
            Self::Young { .. } => f.write_str("younger than maxAge"),
            Self::Pinned => f.write_str("pinned"),
            Self::ReadBy(reader) => write!(f, "read by {reader}"),
            Self::NotReady(readiness) => write!(f, "not ready ({readiness:?})"),
            Self::OtherVolume => f.write_str("of an earlier volume"),
            Self::AgentTiers => f.write_str("made by AgentTier"),
            Self::Foreign(why) => write!(f, "not ours ({why:?})"),
            Self::Leaving => f.write_str("being deleted"),
            Self::PruningHeld => f.write_str("pruning held"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(why) => write!(f, "keep: {why}"),
            Self::Prune { keeper } => write!(f, "prune: {} is newer", keeper.name),
        }
    }
}

/// Decides over all points of a claim; the answer has their order.
///
/// `readiness` has the points' order too. Only Ready points of this very volume that nobody deletes count:
/// the newest `keepLast` (at least one, by when they were ordered) stay, and of the others those whose data
/// is younger than `maxAge`, pinned or read.
#[must_use]
pub fn retain(
    now: Timestamp,
    retention: &Retention,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
    readiness: &[Readiness],
) -> Vec<Fate> {
    let mut counted: Vec<usize> = (0..points.len())
        .filter(|&i| {
            points[i].is_ours_of(volume) && readiness[i] == Readiness::Ready && !points[i].terminating
        })
        .collect();
    // Newest first by the API server's clock: the storage's may tell any time, and would then decide which is the
    // last good copy. The name settles a tie, so that two passes agree.
    counted.sort_by(|&a, &b| (points[b].created, &points[b].name).cmp(&(points[a].created, &points[a].name)));
    let newest =
        counted.first().map(|&i| Keeper { name: points[i].name.clone(), uid: points[i].uid.clone() });

    let fate = |i: usize| {
        let point = &points[i];
        let rank = counted.iter().position(|&counted| counted == i);
        let keep = match (&point.ownership, rank, &newest) {
            (Ownership::Foreign(why), ..) => Keep::Foreign(*why),
            (Ownership::AgentTier, ..) => Keep::AgentTiers,
            (Ownership::Ours { volume: held }, ..) if held != volume => Keep::OtherVolume,
            _ if point.terminating => Keep::Leaving,
            (_, None, _) | (.., None) => Keep::NotReady(readiness[i]),
            (_, Some(0), _) => Keep::Newest,
            (_, Some(rank), _) if rank < retention.keep_last as usize => Keep::KeepLast,
            _ if point.pinned => Keep::Pinned,
            _ if !point.readers.is_empty() => {
                Keep::ReadBy(point.readers.iter().cloned().collect::<Vec<_>>().join(", "))
            }
            (.., Some(keeper)) => match point.taken_at(now).checked_add(retention.max_age) {
                Ok(until) if until <= now => return Fate::Prune { keeper: keeper.clone() },
                Ok(until) => Keep::Young { until },
                Err(_) => Keep::Young { until: Timestamp::MAX },
            },
        };
        Fate::Keep(keep)
    };
    (0..points.len()).map(fate).collect()
}
