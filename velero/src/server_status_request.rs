//! The way to ask the server for its version.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::RequestPhase;

/// A question for the server: which version it has, and which plugins. The server deletes it a minute after its answer.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "ServerStatusRequest",
    namespaced,
    shortname = "ssr",
    status = "ServerStatusRequestStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
pub struct ServerStatusRequestSpec {
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The server's answer.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatusRequestStatus {
    /// Whether there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// When it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_timestamp: Option<Time>,
    /// Version of the server, such as `v1.18.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Its plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<PluginInfo>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A plugin of the server.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its name, such as `velero.io/aws`.
    pub name: String,
    /// What it is, such as `ObjectStore`.
    pub kind: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
