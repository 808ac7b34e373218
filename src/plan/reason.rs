//! Why a volume is not protected, or why something could not be done.

use std::fmt;

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

/// Why a volume is not protected, or why something could not be done. Names are stable: they are shown, counted
/// and alerted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// No policy selects its namespace.
    NoPolicy,
    /// Whoever asks may not read the policies, namespaces or volumes that decide it.
    PolicyUnknown,
    /// An annotation of its Sandbox takes it out of backup.
    OptedOut,
    /// An annotation of its Sandbox makes no sense, or asks for more than its policy allows.
    OverrideInvalid,
    /// Its policy is suspended.
    PolicySuspended,
    /// Its policy has snapshots turned off.
    SnapshotsDisabled,
    /// Its policy has errors.
    PolicyInvalid,
    /// The claim is not bound yet.
    ClaimPending,
    /// The claim's volume is gone.
    ClaimLost,
    /// The claim is being deleted.
    ClaimTerminating,
    /// The claim is gone; only recovery points are left of it.
    ClaimGone,
    /// The claim is there, but no Sandbox's workspace any more.
    ClaimAbandoned,
    /// Its Sandbox was switched to another volume, most likely an empty one of the warm pool.
    WorkspaceSwitched,
    /// The volume has no CSI driver, so it cannot be snapshotted.
    NotCsi,
    /// There is no VolumeSnapshotClass of the name that the policy gives.
    UnknownClass,
    /// The VolumeSnapshotClass that the policy gives is another driver's.
    ClassOfOtherDriver,
    /// The volume's driver has no VolumeSnapshotClass that is its default.
    NoDefaultClass,
    /// The volume's driver has more than one default VolumeSnapshotClass.
    TwoDefaultClasses,
    /// Its VolumeSnapshotClass has deletionPolicy Retain: pruning would orphan the storage's snapshots.
    ClassRetains,
    /// AgentTier's own backup loop takes snapshots of it; two loops would fight.
    AgentTierLoop,
    /// The cluster holds nearly as many snapshots as are allowed: points are thinned out.
    NearLimit,
    /// The cluster holds as many snapshots as are allowed: intervals are doubled.
    AtLimit,
    /// Another policy selects some of the same namespaces with the same priority.
    PriorityTie,
    /// More would be deleted at once than anybody can have meant without saying so.
    MassDeletion,
    /// A snapshot is under way.
    SnapshotInFlight,
    /// A snapshot is not ready after readyTimeout.
    SnapshotSlow,
    /// The last snapshot failed.
    SnapshotFailed,
    /// A snapshot that is being deleted is still there after readyTimeout.
    DeletionSlow,
    /// It is due and its turn comes.
    WaitingForTurn,
    /// It is due, and so many snapshots of its driver are under way that no other may start.
    DriverBusy,
    /// It is due, and snapshots are started at a steady pace; others come first.
    Paced,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// A right is missing.
    Forbidden,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The API server refuses the object.
    Refused,
    /// The API server did not answer in time.
    NoAnswer,
    /// The API server could not be reached, or could not answer.
    Unavailable,
    /// Judging it failed by a fault of this program; the others are judged all the same.
    JudgementFailed,
    /// What was thought to be gone is there; the next pass looks again.
    StillThere,
    /// Another snapshot has the name.
    NameTaken,
    /// It changed since it was planned with; the next pass looks again.
    Changed,
    /// The recovery point that was to make a deletion safe is not fit to.
    KeeperUnfit,
    /// What its Sandbox is does not fit into a record.
    RecordTooLarge,
    /// Deletions are suspended: the local clock and the API server's differ.
    ClockSkew,
    /// Deletions are suspended: nobody knows how far the local clock is from the API server's.
    ClockUnknown,
    /// Deletions are suspended: a cache is not kept up to date.
    CacheStale,
    /// Deletions are suspended: a policy exists and cannot be read.
    PolicyUnreadable,
    /// Fields of a policy's extraTemplate conflict with what is decided elsewhere, and have no part.
    ExtraTemplateConflict,
    /// The claim of a Sandbox looks like one of the warm pool: Velero's backups leave it out.
    WorkspaceLeftOut,
    /// Another cluster of the same name puts its backups where this one's are.
    ClusterNameShared,
    /// A backup by Velero is kept for less than twice the time between two: where one fails, there may be none.
    BackupsKeptBriefly,
    /// Velero's backups take longer, all together, than there is time between two of each.
    BackupQueueFull,
    /// An order failed in a way that has no name here.
    OrderFailed,
}

impl Reason {
    /// The reason of this name; [`OrderFailed`](Self::OrderFailed) where it is none of these.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(name).unwrap_or(Self::OrderFailed)
    }

    /// Waiting does not help: somebody has to do something.
    #[must_use]
    pub fn needs_attention(self) -> bool {
        !matches!(
            self,
            Self::ClaimPending
                | Self::ClaimTerminating
                | Self::SnapshotInFlight
                | Self::WaitingForTurn
                | Self::DriverBusy
                | Self::Paced
                | Self::NoAnswer
                | Self::Unavailable
                | Self::NameTaken
                | Self::StillThere
                | Self::Changed
                | Self::KeeperUnfit
                | Self::ClockUnknown
                | Self::CacheStale
                | Self::OptedOut
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_needs_nobody() {
        for reason in [Reason::Paced, Reason::ClaimPending, Reason::NoAnswer, Reason::OptedOut] {
            assert!(!reason.needs_attention(), "{reason}");
        }
        for reason in [Reason::QuotaExceeded, Reason::UnknownClass, Reason::Forbidden, Reason::DeletionSlow] {
            assert!(reason.needs_attention(), "{reason}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for reason in [Reason::QuotaExceeded, Reason::NotCsi, Reason::OrderFailed] {
            assert_eq!(Reason::named(&reason.to_string()), reason);
        }
        assert_eq!(Reason::named("OfALaterRelease"), Reason::OrderFailed);
    }
}
