//! Whether a volume is at rest: whether anything can be writing to it.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Failure;

/// Whether no pod that may still run has this claim, read live.
///
/// AgentTier says Stopped while the pod is still being deleted, and a pod on a node that is cut off may write for long:
/// as long as there is an object of it, it counts.
pub(super) async fn is_at_rest(client: &Client, namespace: &str, claim: &str) -> Result<bool, Failure> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?;
    Ok(!pods.items.iter().any(|pod| may_write(pod, claim)))
}

fn may_write(pod: &Pod, claim: &str) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let has_ended = matches!(phase, Some("Succeeded" | "Failed"));
    !has_ended && claims.any(|source| source.claim_name == claim)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(claim: &str, phase: &str, terminating: bool) -> Pod {
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
