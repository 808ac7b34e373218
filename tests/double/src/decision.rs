//! The state machine: one Sandbox and what is around it in, the next step out.

use jiff::{SignedDuration, Timestamp};

use crate::{
    pod_state::PodState,
    sandbox::{Sandbox, limit},
};

/// After so many restarts in a row a Sandbox stays in Error.
const MAX_RESTARTS: u32 = 5;
/// A pod that was up for so long proves that the restarts are over.
const STABLE_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// How often AgentTier looks at a Sandbox that nothing happens to.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// In the message of an Error that heals itself, and only there: AgentTier finds it by these words.
const WILL_RESTART: &str = "before restart attempt";

/// What a Sandbox finds around it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) template: TemplateOutcome,
    /// In Creating the pod `<name>-pod`, in Running the one that status names.
    pub(crate) pod: Option<PodState>,
    pub(crate) pool: Pool,
    /// The first wait before a lost pod is built anew; it doubles with each restart.
    pub(crate) restart_backoff: SignedDuration,
}

/// What became of `spec.templateRef`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplateOutcome {
    NotAsked,
    Resolved(String),
    Unresolvable(String),
}

/// The warm pool as one Sandbox sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// There is none, or it serves another namespace.
    Elsewhere,
    Here,
    /// A claim came to nothing in this very pass.
    Tried,
}

/// What the controller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    AddFinalizer,
    /// "" → Creating, then decide again.
    Begin,
    /// Take a ready pool pod of this template and run on it; if there is none, decide again.
    Claim(String),
    /// Ensure claim and network policy, then see to the pod.
    ColdStart(ColdStart),
    Stop {
        reason: String,
        annotated: bool,
    },
    /// The pod is lost: Error for a while, podName forgotten.
    Heal {
        restart_count: u32,
        message: String,
    },
    /// Error → Creating.
    Restart,
    ForgetRestarts,
    /// An Error that nothing but a person ends.
    Fail {
        restart_count: u32,
        message: String,
    },
    CleanUp,
    /// Wait for a change, at most so long.
    Rest(Option<SignedDuration>),
}

/// The pod's part of a cold start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColdStart {
    CreatePod,
    AwaitPod,
    Run,
    Fail(String),
}

pub(crate) fn decide(sandbox: &Sandbox, world: &World, now: Timestamp) -> Step {
    if sandbox.is_deleting() {
        return if sandbox.has_finalizer() { Step::CleanUp } else { Step::Rest(None) };
    }
    if !sandbox.has_finalizer() {
        return Step::AddFinalizer;
    }
    match sandbox.status.phase.as_str() {
        "" => Step::Begin,
        "Creating" => creating(sandbox, world),
        "Running" => running(sandbox, world, now),
        "Error" => error(sandbox, world, now),
        // Stopped: only a person goes on from here.
        _ => Step::Rest(None),
    }
}

fn creating(sandbox: &Sandbox, world: &World) -> Step {
    match &world.template {
        TemplateOutcome::Unresolvable(why) => fail(sandbox, format!("Template resolution failed: {why}")),
        // The trap: pvcName, storage and cloneFromSnapshot are not asked.
        TemplateOutcome::Resolved(name) if sandbox.status.pod_name.is_empty() && world.pool == Pool::Here => {
            Step::Claim(name.clone())
        }
        TemplateOutcome::Resolved(_) | TemplateOutcome::NotAsked => Step::ColdStart(match &world.pod {
            None => ColdStart::CreatePod,
            Some(PodState::Ready) => ColdStart::Run,
            Some(PodState::Failed { reason, .. }) => ColdStart::Fail(format!("Pod failed: {reason}")),
            Some(PodState::Starting | PodState::Succeeded) => ColdStart::AwaitPod,
        }),
    }
}

fn running(sandbox: &Sandbox, world: &World, now: Timestamp) -> Step {
    let status = &sandbox.status;
    if status.pod_name.is_empty() {
        return fail(sandbox, "Pod name not set in Running state".into());
    }
    if sandbox.wants_stop() {
        return Step::Stop { reason: "User requested stop".into(), annotated: true };
    }
    match &world.pod {
        None => return heal(sandbox, world, "Pod disappeared unexpectedly"),
        Some(PodState::Failed { reason, infrastructure: true }) => return heal(sandbox, world, reason),
        Some(PodState::Failed { reason, infrastructure: false }) => {
            return fail(sandbox, format!("Pod failed: {reason}"));
        }
        Some(PodState::Succeeded) => return stop("Sandbox process completed (pod exited 0)"),
        Some(PodState::Starting | PodState::Ready) => {}
    }
    let uptime = status.started_at.map(|start| now.duration_since(start));
    let ready = world.pod == Some(PodState::Ready);
    if status.restart_count > 0 && ready && uptime.is_some_and(|uptime| uptime >= STABLE_AFTER) {
        return Step::ForgetRestarts;
    }
    let idle = status.last_activity_timestamp.map(|last| now.duration_since(last));
    let limits = [
        (limit(sandbox.spec.idle_timeout.as_deref()), idle, "Idle timeout exceeded"),
        (limit(sandbox.spec.timeout.as_deref()), uptime, "Max runtime exceeded"),
    ];
    let mut wake = LOOK_AGAIN;
    for (limit, elapsed, reason) in limits {
        let (Some(limit), Some(elapsed)) = (limit, elapsed) else { continue };
        if elapsed >= limit {
            return stop(reason);
        }
        wake = wake.min(limit - elapsed);
    }
    Step::Rest(Some(wake))
}

fn error(sandbox: &Sandbox, world: &World, now: Timestamp) -> Step {
    let status = &sandbox.status;
    if status.restart_count >= MAX_RESTARTS {
        return Step::Rest(None);
    }
    if !status.message.contains(WILL_RESTART) {
        return Step::Rest(Some(LOOK_AGAIN));
    }
    // Counted from the start of the lost pod, not from its loss: one that ran for long is built anew at once.
    let wait = backoff(world.restart_backoff, status.restart_count);
    match status.started_at.map(|start| now.duration_since(start)) {
        Some(elapsed) if elapsed < wait => Step::Rest(Some(wait - elapsed)),
        _ => Step::Restart,
    }
}

fn heal(sandbox: &Sandbox, world: &World, reason: &str) -> Step {
    let restart_count = sandbox.status.restart_count + 1;
    if restart_count >= MAX_RESTARTS {
        let message = format!("Restart limit exceeded ({MAX_RESTARTS} attempts): {reason}");
        return Step::Fail { restart_count, message };
    }
    let wait = backoff(world.restart_backoff, restart_count);
    let message =
        format!("Pod failed ({reason}), waiting {wait:#} {WILL_RESTART} {restart_count}/{MAX_RESTARTS}");
    Step::Heal { restart_count, message }
}

/// Twice as long each time, sixteen times the first at most.
fn backoff(first: SignedDuration, restarts: u32) -> SignedDuration {
    first * (1 << restarts.min(4))
}

fn stop(reason: &str) -> Step {
    Step::Stop { reason: reason.into(), annotated: false }
}

fn fail(sandbox: &Sandbox, message: String) -> Step {
    Step::Fail { restart_count: sandbox.status.restart_count, message }
}

#[cfg(test)]
mod tests {
    use kube::api::{DynamicObject, ObjectMeta};
    use serde_json::{Value, json};

    use super::*;
    use crate::sandbox::{ACTION, FINALIZER};

    fn sandbox(metadata: &Value, data: Value) -> Sandbox {
        let metadata: ObjectMeta = serde_json::from_value(metadata.clone()).expect("metadata");
        Sandbox::read(DynamicObject { types: None, metadata, data }).expect("a sandbox")
    }

    fn held(data: Value) -> Sandbox {
        sandbox(&json!({"name": "s1", "finalizers": [FINALIZER]}), data)
    }

    fn world() -> World {
        World {
            template: TemplateOutcome::Resolved("general".into()),
            pod: None,
            pool: Pool::Here,
            restart_backoff: SignedDuration::from_secs(10),
        }
    }

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn the_finalizer_comes_first_and_cleanup_last() {
        let fresh = sandbox(&json!({"name": "s1"}), json!({}));
        assert_eq!(decide(&fresh, &world(), now()), Step::AddFinalizer);
        assert_eq!(decide(&held(json!({})), &world(), now()), Step::Begin);
        let going =
            json!({"name": "s1", "finalizers": [FINALIZER], "deletionTimestamp": "2026-06-01T11:00:00Z"});
        assert_eq!(decide(&sandbox(&going, json!({})), &world(), now()), Step::CleanUp);
    }

    #[test]
    fn an_empty_pod_name_lets_the_pool_win_over_a_restored_volume() {
        let spec = json!({"templateRef": {"name": "general"}, "cloneFromSnapshot": "snap"});
        let open = held(json!({"spec": spec, "status": {"phase": "Creating", "pvcName": "s1-workspace"}}));
        assert_eq!(decide(&open, &world(), now()), Step::Claim("general".into()));
        let guarded = held(json!({"spec": spec, "status": {"phase": "Creating", "podName": "s1-pod"}}));
        assert_eq!(decide(&guarded, &world(), now()), Step::ColdStart(ColdStart::CreatePod));
    }

    #[test]
    fn the_pool_needs_a_template_and_its_namespace() {
        let creating = held(json!({"status": {"phase": "Creating"}}));
        for world in [
            World { template: TemplateOutcome::NotAsked, ..world() },
            World { pool: Pool::Elsewhere, ..world() },
            World { pool: Pool::Tried, ..world() },
        ] {
            assert_eq!(decide(&creating, &world, now()), Step::ColdStart(ColdStart::CreatePod));
        }
    }

    #[test]
    fn an_unresolvable_template_is_the_end() {
        let creating = held(json!({"status": {"phase": "Creating"}}));
        let lost = World { template: TemplateOutcome::Unresolvable("gone".into()), ..world() };
        let Step::Fail { message, .. } = decide(&creating, &lost, now()) else { panic!("a failure") };
        assert_eq!(message, "Template resolution failed: gone");
        let failed = held(json!({"status": {"phase": "Error", "message": message}}));
        assert_eq!(decide(&failed, &world(), now()), Step::Rest(Some(LOOK_AGAIN)));
    }

    #[test]
    fn stop_is_heard_in_running_only() {
        let asked = json!({"name": "s1", "finalizers": [FINALIZER], "annotations": {ACTION: "stop"}});
        let phase = |phase: &str| sandbox(&asked, json!({"status": {"phase": phase, "podName": "s1-pod"}}));
        let ready = World { pod: Some(PodState::Ready), ..world() };
        let stopping = decide(&phase("Running"), &ready, now());
        assert_eq!(stopping, Step::Stop { reason: "User requested stop".into(), annotated: true });
        assert_eq!(decide(&phase("Stopped"), &ready, now()), Step::Rest(None));
        assert_eq!(decide(&phase("Creating"), &ready, now()), Step::ColdStart(ColdStart::Run));
    }

    #[test]
    fn a_pod_on_a_dead_node_changes_nothing() {
        let running = held(json!({"status": {"phase": "Running", "podName": "s1-pod"}}));
        let not_ready = World { pod: Some(PodState::Starting), ..world() };
        assert_eq!(decide(&running, &not_ready, now()), Step::Rest(Some(LOOK_AGAIN)));
    }

    #[test]
    fn a_lost_pod_goes_through_error_to_creating_and_not_forever() {
        let status =
            |restarts: u32| json!({"phase": "Running", "podName": "s1-pod", "restartCount": restarts});
        let Step::Heal { restart_count: 1, message } =
            decide(&held(json!({"status": status(0)})), &world(), now())
        else {
            panic!("a self-heal")
        };
        let waiting = |started: &str| {
            let status =
                json!({"phase": "Error", "restartCount": 1, "message": message, "startedAt": started});
            decide(&held(json!({"status": status})), &world(), now())
        };
        assert_eq!(waiting("2026-06-01T11:59:50Z"), Step::Rest(Some(SignedDuration::from_secs(10))));
        assert_eq!(waiting("2026-06-01T11:59:40Z"), Step::Restart);
        let last = decide(&held(json!({"status": status(4)})), &world(), now());
        assert!(matches!(last, Step::Fail { restart_count: 5, .. }), "{last:?}");
    }

    #[test]
    fn a_stable_pod_wins_its_restarts_back() {
        let status = json!({"phase": "Running", "podName": "s1-pod", "restartCount": 3,
            "startedAt": "2026-06-01T11:55:00Z"});
        let ready = World { pod: Some(PodState::Ready), ..world() };
        assert_eq!(decide(&held(json!({"status": status})), &ready, now()), Step::ForgetRestarts);
    }

    #[test]
    fn limits_stop_and_wake() {
        let status = json!({"phase": "Running", "podName": "s1-pod", "startedAt": "2026-06-01T11:00:00Z",
            "lastActivityTimestamp": "2026-06-01T11:59:00Z"});
        let ready = World { pod: Some(PodState::Ready), ..world() };
        let with = |spec: Value| decide(&held(json!({"spec": spec, "status": status})), &ready, now());
        assert_eq!(with(json!({"idleTimeout": "1m"})), stop("Idle timeout exceeded"));
        assert_eq!(with(json!({"timeout": "1h"})), stop("Max runtime exceeded"));
        assert_eq!(with(json!({"idleTimeout": "1m10s"})), Step::Rest(Some(SignedDuration::from_secs(10))));
    }
}
