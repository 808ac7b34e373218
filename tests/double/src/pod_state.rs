//! What a pod tells its Sandbox.

use k8s_openapi::api::core::v1::{ContainerState, Pod, PodStatus};

/// AgentTier's view of a pod. A deletionTimestamp is not part of it: a pod that is going still counts as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PodState {
    /// Neither Ready nor finished.
    Starting,
    Ready,
    Succeeded,
    /// `infrastructure`: worth a restart, unlike a process that exited with an error of its own.
    Failed {
        reason: String,
        infrastructure: bool,
    },
}

impl PodState {
    pub(crate) fn of(pod: &Pod) -> Self {
        let Some(status) = &pod.status else { return PodState::Starting };
        match status.phase.as_deref() {
            Some("Running") if is_ready(status) => PodState::Ready,
            Some("Succeeded") => PodState::Succeeded,
            Some("Failed") => {
                PodState::Failed { reason: failure_reason(status), infrastructure: is_infrastructure(status) }
            }
            _ => PodState::Starting,
        }
    }
}

fn is_ready(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn container_states(status: &PodStatus) -> impl Iterator<Item = &ContainerState> {
    status.container_statuses.iter().flatten().filter_map(|container| container.state.as_ref())
}

fn failure_reason(status: &PodStatus) -> String {
    let ended = container_states(status).find_map(|state| state.terminated.as_ref());
    match (ended, &status.reason) {
        (Some(ended), _) => format!(
            "{}: {}",
            ended.reason.as_deref().unwrap_or_default(),
            ended.message.as_deref().unwrap_or_default()
        ),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "Unknown failure".into(),
    }
}

/// Only a container that ended by itself speaks against a restart; whatever is unknown gets one.
fn is_infrastructure(status: &PodStatus) -> bool {
    let reasons = container_states(status).filter_map(|state| state.terminated.as_ref()?.reason.as_deref());
    for reason in reasons {
        match reason {
            "OOMKilled" | "Evicted" => return true,
            "Completed" | "Error" => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(status: &Value) -> PodState {
        PodState::of(&serde_json::from_value(json!({"metadata": {}, "status": status})).expect("a pod"))
    }

    #[test]
    fn ready_needs_the_phase_and_the_condition() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let lost = json!([{"type": "Ready", "status": "False"}]);
        assert_eq!(state(&json!({"phase": "Running", "conditions": ready})), PodState::Ready);
        assert_eq!(state(&json!({"phase": "Running", "conditions": lost})), PodState::Starting);
        assert_eq!(state(&json!({"phase": "Pending"})), PodState::Starting);
    }

    #[test]
    fn a_process_that_failed_is_no_infrastructure_failure() {
        let ended = |reason: &str| {
            let container = json!({"name": "sandbox", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"reason": reason, "exitCode": 1}}});
            match state(&json!({"phase": "Failed", "containerStatuses": [container]})) {
                PodState::Failed { infrastructure, .. } => infrastructure,
                other => panic!("{other:?}"),
            }
        };
        assert!(!ended("Error"));
        assert!(ended("OOMKilled"));
        let evicted = state(&json!({"phase": "Failed", "reason": "Evicted"}));
        assert_eq!(evicted, PodState::Failed { reason: "Evicted".into(), infrastructure: true });
    }
}
