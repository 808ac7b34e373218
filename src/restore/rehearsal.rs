//! Whether a restore will be let through, found out before it makes anything.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Patch, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::error::RestoreError;
use super::prepare::Restore;
use super::render;
use crate::agenttier::Sandbox;

/// Makes the writes that are to come as dry runs: quotas, admission webhooks and missing rights refuse them as they
/// would the real ones.
///
/// What is patched does not exist yet. The API server asks for the right before it looks for the object, so that
/// "not found" means yes.
pub(super) async fn rehearse(
    client: &Client,
    restore: &Restore,
    sandbox: &Sandbox,
) -> Result<(), RestoreError> {
    let order = &restore.order;
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &order.namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &order.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &order.namespace);
    let target = order.target.as_str();

    let post = PostParams { dry_run: true, ..render::post() };
    passes("create the sandbox", sandboxes.create(&post, sandbox).await)?;
    let patch = render::patch().dry_run();
    let nothing = Patch::Merge(json!({}));
    passes("put the sandbox on its volume", sandboxes.patch_status(target, &patch, &nothing).await)?;
    passes("stop the sandbox", sandboxes.patch(target, &patch, &nothing).await)?;
    let claim = claims.patch(&order.target.claim(), &patch, &nothing).await;
    passes("make the sandbox the volume's owner", claim)?;
    passes("see the sandbox run", pods.get_opt(&order.target.pod()).await)
}

fn passes<T>(doing: &'static str, answer: kube::Result<T>) -> Result<(), RestoreError> {
    match answer {
        Ok(_) => Ok(()),
        // In the way by now, or not there yet: the next look tells.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(RestoreError::api(doing, error)),
    }
}
