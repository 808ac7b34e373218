//! Backups: what is in one, and how far it has come.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::GoDuration;

/// What a backup is to hold. The same fields are the template of a [`Schedule`](crate::Schedule).
///
/// Resources are chosen in one of two styles: by `includedResources` and `excludedResources`, or by the four
/// `…ClusterScopedResources` and `…NamespaceScopedResources`. Velero refuses a mix (FailedValidation), and
/// `labelSelector` together with `orLabelSelectors`.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "Backup",
    namespaced,
    status = "BackupStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// In a template: what its backups carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Namespaces; all when absent. One that does not exist makes the backup PartiallyFailed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_namespaces: Option<Vec<String>>,
    /// Namespaces that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_namespaces: Option<Vec<String>>,
    /// First style: resources of any scope; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_resources: Option<Vec<String>>,
    /// First style: resources that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_resources: Option<Vec<String>>,
    /// Second style: cluster-scoped resources; those that belong to included objects when absent. Naming
    /// `persistentvolumes` puts every volume of the cluster into the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_cluster_scoped_resources: Option<Vec<String>>,
    /// Second style: cluster-scoped resources that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_cluster_scoped_resources: Option<Vec<String>>,
    /// Second style: namespaced resources; all when absent. An included pod drags its claims in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_namespace_scoped_resources: Option<Vec<String>>,
    /// Second style: namespaced resources that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_namespace_scoped_resources: Option<Vec<String>>,
    /// Labels of the objects. With one, the Namespace objects of the whole cluster are in the backup: a restore
    /// has to name its namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Labels of the objects: any one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub or_label_selectors: Option<Vec<LabelSelector>>,
    /// Whether volumes are snapshotted; if there is something to do it with, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_volumes: Option<bool>,
    /// Whether snapshots are copied to the object store; needs Velero's node-agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_move_data: Option<bool>,
    /// What copies them; Velero's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datamover: Option<String>,
    /// How long a CSI snapshot may take to be ready; `10m` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi_snapshot_timeout: Option<GoDuration>,
    /// How long an asynchronous operation, such as a copy, may take; `4h` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_operation_timeout: Option<GoDuration>,
    /// How long the backup is kept; `720h` when absent. It is applied when the backup is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<GoDuration>,
    /// BackupStorageLocation; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_location: Option<String>,
    /// A ConfigMap in Velero's namespace with one key: what is done with which volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_policy: Option<TypedLocalObjectReference>,
    /// Commands that run in pods before and after; as Velero's documentation has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Value>,
    /// Resource → names, separated by commas: what is backed up first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_resources: Option<BTreeMap<String, String>>,
    /// Label of claims that are snapshotted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_label_key: Option<String>,
    /// Settings of the copying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploader_config: Option<UploaderConfig>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What the backups of a template carry.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateMetadata {
    /// Their labels. They replace those that they would take over from the Schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Settings of the copying of volume data.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UploaderConfig {
    /// Files that are copied at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_files_upload: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How far a backup has come.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Where it is; absent before Velero has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// When Velero may delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Time>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// Objects so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<BackupProgress>,
    /// Number of warnings; they are in its log in the object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<i64>,
    /// Number of errors; they are in its log in the object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<i64>,
    /// Why it was not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_errors: Option<Vec<String>>,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where a backup is. Only `Completed` and `PartiallyFailed` ones can be restored from.
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

/// Objects so far.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackupProgress {
    /// Found; it grows while the backup runs.
    #[serde(default)]
    pub total_items: i64,
    /// Done.
    #[serde(default)]
    pub items_backed_up: i64,
}
