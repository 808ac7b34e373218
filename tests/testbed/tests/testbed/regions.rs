//! Two clusters, one storage system.

use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use testbed::{DRIVER, SNAPSHOT_CLASS};

use crate::objects::{
    bound, claim_names, create_claim, create_namespace, create_snapshot, from_snapshot, ready,
};
use crate::shared_cluster::testbed;

fn kind(name: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", name))
}

#[tokio::test]
async fn a_snapshot_of_one_cluster_is_restored_in_another() {
    let ns = "work";
    let testbed = testbed().await;
    let east = testbed.cluster("east").start().await.unwrap();
    let west = testbed.cluster("west").driver_root(east.driver_root()).start().await.unwrap();
    for cluster in [&east, &west] {
        create_namespace(cluster, ns).await;
    }
    create_claim(&east, ns, "work", json!({})).await;
    bound(&east, ns, "work").await;
    east.volume(ns, "work").await.unwrap().write("file", "from the east").unwrap();
    create_snapshot(&east, ns, "cut", "work").await;
    ready(&east, ns, "cut").await;
    let contents = Api::<DynamicObject>::all_with(east.client(), &kind("VolumeSnapshotContent"));
    let contents = contents.list(&ListParams::default()).await.unwrap();
    let handle = contents.items[0].data["status"]["snapshotHandle"].as_str().unwrap();
    assert_eq!(claim_names(&west, ns).await, [""; 0], "the clusters share storage, not objects");

    // In the west only the handle is known.
    let content = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": "imported"},
        "spec": {
            "deletionPolicy": "Retain",
            "driver": DRIVER,
            "source": {"snapshotHandle": handle},
            "volumeSnapshotClassName": SNAPSHOT_CLASS,
            "volumeSnapshotRef": {"name": "imported", "namespace": ns},
        },
    });
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": "imported"},
        "spec": {"source": {"volumeSnapshotContentName": "imported"}},
    });
    Api::<DynamicObject>::all_with(west.client(), &kind("VolumeSnapshotContent"))
        .create(&PostParams::default(), &serde_json::from_value(content).unwrap())
        .await
        .unwrap();
    Api::<DynamicObject>::namespaced_with(west.client(), ns, &kind("VolumeSnapshot"))
        .create(&PostParams::default(), &serde_json::from_value(snapshot).unwrap())
        .await
        .unwrap();
    ready(&west, ns, "imported").await;
    create_claim(&west, ns, "work", from_snapshot("imported")).await;
    bound(&west, ns, "work").await;
    assert_eq!(west.volume(ns, "work").await.unwrap().read("file").unwrap(), b"from the east");
    tokio::try_join!(west.stop(), east.stop()).unwrap();
}
