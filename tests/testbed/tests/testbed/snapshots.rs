//! A volume, its snapshot, and a volume from that.

use serde_json::json;
use testbed::{Fault, WAITING_STORAGE_CLASS, difference};

use crate::objects::{
    bound, claims, create_claim, create_pod, create_snapshot, from_snapshot, phase, pod_becomes, ready,
    snapshot_status,
};
use crate::shared_cluster::shared_cluster;

#[tokio::test]
async fn a_volume_comes_back_from_its_snapshot_byte_by_byte() {
    let ns = "back";
    let cluster = shared_cluster(ns).await;
    create_claim(cluster, ns, "work", json!({})).await;
    bound(cluster, ns, "work").await;
    let work = cluster.volume(ns, "work").await.unwrap();
    work.write("src/main.rs", "fn main() {}\n").unwrap();
    work.write("data.bin", (0..=255).cycle().take(1 << 20).collect::<Vec<u8>>()).unwrap();
    work.write("empty", "").unwrap();
    std::os::unix::fs::symlink("src/main.rs", work.path().join("link")).unwrap();
    let before = work.tree().unwrap();
    assert_eq!(before.len(), 5, "{before:?}");

    create_snapshot(cluster, ns, "cut", "work").await;
    ready(cluster, ns, "cut").await;
    // What happens to the volume later is not in the snapshot.
    work.write("src/main.rs", "lost\n").unwrap();
    work.write("late", "").unwrap();

    create_claim(cluster, ns, "copy", from_snapshot("cut")).await;
    bound(cluster, ns, "copy").await;
    let copy = cluster.volume(ns, "copy").await.unwrap();
    assert_eq!(difference(&before, &copy.tree().unwrap()), [""; 0]);
    assert_eq!(copy.read("src/main.rs").unwrap(), b"fn main() {}\n");
}

#[tokio::test]
async fn a_waiting_claim_binds_when_its_pod_is_scheduled() {
    let ns = "waiting";
    let cluster = shared_cluster(ns).await;
    create_claim(cluster, ns, "work", json!({"storageClassName": WAITING_STORAGE_CLASS})).await;
    // The provisioner has seen this one by the time that it has made a later one.
    create_claim(cluster, ns, "later", json!({})).await;
    bound(cluster, ns, "later").await;
    let claim = claims(cluster, ns).get("work").await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Pending"));

    create_pod(cluster, ns, "worker", "work", &["true"]).await;
    bound(cluster, ns, "work").await;
    pod_becomes(cluster, ns, "worker", "running", |pod| phase(pod) == "Running").await;
}

#[tokio::test]
async fn a_snapshot_that_is_not_ready_yet_gets_there() {
    let ns = "unready";
    let cluster = crate::shared_cluster::testbed().await.cluster("unready").start().await.unwrap();
    crate::objects::create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;
    cluster.driver().faults(&[Fault::not_ready(std::time::Duration::from_mins(1))]).unwrap();
    create_snapshot(&cluster, ns, "slow", "work").await;
    let status = testbed::until("the snapshot to be cut", crate::objects::LIMIT, || async {
        let status = snapshot_status(&cluster, ns, "slow").await;
        Ok(status["creationTime"].is_string().then_some(status))
    })
    .await
    .unwrap();
    assert_eq!(status["readyToUse"], false, "{status}");
    ready(&cluster, ns, "slow").await;
    cluster.stop().await.unwrap();
}
