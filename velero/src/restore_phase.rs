//! How far a restore has come, and what can still become of it.

use serde::{Deserialize, Serialize};

/// Where a restore is.
///
/// The order is that of Velero's restore, operations and finalizer controllers (1.18): New, InProgress,
/// WaitingForPluginOperations, Finalizing, Completed. FailedValidation follows New. A server that starts turns what was
/// InProgress into Failed. `Completed` says nothing of whether claims are bound.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum RestorePhase {
    /// Velero has not begun with it.
    New,
    /// It makes no sense, and never begins.
    FailedValidation,
    /// Objects are made.
    InProgress,
    /// Data is being copied.
    WaitingForPluginOperations,
    /// Data is being copied; some objects failed.
    WaitingForPluginOperationsPartiallyFailed,
    /// Volumes get their last settings, and commands in pods end.
    Finalizing,
    /// Volumes get their last settings, and commands in pods end; some objects failed.
    FinalizingPartiallyFailed,
    /// Everything that was asked for and is in the backup was restored.
    Completed,
    /// Some objects were not restored.
    PartiallyFailed,
    /// It could not be done.
    Failed,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl RestorePhase {
    /// Whether the restore has ended, well or not. No controller takes one up again that is in one of these phases.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::FailedValidation | Self::Completed | Self::PartiallyFailed | Self::Failed)
    }

    /// Whether nothing failed. A backup that lacks what was asked for is restored without an error as well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Completed
    }

    /// Whether it may still come to an end that it has not come to: until it is finished. A phase that this release
    /// does not know may change.
    #[must_use]
    pub fn may_change(&self) -> bool {
        !self.is_finished()
    }
}
