//! What is stored is read past the API server, with its history.

use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::{Cluster, until};

use crate::objects::{LIMIT, bound, create_claim, create_namespace, create_snapshot, ready, snapshots};
use crate::shared_cluster::testbed;

const SNAPSHOTS: &str = "snapshot.storage.k8s.io/volumesnapshots";

/// On a cluster of its own, since it restarts components.
#[tokio::test]
async fn every_write_is_told_whatever_restarts_meanwhile() {
    let ns = "history";
    let cluster: Cluster = testbed().await.cluster("stores").start().await.unwrap();
    create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;
    create_snapshot(&cluster, ns, "first", "work").await;
    ready(&cluster, ns, "first").await;

    let store = cluster.store(SNAPSHOTS);
    let before = store.now().await.unwrap();
    assert_eq!(before.objects.keys().collect::<Vec<_>>(), ["history/first"]);
    create_snapshot(&cluster, ns, "second", "work").await;
    cluster.restart("kube-apiserver").await.unwrap();
    cluster.restart("etcd").await.unwrap();
    // It may have been refused an answer, and goes on without what it has made (external-snapshotter 8.7).
    cluster.restart("snapshot-controller").await.unwrap();
    until("the API server to have found etcd again", LIMIT, || async {
        Ok(match snapshots(&cluster, ns).delete("first", &DeleteParams::default()).await {
            // Done before, with the answer lost.
            Err(kube::Error::Api(status)) if status.code == 404 => Some(()),
            deleted => deleted.ok().map(drop),
        })
    })
    .await
    .unwrap();
    until("the snapshot to be gone", LIMIT, || async {
        Ok((!store.now().await?.objects.contains_key("history/first")).then_some(()))
    })
    .await
    .unwrap();

    let history = store.since(before.revision).await.unwrap();
    assert!(history.is_sorted_by_key(|change| change.revision), "{history:?}");
    let of = |name: &str| history.iter().filter(|change| change.name == name).collect::<Vec<_>>();
    let second = of("history/second")[0].object.as_ref().unwrap();
    assert_eq!(second["spec"]["source"]["persistentVolumeClaimName"], "work");
    let first = of("history/first");
    let leaves =
        |object: &Option<Value>| object.as_ref().unwrap()["metadata"]["deletionTimestamp"].is_string();
    // The snapshot controller may have written to it once more before.
    let (gone, before) = first.split_last().unwrap();
    assert!(before.iter().any(|change| leaves(&change.object)), "it is marked first: {first:?}");
    assert!(gone.object.is_none(), "then it goes: {first:?}");

    let long_ago = "2020-02-02T00:00:00Z";
    let rewrite = |object: &mut Value| object["metadata"]["creationTimestamp"] = json!(long_ago);
    store.rewrite("history/second", rewrite).await.unwrap();
    until("the API server to show what was rewritten", LIMIT, || async {
        let created = snapshots(&cluster, ns).get("second").await?.metadata.creation_timestamp;
        Ok(created.is_some_and(|created| created.0.to_string() == long_ago).then_some(()))
    })
    .await
    .unwrap();
    ready(&cluster, ns, "second").await;
    store.rewrite("history/absent", rewrite).await.expect_err("there is no such object");
    cluster.stop().await.unwrap();
}
