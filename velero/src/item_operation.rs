//! Asynchronous operations of a backup.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One of the list in the file [`BackupItemOperations`](crate::DownloadTargetKind::BackupItemOperations) of a backup, unpacked:
/// what goes on after the objects are saved, such as a copy of a volume.
///
/// ```
/// let file = r#"[
///     { "spec": { "backupItemAction": "velero.io/csi-pvc-backupper", "operationID": "du-1" }, "status": { "phase": "Completed" } },
///     { "spec": { "operationID": "du-2" }, "status": { "phase": "Failed", "error": "no space left" } }
/// ]"#;
/// let operations: Vec<velero::ItemOperation> = serde_json::from_str(file)?;
/// assert_eq!(operations.iter().find_map(velero::ItemOperation::error), Some("no space left"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemOperation {
    /// What is done.
    #[serde(default)]
    pub spec: ItemOperationSpec,
    /// How far it has come.
    #[serde(default)]
    pub status: ItemOperationStatus,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ItemOperation {
    /// What it failed with.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.status.error.as_deref().filter(|error| !error.is_empty())
    }
}

/// What is done.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemOperationSpec {
    /// The plugin's action that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_item_action: Option<String>,
    /// What the action calls it.
    #[serde(rename = "operationID", default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far it has come.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ItemOperationStatus {
    /// `New`, `InProgress`, `Completed` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
