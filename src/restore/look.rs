//! What exists of a restore.

use agenttier_backup_plan::marks;
use agenttier_backup_plan::restore::{ClaimSight, SandboxSight, Sight, SnapshotSight};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client, ResourceExt};

use crate::agenttier::{ACTION_ANNOTATION, Sandbox};
use crate::csi::VolumeSnapshot;

/// The objects behind a [`Sight`].
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sight: Sight,
    pub(super) claim: Option<PersistentVolumeClaim>,
    pub(super) sandbox: Option<Sandbox>,
}

/// Reads what exists. `origin` is the UID of the recovery point.
pub(super) async fn look(
    client: &Client,
    namespace: &str,
    target: &str,
    claim_name: &str,
    snapshot: &str,
    origin: &str,
) -> kube::Result<Found> {
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let (snapshot, claim, sandbox) = futures::try_join!(
        snapshots.get_opt(snapshot),
        claims.get_opt(claim_name),
        sandboxes.get_opt(target)
    )?;
    // Another snapshot of the same name is another recovery point.
    let snapshot = snapshot.filter(|snapshot| snapshot.metadata.uid.as_deref() == Some(origin));
    let mounted = match sandbox.as_ref().and_then(Sandbox::pod) {
        Some(pod) => mounted_claim(client, namespace, pod, claim_name).await?,
        None => None,
    };
    let binds_on_first_use = match &claim {
        Some(claim) => binds_on_first_use(client, claim).await?,
        None => false,
    };
    let sandbox_uid = sandbox.as_ref().and_then(ResourceExt::uid);
    let sight = Sight {
        snapshot: snapshot.map(|snapshot| SnapshotSight {
            usable: snapshot.is_ready() && snapshot.metadata.deletion_timestamp.is_none(),
        }),
        claim: claim.as_ref().map(|claim| claim_sight(claim, origin, sandbox_uid.as_deref())),
        sandbox: sandbox.as_ref().map(|sandbox| sandbox_sight(sandbox, origin, mounted)),
        binds_on_first_use,
    };
    Ok(Found { sight, claim, sandbox })
}

fn is_from(annotations: &std::collections::BTreeMap<String, String>, origin: &str) -> bool {
    annotations.get(marks::RESTORED_FROM_UID).is_some_and(|uid| uid == origin)
}

fn claim_sight(claim: &PersistentVolumeClaim, origin: &str, sandbox_uid: Option<&str>) -> ClaimSight {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    ClaimSight {
        ours: is_from(claim.annotations(), origin),
        bound: phase == Some("Bound"),
        lost: phase == Some("Lost"),
        terminating: claim.metadata.deletion_timestamp.is_some(),
        owned_by_sandbox: claim
            .owner_references()
            .iter()
            .any(|owner| Some(owner.uid.as_str()) == sandbox_uid),
    }
}

fn sandbox_sight(sandbox: &Sandbox, origin: &str, mounted: Option<String>) -> SandboxSight {
    let message = sandbox.status.as_ref().and_then(|status| status.message.clone());
    SandboxSight {
        ours: is_from(sandbox.annotations(), origin),
        terminating: sandbox.metadata.deletion_timestamp.is_some(),
        phase: sandbox.phase().to_owned(),
        message: message.unwrap_or_default(),
        has_pod_name: sandbox.pod().is_some(),
        claim: sandbox.claim().map(str::to_owned),
        mounted,
        stopping: sandbox.annotations().contains_key(ACTION_ANNOTATION),
    }
}

/// The claim that a pod mounts: the wanted one if it is among them.
async fn mounted_claim(
    client: &Client,
    namespace: &str,
    pod: &str,
    wanted: &str,
) -> kube::Result<Option<String>> {
    let pod = Api::<Pod>::namespaced(client.clone(), namespace).get_opt(pod).await?;
    let volumes = pod.and_then(|pod| pod.spec).and_then(|spec| spec.volumes).unwrap_or_default();
    let mut claims: Vec<String> = volumes
        .into_iter()
        .filter_map(|volume| volume.persistent_volume_claim)
        .map(|source| source.claim_name)
        .collect();
    claims.sort_by_key(|claim| claim != wanted);
    Ok(claims.into_iter().next())
}

async fn binds_on_first_use(client: &Client, claim: &PersistentVolumeClaim) -> kube::Result<bool> {
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let Some(class) = class.filter(|class| !class.is_empty()) else { return Ok(false) };
    let class = Api::<StorageClass>::all(client.clone()).get_opt(class).await?;
    let mode = class.and_then(|class| class.volume_binding_mode);
    Ok(mode.as_deref() == Some("WaitForFirstConsumer"))
}
