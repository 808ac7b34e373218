//! A ServiceAccount may do what its roles say, and no more.

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use testbed::{Cluster, client_of};

use crate::shared_cluster::shared_cluster;

/// Gives a ServiceAccount a ClusterRole in its namespace.
pub(crate) async fn bind(cluster: &Cluster, namespace: &str, account: &str, role: &str) {
    let binding = json!({
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    });
    let bindings = Api::<RoleBinding>::namespaced(cluster.client(), namespace);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_service_account_has_the_rights_of_its_roles() {
    let (ns, name) = ("limited", "reader");
    let cluster = shared_cluster(ns).await;
    let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client(), ns);
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let kubeconfig = cluster.service_account_kubeconfig(ns, name).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(client_of(&kubeconfig).await.unwrap(), ns);

    let is_forbidden = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    assert!(is_forbidden(maps.list(&ListParams::default()).await.unwrap_err()));
    bind(cluster, ns, name, "view").await;
    testbed::until("the role to take effect", crate::objects::LIMIT, || async {
        Ok(maps.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();
    let map = serde_json::from_value(json!({"metadata": {"name": "new"}})).unwrap();
    assert!(is_forbidden(maps.create(&PostParams::default(), &map).await.unwrap_err()));
}
