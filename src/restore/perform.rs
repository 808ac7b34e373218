//! The writes of a restore, each of which may be repeated.

use agenttier_backup_plan::restore::Step;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::look::Found;
use super::order::Restore;
use super::render;
use crate::agenttier::{ACTION_ANNOTATION, ACTION_STOP, Sandbox, pod_name};
use crate::api::FIELD_MANAGER;

/// Carries out one step. A conflict is no error: the next look shows what came in between.
pub(super) async fn perform(
    client: &Client,
    restore: &Restore,
    found: &Found,
    step: &Step,
) -> kube::Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &restore.namespace);
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &restore.namespace);
    let post = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let patch = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let done = match step {
        Step::CreateClaim => {
            let like = match restore.snapshot().spec.source.persistent_volume_claim_name.as_deref() {
                Some(name) => claims.get_opt(name).await?,
                None => None,
            };
            let claim = render::claim(&restore.target, restore.snapshot(), &restore.source, like.as_ref());
            claims.create(&post, &claim).await.map(drop)
        }
        Step::CreateSandbox => {
            let sandbox = render::sandbox(&restore.target, restore.snapshot(), &restore.source);
            match sandboxes.create(&post, &sandbox).await {
                // Without waiting for anything: AgentTier must not get round to claiming a pool volume first.
                Ok(_) => {
                    let park = json!({ "status": parked(restore) });
                    sandboxes.patch_status(&restore.target, &patch, &Patch::Merge(&park)).await.map(drop)
                }
                Err(error) => Err(error),
            }
        }
        Step::Park => {
            let body = json!({ "metadata": unchanged(found.sandbox.as_ref()), "status": parked(restore) });
            sandboxes.patch_status(&restore.target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::Start => {
            let status = json!({ "phase": "Creating" });
            let body = json!({ "metadata": unchanged(found.sandbox.as_ref()), "status": status });
            sandboxes.patch_status(&restore.target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::StopRobbed => {
            let body = json!({ "metadata": { "annotations": { ACTION_ANNOTATION: ACTION_STOP } } });
            sandboxes.patch(&restore.target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::Adopt => match (&found.sandbox, &found.claim) {
            (Some(sandbox), Some(claim)) => {
                let body = json!({ "metadata": {
                    "resourceVersion": claim.resource_version(),
                    "ownerReferences": [render::owner(sandbox)],
                }});
                claims.patch(&claim.name_any(), &patch, &Patch::Merge(&body)).await.map(drop)
            }
            _ => Ok(()),
        },
        Step::AwaitBound | Step::AwaitRunning | Step::AwaitStopped | Step::Done | Step::Refuse(_) => Ok(()),
    };
    match done {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        done => done,
    }
}

/// The status of a stopped Sandbox on the restored volume. Its pod name is what keeps AgentTier from giving
/// it a volume of the warm pool when it is started.
fn parked(restore: &Restore) -> serde_json::Value {
    json!({ "phase": "Stopped", "podName": pod_name(&restore.target), "pvcName": restore.claim() })
}

/// Makes a patch hold only for the object as it was seen.
fn unchanged(sandbox: Option<&Sandbox>) -> serde_json::Value {
    json!({ "resourceVersion": sandbox.and_then(ResourceExt::resource_version) })
}
