//! The objects that tests make, and what they wait for.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testbed::{Cluster, until};

/// More than anything takes on a machine that is not stuck.
pub(crate) const LIMIT: Duration = Duration::from_mins(5);

pub(crate) async fn create_namespace(cluster: &Cluster, name: &str) {
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::<Namespace>::all(cluster.client()).create(&PostParams::default(), &namespace).await.unwrap();
}

pub(crate) fn claims(cluster: &Cluster, namespace: &str) -> Api<PersistentVolumeClaim> {
    Api::namespaced(cluster.client(), namespace)
}

pub(crate) fn pods(cluster: &Cluster, namespace: &str) -> Api<Pod> {
    Api::namespaced(cluster.client(), namespace)
}

pub(crate) fn snapshots(cluster: &Cluster, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot");
    Api::namespaced_with(cluster.client(), namespace, &ApiResource::from_gvk(&gvk))
}

/// Makes a claim of the default class; `more` goes into its spec.
pub(crate) async fn create_claim(cluster: &Cluster, namespace: &str, name: &str, more: Value) {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let claim = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
    claims(cluster, namespace).create(&PostParams::default(), &claim).await.unwrap();
}

pub(crate) fn from_snapshot(name: &str) -> Value {
    json!({"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}})
}

pub(crate) async fn bound(cluster: &Cluster, namespace: &str, name: &str) {
    let claims = claims(cluster, namespace);
    until(&format!("the claim {name} to be bound"), LIMIT, || async {
        let phase = claims.get(name).await?.status.and_then(|status| status.phase);
        Ok((phase.as_deref() == Some("Bound")).then_some(()))
    })
    .await
    .unwrap();
}

/// Takes a snapshot with the default class, and does not wait.
pub(crate) async fn create_snapshot(cluster: &Cluster, namespace: &str, name: &str, claim: &str) {
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {"source": {"persistentVolumeClaimName": claim}},
    });
    let snapshot = serde_json::from_value(snapshot).unwrap();
    snapshots(cluster, namespace).create(&PostParams::default(), &snapshot).await.unwrap();
}

/// The status of a snapshot; null until there is one.
pub(crate) async fn snapshot_status(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    let snapshot = snapshots(cluster, namespace).get(name).await.unwrap();
    snapshot.data.get("status").cloned().unwrap_or_default()
}

pub(crate) async fn ready(cluster: &Cluster, namespace: &str, name: &str) {
    until(&format!("the snapshot {name} to be ready"), LIMIT, || async {
        let status = snapshot_status(cluster, namespace, name).await;
        Ok((status["readyToUse"] == true).then_some(()))
    })
    .await
    .unwrap();
}

/// Makes a pod that mounts a claim and has a command.
pub(crate) async fn create_pod(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    claim: &str,
    command: &[&str],
) -> Pod {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main",
                "image": "none.invalid/none",
                "command": command,
                "env": [{"name": "GREETING", "value": "hello"}],
                "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            }],
            "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": claim}}],
        },
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods(cluster, namespace).create(&PostParams::default(), &pod).await.unwrap()
}

/// Waits until a pod is as `check` wants it.
pub(crate) async fn pod_becomes(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    what: &str,
    check: impl Fn(&Pod) -> bool,
) -> Pod {
    let pods = pods(cluster, namespace);
    until(&format!("the pod {name} to be {what}"), LIMIT, || async {
        let pod = pods.get(name).await?;
        Ok(check(&pod).then_some(pod))
    })
    .await
    .unwrap()
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The names of all claims in a namespace.
pub(crate) async fn claim_names(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let list = claims(cluster, namespace).list(&kube::api::ListParams::default()).await.unwrap();
    list.items.iter().map(ResourceExt::name_any).collect()
}
