//! Proof that a volume and the Sandbox that used it are gone, read live.

use std::fmt::Debug;

use agenttier_backup_plan::{FormerUser, VolumeId};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::Failure;
use crate::agenttier::Sandbox;

/// Reads that neither the claim nor the Sandbox is there any more; one of the same name with another UID is another one.
///
/// Where a whole kind is missing, nothing of it is proved gone: its CRD may come back, and its objects with it.
pub(super) async fn prove_gone(client: &Client, volume: &VolumeId, user: &FormerUser) -> Result<(), Failure> {
    let namespace = &volume.namespace;
    let claim = uid_of::<PersistentVolumeClaim>(client, namespace, &volume.claim).await?;
    if claim.as_deref() == Some(volume.uid.as_str()) {
        return Err(Failure::StillThere(format!("claim {}", volume.claim)));
    }
    let Some(name) = &user.sandbox else { return Ok(()) };
    let sandbox = uid_of::<Sandbox>(client, namespace, name).await?;
    let is_the_one = |found: &String| user.sandbox_uid.as_ref().is_none_or(|uid| uid == found);
    match sandbox.filter(is_the_one) {
        Some(_) => Err(Failure::StillThere(format!("sandbox {name}"))),
        None => Ok(()),
    }
}

/// UID of the object of this name; `None` only where the API server says that this very object does not exist.
async fn uid_of<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    match Api::<K>::namespaced(client.clone(), namespace).get_metadata(name).await {
        Ok(object) => Ok(object.metadata.uid),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let named = status.details.as_ref().is_some_and(|details| details.name == name);
            if named && status.reason == "NotFound" {
                Ok(None)
            } else {
                Err(Failure::Unavailable(format!("there is no kind {} in this cluster", K::kind(&()))))
            }
        }
        Err(error) => Err(error.into()),
    }
}
