//! Retention: which recovery points stay, which may go, and why.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Foreign, Keeper, Ownership, Readiness, RecoveryPoint, Retention, VolumeUid};

/// What becomes of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate")]
pub enum Fate {
    /// It stays.
    Keep(Keep),
    /// It may go; `keeper` is the newer point that makes that safe.
    Prune {
        /// Why it is of no more use.
        reason: Spent,
        /// A newer Ready point of the same volume that stays.
        keeper: Keeper,
    },
    /// Whoever asks cannot see what would tell.
    Unknown,
}

/// Why a recovery point is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Spent {
    /// It is older than `maxAge`, and not among the newest `keepLast`.
    PastRetention,
    /// It failed, and a newer one is Ready.
    Failed,
}

/// Why a recovery point stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason")]
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
    ReadBy {
        /// What does.
        readers: BTreeSet<String>,
    },
    /// It is not Ready: it is not counted, and goes only once it has failed and a newer one is Ready.
    NotReady,
    /// It holds another volume: that of an earlier sandbox with the same name.
    OtherVolume,
    /// AgentTier made it.
    AgentTiers,
    /// Somebody else made it.
    Foreign {
        /// What tells.
        mark: Foreign,
    },
    /// It is being deleted already.
    Leaving,
    /// Nothing of its volume is pruned now.
    PruningHeld,
    /// Its volume's claim is gone.
    VolumeGone,
    /// Its volume is no Sandbox's workspace any more.
    VolumeAbandoned,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest ready"),
            Self::KeepLast => f.write_str("keepLast"),
            Self::Young { .. } => f.write_str("younger than maxAge"),
            Self::Pinned => f.write_str("pinned"),
            Self::ReadBy { readers } => {
                write!(f, "read by {}", readers.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::NotReady => f.write_str("not ready"),
            Self::OtherVolume => f.write_str("of an earlier volume"),
            Self::AgentTiers => f.write_str("made by AgentTier"),
            Self::Foreign { mark } => write!(f, "not ours ({mark:?})"),
            Self::Leaving => f.write_str("being deleted"),
            Self::PruningHeld => f.write_str("pruning held"),
            Self::VolumeGone => f.write_str("its volume is gone"),
            Self::VolumeAbandoned => f.write_str("its volume is no workspace any more"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(why) => write!(f, "keep: {why}"),
            Self::Prune { reason, keeper } => write!(f, "prune: {reason}; {} is newer", keeper.name),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PastRetention => "past retention",
            Self::Failed => "failed",
        })
    }
}

/// Decides over all points of a claim; the answer has their order.
///
/// `readiness` has the points' order too. Only Ready points of this very volume that nobody deletes count:
/// the newest `keepLast` (at least one, by when they were ordered) stay, and of the others those whose data
/// is younger than `maxAge`, pinned or read. One that failed goes as soon as a newer one is Ready: should it get
/// ready after all, it would not be the newest.
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
    let newest = counted.first().map(|&i| &points[i]);
    let keeper = newest.map(|point| Keeper { name: point.name.clone(), uid: point.uid.clone() });
    let is_older = |point: &RecoveryPoint| {
        newest.is_some_and(|newest| (point.created, &point.name) < (newest.created, &newest.name))
    };

    let fate = |i: usize| {
        let point = &points[i];
        let rank = counted.iter().position(|&counted| counted == i);
        let keep = match (&point.ownership, rank, &keeper) {
            (Ownership::Foreign(mark), ..) => Keep::Foreign { mark: *mark },
            (Ownership::AgentTier, ..) => Keep::AgentTiers,
            (Ownership::Ours { volume: held }, ..) if held != volume => Keep::OtherVolume,
            _ if point.terminating => Keep::Leaving,
            (_, None, Some(keeper))
                if readiness[i] == Readiness::Failed
                    && is_older(point)
                    && !point.pinned
                    && point.readers.is_empty() =>
            {
                return Fate::Prune { reason: Spent::Failed, keeper: keeper.clone() };
            }
            (_, None, _) | (.., None) => Keep::NotReady,
            (_, Some(0), _) => Keep::Newest,
            (_, Some(rank), _) if rank < retention.keep_last as usize => Keep::KeepLast,
            _ if point.pinned => Keep::Pinned,
            _ if !point.readers.is_empty() => Keep::ReadBy { readers: point.readers.clone() },
            (.., Some(keeper)) => match point.taken_at(now).checked_add(retention.max_age) {
                Ok(until) if until <= now => {
                    return Fate::Prune { reason: Spent::PastRetention, keeper: keeper.clone() };
                }
                Ok(until) => Keep::Young { until },
                Err(_) => Keep::Young { until: Timestamp::MAX },
            },
        };
        Fate::Keep(keep)
    };
    (0..points.len()).map(fate).collect()
}
