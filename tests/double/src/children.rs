//! What the controller makes for a Sandbox: its claim, network policy, pod and on-stop snapshot.

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    sandbox::{MANAGED_LABEL, SANDBOX_LABEL, Sandbox, Storage, TEMPLATE_LABEL},
    template::Template,
};

/// Never pulled: fake nodes run no containers.
pub(crate) const PLACEHOLDER_IMAGE: &str = "sandbox.invalid/general";
const DEFAULT_SIZE: &str = "10Gi";
const DEFAULT_MOUNT_PATH: &str = "/workspace";

pub(crate) fn volume_snapshots() -> ApiResource {
    let gvk = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot");
    ApiResource::from_gvk_with_plural(&gvk, "volumesnapshots")
}

pub(crate) fn typed<K: DeserializeOwned>(manifest: Value) -> K {
    serde_json::from_value(manifest).expect("a manifest of ours has its kind's shape")
}

/// A quantity as text; an unset one is AgentTier's default.
pub(crate) fn size(quantity: &Value) -> String {
    match quantity {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(bytes) => bytes.to_string(),
        _ => DEFAULT_SIZE.into(),
    }
}

/// The workspace claim of a cold start.
pub(crate) fn workspace(sandbox: &Sandbox, storage: &Storage) -> PersistentVolumeClaim {
    let snapshot = &sandbox.spec.clone_from_snapshot;
    let mut manifest = json!({
        "metadata": {
            "name": sandbox.workspace_name(),
            "namespace": sandbox.namespace(),
            "labels": {SANDBOX_LABEL: sandbox.name(), MANAGED_LABEL: "true"},
            "ownerReferences": [sandbox.owner_reference()],
        },
        "spec": {
            "accessModes": [if storage.shared { "ReadWriteMany" } else { "ReadWriteOnce" }],
            "resources": {"requests": {"storage": size(&storage.size)}},
        },
    });
    if !storage.class.is_empty() {
        manifest["spec"]["storageClassName"] = json!(storage.class);
    }
    if !snapshot.is_empty() {
        manifest["metadata"]["labels"]["agenttier.io/cloned-from-snapshot"] = json!(snapshot);
        manifest["spec"]["dataSource"] =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot});
    }
    typed(manifest)
}

/// Name resolution always, the internet when asked, nothing else.
pub(crate) fn network_policy(sandbox: &Sandbox, template: Option<&Template>) -> NetworkPolicy {
    let inherited = || template.and_then(|template| template.spec.network.as_ref());
    let internet =
        sandbox.spec.network.as_ref().or_else(inherited).is_some_and(|network| network.allow_internet);
    let mut egress =
        vec![json!({"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]})];
    if internet {
        egress.push(json!({}));
    }
    typed(json!({
        "metadata": {
            "name": sandbox.network_policy_name(),
            "namespace": sandbox.namespace(),
            "labels": {SANDBOX_LABEL: sandbox.name(), MANAGED_LABEL: "true"},
            "ownerReferences": [sandbox.owner_reference()],
        },
        "spec": {
            "podSelector": {"matchLabels": {SANDBOX_LABEL: sandbox.name()}},
            "policyTypes": ["Egress", "Ingress"],
            "egress": egress,
            "ingress": [],
        },
    }))
}

/// The ServiceAccount that the pod asks for; empty for the namespace's default.
pub(crate) fn service_account(sandbox: &Sandbox, template: Option<&Template>) -> String {
    let own = &sandbox.spec.service_account;
    if own.is_empty() {
        template.map(|template| template.spec.service_account.clone()).unwrap_or_default()
    } else {
        own.clone()
    }
}

/// The pod of a cold start, on the workspace claim.
pub(crate) fn pod(sandbox: &Sandbox, template: Option<&Template>) -> Pod {
    let storage = Template::storage(template, &sandbox.spec);
    let mount_path = Some(storage.mount_path).filter(|path| !path.is_empty());
    let inherited = || template.and_then(|template| template.spec.image.as_ref());
    let image = sandbox.spec.image.as_ref().or_else(inherited).map(|image| image.repository.as_str());
    let account = service_account(sandbox, template);
    let mut manifest = json!({
        "metadata": {
            "name": sandbox.cold_pod_name(),
            "namespace": sandbox.namespace(),
            "labels": {
                SANDBOX_LABEL: sandbox.name(),
                MANAGED_LABEL: "true",
                TEMPLATE_LABEL: template.map(|template| template.name.as_str()).unwrap_or_default(),
            },
            "ownerReferences": [sandbox.owner_reference()],
        },
        "spec": pod_spec(
            image.unwrap_or(PLACEHOLDER_IMAGE),
            &sandbox.workspace_name(),
            mount_path.as_deref().unwrap_or(DEFAULT_MOUNT_PATH),
        ),
    });
    if let Some(creator) = &sandbox.spec.created_by {
        manifest["metadata"]["annotations"] = json!({"agenttier.io/created-by": creator.email});
    }
    if !account.is_empty() {
        manifest["spec"]["serviceAccountName"] = json!(account);
    }
    typed(manifest)
}

/// One container on one claim: a Sandbox's pod as well as a pool's.
pub(crate) fn pod_spec(image: &str, claim: &str, mount_path: &str) -> Value {
    json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "sandbox",
            "image": image,
            "stdin": true,
            "tty": true,
            "volumeMounts": [
                {"name": "workspace", "mountPath": mount_path},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "tmp", "emptyDir": {"medium": "Memory"}},
        ],
    })
}

/// Creates a VolumeSnapshot of a claim in the cluster's default class, or in the one that is named.
pub(crate) async fn snapshot(
    client: &Client,
    metadata: Value,
    claim: &str,
    class: Option<&str>,
) -> kube::Result<DynamicObject> {
    let namespace = metadata["namespace"].as_str().unwrap_or_default().to_owned();
    let mut manifest = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": metadata,
        "spec": {"source": {"persistentVolumeClaimName": claim}},
    });
    if let Some(class) = class {
        manifest["spec"]["volumeSnapshotClassName"] = json!(class);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &volume_snapshots());
    api.create(&PostParams::default(), &typed(manifest)).await
}

/// `<sandbox>-stopsnap-<unix>`: taken before the pod goes, owned by nobody, never pruned.
pub(crate) async fn snapshot_on_stop(client: &Client, sandbox: &Sandbox) -> kube::Result<DynamicObject> {
    let metadata = json!({
        "name": format!("{}-stopsnap-{}", sandbox.name(), Timestamp::now().as_second()),
        "namespace": sandbox.namespace(),
        "labels": {SANDBOX_LABEL: sandbox.name(), "agenttier.io/snapshot-kind": "on-stop"},
    });
    snapshot(client, metadata, &sandbox.status.pvc_name, None).await
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;

    use super::*;

    fn sandbox(spec: &Value) -> Sandbox {
        let manifest = json!({"metadata": {"name": "s1", "namespace": "ns", "uid": "u1"}, "spec": spec});
        Sandbox::read(typed(manifest)).expect("a sandbox")
    }

    #[test]
    fn a_clone_reads_from_its_snapshot() {
        let it = sandbox(&json!({"cloneFromSnapshot": "snap"}));
        let claim = workspace(&it, &Storage::default());
        assert_eq!(claim.name_any(), "s1-workspace");
        assert_eq!(claim.labels()["agenttier.io/cloned-from-snapshot"], "snap");
        let spec = claim.spec.expect("a spec");
        assert_eq!(spec.data_source.expect("a source").name, "snap");
        assert_eq!(spec.resources.expect("resources").requests.expect("requests")["storage"].0, "10Gi");
        assert_eq!(spec.storage_class_name, None);
    }

    #[test]
    fn a_shared_workspace_is_rwx_and_sizes_may_be_numbers() {
        let storage: Storage = typed(json!({"size": 1024, "shared": true, "storageClass": "fast"}));
        let spec = workspace(&sandbox(&json!({})), &storage).spec.expect("a spec");
        assert_eq!(spec.access_modes, Some(vec!["ReadWriteMany".into()]));
        assert_eq!(spec.resources.expect("resources").requests.expect("requests")["storage"].0, "1024");
        assert_eq!(spec.storage_class_name.as_deref(), Some("fast"));
    }

    #[test]
    fn a_pod_mounts_its_workspace_and_is_controlled_by_its_sandbox() {
        let pod = pod(&sandbox(&json!({"serviceAccount": "robot"})), None);
        assert_eq!(pod.name_any(), "s1-pod");
        assert_eq!(pod.owner_references()[0].controller, Some(true));
        let spec = pod.spec.expect("a spec");
        assert_eq!(spec.service_account_name.as_deref(), Some("robot"));
        let volume = spec.volumes.expect("volumes").swap_remove(0);
        assert_eq!(volume.persistent_volume_claim.expect("a claim").claim_name, "s1-workspace");
    }
}
