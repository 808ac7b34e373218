//! Whether a volume is at rest: whether anything can be writing to it.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Failure;
use crate::pod::may_write;

/// Whether no pod that may still run has this claim, read live: AgentTier says Stopped while the pod is still being deleted.
pub(super) async fn is_at_rest(client: &Client, namespace: &str, claim: &str) -> Result<bool, Failure> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?;
    Ok(!pods.items.iter().any(|pod| may_write(pod, claim)))
}
