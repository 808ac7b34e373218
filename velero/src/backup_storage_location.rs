//! Where backups are kept.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::SecretKeySelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{GoDuration, LocationPhase};

/// A bucket for backups, and how it is reached.
///
/// Every cluster that names the same bucket and prefix gets the same Backup objects: they are synced by name.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "BackupStorageLocation",
    namespaced,
    shortname = "bsl",
    status = "BackupStorageLocationStatus",
    derive = "Default",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageLocationSpec {
    /// The plugin: `aws`, `azure`, `gcp`, …
    pub provider: String,
    /// The bucket.
    pub object_storage: ObjectStorageLocation,
    /// Settings of the plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    /// A key of a Secret in Velero's namespace, with what the plugin signs in with; the server's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<SecretKeySelector>,
    /// Whether it is the one that backups go to that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// Whether backups may be written to it; `ReadWrite` when absent. A restore writes its log to a read-only one as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<StorageAccessMode>,
    /// Between two looks for backups that other clusters wrote; the server's setting (`1m`) when absent, never when zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_sync_period: Option<GoDuration>,
    /// Between two looks whether the bucket answers; the server's setting (`1m`) when absent, never when zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_frequency: Option<GoDuration>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A bucket.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStorageLocation {
    /// Its name.
    pub bucket: String,
    /// A folder in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Certificates of its own, in PEM. Not together with `caCertRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<ByteString>,
    /// A key of a Secret in Velero's namespace, with such certificates (Velero 1.18 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert_ref: Option<SecretKeySelector>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What may be done with a location.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum StorageAccessMode {
    /// Backups can be restored from it; none are made, and none are deleted.
    ReadOnly,
    /// Backups are written to it.
    ReadWrite,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

/// Whether a location can be used.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageLocationStatus {
    /// Whether the bucket answered the last time; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<LocationPhase>,
    /// When its backups were last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_synced_time: Option<Time>,
    /// When it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_validation_time: Option<Time>,
    /// Why it is not Available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Not used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_synced_revision: Option<String>,
    /// Not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<StorageAccessMode>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
