//! What people do with AgentTier, through its REST API or kubectl.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use kube::{
    Client, ResourceExt,
    api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions::is_deleted},
};
use serde_json::{Value, json};

use crate::{
    backup_loop, children,
    sandbox::{ACTION, Phase, sandboxes},
    template::{cluster_templates, templates},
};

/// Before a watch that broke is begun anew.
const WATCH_AGAIN: Duration = Duration::from_millis(200);

/// A Sandbox to be created.
#[derive(Clone, Debug)]
pub struct NewSandbox {
    name: String,
    spec: Value,
}

impl NewSandbox {
    /// An empty spec: no template, a 10Gi workspace of the default class.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), spec: json!({}) }
    }

    /// Replaces the whole spec with plain JSON.
    #[must_use]
    pub fn spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }

    /// Follows a `SandboxTemplate` of its own namespace.
    #[must_use]
    pub fn template(mut self, name: &str) -> Self {
        self.spec["templateRef"] = json!({"name": name, "kind": "SandboxTemplate"});
        self
    }

    /// Follows a `ClusterSandboxTemplate`.
    #[must_use]
    pub fn cluster_template(mut self, name: &str) -> Self {
        self.spec["templateRef"] = json!({"name": name, "kind": "ClusterSandboxTemplate"});
        self
    }

    /// The workspace's size (a quantity) and class.
    #[must_use]
    pub fn storage(mut self, size: &str, class: &str) -> Self {
        self.spec["storage"]["size"] = json!(size);
        self.spec["storage"]["storageClass"] = json!(class);
        self
    }

    /// AgentTier takes a snapshot at each stop.
    #[must_use]
    pub fn snapshot_on_stop(mut self) -> Self {
        self.spec["storage"]["snapshotOnStop"] = json!(true);
        self
    }

    /// The documented restore: the workspace is made from this VolumeSnapshot of the same namespace.
    #[must_use]
    pub fn clone_from(mut self, snapshot: &str) -> Self {
        self.spec["cloneFromSnapshot"] = json!(snapshot);
        self
    }
}

/// Somebody who works with the Sandboxes of one namespace.
#[derive(Clone)]
pub struct User {
    client: Client,
    namespace: String,
    patience: Duration,
}

impl User {
    /// Waits for five minutes where it waits.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self { client, namespace: namespace.into(), patience: Duration::from_mins(5) }
    }

    /// How long the `wait_…` functions wait.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The namespace's Sandboxes, untyped.
    #[must_use]
    pub fn sandboxes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &sandboxes())
    }

    /// `kubectl create` of a `SandboxTemplate` in this namespace.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create_template(&self, name: &str, spec: Value) -> Result<()> {
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &templates());
        create_template(&api, &templates(), name, spec).await
    }

    /// `kubectl create` of a `ClusterSandboxTemplate`, the kind that a warm pool needs.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create_cluster_template(&self, name: &str, spec: Value) -> Result<()> {
        let api = Api::all_with(self.client.clone(), &cluster_templates());
        create_template(&api, &cluster_templates(), name, spec).await
    }

    /// `POST /sandboxes`, or `kubectl create`.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create(&self, sandbox: NewSandbox) -> Result<DynamicObject> {
        let NewSandbox { name, spec } = sandbox;
        let mut object = DynamicObject::new(&name, &sandboxes()).within(&self.namespace);
        object.data = json!({"spec": spec});
        let created = self.sandboxes().create(&PostParams::default(), &object).await;
        created.with_context(|| format!("creating Sandbox {}/{name}", self.namespace))
    }

    /// `POST /sandboxes/{name}/stop`: sets the annotation, which AgentTier honours in Running only.
    ///
    /// # Errors
    /// If the Sandbox is not Running, as the REST API answers with 409.
    pub async fn stop(&self, name: &str) -> Result<()> {
        let phase = self.phase(name).await?;
        ensure!(phase == "Running", "cannot stop Sandbox {name} in phase {phase:?}");
        self.annotate_stop(name).await
    }

    /// `kubectl annotate`: the annotation whatever the phase. Outside Running it stays and is honoured on the next start.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn annotate_stop(&self, name: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {ACTION: "stop"}}});
        self.sandboxes().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// `POST /sandboxes/{name}/resume`: writes `status.phase=Creating`, and with an empty podName opens the way for
    /// the warm pool.
    ///
    /// # Errors
    /// If the Sandbox is neither Stopped nor in Error.
    pub async fn resume(&self, name: &str) -> Result<()> {
        let phase = self.phase(name).await?;
        ensure!(
            matches!(phase.as_str(), "Stopped" | "Error"),
            "cannot resume Sandbox {name} in phase {phase:?}"
        );
        self.set_status(name, json!({"phase": "Creating", "message": "Resuming"})).await
    }

    /// `kubectl patch --subresource=status`: null removes a field.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn set_status(&self, name: &str, fields: Value) -> Result<()> {
        let patch = json!({"status": fields});
        self.sandboxes().patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// `DELETE /sandboxes/{name}`; the finalizer goes on from there.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.sandboxes().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// `POST /sandboxes/{source}/clone`: a snapshot `<source>-snap-<unix>` and a Sandbox with the source's spec that
    /// is made from it. Returns the snapshot's name.
    ///
    /// # Errors
    /// If the source has no volume yet, or the API server refuses one of the two.
    pub async fn clone_sandbox(&self, source: &str, target: &str) -> Result<String> {
        let original = self.sandboxes().get(source).await?;
        let snapshot = format!("{source}-snap-{}", Timestamp::now().as_second());
        let metadata = json!({
            "name": snapshot,
            "namespace": self.namespace,
            "labels": {"agenttier.io/source-sandbox": source, "agenttier.io/clone-target": target},
        });
        children::snapshot(&self.client, metadata, volume(&original)?, None).await?;

        let mut clone = DynamicObject::new(target, &sandboxes()).within(&self.namespace);
        clone.labels_mut().insert("agenttier.io/cloned-from".into(), source.into());
        clone.data = json!({"spec": original.data.get("spec").cloned().unwrap_or_else(|| json!({}))});
        clone.data["spec"]["cloneFromSnapshot"] = json!(snapshot);
        self.sandboxes().create(&PostParams::default(), &clone).await?;
        self.set_status(target, json!({"clonedFrom": source})).await?;
        Ok(snapshot)
    }

    /// `POST /sandboxes/{name}/backups`: a snapshot with the name and labels of a scheduled one. Returns its name.
    ///
    /// # Errors
    /// If the Sandbox has no volume yet, or the API server refuses the snapshot.
    pub async fn back_up(&self, name: &str) -> Result<String> {
        let sandbox = self.sandboxes().get(name).await?;
        let snapshot = backup_loop::take(&self.client, &self.namespace, volume(&sandbox)?, None).await?;
        Ok(snapshot.name_any())
    }

    /// `GET /sandboxes/{name}` until it is in the phase. Returns it as it then was.
    ///
    /// # Errors
    /// If it takes longer than the user's patience; the error says what was seen instead.
    pub async fn wait_phase(&self, name: &str, phase: Phase) -> Result<DynamicObject> {
        self.wait_status(name, &format!("phase {phase}"), |status| status["phase"] == phase.as_str()).await
    }

    /// Waits until the status (null if there is none) satisfies the condition, which `what` describes.
    ///
    /// # Errors
    /// If it takes longer than the user's patience; the error says what was seen instead.
    pub async fn wait_status(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<DynamicObject> {
        let met =
            |sandbox: Option<&DynamicObject>| sandbox.is_some_and(|sandbox| holds(&sandbox.data["status"]));
        let waiting = async {
            loop {
                match await_condition(self.sandboxes(), name, met).await {
                    Ok(found) => return found,
                    Err(_) => tokio::time::sleep(WATCH_AGAIN).await,
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(self.patience, waiting).await {
            return found.with_context(|| format!("Sandbox {}/{name} went away", self.namespace));
        }
        let seen = match self.sandboxes().get_opt(name).await? {
            Some(sandbox) => sandbox.data["status"].to_string(),
            None => "no such Sandbox".into(),
        };
        bail!("Sandbox {}/{name}: no {what} after {:?}, but: {seen}", self.namespace, self.patience)
    }

    /// Waits until the Sandbox is gone, finalizer and all.
    ///
    /// # Errors
    /// If it takes longer than the user's patience.
    pub async fn wait_gone(&self, name: &str) -> Result<()> {
        let Some(sandbox) = self.sandboxes().get_opt(name).await? else { return Ok(()) };
        let uid = sandbox.uid().unwrap_or_default();
        let gone = async {
            while await_condition(self.sandboxes(), name, is_deleted(&uid)).await.is_err() {
                tokio::time::sleep(WATCH_AGAIN).await;
            }
        };
        tokio::time::timeout(self.patience, gone).await.with_context(|| {
            format!("Sandbox {}/{name} is still there after {:?}", self.namespace, self.patience)
        })
    }

    async fn phase(&self, name: &str) -> Result<String> {
        let sandbox = self.sandboxes().get(name).await?;
        Ok(sandbox.data["status"]["phase"].as_str().unwrap_or_default().to_owned())
    }
}

async fn create_template(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    name: &str,
    spec: Value,
) -> Result<()> {
    let mut template = DynamicObject::new(name, kind);
    template.data = json!({"spec": spec});
    let created = api.create(&PostParams::default(), &template).await;
    created.map(drop).with_context(|| format!("creating {} {name}", kind.kind))
}

fn volume(sandbox: &DynamicObject) -> Result<&str> {
    let name = sandbox.data["status"]["pvcName"].as_str();
    name.with_context(|| format!("Sandbox {} has no volume yet", sandbox.name_any()))
}
