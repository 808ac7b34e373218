//! The Sandbox kind, as far as this product reads it; every other field is carried along untouched.

use std::borrow::Cow;

use agenttier_backup_plan::Digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A sandbox.
///
/// Written out rather than derived: AgentTier's CRD does not ask for a `spec`, so one without it must be read.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    #[serde(default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    /// Name, namespace and the rest.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What a user asks for.
    #[serde(default)]
    pub spec: SandboxSpec,
    /// What AgentTier reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SandboxStatus>,
    /// The digest of what a record of it holds, where this is a copy that has been cut down.
    #[serde(skip)]
    pub digest: Option<Digest>,
}

fn api_version() -> String {
    Sandbox::api_version(&()).into_owned()
}

fn kind() -> String {
    Sandbox::kind(&()).into_owned()
}

impl Resource for Sandbox {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Sandbox".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "agenttier.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "sandboxes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            api_version: api_version(),
            kind: kind(),
            metadata: ObjectMeta::default(),
            spec: SandboxSpec::default(),
            status: None,
            digest: None,
        }
    }
}

/// What a user asks of a sandbox.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
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
    /// A sandbox of this name, yet to be created.
    #[must_use]
    pub fn new(name: &str, spec: SandboxSpec) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { metadata, spec, ..Self::default() }
    }

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

    /// Whether it may be about to use another claim than `status.pvcName` says. AgentTier 0.8 makes or hands over the
    /// claim of a Sandbox that it starts, and only then names it.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        matches!(self.phase(), "" | "Creating")
    }

    /// `status.podName`, where set.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        let status = self.status.as_ref()?;
        status.pod_name.as_deref().filter(|name| !name.is_empty())
    }
}
