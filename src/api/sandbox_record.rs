//! `SandboxRecord`: what a Sandbox was, kept beside the recovery points of its volume.

use std::collections::BTreeMap;

use agenttier_backup_plan::is_of_one_moment;
use kube::{CustomResource, ResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::agenttier::{Sandbox, SandboxSpec, SandboxStatus, Storage};

/// What a record holds: at most 64 KiB as JSON. It never changes: it is called after what it holds.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "backup.agenttier.io",
    version = "v1alpha1",
    kind = "SandboxRecord",
    plural = "sandboxrecords",
    namespaced,
    category = "agenttier",
    derive = "Default",
    derive = "PartialEq",
    doc = "What a Sandbox was when recovery points of its volume were taken. They name it, and a Sandbox that is gone comes back from it. Made and removed by the controller; nobody else needs to.",
    printcolumn = r#"{"name":"Sandbox","type":"string","jsonPath":".spec.sandbox.name"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".spec.sandbox.phase"}"#,
    printcolumn = r#"{"name":"Template","type":"string","jsonPath":".spec.templates[0].name"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = json!([{
    "rule": "self == oldSelf",
    "message": "a record never changes: its name says what it holds",
}])))]
pub struct SandboxRecordSpec {
    /// The Sandbox.
    pub sandbox: RecordedSandbox,
    /// The template that it names, that one's parent, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub templates: Vec<RecordedTemplate>,
}

/// A Sandbox, without what is of one moment only.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedSandbox {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations, but for those that speak of one moment: orders to AgentTier, controllers' notes of what they did
    /// last, moments in time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its spec.
    #[serde(default)]
    #[schemars(schema_with = "open_object")]
    pub spec: SandboxSpec,
    /// Its phase. One that is on its way to Running is recorded as running.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// `status.agentConfigure`: what was installed in an agent-mode sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "open_object")]
    pub agent_configure: Option<Value>,
}

/// A template that the Sandbox followed.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTemplate {
    /// `SandboxTemplate` or `ClusterSandboxTemplate`.
    pub kind: String,
    /// Its namespace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The hash of its spec. Absent where the template was not there or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Its spec. Absent where it was not there, could not be read, or did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "open_object")]
    pub spec: Option<Map<String, Value>>,
}

fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

impl RecordedSandbox {
    /// What a record holds of a Sandbox.
    #[must_use]
    pub fn of(sandbox: &Sandbox) -> Self {
        let mut annotations = sandbox.annotations().clone();
        annotations.retain(|key, value| !is_of_one_moment(key, value));
        Self {
            name: sandbox.name_any(),
            uid: sandbox.uid().unwrap_or_default(),
            labels: sandbox.labels().clone(),
            annotations,
            spec: sandbox.spec.clone(),
            phase: match sandbox.phase() {
                // A record of the way would be made at each boot.
                "" | "Creating" => "Running",
                phase => phase,
            }
            .to_owned(),
            agent_configure: sandbox.status.as_ref().and_then(|status| status.agent_configure.clone()),
        }
    }

    /// The Sandbox again, as far as it is known.
    #[must_use]
    pub fn restored(&self) -> Sandbox {
        let Self { name, uid, labels, annotations, spec, phase, agent_configure } = self.clone();
        let mut sandbox = Sandbox::new(&name, spec);
        sandbox.metadata.uid = Some(uid);
        sandbox.metadata.labels = Some(labels);
        sandbox.metadata.annotations = Some(annotations);
        sandbox.status =
            Some(SandboxStatus { phase: Some(phase), agent_configure, ..SandboxStatus::default() });
        sandbox
    }
}

impl SandboxRecordSpec {
    /// The storage that the Sandbox asked for: all of its own, or all of the nearest template's that has any.
    /// Source: AgentTier's template resolver.
    #[must_use]
    pub fn storage(&self) -> Option<Storage> {
        let of_template = |template: &RecordedTemplate| {
            let storage = template.spec.as_ref()?.get("storage")?.clone();
            serde_json::from_value(storage).ok()
        };
        self.sandbox.spec.storage.clone().or_else(|| self.templates.iter().find_map(of_template))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agenttier::ACTION_ANNOTATION;

    fn sandbox(change: impl FnOnce(&mut Value)) -> Sandbox {
        let mut sandbox = json!({
            "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
            "metadata": {
                "name": "s1", "uid": "u1", "labels": { "team": "a" }, "resourceVersion": "7",
                "annotations": { ACTION_ANNOTATION: "stop", "note": "mine" },
            },
            "spec": { "mode": "agent", "env": [{ "name": "A", "value": "1" }], "storage": { "size": "2Gi" } },
            "status": {
                "phase": "Running", "podName": "s1-pod", "restartCount": 3,
                "agentConfigure": { "installCommandHash": "h", "entrypoint": ["run"] },
            },
        });
        change(&mut sandbox);
        serde_json::from_value(sandbox).expect("a sandbox")
    }

    #[test]
    fn what_lasts_is_recorded_and_what_is_of_one_moment_is_not() {
        let recorded = RecordedSandbox::of(&sandbox(|_| {}));
        assert_eq!(
            serde_json::to_value(&recorded).expect("JSON"),
            json!({
                "name": "s1", "uid": "u1", "labels": { "team": "a" }, "annotations": { "note": "mine" },
                "spec": { "mode": "agent", "env": [{ "name": "A", "value": "1" }], "storage": { "size": "2Gi" } },
                "phase": "Running",
                "agentConfigure": { "installCommandHash": "h", "entrypoint": ["run"] },
            })
        );
        for change in [
            (|sandbox: &mut Value| sandbox["metadata"]["resourceVersion"] = json!("8")) as fn(&mut Value),
            |sandbox| sandbox["metadata"]["annotations"][ACTION_ANNOTATION] = json!("resume"),
            |sandbox| {
                sandbox["metadata"]["annotations"]["probe.example.com/seen"] = json!("2026-07-23T08:00:00Z");
            },
            |sandbox| sandbox["status"]["phase"] = json!("Creating"),
            |sandbox| sandbox["status"]["podName"] = json!("other"),
        ] {
            assert_eq!(RecordedSandbox::of(&sandbox(change)), recorded);
        }
        for change in [
            (|sandbox: &mut Value| sandbox["metadata"]["labels"]["team"] = json!("b")) as fn(&mut Value),
            |sandbox| sandbox["metadata"]["annotations"]["note"] = json!("yours"),
            |sandbox| sandbox["spec"]["env"] = json!([]),
            |sandbox| sandbox["status"]["agentConfigure"] = json!({}),
        ] {
            assert_ne!(RecordedSandbox::of(&sandbox(change)), recorded);
        }
        let stopped = RecordedSandbox::of(&sandbox(|sandbox| sandbox["status"]["phase"] = json!("Stopped")));
        assert_ne!(stopped, recorded);
    }

    #[test]
    fn what_is_restored_is_recorded_as_the_same() {
        let recorded = RecordedSandbox::of(&sandbox(|_| {}));
        assert_eq!(RecordedSandbox::of(&recorded.restored()), recorded);
    }

    #[test]
    fn storage_is_the_sandboxs_or_the_nearest_templates() {
        let template =
            |spec: Value| RecordedTemplate { spec: spec.as_object().cloned(), ..RecordedTemplate::default() };
        let mut spec = SandboxRecordSpec {
            sandbox: RecordedSandbox::of(&sandbox(|_| {})),
            templates: vec![
                template(json!({})),
                template(json!({ "storage": { "storageClass": "fast" } })),
                template(json!({ "storage": { "storageClass": "slow", "size": "1Gi" } })),
            ],
        };
        assert_eq!(spec.storage().and_then(|storage| storage.storage_class), None);
        spec.sandbox.spec.storage = None;
        let storage = spec.storage().expect("the template's");
        assert_eq!((storage.storage_class.as_deref(), storage.size), (Some("fast"), None));
        spec.templates.clear();
        assert_eq!(spec.storage(), None);
    }
}
