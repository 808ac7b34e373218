//! Who is there already and would be disturbed, or would disturb.

use agenttier_backup::api::BackupPolicy;
use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::Problem;
use crate::demo::belongings::{NAME, is_ours, kind};

/// Looks for other installations of the product, and for what an earlier demo has left: then it gives true.
pub(super) async fn look(client: &Client, problems: &mut Vec<Problem>) -> Result<bool> {
    let others = others(client).await?;
    if !others.is_empty() {
        problems.push(Problem::new(
            format!("agenttier-backup is here already: {}", others.join(", ")),
            "the demo's controller would meddle with it: play the story on another cluster",
        ));
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get_opt(NAME).await.context("look for the demo's namespace")?;
    if namespace.as_ref().is_some_and(|namespace| !is_ours(namespace)) {
        problems.push(Problem::new(
            format!("there is a namespace {NAME} that no demo has made"),
            "the demo keeps everything in a namespace of that name, and deletes it: remove yours first",
        ));
    }
    Ok(namespace.is_some())
}

/// What the product has here that is not the demo's: releases of its chart, and policies. The demo's controller
/// would follow every policy that there is.
pub(in crate::demo) async fn others(client: &Client) -> Result<Vec<String>> {
    let charted = ListParams::default().labels("helm.sh/chart");
    let deployments: Api<Deployment> = Api::all(client.clone());
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let deployments = deployments.list_metadata(&charted).await.context("list the Deployments")?;
    let roles = roles.list_metadata(&charted).await.context("list the ClusterRoles")?;
    let mut others: Vec<String> = vec![];
    for deployment in deployments.items.iter().filter(|found| is_of_another_release(*found)) {
        let namespace = deployment.namespace().unwrap_or_default();
        others.push(format!("Deployment {namespace}/{}", deployment.name_any()));
    }
    for role in roles.items.iter().filter(|found| is_of_another_release(*found)) {
        others.push(format!("ClusterRole {}", role.name_any()));
    }
    if kind(client, "backuppolicies.backup.agenttier.io").await?.is_some() {
        let policies: Api<BackupPolicy> = Api::all(client.clone());
        let policies =
            policies.list_metadata(&ListParams::default()).await.context("list the BackupPolicies")?;
        let foreign = policies.items.iter().filter(|policy| !is_ours(*policy));
        others.extend(foreign.map(|policy| format!("BackupPolicy {}", policy.name_any())));
    }
    Ok(others)
}

/// Whether it belongs to a release of our chart that is not the demo's.
fn is_of_another_release(object: &impl ResourceExt) -> bool {
    let label = |key: &str| object.labels().get(key).map(String::as_str).unwrap_or_default();
    label("helm.sh/chart").starts_with("agenttier-backup-") && label("app.kubernetes.io/instance") != NAME
}
