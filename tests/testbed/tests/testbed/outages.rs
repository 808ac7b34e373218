//! Components fail, freeze and come back.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;
use testbed::{Code, Exit, Fault, until};

use crate::objects::{
    LIMIT, bound, create_claim, create_namespace, create_snapshot, from_snapshot, ready, snapshot_status,
};
use crate::shared_cluster::testbed;

#[tokio::test]
async fn state_survives_restarts_of_every_component() {
    let ns = "work";
    let cluster = testbed().await.cluster("restarts").start().await.unwrap();
    create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;
    cluster.volume(ns, "work").await.unwrap().write("file", "before").unwrap();
    create_snapshot(&cluster, ns, "cut", "work").await;
    ready(&cluster, ns, "cut").await;

    let url = cluster.url().to_owned();
    assert_eq!(cluster.kill("kube-apiserver").await.unwrap(), Exit::Signal("SIGKILL".to_owned()));
    Api::<Namespace>::all(cluster.client()).get(ns).await.expect_err("nobody is there to answer");
    for name in
        ["etcd", "kube-apiserver", "dircsi", "csi-provisioner", "csi-snapshotter", "snapshot-controller"]
    {
        let before = cluster.process(name).unwrap().pid();
        let after = cluster.restart(name).await.unwrap().pid();
        assert_ne!(before, after);
    }
    assert_eq!(cluster.url(), url);
    create_claim(&cluster, ns, "copy", from_snapshot("cut")).await;
    bound(&cluster, ns, "copy").await;
    assert_eq!(cluster.volume(ns, "copy").await.unwrap().read("file").unwrap(), b"before");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_driver_fails_and_freezes_as_it_is_told() {
    let ns = "work";
    let cluster = testbed().await.cluster("faults").start().await.unwrap();
    create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;

    let broken = Fault::fail("CreateSnapshot", Code::Internal, "the array is on fire");
    cluster.driver().faults(&[broken]).unwrap();
    create_snapshot(&cluster, ns, "cut", "work").await;
    until("the snapshot to carry the error", LIMIT, || async {
        let status = snapshot_status(&cluster, ns, "cut").await;
        let message = status["error"]["message"].as_str().unwrap_or_default();
        Ok(message.contains("the array is on fire").then_some(()))
    })
    .await
    .unwrap();
    let slow = Fault::slow("CreateSnapshot", Duration::from_secs(2));
    cluster.driver().faults(&[slow]).unwrap();
    ready(&cluster, ns, "cut").await;

    cluster.freeze("dircsi").await.unwrap();
    create_snapshot(&cluster, ns, "frozen", "work").await;
    until("the snapshot to have a content", LIMIT, || async {
        let status = snapshot_status(&cluster, ns, "frozen").await;
        Ok(status["boundVolumeSnapshotContentName"].is_string().then_some(()))
    })
    .await
    .unwrap();
    assert_ne!(snapshot_status(&cluster, ns, "frozen").await["readyToUse"], true);
    cluster.thaw("dircsi").await.unwrap();
    ready(&cluster, ns, "frozen").await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_given_up_for_another() {
    // It accepts connections, as etcd would.
    let somebody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = somebody.local_addr().unwrap().port();
    let [first, second] = [(); 2].map(|()| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    });
    // etcd gives up two, then has two; the API server gives up one.
    let plan = testbed().await.cluster("ports").ports([taken, taken, first, second, taken]);
    let cluster = plan.start().await.unwrap();
    assert!(!cluster.url().ends_with(&format!(":{taken}")), "{}", cluster.url());
    create_namespace(&cluster, "works").await;
    cluster.stop().await.unwrap();
}
