//! Volumes and snapshots of them.

use anyhow::{Context as _, Result};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};

use super::Problem;
use crate::demo::belongings::kind;

/// What sandboxes are stored on and snapshotted with.
#[derive(Debug)]
pub(in crate::demo) struct Storage {
    /// The default StorageClass.
    pub(in crate::demo) class: String,
    /// Its CSI driver.
    pub(in crate::demo) driver: String,
    /// The VolumeSnapshotClass for that driver.
    pub(in crate::demo) snapshot_class: String,
}

const SNAPSHOT_KINDS: [&str; 3] = ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"];

/// Finds the default StorageClass and the VolumeSnapshotClass for its driver.
pub(super) async fn look(client: &Client, problems: &mut Vec<Problem>) -> Result<Option<Storage>> {
    let class = default_class(client, problems).await?;
    let mut missing = vec![];
    for plural in SNAPSHOT_KINDS {
        let name = format!("{plural}.snapshot.storage.k8s.io");
        if kind(client, &name).await?.is_none() {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        problems.push(Problem::new(
            format!("there are no CSI snapshots: {} missing", missing.join(", ")),
            "install the snapshot controller with its CRDs: \
             https://kubernetes-csi.github.io/docs/snapshot-controller.html",
        ));
        return Ok(None);
    }
    let Some(class) = class else { return Ok(None) };
    let driver = class.provisioner.clone();
    let snapshot_class = snapshot_class(client, &driver, problems).await?;
    Ok(snapshot_class.map(|snapshot_class| Storage { class: class.name_any(), driver, snapshot_class }))
}

async fn default_class(client: &Client, problems: &mut Vec<Problem>) -> Result<Option<StorageClass>> {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let classes = classes.list(&ListParams::default()).await.context("list the StorageClasses")?.items;
    let names = classes.iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(", ");
    // Of several, Kubernetes takes the youngest.
    let defaults = classes.into_iter().filter(|class| is_default(class, "storageclass.kubernetes.io"));
    let Some(class) = defaults.max_by_key(|class| class.creation_timestamp().map(|time| time.0)) else {
        problems.push(Problem::new(
            format!("no StorageClass is the default; there are: {names}"),
            "kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true",
        ));
        return Ok(None);
    };
    if class.reclaim_policy.as_deref() == Some("Retain") {
        problems.push(Problem::new(
            format!(
                "the default StorageClass {} retains volumes: the demo's would stay behind",
                class.name_any()
            ),
            "make one with reclaimPolicy Delete the default",
        ));
    }
    Ok(Some(class))
}

async fn snapshot_class(
    client: &Client,
    driver: &str,
    problems: &mut Vec<Problem>,
) -> Result<Option<String>> {
    let gvk = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshotClass");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "volumesnapshotclasses");
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let classes = classes.list(&ListParams::default()).await.context("list the VolumeSnapshotClasses")?;
    let of_driver: Vec<_> = classes.items.iter().filter(|class| class.data["driver"] == driver).collect();
    let is_default = |class: &&&DynamicObject| is_default(**class, "snapshot.storage.kubernetes.io");
    let Some(class) = of_driver.iter().find(is_default).or(of_driver.first()) else {
        problems.push(Problem::new(
            format!("no VolumeSnapshotClass is for {driver}, the driver of the default StorageClass"),
            format!("if {driver} can take snapshots, create a VolumeSnapshotClass with `driver: {driver}`"),
        ));
        return Ok(None);
    };
    if class.data["deletionPolicy"] != "Delete" {
        problems.push(Problem::new(
            format!(
                "the VolumeSnapshotClass {} retains snapshots: the demo's would stay behind",
                class.name_any()
            ),
            format!("make one with deletionPolicy Delete the default for {driver}"),
        ));
    }
    Ok(Some(class.name_any()))
}

fn is_default(class: &impl ResourceExt, domain: &str) -> bool {
    class.annotations().get(&format!("{domain}/is-default-class")).is_some_and(|value| value == "true")
}
