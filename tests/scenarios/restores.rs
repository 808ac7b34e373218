//! Restores: stopped, late, and, each in a file of its own, interrupted, of unclear origin, refused, with few rights.

mod interruptions;
mod limits;
mod moments;
mod origins;
mod quicker;
mod refusals;
pub(crate) mod rights;

use agenttier_backup::csi::VolumeSnapshot;
use agenttier_backup_plan::marks;
use double::{NewSandbox, Phase};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use stage::{Rhythm, Stage};
use testbed::{Process, Tree, WAITING_STORAGE_CLASS};

use crate::place::{ONCE, PATIENCE, TEAM, TEMPLATE, claims, eventually, stage_with, user, with_pool};

/// A running sandbox `s1` with a file and a recovery point of it.
async fn with_a_point(stage: &Stage) -> Tree {
    with_a_point_of(stage, NewSandbox::named("s1").cluster_template(TEMPLATE)).await
}

async fn with_a_point_of(stage: &Stage, s1: NewSandbox) -> Tree {
    user(stage).create(s1).await.unwrap();
    let before = at_work(stage, "s1").await;
    protect(stage).await;
    point_of(stage, "s1").await;
    before
}

/// Waits for a sandbox to run and writes a file; what its volume then holds.
async fn at_work(stage: &Stage, sandbox: &str) -> Tree {
    user(stage).wait_phase(sandbox, Phase::Running).await.unwrap();
    let volume = stage.cluster.volume(TEAM, &claim_of(stage, sandbox).await).await.unwrap();
    volume.write("work.txt", format!("three days of {sandbox}")).unwrap();
    volume.tree().unwrap()
}

/// Starts a controller that takes one recovery point of each volume.
async fn protect(stage: &Stage) {
    stage.policy(ONCE).await.unwrap();
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
}

/// Waits for a ready recovery point of the volume that a sandbox uses; its name.
async fn point_of(stage: &Stage, sandbox: &str) -> String {
    let claim = claim_of(stage, sandbox).await;
    eventually("a recovery point", || async {
        Ok(stage.points(TEAM).await?.ours().of(&claim).ready().names().pop_first())
    })
    .await
}

/// The claim that a sandbox uses.
async fn claim_of(stage: &Stage, sandbox: &str) -> String {
    let sandbox = user(stage).sandboxes().get(sandbox).await.unwrap();
    sandbox.data["status"]["pvcName"].as_str().unwrap().to_owned()
}

/// Checks that a sandbox runs on its own claim, and that this holds exactly that.
async fn runs_on(stage: &Stage, sandbox: &str, files: &Tree) {
    let running = user(stage).wait_phase(sandbox, Phase::Running).await.unwrap();
    let claim = format!("{sandbox}-workspace");
    assert_eq!(running.data["status"]["pvcName"], claim.as_str());
    let tree = stage.cluster.volume(TEAM, &claim).await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(files, &tree), Vec::<String>::new());
}

/// Waits until a restore that goes on has said something.
async fn until_it_says(process: &Process, words: &str) {
    eventually(&format!("the restore says {words:?}"), || async {
        let log = process.log()?;
        let says = log.contains(words);
        assert!(says || process.exit().is_none(), "it has ended: {log}");
        Ok(says.then_some(()))
    })
    .await;
}

/// Checks that nothing of a sandbox exists.
async fn nothing_of(stage: &Stage, sandbox: &str) {
    assert!(user(stage).sandboxes().get_opt(sandbox).await.unwrap().is_none(), "no sandbox {sandbox}");
    let claim = claims(stage).get_opt(&format!("{sandbox}-workspace")).await.unwrap();
    assert!(claim.is_none(), "no claim for {sandbox}");
}

/// A restore that is to stay stopped boots nothing, and boots on its own data later, with a pool beside it.
#[tokio::test]
async fn a_stopped_restore_wakes_on_its_own_data() {
    let stage = stage_with("stopped-restores", with_pool(2)).await;
    let before = with_a_point(&stage).await;
    let user = user(&stage);
    let restored = stage
        .run(&["restore", "s1", "-n", TEAM, "--as", "later", "--start", "stopped", "-o", "json"])
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(restored["phase"], "Stopped");
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(stage.client.clone(), TEAM);
    assert!(pods.get_opt("later-pod").await.unwrap().is_none());

    user.resume("later").await.unwrap();
    let running = user.wait_phase("later", Phase::Running).await.unwrap();
    assert_eq!(running.data["status"]["pvcName"], "later-workspace");
    let tree = stage.cluster.volume(TEAM, "later-workspace").await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(&before, &tree), Vec::<String>::new());

    // Run again, the same command finds its work done and touches nothing.
    let args = ["restore", "s1", "-n", TEAM, "--as", "later", "-o", "json"];
    let again = tokio::time::timeout(PATIENCE, stage.run(&args)).await.unwrap();
    assert_eq!(again.unwrap().json().unwrap()["phase"], "Running");
}

/// A class that binds a volume only once a pod uses it: there is nothing to wait for before the sandbox starts.
#[tokio::test]
async fn a_volume_may_bind_on_first_use() {
    let mut stage = stage_with("late-binding", with_pool(2)).await;
    let s1 = NewSandbox::named("s1").template("none-warm").storage("1Gi", WAITING_STORAGE_CLASS);
    let user = user(&stage);
    user.create_template("none-warm", serde_json::json!({})).await.unwrap();
    let before = with_a_point_of(&stage, s1).await;
    let args = ["restore", "s1", "-n", TEAM, "--as", "late", "-o", "json"];
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!((&restored["phase"], &restored["filled"]), (&json!("Running"), &json!(true)));
    let claim = claims(&stage).get("late-workspace").await.unwrap();
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some(WAITING_STORAGE_CLASS));
    let tree = stage.cluster.volume(TEAM, "late-workspace").await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(&before, &tree), Vec::<String>::new());

    // Left stopped, nothing binds it, and the recovery point that it will be filled from is not pruned. Between a Sandbox and
    // its status AgentTier may be quicker, and a volume that it starts it on is bound for good: it rests meanwhile.
    stage.stop_agenttier().await;
    let args = ["restore", "s1", "-n", TEAM, "--as", "later", "--start", "stopped", "-o", "json"];
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!((&restored["phase"], &restored["filled"]), (&json!("Stopped"), &json!(false)));
    let claim = claims(&stage).get("later-workspace").await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
    stage.restart_agenttier(with_pool(2)).await;
    let point = restored["recoveryPoint"].as_str().unwrap().to_owned();
    stage.policy(Rhythm { interval: "10s", max_age: "10s", keep_last: 1 }).await.unwrap();
    // What was promised when they were taken would hold for another day.
    let snapshots = Api::<VolumeSnapshot>::namespaced(stage.client.clone(), TEAM);
    let released = json!({ "metadata": { "annotations": { marks::RETENTION: null } } });
    for name in stage.points(TEAM).await.unwrap().names() {
        let patched = snapshots.patch(&name, &PatchParams::default(), &Patch::Merge(&released)).await;
        // A young one may be pruned by now.
        assert!(patched.is_ok() || snapshots.get_opt(&name).await.unwrap().is_none(), "{patched:?}");
    }
    let controller = stage.controller().unwrap();
    eventually("younger points are pruned", || async {
        Ok((controller.log()?.matches("snapshot pruned").count() >= 2).then_some(()))
    })
    .await;
    assert!(
        stage.points(TEAM).await.unwrap().ready().names().contains(&point),
        "{point} is still to be read"
    );
    user.resume("later").await.unwrap();
    user.wait_phase("later", Phase::Running).await.unwrap();
    let tree = stage.cluster.volume(TEAM, "later-workspace").await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(&before, &tree), Vec::<String>::new());
    eventually("once it is read, it is pruned like any other", || async {
        Ok((!stage.points(TEAM).await?.names().contains(&point)).then_some(()))
    })
    .await;
}
