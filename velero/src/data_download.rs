//! One volume's copying out of the object store.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DataMovePhase, DataMoveProgress, GoDuration, NodeOs};

/// A volume whose data is copied out of the object store: one for each claim that is restored from a copy.
///
/// It is Velero's own; it is here to be read. Its labels name the restore and the claim.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[kube(
    group = "velero.io",
    version = "v2alpha1",
    kind = "DataDownload",
    namespaced,
    status = "DataDownloadStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct DataDownloadSpec {
    /// The volume that gets the data.
    pub target_volume: TargetVolumeSpec,
    /// BackupStorageLocation that it comes from.
    pub backup_storage_location: String,
    /// What copies it; Velero's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datamover: Option<String>,
    /// Name of the copy in the object store.
    #[serde(rename = "snapshotID")]
    pub snapshot_id: String,
    /// Namespace of the claim when it was backed up.
    pub source_namespace: String,
    /// Settings of the copying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_mover_config: Option<BTreeMap<String, String>>,
    /// Whether it is to be given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
    /// How long one step of the preparation may take.
    pub operation_timeout: GoDuration,
    /// System of the node that it is to run on.
    #[serde(rename = "nodeOS", default, skip_serializing_if = "Option::is_none")]
    pub node_os: Option<NodeOs>,
    /// Bytes of the copy, as the volume's user sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_size: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A volume that gets data.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetVolumeSpec {
    /// Name of the claim.
    pub pvc: String,
    /// Name of the PersistentVolume.
    pub pv: String,
    /// Namespace of the claim.
    pub namespace: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far the copying has come.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataDownloadStatus {
    /// Where it is; absent before Velero has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DataMovePhase>,
    /// Why it failed or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// Bytes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<DataMoveProgress>,
    /// Node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Node that prepares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_by_node: Option<String>,
    /// When the preparation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_timestamp: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
