//! The way to a file in the object store.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::RequestPhase;

/// A file that is to be downloaded.
///
/// The server answers with a URL that is signed and holds for ten minutes; then it deletes the request.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "DownloadRequest",
    namespaced,
    status = "DownloadRequestStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRequestSpec {
    /// The file.
    pub target: DownloadTarget,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A file of a backup or a restore.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DownloadTarget {
    /// Which one.
    pub kind: DownloadTargetKind,
    /// Name of the Backup or Restore.
    pub name: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A kind of file. All are compressed with gzip.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum DownloadTargetKind {
    /// Log of a backup.
    BackupLog,
    /// Its objects: a tar file.
    BackupContents,
    /// Its snapshots that plugins took by themselves: JSON.
    BackupVolumeSnapshots,
    /// Its asynchronous operations: JSON.
    BackupItemOperations,
    /// Names of its objects, by resource: JSON. Nothing of what is in them.
    BackupResourceList,
    /// Its warnings and errors: JSON.
    BackupResults,
    /// Its CSI VolumeSnapshots: JSON.
    CSIBackupVolumeSnapshots,
    /// Its CSI VolumeSnapshotContents: JSON.
    CSIBackupVolumeSnapshotContents,
    /// What is known of each of its volumes: JSON.
    BackupVolumeInfos,
    /// Log of a restore.
    RestoreLog,
    /// Its warnings and errors: JSON.
    RestoreResults,
    /// Names of its objects, and what was done with each: JSON.
    RestoreResourceList,
    /// Its asynchronous operations: JSON.
    RestoreItemOperations,
    /// What is known of each of its volumes: JSON.
    RestoreVolumeInfo,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

/// The server's answer.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRequestStatus {
    /// Whether there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// Where the file is.
    #[serde(rename = "downloadURL", default, skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    /// Until when. It is also set where there is no answer: without backup, restore or location there will be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
