//! The controller may do what it does, and nothing else.

use std::collections::BTreeSet;
use std::fmt::Debug;

use agenttier_backup::agenttier::{Sandbox, SandboxTemplate};
use agenttier_backup::api::{BackupPolicy, SandboxRecord};
use agenttier_backup::csi::VolumeSnapshot;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::{Cluster, client_of};

use super::site::{RELEASE, cluster, install, installed, namespace};
use crate::place::eventually;

async fn controller() -> Client {
    nobody(installed()).await;
    account(installed(), RELEASE).await
}

pub(super) async fn account(cluster: &Cluster, name: &str) -> Client {
    let kubeconfig = cluster.service_account_kubeconfig(RELEASE, name).await.unwrap();
    client_of(&kubeconfig).await.unwrap()
}

async fn make<K>(api: Api<K>, object: Value)
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// A new ServiceAccount, with everybody's rights and two more, by a role and a binding of each kind. The API server takes a
/// moment to see such: once these are in force, so are all that were made before.
async fn nobody(cluster: &Cluster) -> Client {
    let client = cluster.client();
    let name = format!("nobody-{}", jiff::Timestamp::now().as_nanosecond());
    let metadata = json!({ "name": name });
    let rules = |group: &str| json!([{ "apiGroups": [group], "resources": ["any"], "verbs": ["get"] }]);
    let bound = |role: &str| {
        json!({
            "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name },
            "subjects": [{ "kind": "ServiceAccount", "namespace": RELEASE, "name": name }],
        })
    };
    let (everywhere, here) = ("everywhere.example.com", "here.example.com");
    make(Api::<ServiceAccount>::namespaced(client.clone(), RELEASE), json!({ "metadata": metadata })).await;
    make(
        Api::<ClusterRole>::all(client.clone()),
        json!({ "metadata": metadata, "rules": rules(everywhere) }),
    )
    .await;
    make(Api::<ClusterRoleBinding>::all(client.clone()), bound("ClusterRole")).await;
    make(
        Api::<Role>::namespaced(client.clone(), RELEASE),
        json!({ "metadata": metadata, "rules": rules(here) }),
    )
    .await;
    make(Api::<RoleBinding>::namespaced(client, RELEASE), bound("Role")).await;
    let nobody = account(cluster, &name).await;
    eventually("all roles to be in force", || async {
        let rights = rights(nobody.clone(), RELEASE).await.unwrap_or_default();
        let are_in_force =
            [everywhere, here].iter().all(|group| rights.contains(&format!("get any.{group}")));
        Ok(are_in_force.then_some(()))
    })
    .await;
    nobody
}

/// What a ServiceAccount of the release's namespace may do that not every account may: Kubernetes itself gives each of
/// them some rights, such as to ask what it may do.
pub(super) async fn own_rights(cluster: &Cluster, name: &str) -> BTreeSet<String> {
    own_rights_in(cluster, name, "default").await
}

/// The same in a certain namespace.
async fn own_rights_in(cluster: &Cluster, name: &str, namespace: &str) -> BTreeSet<String> {
    let everybodys = rights(nobody(cluster).await, namespace).await.unwrap();
    let all = rights(account(cluster, name).await, namespace).await.unwrap();
    all.difference(&everybodys).cloned().collect()
}

/// `verb resource.group`, and the name where it is of one object alone, as the API server lists them; what stands in its way
/// where that is not all.
async fn rights(client: Client, namespace: &str) -> Result<BTreeSet<String>, String> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.into()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let reviews = Api::<SelfSubjectRulesReview>::all(client);
    let status = reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    if status.incomplete {
        return Err(status.evaluation_error.unwrap_or_default());
    }
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        let names = rule.resource_names.unwrap_or_default();
        let names: Vec<String> = if names.is_empty() {
            vec![String::new()]
        } else {
            names.iter().map(|name| format!(" {name}")).collect()
        };
        for verb in &rule.verbs {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    rights.extend(names.iter().map(|name| format!("{verb} {resource}.{group}{name}")));
                }
            }
        }
    }
    Ok(rights)
}

#[tokio::test]
async fn the_controllers_rights_are_these_and_no_others() {
    let mut wanted: BTreeSet<String> = [
        "create volumesnapshots.snapshot.storage.k8s.io",
        "delete volumesnapshots.snapshot.storage.k8s.io",
        "patch volumesnapshots.snapshot.storage.k8s.io",
        "list pods.",
        "create sandboxrecords.backup.agenttier.io",
        "delete sandboxrecords.backup.agenttier.io",
        "patch backuppolicies/status.backup.agenttier.io",
        "create events.",
    ]
    .map(str::to_owned)
    .into();
    for resource in [
        "namespaces.",
        "persistentvolumeclaims.",
        "persistentvolumes.",
        "sandboxes.agenttier.io",
        "sandboxtemplates.agenttier.io",
        "clustersandboxtemplates.agenttier.io",
        "sandboxrecords.backup.agenttier.io",
        "backuppolicies.backup.agenttier.io",
        "volumesnapshots.snapshot.storage.k8s.io",
        "volumesnapshotclasses.snapshot.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "deployments.apps",
    ] {
        wanted.extend(["get", "list", "watch"].map(|verb| format!("{verb} {resource}")));
    }
    let found = own_rights(installed(), RELEASE).await;
    assert_eq!(found, wanted);
}

/// That a call was refused for want of a right.
pub(super) fn denied<T: std::fmt::Debug>(what: &str, answer: kube::Result<T>) {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 && status.reason == "Forbidden" => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_its_business_is_denied() {
    let client = controller().await;
    let ns = "default";
    let (list, patch) = (ListParams::default(), PatchParams::default());
    let secrets = Api::<Secret>::namespaced(client.clone(), ns);
    denied("list secrets", secrets.list(&list).await);
    denied("get a secret", secrets.get("any").await);
    let pods = Api::<Pod>::namespaced(client.clone(), ns);
    denied("delete a pod", pods.delete("any", &DeleteParams::default()).await);
    denied("change a Deployment", {
        let deployments = Api::<Deployment>::namespaced(client.clone(), ns);
        deployments.patch("any", &PatchParams::default(), &Patch::Merge(json!({}))).await
    });
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), ns);
    claims.list(&list).await.expect("claims are read");
    denied("delete a claim", claims.delete("any", &DeleteParams::default()).await);
    let sandboxes = Api::<Sandbox>::namespaced(client.clone(), ns);
    // An API server that has just learned of a kind answers "storage is (re)initializing" for a moment.
    eventually("sandboxes are read", || async { Ok(Some(sandboxes.list(&list).await?)) }).await;
    let change = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    denied("change a sandbox", sandboxes.patch("any", &patch, &change).await);
    denied("change a sandbox's status", sandboxes.patch_status("any", &patch, &change).await);
    denied("create a sandbox", {
        let sandbox = Sandbox::new("any", agenttier_backup::agenttier::SandboxSpec::default());
        sandboxes.create(&PostParams::default(), &sandbox).await
    });
    let snapshots = Api::<VolumeSnapshot>::namespaced(client.clone(), ns);
    denied("change a snapshot's status", snapshots.patch_status("any", &patch, &change).await);
    denied("delete all snapshots", snapshots.delete_collection(&DeleteParams::default(), &list).await);
    let records = Api::<SandboxRecord>::namespaced(client.clone(), ns);
    denied("change a record", records.patch("any", &patch, &change).await);
    denied("delete all records", records.delete_collection(&DeleteParams::default(), &list).await);
    let templates = Api::<SandboxTemplate>::namespaced(client.clone(), ns);
    denied("change a template", templates.patch("any", &patch, &change).await);
    let leases = |namespace| Api::<Lease>::namespaced(client.clone(), namespace);
    denied("read another Lease", leases(RELEASE).get("any").await);
    denied("read a Lease elsewhere", leases(ns).get(&format!("{RELEASE}-controller-leader")).await);
    leases(RELEASE).get_opt(&format!("{RELEASE}-controller-leader")).await.expect("its own Lease is read");
    let policies = Api::<BackupPolicy>::all(client.clone());
    denied("change a policy", policies.patch("any", &patch, &change).await);
    denied("delete a policy", policies.delete("any", &DeleteParams::default()).await);
}

/// With Velero on it may do its work in Velero's namespace, and nothing there beyond it.
#[tokio::test]
async fn in_veleros_namespace_it_keeps_schedules_and_touches_nothing_else() {
    let velero = "velero";
    let cluster = cluster("chart-velero-rights").await;
    namespace(&cluster.client(), velero).await;
    install(&cluster, &["--set", "optional.backup.velero.enabled=true"]).await.unwrap();
    let everywhere = own_rights_in(&cluster, RELEASE, "default").await;
    assert!(!everywhere.iter().any(|right| right.contains("velero")), "{everywhere:?}");
    let here = own_rights_in(&cluster, RELEASE, velero).await;
    let added: BTreeSet<String> = here.difference(&everywhere).cloned().collect();
    let mut wanted: BTreeSet<String> = ["create", "patch", "delete", "get", "list", "watch"]
        .map(|verb| format!("{verb} schedules.velero.io"))
        .into();
    for resource in ["backups.velero.io", "backupstoragelocations.velero.io", "deployments.apps velero"] {
        wanted.extend(["get", "list", "watch"].map(|verb| format!("{verb} {resource}")));
    }
    let map = "configmaps. agenttier-backup-volumes";
    wanted.extend(["create", "patch", "get", "list", "watch"].map(|verb| format!("{verb} {map}")));
    let request = "downloadrequests.velero.io agenttier-backup-errors";
    wanted.extend(["get", "create", "patch", "delete"].map(|verb| format!("{verb} {request}")));
    assert_eq!(added, wanted);
    cluster.stop().await.unwrap();
}
