//! What the demo brings to a cluster of somebody else's, and by what it knows its own again.

use std::collections::BTreeMap;
use std::time::Duration;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use anyhow::{Context as _, Result};
use double::Options;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{conditions::is_crd_established, wait::await_condition};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use stage::Rhythm;

/// The name of the namespace, of the chart's release in it, and of the policy.
pub(super) const NAME: &str = "agenttier-backup-demo";

/// On everything that the demo makes outside its namespace, and on that itself.
const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", NAME);

/// On the node that the demo has killed.
const KILLED: &str = "agenttier-backup-demo/killed";

/// How long the API server may take to serve a new kind.
const SERVED: Duration = Duration::from_secs(30);

/// Whether the demo made it.
pub(super) fn is_ours(object: &impl ResourceExt) -> bool {
    object.labels().get(LABEL.0).is_some_and(|value| value == LABEL.1)
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])
}

/// Makes the namespace.
pub(super) async fn create_namespace(client: &Client) -> Result<()> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAME.to_owned());
    namespace.metadata.labels = Some(labels());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    created.map(drop).with_context(|| format!("create the namespace {NAME}"))
}

/// A kind that the cluster has.
pub(super) async fn kind(client: &Client, name: &str) -> Result<Option<CustomResourceDefinition>> {
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    kinds.get_opt(name).await.with_context(|| format!("look for the CRD {name}"))
}

/// Installs a kind as ours, unless it is there already: then it stays as it is.
pub(super) async fn install_kind(client: &Client, mut kind: CustomResourceDefinition) -> Result<()> {
    let name = kind.name_any();
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    if self::kind(client, &name).await?.is_none() {
        kind.metadata.labels = Some(labels());
        kinds
            .create(&PostParams::default(), &kind)
            .await
            .with_context(|| format!("create the CRD {name}"))?;
    }
    let served = tokio::time::timeout(SERVED, await_condition(kinds, &name, is_crd_established())).await;
    served.with_context(|| format!("the CRD {name} is not served after {} s", SERVED.as_secs()))??;
    Ok(())
}

/// A policy for the demo's namespace and no other.
pub(super) fn policy(rhythm: Rhythm, snapshot_class: &str) -> BackupPolicy {
    let mut snapshots = rhythm.snapshots();
    snapshot_class.clone_into(&mut snapshots.snapshot_class_name);
    let here = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), NAME.to_owned())]);
    let spec = BackupPolicySpec {
        namespace_selector: LabelSelector { match_labels: Some(here), ..LabelSelector::default() },
        snapshots,
        ..BackupPolicySpec::default()
    };
    let mut policy = BackupPolicy::new(NAME, spec);
    policy.metadata.labels = Some(labels());
    policy
}

/// AgentTier's double, for the demo's namespace and no other.
pub(super) fn double() -> Options {
    Options { namespace: Some(NAME.to_owned()), ..Options::default() }
}

/// Remembers on a node that the demo has killed it, or forgets it.
pub(super) async fn mark_node(client: &Client, name: &str, killed: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let value = killed.then_some("true");
    let patch = Patch::Merge(json!({"metadata": {"labels": {KILLED: value}}}));
    nodes.patch(name, &PatchParams::default(), &patch).await.with_context(|| format!("label {name}"))?;
    Ok(())
}

/// Whether the demo has killed a node.
pub(super) fn is_killed(node: &impl ResourceExt) -> bool {
    node.labels().contains_key(KILLED)
}

/// All nodes that the demo has killed.
pub(super) fn killed_nodes() -> ListParams {
    ListParams::default().labels(KILLED)
}
