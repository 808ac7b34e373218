//! What exists of a restore.

use std::time::Duration;

use agenttier_backup_plan::restore::{ClaimSight, OwnPod, SandboxSight, Sight, SnapshotSight};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use super::origin::Origin;
use super::prepare::Restore;
use crate::agenttier::{ACTION_ANNOTATION, Sandbox, WILL_RESTART};
use crate::api_error::is_forbidden;
use crate::claim::phase;
use crate::csi::VolumeSnapshot;
use crate::pod;

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
    pub(super) pods: Pods,
}

/// The pods of the target Sandbox.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// The one of its own name.
    pub(super) own: Option<Pod>,
    /// The one that its status names.
    pub(super) named: Option<Pod>,
}

impl Pods {
    /// The claim that the named one mounts, if it works on: the wanted one if it is among them.
    fn mounted(&self, wanted: &str) -> Option<String> {
        let works_on = |pod: &&Pod| !pod::is_leaving(pod) && pod::phase(pod) != "Failed";
        let named = self.named.as_ref().filter(works_on)?;
        pod::claims(named).min_by_key(|claim| *claim != wanted).map(str::to_owned)
    }

    /// What the one of its own name has to do with the claim.
    fn own(&self, claim: &str) -> OwnPod {
        match self.own.as_ref().filter(|pod| pod::claims(pod).any(|mounted| mounted == claim)) {
            Some(pod) if pod::is_leaving(pod) => OwnPod::Leaving,
            Some(pod) if pod::may_write(pod, claim) => OwnPod::Up,
            _ => OwnPod::Absent,
        }
    }
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
        let pods = match &sandbox {
            Some(sandbox) => self.pods(sandbox).await?,
            None => Pods::default(),
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
            sandbox: sandbox.as_ref().map(|sandbox| sandbox_sight(sandbox, origin, &pods, &claim_name)),
            binds_on_first_use,
        };
        Ok(Found { sight, snapshot, claim, sandbox, pods })
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.restore.order.namespace)
    }

    async fn pods(&self, sandbox: &Sandbox) -> kube::Result<Pods> {
        let (pods, name) = (self.api::<Pod>(), self.restore.order.target.pod());
        let own = pods.get_opt(&name).await?;
        let named = match sandbox.pod() {
            Some(named) if named == name => own.clone(),
            Some(named) => pods.get_opt(named).await?,
            None => None,
        };
        Ok(Pods { own, named })
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

fn sandbox_sight(sandbox: &Sandbox, origin: &Origin, pods: &Pods, wanted: &str) -> SandboxSight {
    let message = sandbox.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
    SandboxSight {
        ours: origin.made(sandbox.annotations()),
        terminating: sandbox.metadata.deletion_timestamp.is_some(),
        phase: sandbox.phase().to_owned(),
        heals: message.contains(WILL_RESTART),
        message,
        has_pod_name: sandbox.pod().is_some(),
        claim: sandbox.claim().map(str::to_owned),
        mounted: pods.mounted(wanted),
        own_pod: pods.own(wanted),
        stopping: sandbox.annotations().contains_key(ACTION_ANNOTATION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;

    const CLAIM: &str = "s1-workspace";

    fn own(own: Option<Pod>) -> OwnPod {
        Pods { own, named: None }.own(CLAIM)
    }

    fn mounted(named: Pod) -> Option<String> {
        Pods { own: None, named: Some(named) }.mounted(CLAIM)
    }

    #[test]
    fn a_pod_is_leaving_until_it_is_gone_whatever_has_become_of_it() {
        assert_eq!(own(None), OwnPod::Absent);
        for (phase, at_work) in [("Running", OwnPod::Up), ("Pending", OwnPod::Up), ("Failed", OwnPod::Absent)]
        {
            assert_eq!(own(Some(pod(CLAIM, phase, false))), at_work, "{phase}");
            assert_eq!(own(Some(pod(CLAIM, phase, true))), OwnPod::Leaving, "{phase}, being deleted");
            assert_eq!(own(Some(pod("s2-workspace", phase, true))), OwnPod::Absent, "another's");
        }
    }

    #[test]
    fn what_is_going_or_has_failed_mounts_nothing() {
        assert_eq!(mounted(pod("pool-1-pvc", "Running", false)).as_deref(), Some("pool-1-pvc"));
        assert_eq!(mounted(pod(CLAIM, "Succeeded", false)).as_deref(), Some(CLAIM), "it did its work");
        assert_eq!(mounted(pod(CLAIM, "Failed", false)), None);
        assert_eq!(mounted(pod(CLAIM, "Running", true)), None);
    }
}
