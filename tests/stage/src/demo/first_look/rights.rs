//! What the person may do.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::Problem;

/// Verb, group and resource (with its subresource) of what the demo does in every namespace or none.
const NEEDED: &[(&str, &str, &str)] = &[
    ("create", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("list", "", "nodes"),
    ("list", "", "persistentvolumes"),
    ("create", "", "serviceaccounts/token"),
    ("create", "", "pods/exec"),
    ("delete", "", "pods"),
    ("list", "apps", "deployments"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("delete", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("delete", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("list", "storage.k8s.io", "storageclasses"),
    ("list", "snapshot.storage.k8s.io", "volumesnapshotclasses"),
    ("list", "snapshot.storage.k8s.io", "volumesnapshotcontents"),
    ("create", "agenttier.io", "sandboxes"),
    ("create", "backup.agenttier.io", "backuppolicies"),
];

/// The rights that are missing.
pub(super) async fn missing(client: &Client) -> Result<Vec<Problem>> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let asked = NEEDED.iter().map(async |&(verb, group, resource)| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        reviews.create(&PostParams::default(), &review).await
    });
    let answers = try_join_all(asked).await.context("ask the cluster what you may do there")?;
    let denied = |answer: &SelfSubjectAccessReview| !answer.status.as_ref().is_some_and(|said| said.allowed);
    let denied = NEEDED.iter().zip(&answers).filter(|(_, answer)| denied(answer)).map(
        |((verb, group, resource), _)| {
            let dot = if group.is_empty() { "" } else { "." };
            format!("{verb} {resource}{dot}{group}")
        },
    );
    let denied: Vec<_> = denied.collect();
    if denied.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![Problem::new(
        format!("you may not: {}", denied.join(", ")),
        "use a kubeconfig with the rights of an administrator (ClusterRole cluster-admin)",
    )])
}
