//! A node dies, and what that leaves behind.

use serde_json::json;

use crate::objects::{bound, create_claim, create_namespace, create_pod, phase, pod_becomes, pods};
use crate::shared_cluster::testbed;

#[tokio::test]
async fn the_pod_of_a_dead_node_is_terminating_and_stays() {
    let ns = "work";
    let cluster = testbed().await.cluster("nodes").nodes(2).start().await.unwrap();
    create_namespace(&cluster, ns).await;
    create_claim(&cluster, ns, "work", json!({})).await;
    bound(&cluster, ns, "work").await;
    create_pod(&cluster, ns, "worker", "work", &["true"]).await;
    let pod = pod_becomes(&cluster, ns, "worker", "running", |pod| phase(pod) == "Running").await;
    let node = pod.spec.unwrap().node_name.unwrap();

    cluster.kill_node(&node).await.unwrap();
    let is_terminating = |pod: &k8s_openapi::api::core::v1::Pod| pod.metadata.deletion_timestamp.is_some();
    let pod = pod_becomes(&cluster, ns, "worker", "terminating", is_terminating).await;
    assert_eq!(phase(&pod), "Running", "nobody is there to end it");
    // Time goes on, seen by another node's pod that comes and goes.
    create_pod(&cluster, ns, "other", "work", &["true"]).await;
    let other = pod_becomes(&cluster, ns, "other", "running", |pod| phase(pod) == "Running").await;
    assert_ne!(other.spec.unwrap().node_name.unwrap(), node);
    pods(&cluster, ns).get("worker").await.expect("it stays, as its node does not answer");

    cluster.revive_node(&node).await.unwrap();
    testbed::until("the kubelet that is back to end the pod", crate::objects::LIMIT, || async {
        Ok(pods(&cluster, ns).get_opt("worker").await?.is_none().then_some(()))
    })
    .await
    .unwrap();
    cluster.stop().await.unwrap();
}
