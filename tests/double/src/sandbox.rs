//! A Sandbox as its controller sees it: the few fields that decide, over the untouched object.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Holds a Sandbox until its pod, claim and network policy are asked to go.
pub(crate) const FINALIZER: &str = "agenttier.io/sandbox-cleanup";
/// Set to `stop` by the REST API to stop a Running Sandbox.
pub(crate) const ACTION: &str = "agenttier.io/action";
/// On everything that belongs to a Sandbox.
pub(crate) const SANDBOX_LABEL: &str = "agenttier.io/sandbox";
/// On pods, claims and network policies that the controller made.
pub(crate) const MANAGED_LABEL: &str = "agenttier.io/managed";
/// On pods: the resolved template's name.
pub(crate) const TEMPLATE_LABEL: &str = "agenttier.io/template";

/// The `Sandbox` kind for a [`kube::Api`] of [`DynamicObject`]s.
#[must_use]
pub fn sandboxes() -> ApiResource {
    agenttier_kind("Sandbox", "sandboxes")
}

pub(crate) fn agenttier_kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agenttier.io", "v1alpha1", kind), plural)
}

/// Where a Sandbox is in its life. A fresh one has no phase at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Phase {
    Creating,
    Running,
    Stopped,
    Error,
}

impl Phase {
    /// As it stands in `status.phase`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Creating => "Creating",
            Phase::Running => "Running",
            Phase::Stopped => "Stopped",
            Phase::Error => "Error",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of `spec` that the state machine reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) template_ref: Option<TemplateRef>,
    pub(crate) storage: Option<Storage>,
    pub(crate) network: Option<Network>,
    pub(crate) image: Option<Image>,
    pub(crate) timeout: Option<String>,
    pub(crate) idle_timeout: Option<String>,
    pub(crate) service_account: String,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) created_by: Option<Creator>,
    pub(crate) clone_from_snapshot: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct TemplateRef {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// `size` is a quantity: a string, or a plain number of bytes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Storage {
    pub(crate) size: Value,
    #[serde(rename = "storageClass")]
    pub(crate) class: String,
    pub(crate) mount_path: String,
    pub(crate) snapshot_on_stop: bool,
    pub(crate) shared: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Network {
    pub(crate) allow_internet: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Image {
    pub(crate) repository: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Credential {
    pub(crate) secret_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Creator {
    pub(crate) email: String,
}

/// The part of `status` that the state machine reads. An absent field is an empty one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) phase: String,
    pub(crate) pod_name: String,
    pub(crate) pvc_name: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) last_activity_timestamp: Option<Timestamp>,
    pub(crate) restart_count: u32,
    pub(crate) message: String,
}

/// One reading of a Sandbox. Its `object` goes back to the API server whole, resourceVersion included, so a
/// write against an old reading is refused, as AgentTier's are.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    pub(crate) object: DynamicObject,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
}

impl Sandbox {
    /// Fails if `spec` or `status` does not have the shape that the CRD promises.
    pub(crate) fn read(object: DynamicObject) -> serde_json::Result<Self> {
        let section =
            |name: &str| object.data.get(name).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let spec = serde_json::from_value(section("spec"))?;
        let status = serde_json::from_value(section("status"))?;
        Ok(Self { object, spec, status })
    }

    pub(crate) fn name(&self) -> String {
        self.object.name_any()
    }

    pub(crate) fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    pub(crate) fn has_finalizer(&self) -> bool {
        self.object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.object.meta().deletion_timestamp.is_some()
    }

    pub(crate) fn wants_stop(&self) -> bool {
        self.object.annotations().get(ACTION).is_some_and(|action| action == "stop")
    }

    /// `<name>-workspace`: the claim of a cold start.
    pub(crate) fn workspace_name(&self) -> String {
        format!("{}-workspace", self.name())
    }

    /// `<name>-pod`: the pod of a cold start.
    pub(crate) fn cold_pod_name(&self) -> String {
        format!("{}-pod", self.name())
    }

    /// `<name>-netpol`.
    pub(crate) fn network_policy_name(&self) -> String {
        format!("{}-netpol", self.name())
    }

    /// The controller reference that children carry.
    pub(crate) fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: "agenttier.io/v1alpha1".into(),
            kind: "Sandbox".into(),
            name: self.name(),
            uid: self.object.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Sets fields of `status`; a null removes one.
    pub(crate) fn set_status(&mut self, fields: Value) {
        let Value::Object(fields) = fields else { return };
        let data = self.object.data.as_object_mut().expect("an object's data is a map");
        let status = data.entry("status").or_insert_with(|| Value::Object(Map::new()));
        let status = status.as_object_mut().expect("the CRD says that status is an object");
        for (field, value) in fields {
            if value.is_null() {
                status.remove(&field);
            } else {
                status.insert(field, value);
            }
        }
    }
}

/// A duration as Go writes one, such as `1h30m`. None when unset, zero or unreadable: AgentTier then sets no limit.
pub(crate) fn limit(text: Option<&str>) -> Option<SignedDuration> {
    text?.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive)
}

/// Kubernetes keeps times to the second.
pub(crate) fn kubernetes_time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sandbox(data: Value) -> Sandbox {
        let object = DynamicObject { types: None, metadata: kube::api::ObjectMeta::default(), data };
        Sandbox::read(object).expect("a readable sandbox")
    }

    #[test]
    fn an_empty_sandbox_is_readable() {
        let empty = sandbox(json!({}));
        assert_eq!(empty.status.phase, "");
        assert!(empty.spec.template_ref.is_none());
    }

    #[test]
    fn status_writes_keep_what_they_do_not_name() {
        let mut it =
            sandbox(json!({"status": {"phase": "Running", "podName": "s1-pod", "agentConfigure": {"x": 1}}}));
        it.set_status(json!({"phase": "Stopped", "podName": null}));
        assert_eq!(it.object.data["status"], json!({"phase": "Stopped", "agentConfigure": {"x": 1}}));
    }

    #[test]
    fn limits_are_go_durations() {
        assert_eq!(limit(Some("1h30m")), Some(SignedDuration::from_mins(90)));
        assert_eq!(limit(Some("1h0m0s")), Some(SignedDuration::from_hours(1)));
        assert_eq!(limit(Some("0s")), None);
        assert_eq!(limit(None), None);
    }
}
