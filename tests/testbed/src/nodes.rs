//! Nodes without machines. kwok sends their heartbeats and runs their pods in
//! name; a node dies when kwok is told to leave it alone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster::Cluster;
use crate::wait::until;

/// The label of the nodes whose kubelet is alive.
pub(crate) const ALIVE: &str = "alive";

/// A node is seen as dead 20 s after its last heartbeat; a busy machine is slow.
const LIMIT: Duration = Duration::from_mins(5);

impl Cluster {
    /// Adds a node and waits until pods can be scheduled to it.
    ///
    /// # Errors
    /// When there is one of that name.
    pub async fn add_node(&self, name: &str) -> Result<()> {
        let labels = [(ALIVE, "true"), ("kubernetes.io/hostname", name), ("kubernetes.io/os", "linux")];
        let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from(labels)),
            ..ObjectMeta::default()
        };
        let node = Node { metadata, ..Node::default() };
        Api::all(self.client())
            .create(&PostParams::default(), &node)
            .await
            .with_context(|| format!("add the node {name}"))?;
        self.node_becomes(name, true).await
    }

    /// Whether kwok plays a node as it does ours, so that [`Self::kill_node`]
    /// can kill it. True of the nodes of each cluster of this crate, started
    /// here or joined; dead ones included.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn is_played(&self, name: &str) -> Result<bool> {
        let nodes = Api::<Node>::all(self.client());
        let node = nodes.get(name).await.with_context(|| format!("read the node {name}"))?;
        Ok(is_played(&node))
    }

    /// Kills a node: no heartbeat any more, and nothing that its kubelet did
    /// happens. Waits until the control plane takes it for dead, some seconds.
    /// Soon after, its pods get a deletion timestamp, and stay. That takes
    /// another node that lives: with none left, the control plane blames
    /// itself and evicts nothing.
    ///
    /// # Errors
    /// When there is none of that name, or it is a real machine.
    pub async fn kill_node(&self, name: &str) -> Result<()> {
        ensure!(
            self.is_played(name).await?,
            "the node {name} is a real machine, which cannot be killed from here"
        );
        self.set_alive(name, None).await?;
        self.node_becomes(name, false).await
    }

    /// Brings a killed node back and waits until it is ready.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn revive_node(&self, name: &str) -> Result<()> {
        self.set_alive(name, Some("true")).await?;
        self.node_becomes(name, true).await
    }

    async fn set_alive(&self, name: &str, alive: Option<&str>) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {ALIVE: alive}}}));
        let nodes = Api::<Node>::all(self.client());
        nodes
            .patch(name, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("relabel the node {name}"))?;
        Ok(())
    }

    async fn node_becomes(&self, name: &str, ready: bool) -> Result<()> {
        let nodes = Api::<Node>::all(self.client());
        let what = format!("the node {name} to be {}", if ready { "ready" } else { "taken for dead" });
        until(&what, LIMIT, || async {
            let node = nodes.get(name).await?;
            Ok((is_usable(&node) == ready && (ready || has_taints(&node))).then_some(()))
        })
        .await
    }
}

/// By the version that kwok gives to the nodes it makes ready.
fn is_played(node: &Node) -> bool {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    info.is_some_and(|info| info.kubelet_version.starts_with("kwok-"))
}

/// Ready, and without the taints that keep pods away from a node that is not.
fn is_usable(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_ready =
        conditions.into_iter().flatten().any(|state| state.type_ == "Ready" && state.status == "True");
    is_ready && !has_taints(node)
}

fn has_taints(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty())
}
