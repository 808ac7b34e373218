//! The writes of a restore, each of which may be repeated.

use agenttier_backup_plan::restore::Step;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::error::RestoreError;
use super::look::Found;
use super::parked::{missed, parked};
use super::prepare::Restore;
use super::rehearsal::rehearse;
use super::render;
use crate::agenttier::{ACTION_ANNOTATION, ACTION_STOP, Sandbox};

/// Carries out one step. A conflict is no error: the next look shows what came in between.
pub(super) async fn perform(
    client: &Client,
    restore: &Restore,
    found: &Found,
    step: &Step,
) -> Result<(), RestoreError> {
    // Whatever could refuse what comes later does so before anything is made.
    if let (Step::CreateClaim, Some(source)) = (step, &restore.source) {
        rehearse(client, restore, &render::sandbox(restore, source)).await?;
    }
    match write(client, restore, found, step).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(RestoreError::api(doing(step), error)),
        Ok(()) => Ok(()),
    }
}

async fn write(client: &Client, restore: &Restore, found: &Found, step: &Step) -> kube::Result<()> {
    let namespace = &restore.order.namespace;
    let target = restore.order.target.as_str();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let (post, patch) = (render::post(), render::patch());
    match step {
        Step::CreateClaim => {
            let (Some(snapshot), Some(source)) = (&found.snapshot, &restore.source) else { return Ok(()) };
            let like = match snapshot.spec.source.persistent_volume_claim_name.as_deref() {
                Some(name) => claims.get_opt(name).await?,
                None => None,
            };
            let claim = render::claim(restore, snapshot, source, like.as_ref());
            claims.create(&post, &claim).await.map(drop)
        }
        Step::CreateSandbox => {
            let Some(source) = &restore.source else { return Ok(()) };
            let made = sandboxes.create(&post, &render::sandbox(restore, source)).await?;
            // Without waiting for anything: AgentTier must not get round to claiming a pool volume first. What it has said
            // by then stays: it may have a pod already.
            let park = Patch::Json::<()>(
                serde_json::from_value(json!([
                    { "op": "test", "path": "/metadata/uid", "value": made.uid() },
                    { "op": "test", "path": "/status", "value": null },
                    { "op": "add", "path": "/status", "value": parked(restore, None) },
                ]))
                .map_err(kube::Error::SerdeError)?,
            );
            match sandboxes.patch_status(target, &patch, &park).await {
                Err(kube::Error::Api(status)) if status.code == 422 => Ok(()),
                parked => parked.map(drop),
            }
        }
        Step::Park => {
            let seen = found.sandbox.as_ref();
            let body = json!({ "metadata": unchanged(seen), "status": parked(restore, seen) });
            sandboxes.patch_status(target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::Start => {
            let status = json!({ "phase": "Creating" });
            let body = json!({ "metadata": unchanged(found.sandbox.as_ref()), "status": status });
            sandboxes.patch_status(target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::StopRobbed | Step::StopUnasked => {
            // Had it stopped meanwhile, the word would wait for it to run again, on its own volume.
            let mut metadata = unchanged(found.sandbox.as_ref());
            metadata["annotations"] = json!({ ACTION_ANNOTATION: ACTION_STOP });
            let body = json!({ "metadata": metadata });
            sandboxes.patch(target, &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::Adopt => {
            let (Some(sandbox), Some(claim)) = (&found.sandbox, &found.claim) else { return Ok(()) };
            // Where AgentTier was quicker than the status that it was to be parked with.
            if let Some(configured) = missed(restore, sandbox) {
                let status = json!({ "agentConfigure": configured });
                let body = json!({ "metadata": unchanged(Some(sandbox)), "status": status });
                sandboxes.patch_status(target, &patch, &Patch::Merge(&body)).await?;
            }
            let body = json!({ "metadata": {
                "resourceVersion": claim.resource_version(),
                "ownerReferences": [render::owner(sandbox)],
            }});
            claims.patch(&claim.name_any(), &patch, &Patch::Merge(&body)).await.map(drop)
        }
        Step::AwaitBound | Step::AwaitRunning | Step::AwaitStopped | Step::Done | Step::Refuse(_) => Ok(()),
    }
}

/// Makes a patch hold only for the object as it was seen.
fn unchanged(sandbox: Option<&Sandbox>) -> serde_json::Value {
    json!({ "resourceVersion": sandbox.and_then(ResourceExt::resource_version) })
}

/// A step as a person would say it, after "to".
pub(super) fn doing(step: &Step) -> &'static str {
    match step {
        Step::CreateClaim => "create the volume claim",
        Step::AwaitBound => "see the volume bound",
        Step::CreateSandbox => "create the sandbox",
        Step::Park => "put the sandbox on its volume",
        Step::Adopt => "make the sandbox the volume's owner",
        Step::Start => "start the sandbox",
        Step::AwaitRunning => "see the sandbox run",
        Step::StopRobbed => "stop the sandbox, which came up on another volume",
        Step::StopUnasked => "stop the sandbox, which runs and is to stay stopped",
        Step::AwaitStopped => "see the sandbox stop and its pod gone",
        Step::Done | Step::Refuse(_) => "finish",
    }
}
