//! What exists of a restore.

use std::time::Duration;

use agenttier_backup_plan::restore::{ClaimSight, SandboxSight, Sight, SnapshotSight};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use super::origin::Origin;
use super::prepare::Restore;
use crate::agenttier::{ACTION_ANNOTATION, Sandbox};
use crate::api_error::is_forbidden;
use crate::csi::VolumeSnapshot;

/// On a claim that somebody is to provision: Kubernetes writes it at once, or, where the volume binds on first use,
/// when a pod was scheduled. Source: the persistent volume controller.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// How long Kubernetes may take to write it.
const PROVISIONER_IS_NAMED_WITHIN: Duration = Duration::from_secs(10);

/// The objects behind a [`Sight`].
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sight: Sight,
    pub(super) snapshot: Option<VolumeSnapshot>,
    pub(super) claim: Option<PersistentVolumeClaim>,
    pub(super) sandbox: Option<Sandbox>,
}

/// Looks at one restore again and again.
pub(super) struct Looker<'a> {
    client: &'a Client,
    restore: &'a Restore,
    /// Since when the claim has been seen with nobody to provision it.
    unprovided_since: Option<Instant>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(client: &'a Client, restore: &'a Restore) -> Self {
        Self { client, restore, unprovided_since: None }
    }

    /// Reads what exists.
    pub(super) async fn look(&mut self) -> kube::Result<Found> {
        let Restore { order, origin, .. } = self.restore;
        let claim_name = order.target.claim();
        let snapshots: Api<VolumeSnapshot> = self.api();
        let claims: Api<PersistentVolumeClaim> = self.api();
        let sandboxes: Api<Sandbox> = self.api();
        let (snapshot, claim, sandbox) = futures::try_join!(
            snapshots.get_opt(&origin.point),
            claims.get_opt(&claim_name),
            sandboxes.get_opt(order.target.as_str())
        )?;
        // Another snapshot of the same name is another recovery point.
        let snapshot = snapshot.filter(|found| found.uid().as_ref() == Some(&origin.point_uid));
        let mounted = match sandbox.as_ref().and_then(Sandbox::pod) {
            Some(pod) => self.mounted_claim(pod, &claim_name).await?,
            None => None,
        };
        let binds_on_first_use = match &claim {
            Some(claim) if phase(claim) != Some("Bound") => self.binds_on_first_use(claim).await?,
            _ => false,
        };
        let sandbox_uid = sandbox.as_ref().and_then(ResourceExt::uid);
        let sight = Sight {
            snapshot: snapshot.as_ref().map(|snapshot| SnapshotSight {
                usable: snapshot.is_ready() && snapshot.metadata.deletion_timestamp.is_none(),
            }),
            claim: claim.as_ref().map(|claim| claim_sight(claim, origin, sandbox_uid.as_deref())),
            sandbox: sandbox.as_ref().map(|sandbox| sandbox_sight(sandbox, origin, mounted)),
            binds_on_first_use,
        };
        Ok(Found { sight, snapshot, claim, sandbox })
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.restore.order.namespace)
    }

    /// The claim that a pod mounts: the wanted one if it is among them.
    async fn mounted_claim(&self, pod: &str, wanted: &str) -> kube::Result<Option<String>> {
        let pod = self.api::<Pod>().get_opt(pod).await?;
        let volumes = pod.and_then(|pod| pod.spec).and_then(|spec| spec.volumes).unwrap_or_default();
        let mut claims: Vec<String> = volumes
            .into_iter()
            .filter_map(|volume| volume.persistent_volume_claim)
            .map(|source| source.claim_name)
            .collect();
        claims.sort_by_key(|claim| claim != wanted);
        Ok(claims.into_iter().next())
    }

    /// Whether an unbound claim waits for a pod. Its class says; to those who may not read classes, which are the
    /// cluster's, the claim does: nobody is asked to provide a volume for it, and goes on not to be.
    async fn binds_on_first_use(&mut self, claim: &PersistentVolumeClaim) -> kube::Result<bool> {
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let Some(class) = class.filter(|class| !class.is_empty()) else { return Ok(false) };
        match Api::<StorageClass>::all(self.client.clone()).get_opt(class).await {
            Ok(class) => {
                let mode = class.and_then(|class| class.volume_binding_mode);
                Ok(mode.as_deref() == Some("WaitForFirstConsumer"))
            }
            Err(error) if is_forbidden(&error) && claim.annotations().contains_key(PROVISIONER) => Ok(false),
            Err(error) if is_forbidden(&error) => {
                let since = *self.unprovided_since.get_or_insert_with(Instant::now);
                Ok(since.elapsed() >= PROVISIONER_IS_NAMED_WITHIN)
            }
            Err(error) => Err(error),
        }
    }
}

fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref().and_then(|status| status.phase.as_deref())
}

fn claim_sight(claim: &PersistentVolumeClaim, origin: &Origin, sandbox_uid: Option<&str>) -> ClaimSight {
    ClaimSight {
        ours: origin.made(claim.annotations()),
        bound: phase(claim) == Some("Bound"),
        lost: phase(claim) == Some("Lost"),
        terminating: claim.metadata.deletion_timestamp.is_some(),
        owned_by_sandbox: claim
            .owner_references()
            .iter()
            .any(|owner| Some(owner.uid.as_str()) == sandbox_uid),
    }
}

fn sandbox_sight(sandbox: &Sandbox, origin: &Origin, mounted: Option<String>) -> SandboxSight {
    let message = sandbox.status.as_ref().and_then(|status| status.message.clone());
    SandboxSight {
        ours: origin.made(sandbox.annotations()),
        terminating: sandbox.metadata.deletion_timestamp.is_some(),
        phase: sandbox.phase().to_owned(),
        message: message.unwrap_or_default(),
        has_pod_name: sandbox.pod().is_some(),
        claim: sandbox.claim().map(str::to_owned),
        mounted,
        stopping: sandbox.annotations().contains_key(ACTION_ANNOTATION),
    }
}
