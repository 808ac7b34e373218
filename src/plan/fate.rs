//! What becomes of a recovery point, and why.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Foreign, Keeper};

/// What becomes of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate")]
pub enum Fate {
    /// It stays.
    Keep(Keep),
    /// It may go.
    Prune {
        /// Why it is of no more use.
        reason: Spent,
        /// A newer Ready point of the same volume that stays; none for the very last one of a sandbox that is
        /// gone.
        keeper: Option<Keeper>,
    },
    /// Whoever asks cannot see what would tell.
    Unknown,
}

/// Why a recovery point is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Spent {
    /// It is older than `maxAge`, and not among the newest `keepLast`.
    PastRetention,
    /// There are `maxCount` newer ones.
    OverCount,
    /// It is not the newest of its day, week or month.
    ThinnedOut,
    /// The cluster holds nearly as many snapshots as are allowed, and it is older than 48 h and not the newest of its day.
    NearLimit,
    /// It failed, and a newer one is Ready.
    Failed,
    /// AgentTier made it; the policy adopts those, and it is older than `maxAge`.
    Adopted,
    /// Its sandbox has been gone for `maxAge`.
    SandboxGone,
    /// It does not get ready, and keeps its claim from being deleted.
    HoldsClaim,
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
        /// When it will be older than that, or old enough to be thinned out.
        until: Timestamp,
    },
    /// It is the newest of its day, week or month.
    Thinned {
        /// When its turn comes to be judged by a longer stretch, or by `maxAge`.
        until: Timestamp,
    },
    /// The retention that was in force until less than 24 h ago keeps it.
    RetentionShortened {
        /// When that one would let it go by itself, if time alone does it.
        until: Option<Timestamp>,
    },
    /// Its sandbox is gone; it is kept for `maxAge` from then on.
    SandboxGone {
        /// When that time is over.
        until: Timestamp,
    },
    /// What its sandbox held before it was switched to another volume: nothing of that is pruned.
    Frozen,
    /// Its class keeps the storage's snapshot when the object goes: that would be orphaned.
    ClassRetains,
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

impl Keep {
    /// When that ends by time alone, where it does.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Young { until } | Self::Thinned { until } | Self::SandboxGone { until } => Some(*until),
            Self::RetentionShortened { until } => *until,
            _ => None,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest ready"),
            Self::KeepLast => f.write_str("keepLast"),
            Self::Young { .. } => f.write_str("younger than maxAge"),
            Self::Thinned { .. } => f.write_str("newest of its day, week or month"),
            Self::RetentionShortened { .. } => f.write_str("retention was shortened less than 24 h ago"),
            Self::SandboxGone { until } => write!(f, "its sandbox is gone; until {until}"),
            Self::Frozen => f.write_str("its sandbox was switched to another volume"),
            Self::ClassRetains => f.write_str("its class has deletionPolicy Retain"),
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
            Self::Prune { reason, keeper: Some(keeper) } => {
                write!(f, "prune: {reason}; {} is newer", keeper.name)
            }
            Self::Prune { reason, keeper: None } => write!(f, "prune: {reason}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PastRetention => "past retention",
            Self::OverCount => "over maxCount",
            Self::ThinnedOut => "thinned out",
            Self::NearLimit => "thinned out, for maxSnapshots is near",
            Self::Failed => "failed",
            Self::Adopted => "AgentTier's, past retention",
            Self::SandboxGone => "its sandbox is gone",
            Self::HoldsClaim => "it holds its claim, which is being deleted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_a_time_says_until_when() {
        let until = Timestamp::UNIX_EPOCH;
        for keep in [Keep::Young { until }, Keep::Thinned { until }, Keep::SandboxGone { until }] {
            assert_eq!(keep.until(), Some(until), "{keep}");
        }
        for lately in [None, Some(until)] {
            assert_eq!(Keep::RetentionShortened { until: lately }.until(), lately);
        }
        assert_eq!(Keep::Newest.until(), None);
    }
}
