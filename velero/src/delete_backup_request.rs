//! The way to delete a backup, with all that is in the object store and the storage.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A backup that is to be deleted.
///
/// The server deletes its data, its snapshots, the Restores that name it, the Backup, and then the request. Where
/// something fails, the request stays with its errors for 24 hours. A new one for the same backup replaces it. A Backup
/// object that is deleted without a request comes back when its location is synced.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "DeleteBackupRequest",
    namespaced,
    status = "DeleteBackupRequestStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct DeleteBackupRequestSpec {
    /// The backup.
    pub backup_name: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What became of the request.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeleteBackupRequestStatus {
    /// Where it is; absent before Velero has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DeleteBackupRequestPhase>,
    /// Why the backup could not be deleted, or not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl DeleteBackupRequestStatus {
    /// Whether the backup is gone: the request is done, without an error. The server deletes such a request at once, so
    /// that it is hardly ever seen.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.phase.as_ref().is_some_and(DeleteBackupRequestPhase::is_finished)
            && self.errors.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Where such a request is (Velero's backup-deletion controller).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum DeleteBackupRequestPhase {
    /// Velero has not begun with it.
    New,
    /// The backup is being deleted. A request that a server left so when it stopped is not taken up again.
    InProgress,
    /// It is done; the errors say whether well.
    Processed,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl DeleteBackupRequestPhase {
    /// Whether it is done, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        *self == Self::Processed
    }

    /// Whether it may still get done.
    #[must_use]
    pub fn may_change(&self) -> bool {
        !self.is_finished()
    }
}
