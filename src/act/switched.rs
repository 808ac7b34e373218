//! Proof that a Sandbox has left a volume, read live.

use agenttier_backup_plan::VolumeId;
use kube::{Api, Client};

use super::Failure;
use crate::agenttier::Sandbox;

/// Reads that the Sandbox of this UID uses another claim. While it is being started, nothing is proved: the claim may
/// have been made for it, or handed over to it, a moment before it says so, and a cache may show the one without the
/// other.
pub(crate) async fn prove_switched(
    client: &Client,
    volume: &VolumeId,
    sandbox: &str,
    uid: &str,
) -> Result<(), Failure> {
    let api: Api<Sandbox> = Api::namespaced(client.clone(), &volume.namespace);
    let sandbox = api.get_opt(sandbox).await?.ok_or(Failure::Changed)?;
    let is_the_one = sandbox.metadata.uid.as_deref() == Some(uid);
    let uses_another = sandbox.claim().is_some_and(|claim| claim != volume.claim);
    if is_the_one && uses_another && !sandbox.is_starting() { Ok(()) } else { Err(Failure::Changed) }
}
