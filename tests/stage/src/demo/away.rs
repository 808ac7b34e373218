//! Everything that the demo has made on a person's cluster is taken away.

use std::time::Duration;

use agenttier_backup::api::BackupPolicy;
use agenttier_backup::csi::VolumeSnapshot;
use anyhow::{Context as _, Result, bail};
use double::{cluster_templates, sandboxes, templates};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use stage::Stage;
use testbed::until;

use super::belongings::{self, NAME, is_ours, kind};
use super::death::is_ready;
use super::first_look;
use super::screen::{Chapter, Screen};
use super::venue::TEMPLATE;

/// How long the cluster may take for it. A volume whose machine is dead is detached after 6 min.
const LIMIT: Duration = Duration::from_mins(15);

/// Takes everything away, also what an earlier demo has left, and waits until it is gone.
pub(super) async fn take_away(screen: &mut Screen, stage: &mut Stage) -> Result<()> {
    let chapter = screen.chapter("Everything is taken away again");
    chapter.waiting("the controller ends");
    // First of all, so that nothing new comes.
    stage.cluster.kill_all().await?;
    stage.stop_agenttier().await;
    chapter.waiting("the node comes back");
    revive_nodes(&chapter, stage).await?;
    chapter.waiting("the sandboxes go");
    delete_sandboxes(stage).await?;
    chapter.waiting("helm uninstall");
    uninstall(stage).await?;
    chapter.say(format!("the release {NAME} and its rights"));
    chapter.waiting("the volumes, their snapshots and the namespace go");
    delete_namespace(&stage.client).await?;
    chapter.say(format!("the namespace {NAME}, with its volumes and snapshots"));
    stage.stop_agenttier().await;
    chapter.waiting("the CRDs go");
    delete_kinds(&chapter, &stage.client).await?;
    chapter.done("nothing of the demo is left");
    Ok(())
}

async fn revive_nodes(chapter: &Chapter, stage: &Stage) -> Result<()> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    for node in nodes.list_metadata(&belongings::killed_nodes()).await?.items {
        let name = node.name_any();
        stage.cluster.revive_node(&name).await?;
        belongings::mark_node(&stage.client, &name, false).await?;
        chapter.say(format!("{name} lives again"));
    }
    Ok(())
}

/// Sandboxes go before their namespace: AgentTier has to be there to let them.
async fn delete_sandboxes(stage: &mut Stage) -> Result<()> {
    let Some(kind) = kind(&stage.client, "sandboxes.agenttier.io").await? else { return Ok(()) };
    if is_ours(&kind) {
        stage.restart_agenttier(belongings::double()).await;
    }
    let client = &stage.client;
    let sandboxes: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAME, &sandboxes());
    sandboxes.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    until("the demo's sandboxes to go; does AgentTier run?", LIMIT, || async {
        let left = sandboxes.list_metadata(&ListParams::default()).await?.items;
        release_pods_of_dead_nodes(client).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await
}

/// Pods of ours that hang in Terminating on a dead machine, and all they hold. Nobody but us is there to be hurt.
async fn release_pods_of_dead_nodes(client: &Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAME);
    let hanging = pods.list(&ListParams::default()).await?.items;
    let nodes: Api<Node> = Api::all(client.clone());
    for pod in hanging.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { continue };
        let alive = nodes.get_opt(node).await?.is_some_and(|node| is_ready(&node));
        if !alive {
            gone(pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await)?;
        }
    }
    Ok(())
}

async fn uninstall(stage: &Stage) -> Result<()> {
    let args = ["uninstall", NAME, "--namespace", NAME, "--ignore-not-found", "--wait"];
    stage.cluster.helm(&args).await?;
    // Left behind when somebody deletes the namespace, and with it helm's record of the release.
    delete::<ClusterRoleBinding>(&stage.client).await?;
    delete::<ClusterRole>(&stage.client).await?;
    if kind(&stage.client, POLICIES).await?.is_some() {
        delete::<BackupPolicy>(&stage.client).await?;
    }
    Ok(())
}

/// Deletes the demo's own cluster-wide object of a kind; nobody else's has its name.
async fn delete<K>(client: &Client) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let objects: Api<K> = Api::all(client.clone());
    gone(objects.delete(NAME, &DeleteParams::default()).await)
        .with_context(|| format!("delete the {} {NAME}", K::kind(&())))
}

/// What is gone already is fine.
fn gone<T>(deleted: kube::Result<T>) -> Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Deletes what takes its time to go, and waits for it: Kubernetes looks at a namespace that still holds something
/// less and less often.
async fn empty_namespace(client: &Client) -> Result<()> {
    let (all, now) = (ListParams::default(), DeleteParams::default());
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAME);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAME);
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), NAME);
    pods.delete_collection(&now, &all).await?;
    snapshots.delete_collection(&now, &all).await?;
    claims.delete_collection(&now, &all).await?;
    until("the demo's pods, volumes and snapshots to go", LIMIT, || async {
        release_pods_of_dead_nodes(client).await?;
        let left = [
            pods.list_metadata(&all).await?.items.len(),
            snapshots.list_metadata(&all).await?.items.len(),
            claims.list_metadata(&all).await?.items.len(),
        ];
        Ok((left.iter().sum::<usize>() == 0).then_some(()))
    })
    .await
}

/// Deletes the namespace and waits for it, its volumes and what its snapshots are stored in.
async fn delete_namespace(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.get_opt(NAME).await? {
        Some(namespace) if is_ours(&namespace) => {
            empty_namespace(client).await?;
            gone(namespaces.delete(NAME, &DeleteParams::default()).await)?;
        }
        Some(_) => bail!("the namespace {NAME} is not the demo's, and stays"),
        None => {}
    }
    until(&format!("the namespace {NAME} to go with its volumes and snapshots"), LIMIT, || async {
        let left = namespaces.get_opt(NAME).await?.is_some() || has_storage(client).await?;
        Ok((!left).then_some(()))
    })
    .await
}

/// Whether a volume or a snapshot's content belongs to the demo's namespace.
async fn has_storage(client: &Client) -> Result<bool> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let of_ours = |volume: &PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        claim.and_then(|claim| claim.namespace.as_deref()) == Some(NAME)
    };
    if volumes.list(&ListParams::default()).await?.items.iter().any(of_ours) {
        return Ok(true);
    }
    let gvk = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshotContent");
    let kind = ApiResource::from_gvk_with_plural(&gvk, "volumesnapshotcontents");
    let contents: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let contents = contents.list(&ListParams::default()).await?.items;
    Ok(contents.iter().any(|content| content.data["spec"]["volumeSnapshotRef"]["namespace"] == NAME))
}

const POLICIES: &str = "backuppolicies.backup.agenttier.io";

/// Deletes the kinds that the demo has brought, unless somebody has come to use them.
async fn delete_kinds(chapter: &Chapter, client: &Client) -> Result<()> {
    let others = first_look::others(client).await?;
    for name in agenttier_backup::api::crds().iter().map(ResourceExt::name_any) {
        if others.is_empty() {
            delete_kind(client, &name).await?;
        } else if kind(client, &name).await?.as_ref().is_some_and(is_ours) {
            chapter.say(format!("the CRD {name} stays: {} came meanwhile", others.join(", ")));
        }
    }
    for (resource, own) in [(sandboxes(), None), (templates(), None), (cluster_templates(), Some(TEMPLATE))] {
        let name = format!("{}.{}", resource.plural, resource.group);
        if !kind(client, &name).await?.as_ref().is_some_and(is_ours) {
            continue;
        }
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let there = objects.list_metadata(&ListParams::default()).await?.items;
        let foreign: Vec<_> =
            there.iter().map(ResourceExt::name_any).filter(|name| Some(name.as_str()) != own).collect();
        if foreign.is_empty() {
            delete_kind(client, &name).await?;
        } else {
            chapter.say(format!("the CRD {name} stays: {} came meanwhile", foreign.join(", ")));
        }
    }
    Ok(())
}

/// Deletes a kind that the demo has brought, and waits until it is gone; others stay.
async fn delete_kind(client: &Client, name: &str) -> Result<()> {
    if !kind(client, name).await?.as_ref().is_some_and(is_ours) {
        return Ok(());
    }
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    gone(kinds.delete(name, &DeleteParams::default()).await)?;
    until(&format!("the CRD {name} to go"), LIMIT, || async {
        Ok(kinds.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}
