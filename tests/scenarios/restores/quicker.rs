//! Restores whose sandbox AgentTier starts before it has its status.

use std::path::PathBuf;

use agenttier_backup::agenttier::pod_name;
use anyhow::Context as _;
use double::Phase;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use stage::Stage;
use testbed::{Exit, Point, Process, Proxy, Write};

use super::interruptions::{is_real, through_a_proxy};
use super::{runs_on, until_it_says, with_a_point};
use crate::place::{PATIENCE, TEAM, eventually, stage, user};

/// A restore of `s1` as `target` that was held up between the Sandbox and its status until AgentTier had it running.
async fn overtaken(stage: &Stage, through: &(Proxy, PathBuf), target: &'static str, start: &str) -> Process {
    let is_park = move |write: &Write| {
        is_real(write)
            && write.method == "PATCH"
            && write.path.contains(&format!("/sandboxes/{target}/status?"))
    };
    let mut held = through.0.hold(Point::before(1).of(is_park));
    let args = ["restore", "s1", "-n", TEAM, "--as", target, "--start", start];
    let process = stage.begin(&args, &through.1).await.unwrap();
    tokio::time::timeout(PATIENCE, held.reached()).await.unwrap().unwrap();
    user(stage).wait_phase(target, Phase::Running).await.unwrap();
    set_finalizers(stage, target, &json!(["test.example/hold"])).await;
    held.release();
    process
}

/// The pod cannot go while it has one, as on a node that is cut off.
async fn set_finalizers(stage: &Stage, sandbox: &str, finalizers: &Value) {
    let patch = json!({ "metadata": { "finalizers": finalizers } });
    let patched = pods(stage).patch(&pod_name(sandbox), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.unwrap();
}

fn pods(stage: &Stage) -> Api<Pod> {
    Api::namespaced(stage.client.clone(), TEAM)
}

/// What AgentTier has said stays: a status over it would call a sandbox stopped whose pod writes to the volume.
#[tokio::test]
async fn one_that_is_to_stay_stopped_is_stopped_in_order_and_its_pod_awaited() {
    let mut stage = stage("overtaken-restores").await;
    let before = with_a_point(&stage).await;
    let configured = json!({ "installCommandHash": "6d2f", "installExitCode": 0 });
    user(&stage).set_status("s1", json!({ "agentConfigure": configured })).await.unwrap();
    let through = through_a_proxy(&stage).await;

    let process = overtaken(&stage, &through, "still", "stopped").await;
    user(&stage).wait_phase("still", Phase::Stopped).await.unwrap();
    until_it_says(&process, "waiting for it to stop, and for its pod to be gone").await;
    let user = user(&stage);
    let parked = user.wait_status("still", "its own pod's name", |status| status["podName"] == "still-pod");
    assert_eq!(parked.await.unwrap().data["status"]["agentConfigure"], configured);
    eventually("it names the pod, its node, and when it was to be gone", || async {
        let going = pods(&stage).get("still-pod").await?;
        let by = going.metadata.deletion_timestamp.context("it is being deleted")?.0;
        let node = going.spec.and_then(|spec| spec.node_name).context("it ran on a node")?;
        let in_the_way = format!("pod still-pod on node {node} is being deleted, and was to be gone by {by}");
        Ok(process.log()?.contains(&in_the_way).then_some(()))
    })
    .await;
    assert_eq!(process.exit(), None, "{}", process.log().unwrap());
    set_finalizers(&stage, "still", &json!(null)).await;
    let (exit, told) = (process.wait().await.unwrap(), process.log().unwrap());
    assert_eq!(exit, Exit::Code(0), "{told}");
    assert!(told.contains("it runs, and is to stay stopped: stopping it"), "{told}");
    assert!(!told.contains("starting the sandbox"), "it was called stopped while it ran: {told}");
    assert!(told.contains("sandbox team-a/still is Stopped on volume still-workspace"), "{told}");
    assert!(pods(&stage).get_opt("still-pod").await.unwrap().is_none());
    user.resume("still").await.unwrap();
    runs_on(&stage, "still", &before).await;

    // One that is to run goes on running, and gets what it missed.
    let process = overtaken(&stage, &through, "quick", "running").await;
    let (exit, told) = (process.wait().await.unwrap(), process.log().unwrap());
    assert_eq!(exit, Exit::Code(0), "{told}");
    assert!(!told.contains("stopping it"), "{told}");
    runs_on(&stage, "quick", &before).await;
    let quick = user.sandboxes().get("quick").await.unwrap();
    assert_eq!(quick.data["status"]["agentConfigure"], configured);
    set_finalizers(&stage, "quick", &json!(null)).await;

    // Ordinarily the status comes first, and there is nothing to put right.
    stage.stop_agenttier().await;
    let args = ["restore", "s1", "-n", TEAM, "--as", "calm", "--start", "stopped"];
    let told = stage.run(&args).await.unwrap().good().unwrap();
    assert!(told.contains("sandbox team-a/calm is Stopped on volume calm-workspace"), "{told}");
    assert!(!told.contains("putting the sandbox on its volume"), "{told}");
    let calm = user.sandboxes().get("calm").await.unwrap();
    assert_eq!(calm.data["status"]["agentConfigure"], configured);
}
