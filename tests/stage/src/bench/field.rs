//! Volumes that are due, where nothing reacts to what is written.

use std::path::PathBuf;
use std::time::Duration;

use agenttier_backup::api::FIELD_MANAGER;
use agenttier_backup::csi::{VolumeSnapshot, VolumeSnapshotClass};
use anyhow::{Context as _, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use stage::{NAMESPACE, Rhythm, Stage};
use testbed::{DRIVER, SNAPSHOT_CLASS, Testbed, until};

/// Where the volumes are.
const TEAM: &str = "bench";
/// One snapshot each, whenever the benchmark is run.
const RARELY: Rhythm = Rhythm { interval: "60d", max_age: "60d", keep_last: 1 };
/// Requests under way at once while the field is laid.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_mins(2);

/// A stage with volumes that all are due.
pub(super) struct Field {
    pub(super) stage: Stage,
    snapshots: Api<VolumeSnapshot>,
}

impl Field {
    pub(super) async fn lay(testbed: &Testbed, program: PathBuf, volumes: u16) -> Result<Self> {
        let cluster = testbed.cluster("bench").inert().start().await?;
        let stage = Stage::on(cluster, program, NAMESPACE);
        double::install_crds(&stage.client).await?;
        stage.install(&[]).await?;
        stage.policy(RARELY).await?;
        stage.namespace(TEAM).await?;
        let client = &stage.client;
        let kind = ApiResource::erase::<VolumeSnapshotClass>(&());
        let class = json!({
            "apiVersion": kind.api_version, "kind": kind.kind,
            "metadata": {
                "name": SNAPSHOT_CLASS,
                "annotations": { "snapshot.storage.kubernetes.io/is-default-class": "true" },
            },
            "driver": DRIVER, "deletionPolicy": "Delete",
        });
        create(&Api::<DynamicObject>::all_with(client.clone(), &kind), class).await?;
        let made = stream::iter(0..volumes).map(|number| async move { volume(client, number).await });
        made.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        let snapshots: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
        // The first to ask for a new kind are put off.
        until("the API server lists snapshots", PATIENCE, || async {
            Ok(snapshots.list(&ListParams::default()).await.ok().map(drop))
        })
        .await?;
        Ok(Self { stage, snapshots })
    }

    /// The snapshots that there are, as they were ordered.
    pub(super) async fn made(&self) -> Result<Vec<VolumeSnapshot>> {
        let mut made = self.snapshots.list(&ListParams::default()).await?.items;
        for snapshot in &mut made {
            snapshot.metadata = ObjectMeta {
                name: Some(snapshot.name_any()),
                labels: snapshot.metadata.labels.take(),
                annotations: snapshot.metadata.annotations.take(),
                ..ObjectMeta::default()
            };
        }
        Ok(made)
    }

    /// Deletes all snapshots, and waits until they are gone.
    pub(super) async fn clear(&self) -> Result<()> {
        self.snapshots.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        until("the snapshots are gone", PATIENCE, || async {
            let left = self.snapshots.list_metadata(&ListParams::default().limit(1)).await?;
            Ok(left.items.is_empty().then_some(()))
        })
        .await
    }
}

/// Writes the snapshots, so many at once, and does nothing else.
pub(super) async fn write(client: &Client, snapshots: Vec<VolumeSnapshot>, at_once: usize) -> Result<()> {
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), TEAM);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let (api, params) = (&api, &params);
    let writes = stream::iter(snapshots).map(|snapshot| async move { api.create(params, &snapshot).await });
    writes.buffer_unordered(at_once).try_for_each(|_| std::future::ready(Ok(()))).await?;
    Ok(())
}

/// A claim of a workspace that is bound, since somebody says so.
async fn volume(client: &Client, number: u16) -> Result<()> {
    let (volume, claim) = (format!("pv-{number:04}"), format!("w{number:04}-workspace"));
    let size = json!({ "storage": "1Gi" });
    let spec = json!({
        "capacity": size, "accessModes": ["ReadWriteOnce"],
        "csi": { "driver": DRIVER, "volumeHandle": volume },
        "claimRef": { "namespace": TEAM, "name": claim },
    });
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    create(&volumes, json!({ "metadata": { "name": volume }, "spec": spec })).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), TEAM);
    let labels = json!({ "agenttier.io/managed": "true" });
    let spec = json!({
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": size }, "volumeName": volume,
    });
    create(&claims, json!({ "metadata": { "name": claim, "labels": labels }, "spec": spec })).await?;
    let bound = Patch::Merge(json!({ "status": { "phase": "Bound" } }));
    claims.patch_status(&claim, &PatchParams::default(), &bound).await?;
    Ok(())
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let object = serde_json::from_value(object).context("an object of its kind")?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}
