//! A node dies under a Sandbox.

use double::{Double, NewSandbox, Options, Phase};
use kube::ResourceExt;

use crate::place::{Place, cluster, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_on_a_dead_node_still_says_running() {
    let cluster = cluster("node-loss").await;
    let place = Place::on(cluster.client(), "node-loss").await;
    // As AgentTier: in every namespace.
    let double = Double::start(cluster.client(), Options { namespace: None, ..place.options() });
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    let before = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    let pod = place.pods().get("s1-pod").await.unwrap();
    let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();

    cluster.kill_node(&node).await.unwrap();
    eventually("the pod Terminating", || async {
        place.pods().get("s1-pod").await.unwrap().metadata.deletion_timestamp
    })
    .await;
    // The double had all the time that another Sandbox needs for its whole start.
    place.user.create(NewSandbox::named("s2")).await.unwrap();
    place.user.wait_phase("s2", Phase::Running).await.unwrap();
    let after = place.user.sandboxes().get("s1").await.unwrap();
    assert_eq!(after.data["status"], before.data["status"]);
    let stuck = place.pods().get("s1-pod").await.unwrap();
    assert_eq!(stuck.uid(), pod.uid());

    cluster.revive_node(&node).await.unwrap();
    place
        .user
        .wait_status("s1", "a restart", |status| status["phase"] == "Running" && status["restartCount"] == 1)
        .await
        .unwrap();
    double.shutdown().await;
    cluster.stop().await.unwrap();
}
