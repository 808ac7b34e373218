//! Restores that are interrupted, robbed, or refused.

use std::sync::Arc;
use std::time::Duration;

use double::{NewSandbox, Phase};
use kube::api::{Api, ListParams, PostParams};
use stage::{Rhythm, Stage};
use testbed::{Exit, Point, Then, WAITING_STORAGE_CLASS};

use crate::place::{TEAM, TEMPLATE, claims, eventually, stage_with, user, with_pool, workspace};

/// A running sandbox `s1` with a file and a recovery point of it.
async fn with_a_point(stage: &Stage) -> testbed::Tree {
    with_a_point_of(stage, NewSandbox::named("s1").cluster_template(TEMPLATE)).await
}

async fn with_a_point_of(stage: &Stage, s1: NewSandbox) -> testbed::Tree {
    let user = user(stage);
    user.create(s1).await.unwrap();
    let running = user.wait_phase("s1", Phase::Running).await.unwrap();
    let claim = running.data["status"]["pvcName"].as_str().unwrap().to_owned();
    let volume = stage.cluster.volume(TEAM, &claim).await.unwrap();
    volume.write("work.txt", "three days of it").unwrap();
    stage.policy(Rhythm { interval: "30d", max_age: "90d", keep_last: 1 }).await.unwrap();
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    eventually("a recovery point", || async {
        Ok((stage.points(TEAM).await?.ours().of(&claim).ready().count() == 1).then_some(()))
    })
    .await;
    volume.tree().unwrap()
}

/// Killed before and after each of its writes and run again, a restore always ends with the sandbox on its own
/// data, a warm pool beside it or not.
#[tokio::test]
async fn a_restore_may_be_killed_at_every_write() {
    let stage = Arc::new(stage_with("killed-restores", with_pool(2)).await);
    let before = with_a_point(&stage).await;
    let proxy = stage.cluster.proxy().await.unwrap();
    let admin = stage.cluster.service_account_token("kube-system", "default").await.unwrap();
    grant_everything(&stage).await;
    let kubeconfig = proxy.kubeconfig(&admin).unwrap();

    let mut kills = 0;
    for write in 1..=8_u64 {
        for after in [false, true] {
            let target = format!("r{write}{}", if after { "a" } else { "b" });
            let args = ["restore", "s1", "-n", TEAM, "--as", &target, "-o", "json"];
            let (sender, receiver) = tokio::sync::oneshot::channel::<testbed::Process>();
            let point = if after { Point::after(write) } else { Point::before(write) };
            let mut cut = proxy.call(point, |_| async move {
                receiver.await.unwrap().kill().await.unwrap();
                Then::Cut
            });
            let process = stage.begin(&args, &kubeconfig).await.unwrap();
            sender.send(process.clone()).ok().unwrap();
            let killed = tokio::select! {
                reached = cut.reached() => { reached.unwrap(); true }
                exit = process.wait() => { assert_eq!(exit.unwrap(), Exit::Code(0), "{}", process.log().unwrap()); false }
            };
            drop(cut);
            if killed {
                assert_eq!(process.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
                kills += 1;
                let restored = stage.run(&args).await.unwrap().json().unwrap();
                assert_eq!(restored["phase"], "Running");
            }
            let claim = format!("{target}-workspace");
            let sandbox = user(&stage).wait_phase(&target, Phase::Running).await.unwrap();
            assert_eq!(sandbox.data["status"]["pvcName"], claim.as_str(), "killed at write {write}");
            let tree = stage.cluster.volume(TEAM, &claim).await.unwrap().tree().unwrap();
            assert_eq!(testbed::difference(&before, &tree), Vec::<String>::new());
            let owners =
                claims(&stage).get(&claim).await.unwrap().metadata.owner_references.unwrap_or_default();
            assert_eq!(owners.len(), 1, "owned by its sandbox alone");
            if !killed {
                assert!(kills >= 8, "a restore has at least four writes: {kills} kills");
                return;
            }
        }
    }
    panic!("a restore has more than eight writes");
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

/// What is in the way is said, and is not touched.
#[tokio::test]
async fn what_is_in_the_way_is_named_and_left_alone() {
    let stage = stage_with("refused-restores", double::Options::default()).await;
    with_a_point(&stage).await;
    let user = user(&stage);
    let run = |args: &'static [&'static str]| stage.run(args);

    let output = run(&["restore", "nobody", "-n", TEAM]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1));
    assert!(output.text.contains("there is no sandbox \"nobody\""), "{}", output.text);

    let output = run(&["restore", "s1", "-n", TEAM, "--from", "no-such"]).await.unwrap();
    assert!(output.text.contains("there is no VolumeSnapshot \"no-such\""), "{}", output.text);

    user.create(NewSandbox::named("taken").cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase("taken", Phase::Running).await.unwrap();
    let output = run(&["restore", "s1", "-n", TEAM, "--as", "taken"]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1));
    assert!(output.text.contains("a sandbox of that name exists already"), "{}", output.text);

    workspace(&stage, "held-workspace", testbed::STORAGE_CLASS).await;
    let output = run(&["restore", "s1", "-n", TEAM, "--as", "held"]).await.unwrap();
    assert!(output.text.contains("a volume claim for that sandbox exists already"), "{}", output.text);
    assert!(user.sandboxes().get_opt("held").await.unwrap().is_none(), "nothing was made");

    let all = claims(&stage).list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 3, "s1, taken and held: no claim of a refused restore");
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
    let again = tokio::time::timeout(Duration::from_mins(1), stage.run(&args)).await.unwrap();
    assert_eq!(again.unwrap().json().unwrap()["phase"], "Running");
}

/// A class that binds a volume only once a pod uses it: there is nothing to wait for before the sandbox starts.
#[tokio::test]
async fn a_volume_may_bind_on_first_use() {
    let stage = stage_with("late-binding", with_pool(2)).await;
    let s1 = NewSandbox::named("s1").template("none-warm").storage("1Gi", WAITING_STORAGE_CLASS);
    let user = user(&stage);
    user.create_template("none-warm", serde_json::json!({})).await.unwrap();
    let before = with_a_point_of(&stage, s1).await;
    let args = ["restore", "s1", "-n", TEAM, "--as", "late", "-o", "json"];
    assert_eq!(stage.run(&args).await.unwrap().json().unwrap()["phase"], "Running");
    let claim = claims(&stage).get("late-workspace").await.unwrap();
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some(WAITING_STORAGE_CLASS));
    let tree = stage.cluster.volume(TEAM, "late-workspace").await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(&before, &tree), Vec::<String>::new());

    // Left stopped, nothing binds it, and the recovery point that it will be filled from is not pruned.
    let args = ["restore", "s1", "-n", TEAM, "--as", "later", "--start", "stopped", "-o", "json"];
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!(restored["phase"], "Stopped");
    let claim = claims(&stage).get("later-workspace").await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));
    let point = restored["recoveryPoint"].as_str().unwrap().to_owned();
    stage.policy(Rhythm { interval: "10s", max_age: "10s", keep_last: 1 }).await.unwrap();
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
