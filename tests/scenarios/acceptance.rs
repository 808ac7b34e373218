//! The acceptance check: kill the node that hosts a sandbox; a snapshot from within the window exists; restore
//! it into a new sandbox; the files are intact.

use double::{NewSandbox, Phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use stage::Rhythm;

use crate::place::{TEAM, TEMPLATE, eventually, stage_with, user, with_pool};

/// What the policy promises: interval + readyTimeout.
const WINDOW: SignedDuration = SignedDuration::from_secs(10 + 3600);

#[tokio::test]
async fn a_dead_nodes_sandbox_comes_back_with_its_files() {
    let stage = stage_with("acceptance", with_pool(2)).await;
    let user = user(&stage);
    stage.policy(Rhythm { interval: "10s", max_age: "1h", keep_last: 1 }).await.unwrap();
    stage.start_controller(&[]).await.unwrap();

    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    let running = user.wait_phase("s1", Phase::Running).await.unwrap();
    let claim = running.data["status"]["pvcName"].as_str().unwrap().to_owned();
    let volume = stage.cluster.volume(TEAM, &claim).await.unwrap();
    volume.write("notes/plan.md", "# what matters\n").unwrap();
    volume.write("ünïcode/名前.txt", "ok").unwrap();
    volume.write("empty", "").unwrap();
    volume.write("model.bin", (0..=255_u8).cycle().take(300_000).collect::<Vec<_>>()).unwrap();
    let written = Timestamp::now();
    let before = volume.tree().unwrap();

    let (point, taken) = eventually("a recovery point of what was written", || async {
        let points = stage.points(TEAM).await?.ours().of(&claim).ready();
        let cut_after = points.0.iter().find_map(|point| {
            let cut = point.status.as_ref()?.creation_time.as_ref()?.0;
            (cut > written).then(|| (point.name_any(), cut))
        });
        Ok(cut_after)
    })
    .await;

    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    let pod = running.data["status"]["podName"].as_str().unwrap().to_owned();
    let node = pods.get(&pod).await.unwrap().spec.and_then(|spec| spec.node_name).unwrap();
    let killed = Timestamp::now();
    assert!(taken < killed && killed.duration_since(taken) < WINDOW, "from within the window");
    stage.cluster.kill_node(&node).await.unwrap();
    eventually("the pod is stuck in Terminating on its dead node", || async {
        let pod = pods.get(&pod).await?;
        Ok(pod.metadata.deletion_timestamp.map(drop))
    })
    .await;
    let stuck = user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(stuck.data["status"]["podName"], pod, "AgentTier believes that it runs");

    let restored = stage
        .run(&["restore", "s1", "-n", TEAM, "--from", &point, "--as", "s1-back", "-o", "json"])
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(restored["phase"], "Running");
    assert_eq!(restored["claim"], "s1-back-workspace");
    assert_eq!(restored["recoveryPoint"], point.as_str());

    let back = user.wait_phase("s1-back", Phase::Running).await.unwrap();
    assert_eq!(back.data["status"]["pvcName"], "s1-back-workspace", "not a pool volume");
    let after = stage.cluster.volume(TEAM, "s1-back-workspace").await.unwrap();
    assert_eq!(testbed::difference(&before, &after.tree().unwrap()), Vec::<String>::new());
    assert_eq!(after.read("notes/plan.md").unwrap(), b"# what matters\n");
    let new_node = pods.get("s1-back-pod").await.unwrap().spec.and_then(|spec| spec.node_name).unwrap();
    assert_ne!(new_node, node, "on a node that lives");

    // The copy is a sandbox like any other: deleting it takes its volume along, and leaves the original's.
    user.delete("s1-back").await.unwrap();
    user.wait_gone("s1-back").await.unwrap();
    let claims = crate::place::claims(&stage);
    eventually("the copy's volume is gone", || async {
        Ok(claims.get_opt("s1-back-workspace").await?.is_none().then_some(()))
    })
    .await;
    assert_eq!(testbed::difference(&before, &volume.tree().unwrap()), Vec::<String>::new());
}
