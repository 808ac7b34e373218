//! Restores that are killed, robbed, or whose recovery point goes away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttier_backup::csi::VolumeSnapshot;
use double::Phase;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams};
use stage::Stage;
use testbed::{Exit, Point, Process, Proxy, Then, Write};

use super::{claim_of, runs_on, with_a_point};
use crate::place::{PATIENCE, TEAM, claims, eventually, pool_is_ready, stage_with, user, with_pool};

/// A proxy, and a kubeconfig of somebody with all rights that leads through it.
pub(super) async fn through_a_proxy(stage: &Stage) -> (Proxy, PathBuf) {
    let proxy = stage.cluster.proxy().await.unwrap();
    grant_everything(stage).await;
    let token = stage.cluster.service_account_token("kube-system", "default").await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    (proxy, kubeconfig)
}

/// A write that is carried out, if it is let through.
pub(super) fn is_real(write: &Write) -> bool {
    !write.path.contains("dryRun")
}

/// The creation of an object of that kind.
pub(super) fn creates(plural: &'static str) -> impl Fn(&Write) -> bool {
    move |write| is_real(write) && write.method == "POST" && write.path.contains(&format!("/{plural}?"))
}

/// Runs a command and kills it at that point. False, with the command ended well, if it never came there.
pub(super) async fn killed_at(
    stage: &Stage,
    through: &(Proxy, PathBuf),
    args: &[&str],
    point: Point,
) -> bool {
    let (sender, receiver) = tokio::sync::oneshot::channel::<Process>();
    let mut cut = through.0.call(point, |_| async move {
        receiver.await.unwrap().kill().await.unwrap();
        Then::Cut
    });
    let process = stage.begin(args, &through.1).await.unwrap();
    sender.send(process.clone()).ok().unwrap();
    let killed = tokio::select! {
        // Where both are so, it is the point that ended the process.
        biased;
        reached = cut.reached() => { reached.unwrap(); true }
        exit = process.wait() => {
            assert_eq!(exit.unwrap(), Exit::Code(0), "{}", process.log().unwrap());
            false
        }
    };
    if killed {
        assert_eq!(process.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
    }
    killed
}

/// Killed before and after each of its writes and run again, a restore always ends with the sandbox on its own
/// data, a warm pool beside it or not.
#[tokio::test]
async fn a_restore_may_be_killed_at_every_write() {
    let stage = Arc::new(stage_with("killed-restores", with_pool(2)).await);
    let before = with_a_point(&stage).await;
    let through = through_a_proxy(&stage).await;

    let mut kills = 0;
    for write in 1..=8_u64 {
        for after in [false, true] {
            let target = format!("r{write}{}", if after { "a" } else { "b" });
            let args = ["restore", "s1", "-n", TEAM, "--as", &target, "-o", "json"];
            let point = if after { Point::after(write) } else { Point::before(write) };
            let killed = killed_at(&stage, &through, &args, point.of(is_real)).await;
            if killed {
                kills += 1;
                let restored = stage.run(&args).await.unwrap().json().unwrap();
                assert_eq!(restored["phase"], "Running");
            }
            runs_on(&stage, &target, &before).await;
            let claim = claims(&stage).get(&format!("{target}-workspace")).await.unwrap();
            let owners = claim.metadata.owner_references.unwrap_or_default();
            assert_eq!(owners.len(), 1, "owned by its sandbox alone");
            if !killed {
                assert!(kills >= 8, "a restore has at least four writes: {kills} kills");
                return;
            }
        }
    }
    panic!("a restore has more than eight writes");
}

/// Killed between the sandbox's creation and its status, it leaves AgentTier all the time to give the sandbox an
/// empty volume of the pool.
#[tokio::test]
async fn a_robbed_sandbox_is_stopped_and_put_back() {
    let stage = stage_with("robbed-restores", with_pool(2)).await;
    let before = with_a_point(&stage).await;
    let through = through_a_proxy(&stage).await;
    pool_is_ready(&stage, 1).await;

    let args = ["restore", "s1", "-n", TEAM, "--as", "robbed"];
    assert!(killed_at(&stage, &through, &args, Point::after(1).of(creates("sandboxes"))).await);
    let robbed = user(&stage)
        .wait_status("robbed", "an empty volume of the pool", |status| {
            let is_pools = status["pvcName"].as_str().is_some_and(|claim| claim.starts_with("pool-"));
            is_pools && status["phase"] == "Running"
        })
        .await
        .unwrap();
    let empty = robbed.data["status"]["pvcName"].as_str().unwrap().to_owned();

    // Somebody is quicker to stop it: a second word to stop would wait for it to run on its own volume.
    let store = stage.cluster.store("agenttier.io/sandboxes");
    let start = store.now().await.unwrap().revision;
    let is_stop = |write: &Write| write.method == "PATCH" && write.path.contains("/sandboxes/robbed?");
    let mut held = through.0.hold(Point::before(1).of(is_stop));
    let process = stage.begin(&args, &through.1).await.unwrap();
    tokio::time::timeout(PATIENCE, held.reached()).await.unwrap().unwrap();
    user(&stage).stop("robbed").await.unwrap();
    user(&stage).wait_phase("robbed", Phase::Stopped).await.unwrap();
    held.release();
    let exit = process.wait().await.unwrap();
    let told = process.log().unwrap();
    assert_eq!(exit, Exit::Code(0), "{told}");
    for change in store.since(start).await.unwrap() {
        let Some(robbed) = change.object.filter(|_| change.name == "team-a/robbed") else { continue };
        let told_to_stop = robbed["metadata"]["annotations"]["agenttier.io/action"].is_string();
        assert!(!told_to_stop || robbed["status"]["phase"] == "Running", "{robbed:#}");
    }
    assert!(told.contains("it came up on a warm-pool volume: stopping it to put it back"), "{told}");
    assert!(told.contains("sandbox team-a/robbed is Running on volume robbed-workspace"), "{told}");
    runs_on(&stage, "robbed", &before).await;
    let files = stage.cluster.volume(TEAM, &empty).await.unwrap().tree().unwrap();
    assert!(!files.contains_key(Path::new("work.txt")), "{files:?}");
}

/// Once its volume is there, a restore needs no recovery point any more: retention, or a person, may have taken it.
#[tokio::test]
async fn a_restore_goes_on_without_its_recovery_point() {
    let stage = stage_with("pointless-restores", with_pool(1)).await;
    let before = with_a_point(&stage).await;
    let through = through_a_proxy(&stage).await;

    let args = ["restore", "s1", "-n", TEAM, "--as", "late", "-o", "json"];
    assert!(killed_at(&stage, &through, &args, Point::before(1).of(creates("sandboxes"))).await);
    let points: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    stage.controller().unwrap().kill().await.unwrap();
    let its = stage.points(TEAM).await.unwrap().of(&claim_of(&stage, "s1").await);
    let (point, taken_at) = (its.names().pop_first().unwrap(), its.newest().unwrap());
    points.delete(&point, &DeleteParams::default()).await.unwrap();
    eventually("the recovery point is gone", || async {
        Ok(points.get_opt(&point).await?.is_none().then_some(()))
    })
    .await;

    // With the point named or not: it is the same restore.
    let named = [&args[..], &["--from", &point, "--start", "stopped"]].concat();
    let restored = stage.run(&named).await.unwrap().json().unwrap();
    assert_eq!(restored["phase"], "Stopped");
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!((&restored["recoveryPoint"], &restored["phase"]), (&point.into(), &"Running".into()));
    let told: Timestamp = restored["takenAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(told, taken_at);
    runs_on(&stage, "late", &before).await;
}

async fn grant_everything(stage: &Stage) {
    use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
    let binding: ClusterRoleBinding = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "person" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "kube-system", "name": "default" }],
    }))
    .unwrap();
    Api::<ClusterRoleBinding>::all(stage.client.clone())
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
}
