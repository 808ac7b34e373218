//! Commands that Velero runs in pods: around their backup, and after their restore.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::GoDuration;

/// What runs in pods around their backup.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct BackupHooks {
    /// For pods of some namespaces or labels each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<BackupResourceHooks>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What runs around the backup of the pods that are chosen here.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupResourceHooks {
    /// Its name, for logs.
    pub name: String,
    /// Namespaces; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_namespaces: Option<Vec<String>>,
    /// Namespaces that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_namespaces: Option<Vec<String>>,
    /// Resources; all when absent. Commands run in pods alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_resources: Option<Vec<String>>,
    /// Resources that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_resources: Option<Vec<String>>,
    /// Labels of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Before the pod and its volumes are backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<Vec<BackupHook>>,
    /// After the pod and its volumes are backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Vec<BackupHook>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One step around a backup.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupHook {
    /// The command.
    pub exec: ExecHook,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A command in a container.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExecHook {
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The command and its arguments; no shell is put around them.
    pub command: Vec<String>,
    /// What an error does. When absent it counts as one, and the next commands run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<HookErrorMode>,
    /// How long it may take; `30s` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What an error of a command does. The backup or restore is PartiallyFailed either way.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum HookErrorMode {
    /// The next commands run.
    Continue,
    /// The next commands do not run.
    Fail,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

/// What runs in pods after their restore.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct RestoreHooks {
    /// For pods of some namespaces or labels each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<RestoreResourceHooks>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What runs after the restore of the pods that are chosen here.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResourceHooks {
    /// Its name, for logs.
    pub name: String,
    /// Namespaces, as they are called after the mapping; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_namespaces: Option<Vec<String>>,
    /// Namespaces that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_namespaces: Option<Vec<String>>,
    /// The server does not look at it: pods are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_resources: Option<Vec<String>>,
    /// The server does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_resources: Option<Vec<String>>,
    /// Labels of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// The steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_hooks: Option<Vec<RestoreHook>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One step after a restore: a command, or containers that run before the pod's own.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreHook {
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecRestoreHook>,
    /// Containers that are added to the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitRestoreHook>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A command in a container that was restored.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExecRestoreHook {
    /// The container; the pod's first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The command and its arguments; no shell is put around them.
    pub command: Vec<String>,
    /// What an error does. When absent it counts as one, and the next commands run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<HookErrorMode>,
    /// How long the command may take; `30s` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_timeout: Option<GoDuration>,
    /// How long the container may take to run; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_timeout: Option<GoDuration>,
    /// Whether to wait until the container is ready, rather than until it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_ready: Option<bool>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Containers that are added to a pod when it is restored.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InitRestoreHook {
    /// The containers. The CRD takes any object; the server reads each as a core/v1 Container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_containers: Option<Vec<Map<String, Value>>>,
    /// How long they may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What became of the commands in pods.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// Commands that were run, or could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_attempted: Option<i64>,
    /// Those of them that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_failed: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
