//! The Sandbox kind, as far as this product reads it; every other field is carried along untouched.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a user asks of a sandbox.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "agenttier.io",
    version = "v1alpha1",
    kind = "Sandbox",
    plural = "sandboxes",
    namespaced,
    status = "SandboxStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSpec {
    /// The template that it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// Its workspace volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Name of a VolumeSnapshot in the same namespace that its workspace is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_from_snapshot: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The template that a Sandbox is made from.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Its name.
    pub name: String,
    /// `SandboxTemplate` (the default) or `ClusterSandboxTemplate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace of a SandboxTemplate, where it is not the Sandbox's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The workspace volume of a Sandbox.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// A Kubernetes quantity; 10Gi by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<IntOrString>,
    /// StorageClass; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// ReadWriteMany instead of ReadWriteOnce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What AgentTier reports of a sandbox.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// Creating, Running, Stopped or Error; absent or empty before AgentTier's first word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Its pod. AgentTier clears it on every stop; while it is set, no warm-pool volume is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Its workspace claim; a warm-claimed one keeps its pool name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
    /// What AgentTier has to say, most of all in Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Set only on entering Running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity_timestamp: Option<Time>,
    /// What was installed in an agent-mode sandbox; lost with the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_configure: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Sandbox {
    /// `status.phase`; empty before AgentTier's first word.
    #[must_use]
    pub fn phase(&self) -> &str {
        self.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    /// `status.pvcName`, where set.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        status.pvc_name.as_deref().filter(|name| !name.is_empty())
    }

    /// `status.podName`, where set.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        status.pod_name.as_deref().filter(|name| !name.is_empty())
    }
}
