//! What the planner has to say of a volume, as values that can be printed, tested and simulated.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Fate, Interval, Readiness, Slot, VolumeUid};

/// Which volume is spoken of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeId {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim.
    pub uid: VolumeUid,
}

/// Everything the planner has to say of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The volume.
    pub volume: VolumeId,
    /// Name of the Sandbox that uses it.
    pub sandbox: Option<String>,
    /// Name of the policy that it follows.
    pub policy: Option<String>,
    /// Its CSI driver.
    pub driver: Option<String>,
    /// Interval of the volumes that take part in snapshots; `None` for those that do not.
    pub interval: Option<Interval>,
    /// Whether it can be restored from a recent point.
    pub protection: Protection,
    /// Every snapshot of its claim, newest first, and what becomes of it.
    pub points: Vec<Judged>,
    /// What should be done now, if pacing and caps allow.
    pub wants: Vec<Action>,
    /// When this verdict changes by time alone.
    pub wake: Option<Timestamp>,
}

/// A snapshot and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// How far it has come.
    pub readiness: Readiness,
    /// Whether it was made by us of this very volume.
    pub ours: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// What becomes of it.
    pub fate: Fate,
}

/// Whether a volume can be restored from a recent recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Protection {
    /// Its newest Ready point is younger than interval + readyTimeout.
    Protected {
        /// The moment that point is from.
        newest: Timestamp,
    },
    /// It is new: its first point is due or on its way.
    Awaited {
        /// By then it should be protected.
        by: Timestamp,
    },
    /// Its newest Ready point is older than interval + readyTimeout, or missing.
    Overdue {
        /// The moment that point is from, if there is one.
        newest: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// No snapshots are taken of it.
    Unprotected {
        /// Why.
        reason: Reason,
    },
}

/// Why a volume is not protected. Names are stable: they are shown, counted and alerted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Reason {
    /// No policy selects its namespace.
    NoPolicy,
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
    /// The volume has no CSI driver, so it cannot be snapshotted.
    NotCsi,
    /// A snapshot is under way.
    SnapshotInFlight,
    /// A snapshot is not ready after readyTimeout.
    SnapshotSlow,
    /// The last snapshot failed.
    SnapshotFailed,
    /// It is due and waits for its turn.
    WaitingForTurn,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Delete a recovery point.
    Prune(Prune),
    /// Take a snapshot.
    TakeSnapshot(TakeSnapshot),
}

/// An order to delete a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prune {
    /// The volume that it holds.
    pub volume: VolumeId,
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// Its UID: a precondition of the delete.
    pub uid: String,
    /// Its resourceVersion as planned with: a precondition of the delete.
    pub version: String,
    /// The point that makes this safe; it is read live before the delete.
    pub keeper: Keeper,
}

/// The recovery point that makes a delete safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keeper {
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// An order to take a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakeSnapshot {
    /// The volume to snapshot.
    pub volume: VolumeId,
    /// Name of the VolumeSnapshot to make.
    pub name: String,
    /// The slot that it is for.
    pub slot: Slot,
    /// VolumeSnapshotClass to name; `None` leaves the choice to the snapshot controller.
    pub class: Option<String>,
    /// The Sandbox that uses the volume.
    pub sandbox: Option<crate::SandboxRef>,
    /// Since when work on the volume is not in any Ready point.
    pub exposed_since: Timestamp,
}

impl Action {
    /// The volume that it is about.
    #[must_use]
    pub fn volume(&self) -> &VolumeId {
        match self {
            Self::Prune(prune) => &prune.volume,
            Self::TakeSnapshot(take) => &take.volume,
        }
    }

    /// Name of the VolumeSnapshot that it is about.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        match self {
            Self::Prune(prune) => &prune.name,
            Self::TakeSnapshot(take) => &take.name,
        }
    }
}
