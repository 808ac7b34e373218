//! What a volume claim says of itself.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

/// `status.phase`: `Pending`, `Bound` or `Lost`; nothing before Kubernetes' first word.
pub(crate) fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref().and_then(|status| status.phase.as_deref())
}
