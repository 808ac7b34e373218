//! Whoever was switched to another volume is told of it, also where what was left behind is saved before that.

use std::sync::Arc;
use std::time::Duration;

use double::{NewSandbox, Options, Phase, WarmPool};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{NAMESPACE, Stage};
use testbed::{Exit, Point, STORAGE_CLASS, Then, Write};

use super::{FAST, at_least, mark, pods, running};
use crate::place::{
    ONCE, PATIENCE, TEAM, TEMPLATE, claims, eventually, pool_is_ready, stage, stage_with, user, with_pool,
    workspace,
};

const AFTER_SWITCH: &str = "backup.agenttier.io/after-switch";

fn is_snapshot(write: &Write) -> bool {
    write.method == "POST" && write.path.contains("/volumesnapshots")
}

/// How many Events tell that the sandbox has left a claim.
async fn told(stage: &Stage, sandbox: &str) -> anyhow::Result<usize> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), TEAM);
    let told = events.list(&ListParams::default().fields("reason=WorkspaceSwitched")).await?.items;
    Ok(told.iter().filter(|event| event.involved_object.name.as_deref() == Some(sandbox)).count())
}

/// What AgentTier does when it hands a sandbox another volume.
async fn switch(stage: &Stage, sandbox: &str, claim: &str) {
    let status = json!({ "pvcName": claim, "lastActivityTimestamp": Timestamp::now().to_string() });
    user(stage).set_status(sandbox, status).await.unwrap();
}

/// Waits until the claim that a sandbox has left is saved.
async fn saved(stage: &Stage, claim: &str) {
    let points = at_least(stage, claim, 2).await;
    assert!(mark(&points[1], AFTER_SWITCH).is_some() && mark(&points[0], AFTER_SWITCH).is_none());
}

/// One sandbox is started anew, and the controller is killed for another, when the API server has just taken the
/// snapshot of what they left behind.
#[tokio::test]
async fn a_switch_that_is_saved_before_it_is_told_of_is_told_of_all_the_same() {
    let mut stage = stage("told").await;
    for sandbox in ["s1", "s2"] {
        running(&stage, sandbox).await;
        workspace(&stage, &format!("{sandbox}-other"), STORAGE_CLASS).await;
    }
    // The sandboxes' status is the test's from here on.
    stage.stop_agenttier().await;
    let stage = Arc::new(stage);
    // In a slot of ten years one point is enough, but for what this is about.
    stage.policy(ONCE).await.unwrap();
    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    let controller = stage.start_controller_as(&kubeconfig, FAST).await.unwrap();
    for claim in ["s1-workspace", "s1-other", "s2-workspace", "s2-other"] {
        at_least(&stage, claim, 1).await;
    }

    let mut held = proxy.hold(Point::after(1).of(is_snapshot));
    switch(&stage, "s1", "s1-other").await;
    tokio::time::timeout(PATIENCE, held.reached()).await.unwrap().unwrap();
    user(&stage).set_status("s1", json!({ "phase": "Creating" })).await.unwrap();
    held.release();
    saved(&stage, "s1-workspace").await;
    // Another volume's point proves that passes were made since.
    workspace(&stage, "late", STORAGE_CLASS).await;
    at_least(&stage, "late", 1).await;
    assert_eq!(told(&stage, "s1").await.unwrap(), 0, "a sandbox that is being started proves nothing");
    user(&stage).set_status("s1", json!({ "phase": "Running" })).await.unwrap();
    eventually("s1 is told of what it left", || async { Ok((told(&stage, "s1").await? == 1).then_some(())) })
        .await;

    let killer = stage.clone();
    let mut cut = proxy.call(Point::after(1).of(is_snapshot), |_| async move {
        killer.cluster.kill("controller").await.unwrap();
        Then::Pass
    });
    switch(&stage, "s2", "s2-other").await;
    tokio::time::timeout(PATIENCE, cut.reached()).await.unwrap().unwrap();
    assert_eq!(controller.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
    saved(&stage, "s2-workspace").await;
    assert_eq!(told(&stage, "s2").await.unwrap(), 0, "nobody was there to tell it");
    stage.start_controller_as(&kubeconfig, FAST).await.unwrap();
    eventually("s2 is told of what it left", || async { Ok((told(&stage, "s2").await? == 1).then_some(())) })
        .await;
    assert_eq!(told(&stage, "s1").await.unwrap(), 1, "s1 was told before the restart");
}

/// AgentTier gives a pool's volume labels and an owner after it has given away the pod; where that fails it goes on, and
/// the volume looks like one of the pool for ever.
#[tokio::test]
async fn a_volume_that_was_not_handed_over_is_told_of_and_saved_when_it_is_left() {
    let agenttier = with_pool(1);
    let pool = agenttier.warm_pool.map(|pool| WarmPool { keeps_volumes: true, ..pool });
    let restart_backoff = Duration::from_millis(100);
    let stage = stage_with("not-handed", Options { warm_pool: pool, restart_backoff, ..agenttier }).await;
    stage.policy(ONCE).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    pool_is_ready(&stage, 1).await;
    let user = user(&stage);
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    let runs = user.wait_phase("s1", Phase::Running).await.unwrap();
    let left = runs.data["status"]["pvcName"].as_str().unwrap().to_owned();
    let claim = claims(&stage).get(&left).await.unwrap();
    assert!(claim.labels().contains_key("agenttier.io/pooled") && claim.owner_references().is_empty());
    at_least(&stage, &left, 1).await;

    let pod = runs.data["status"]["podName"].as_str().unwrap();
    pods(&stage).delete(pod, &DeleteParams::default()).await.unwrap();
    user.wait_status("s1", "another volume", |status| {
        status["phase"] == "Running" && status["pvcName"].as_str() != Some(&left)
    })
    .await
    .unwrap();
    eventually("s1 is told of what it left", || async { Ok((told(&stage, "s1").await? == 1).then_some(())) })
        .await;
    saved(&stage, &left).await;
    user.delete("s1").await.unwrap();
    user.wait_gone("s1").await.unwrap();
    assert_eq!(at_least(&stage, &left, 2).await.len(), 2, "all of it stays");
}
