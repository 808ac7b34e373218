//! How far a backup has come, and what can still become of it.

use serde::{Deserialize, Serialize};

/// Where a backup is. Only `Completed` and `PartiallyFailed` ones can be restored from.
///
/// The order is that of Velero's queue, backup, operations and finalizer controllers (1.18): New, Queued,
/// ReadyToStart, InProgress, WaitingForPluginOperations, Finalizing, Completed. FailedValidation follows
/// ReadyToStart. A server that starts turns what was InProgress into Failed.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum BackupPhase {
    /// Velero has not begun with it.
    New,
    /// It waits for others to end (Velero 1.18 and later).
    Queued,
    /// It is next.
    ReadyToStart,
    /// It makes no sense, and never begins.
    FailedValidation,
    /// Objects are read and snapshots are taken.
    InProgress,
    /// Data is being copied.
    WaitingForPluginOperations,
    /// Data is being copied; some objects failed.
    WaitingForPluginOperationsPartiallyFailed,
    /// What the copying changed is being recorded.
    Finalizing,
    /// What the copying changed is being recorded; some objects failed.
    FinalizingPartiallyFailed,
    /// Everything is in it.
    Completed,
    /// Some objects are missing.
    PartiallyFailed,
    /// There is nothing to restore from.
    Failed,
    /// It is being deleted.
    Deleting,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl BackupPhase {
    /// Whether the backup has ended, well or not.
    ///
    /// No controller takes a backup up again that is in one of these phases; only a request to delete it moves it
    /// on, to `Deleting`.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::FailedValidation | Self::Completed | Self::PartiallyFailed | Self::Failed)
    }

    /// Whether everything that it was to hold is in it.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Completed
    }

    /// Whether it may still come to an end that it has not come to: it is worth waiting for.
    ///
    /// One that is `Deleting` has no end to wait for: it is gone next, or it stays `Deleting` where the deletion
    /// failed (the errors are in the DeleteBackupRequest). A phase that this release does not know may change.
    #[must_use]
    pub fn may_change(&self) -> bool {
        !self.is_finished() && *self != Self::Deleting
    }
}
