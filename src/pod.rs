//! What a pod means for the volumes that it mounts.

use k8s_openapi::api::core::v1::Pod;

/// The names of the claims that it mounts.
pub(crate) fn claims(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// `status.phase`; empty where there is none.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether it may write to the claim's volume. One on a node that is cut off may for long, deleted or not: as long as there
/// is an object of it whose containers are not known to have ended, it counts.
pub(crate) fn may_write(pod: &Pod, claim: &str) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && claims(pod).any(|mounted| mounted == claim)
}

/// Whether it is being deleted. A kubelet may call it Failed or Succeeded by then, some time before it is gone.
/// Source: Kubernetes 1.27 and newer, "Pod Lifecycle".
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn pod(claim: &str, phase: &str, terminating: bool) -> Pod {
        let pod = json!({
            "metadata": { "deletionTimestamp": terminating.then_some("2026-01-01T00:00:00Z") },
            "spec": {
                "containers": [],
                "volumes": [
                    { "name": "tmp", "emptyDir": {} },
                    { "name": "work", "persistentVolumeClaim": { "claimName": claim } },
                ],
            },
            "status": { "phase": phase },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn a_pod_counts_until_its_containers_have_ended() {
        for phase in ["Pending", "Running", "Unknown", ""] {
            assert!(may_write(&pod("s1-workspace", phase, false), "s1-workspace"), "{phase}");
            assert!(may_write(&pod("s1-workspace", phase, true), "s1-workspace"), "{phase}, being deleted");
            assert!(!may_write(&pod("s2-workspace", phase, false), "s1-workspace"), "another's");
        }
        for phase in ["Succeeded", "Failed"] {
            assert!(!may_write(&pod("s1-workspace", phase, false), "s1-workspace"), "{phase}");
        }
    }
}
