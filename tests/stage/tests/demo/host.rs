//! A cluster that the demo visits, with things in it that are none of its business.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use testbed::progress::Console;
use testbed::{Cluster, Testbed, until};

/// Of waiting for small things, on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

const NAMESPACE: &str = "bystander";

/// The cluster, and how it was before the visit.
pub(crate) struct Host {
    pub(crate) cluster: Cluster,
    before: BTreeSet<String>,
}

impl Host {
    /// Starts one whose nodes the demo can kill by itself.
    pub(crate) async fn start(name: &str) -> Self {
        Self::with_nodes(name, 3).await
    }

    /// Starts one whose nodes pass for real machines: they are played as well, but bear a kubelet's version.
    pub(crate) async fn with_machines(name: &str) -> Self {
        let mut host = Self::with_nodes(name, 0).await;
        let nodes = Api::<Node>::all(host.cluster.client());
        for name in ["machine-1", "machine-2", "machine-3"] {
            let node = json!({
                "metadata": {"name": name, "labels": {"alive": "true"}},
                "spec": {"providerID": format!("kind://docker/test/{name}")},
                "status": {"nodeInfo": {
                    "kubeletVersion": "v1.37.2", "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "",
                    "osImage": "", "systemUUID": "",
                }},
            });
            nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        }
        host.all_nodes_are_usable().await;
        host.remember().await;
        host
    }

    /// What a person does to a machine, for good or ill.
    pub(crate) async fn power(&self, machine: &str, on: bool) {
        let alive = json!({"metadata": {"labels": {"alive": on.then_some("true")}}});
        let nodes = Api::<Node>::all(self.cluster.client());
        nodes.patch(machine, &PatchParams::default(), &Patch::Merge(alive)).await.unwrap();
        if on {
            self.all_nodes_are_usable().await;
        }
    }

    async fn all_nodes_are_usable(&self) {
        let nodes = Api::<Node>::all(self.cluster.client());
        until("all nodes to be ready", LIMIT, || async {
            let nodes = nodes.list(&ListParams::default()).await?.items;
            let tainted = |node: &Node| node.spec.as_ref().is_some_and(|spec| spec.taints.is_some());
            Ok(nodes.iter().all(|node| is_ready(node) && !tainted(node)).then_some(()))
        })
        .await
        .unwrap();
    }

    /// Starts one, with somebody's managed workspace and a snapshot of it that looks like one of the product's.
    async fn with_nodes(name: &str, nodes: u32) -> Self {
        let testbed = Testbed::prepare(&Console::default()).await.unwrap();
        let cluster = testbed.cluster(name).nodes(nodes).start().await.unwrap();
        let client = cluster.client();
        let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
        let claim = json!({
            "metadata": {"name": "theirs-workspace", "labels": {"agenttier.io/managed": "true"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
        let uid = until("the bystander's claim to be bound", LIMIT, || async {
            let claim = claims.get("theirs-workspace").await?;
            let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
            Ok(bound.then(|| claim.uid().unwrap()))
        });
        let uid = uid.await.unwrap();
        let snapshot: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": "theirs-workspace-backup-1700000000",
                "labels": {
                    "agenttier.io/managed": "true",
                    "agenttier.io/snapshot-kind": "scheduled-backup",
                    "agenttier.io/source-pvc": "theirs-workspace",
                    "app.kubernetes.io/managed-by": "agenttier-backup",
                },
                "annotations": {
                    "backup.agenttier.io/volume-uid": uid,
                    "backup.agenttier.io/slot": "2023-11-14T22:13:20Z",
                },
            },
            "spec": {"source": {"persistentVolumeClaimName": "theirs-workspace"}},
        }))
        .unwrap();
        let snapshots: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &snapshots());
        snapshots.create(&PostParams::default(), &snapshot).await.unwrap();
        let ready = until("the bystander's snapshot to be ready", LIMIT, || async {
            let snapshot = snapshots.get("theirs-workspace-backup-1700000000").await?;
            Ok((snapshot.data["status"]["readyToUse"] == true).then_some(()))
        });
        ready.await.unwrap();
        let mut host = Self { cluster, before: BTreeSet::new() };
        host.remember().await;
        host
    }

    /// What a person may add before the demo comes.
    pub(crate) async fn remember(&mut self) {
        self.all_nodes_are_ready().await;
        self.before = self.inventory().await;
    }

    /// A node that lives, or lives again, is ready a moment later.
    async fn all_nodes_are_ready(&self) {
        let nodes = Api::<Node>::all(self.cluster.client());
        until("all nodes to be ready", LIMIT, || async {
            Ok(nodes.list(&ListParams::default()).await?.items.iter().all(is_ready).then_some(()))
        })
        .await
        .unwrap();
    }

    pub(crate) fn kubeconfig(&self) -> String {
        self.cluster.kubeconfig().display().to_string()
    }

    /// Everything is as it was: all namespaces, kinds, roles, volumes, snapshots, and the nodes alive.
    pub(crate) async fn is_untouched(&self) {
        self.all_nodes_are_ready().await;
        let now = self.inventory().await;
        let changed: Vec<_> = now.symmetric_difference(&self.before).collect();
        assert!(changed.is_empty(), "came or went: {changed:#?}");
    }

    async fn inventory(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        all.extend(self.names::<Namespace>("namespace").await);
        all.extend(self.names::<CustomResourceDefinition>("CRD").await);
        all.extend(self.names::<ClusterRole>("ClusterRole").await);
        all.extend(self.names::<ClusterRoleBinding>("ClusterRoleBinding").await);
        all.extend(self.names::<PersistentVolume>("PersistentVolume").await);
        let snapshots: Api<DynamicObject> = Api::all_with(self.cluster.client(), &snapshots());
        for snapshot in snapshots.list(&ListParams::default()).await.unwrap().items {
            let namespace = snapshot.namespace().unwrap_or_default();
            all.insert(format!("VolumeSnapshot {namespace}/{} {:?}", snapshot.name_any(), snapshot.uid()));
        }
        let contents = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshotContent"),
            "volumesnapshotcontents",
        );
        let contents: Api<DynamicObject> = Api::all_with(self.cluster.client(), &contents);
        let count = contents.list(&ListParams::default()).await.unwrap().items.len();
        all.insert(format!("{count} VolumeSnapshotContents"));
        for node in Api::<Node>::all(self.cluster.client()).list(&ListParams::default()).await.unwrap().items
        {
            all.insert(format!(
                "node {} with {:?}, ready: {}",
                node.name_any(),
                node.labels(),
                is_ready(&node)
            ));
        }
        all
    }

    async fn names<K>(&self, kind: &str) -> Vec<String>
    where
        K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let objects = Api::<K>::all(self.cluster.client()).list(&ListParams::default()).await.unwrap();
        objects.items.iter().map(|object| format!("{kind} {}", object.name_any())).collect()
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|state| state.type_ == "Ready" && state.status == "True")
}

fn snapshots() -> ApiResource {
    let gvk = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot");
    ApiResource::from_gvk_with_plural(&gvk, "volumesnapshots")
}
