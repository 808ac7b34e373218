//! What a restore waits for, by name: for whoever wonders why it does not go on.

use agenttier_backup_plan::restore::Step;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use super::look::{Found, Pods};
use crate::agenttier::Sandbox;
use crate::claim::phase;
use crate::pod;

/// The object that has to move before the restore can, and how it is, as last read.
pub(super) fn waited_for(step: &Step, found: &Found) -> Option<String> {
    match step {
        Step::AwaitBound => found.claim.as_ref().map(claim),
        Step::AwaitRunning | Step::AwaitStopped => {
            let said: Vec<_> = found.sandbox.iter().map(sandbox).chain(pods(&found.pods)).collect();
            (!said.is_empty()).then(|| said.join("; "))
        }
        _ => None,
    }
}

fn claim(claim: &PersistentVolumeClaim) -> String {
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let class = class.map(|class| format!(" of class {class}")).unwrap_or_default();
    let phase = phase(claim).unwrap_or("new");
    format!("volume claim {}{class} is {phase}", claim.name_any())
}

fn sandbox(sandbox: &Sandbox) -> String {
    let phase = match sandbox.phase() {
        "" => "has no phase yet".to_owned(),
        phase => format!("is {phase}"),
    };
    let message = sandbox.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default();
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("sandbox {} {phase}{message}", sandbox.name_any())
}

fn pods(pods: &Pods) -> impl Iterator<Item = String> {
    let another = pods
        .named
        .as_ref()
        .filter(|named| pods.own.as_ref().map(ResourceExt::name_any) != Some(named.name_any()));
    pods.own.iter().chain(another).map(pod)
}

fn pod(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let node = node.map_or_else(|| " on no node yet".to_owned(), |node| format!(" on node {node}"));
    let is = match (&pod.metadata.deletion_timestamp, pod::phase(pod)) {
        // Its grace period is in it.
        (Some(by), _) => format!("is being deleted, and was to be gone by {}", by.0),
        (None, "") => "has no phase yet".to_owned(),
        (None, phase) => format!("is {phase}"),
    };
    format!("pod {}{node} {is}", pod.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).expect("an object")
    }

    fn a_pod(deleted: Option<&str>, node: Option<&str>) -> Pod {
        read(json!({
            "metadata": { "name": "s1-pod", "deletionTimestamp": deleted },
            "spec": { "containers": [], "nodeName": node },
            "status": { "phase": "Pending" },
        }))
    }

    fn with_own(own: Pod) -> Found {
        Found { pods: Pods { own: Some(own), named: None }, ..Found::default() }
    }

    #[test]
    fn a_pod_on_a_dead_node_is_named_with_its_node() {
        let found = with_own(a_pod(Some("2026-01-01T00:00:30Z"), Some("worker-3")));
        let said = "pod s1-pod on node worker-3 is being deleted, and was to be gone by 2026-01-01T00:00:30Z";
        assert_eq!(waited_for(&Step::AwaitStopped, &found).as_deref(), Some(said));
        assert_eq!(waited_for(&Step::AwaitStopped, &Found::default()), None);
    }

    #[test]
    fn a_sandbox_is_named_with_its_message_and_its_pod() {
        let sandbox = |status: Value| {
            read(json!({
                "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
                "metadata": { "name": "s1" }, "spec": {}, "status": status,
            }))
        };
        let creating = sandbox(json!({ "phase": "Creating", "message": "waiting for the pod" }));
        let found = Found { sandbox: Some(creating), ..with_own(a_pod(None, None)) };
        let said = "sandbox s1 is Creating: waiting for the pod; pod s1-pod on no node yet is Pending";
        assert_eq!(waited_for(&Step::AwaitRunning, &found).as_deref(), Some(said));
        let found = Found { sandbox: Some(sandbox(json!({}))), ..Found::default() };
        assert_eq!(waited_for(&Step::AwaitRunning, &found).as_deref(), Some("sandbox s1 has no phase yet"));
    }

    #[test]
    fn a_volume_is_named_with_its_class_and_what_is_done_by_us_waits_for_nobody() {
        let claim = read(json!({
            "metadata": { "name": "s1-workspace" }, "spec": { "storageClassName": "fast" },
            "status": { "phase": "Pending" },
        }));
        let found = Found { claim: Some(claim), ..Found::default() };
        let said = "volume claim s1-workspace of class fast is Pending";
        assert_eq!(waited_for(&Step::AwaitBound, &found).as_deref(), Some(said));
        assert_eq!(waited_for(&Step::CreateSandbox, &found), None);
    }
}
