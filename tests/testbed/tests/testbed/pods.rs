//! The command of a pod runs for real.

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use testbed::{Exit, until};

use crate::objects::{LIMIT, bound, create_claim, create_pod, phase, pod_becomes, pods};
use crate::shared_cluster::shared_cluster;

#[tokio::test]
async fn a_pods_command_works_on_its_volume() {
    let ns = "commands";
    let cluster = shared_cluster(ns).await;
    create_claim(cluster, ns, "work", json!({})).await;
    bound(cluster, ns, "work").await;

    let script = ["sh", "-c", "echo \"$GREETING\" > greeting; echo done"];
    create_pod(cluster, ns, "good", "work", &script).await;
    pod_becomes(cluster, ns, "good", "running", |pod| phase(pod) == "Running").await;
    assert_eq!(cluster.run_pod_command(ns, "good").await.unwrap(), Exit::Code(0));
    pod_becomes(cluster, ns, "good", "succeeded", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(cluster.volume(ns, "work").await.unwrap().read("greeting").unwrap(), b"hello\n");
    assert_eq!(cluster.process("pod-commands-good").unwrap().log().unwrap(), "done\n");

    create_pod(cluster, ns, "bad", "work", &["sh", "-c", "exit 3"]).await;
    pod_becomes(cluster, ns, "bad", "running", |pod| phase(pod) == "Running").await;
    assert_eq!(cluster.run_pod_command(ns, "bad").await.unwrap(), Exit::Code(3));
    let pod = pod_becomes(cluster, ns, "bad", "failed", |pod| phase(pod) == "Failed").await;
    let state = pod.status.unwrap().container_statuses.unwrap()[0].state.clone().unwrap();
    assert_eq!(state.terminated.unwrap().exit_code, 3);
}

#[tokio::test]
async fn a_job_completes_when_its_command_has_run() {
    let ns = "jobs";
    let cluster = shared_cluster(ns).await;
    let job = json!({
        "metadata": {"name": "check"},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "none.invalid/none", "command": ["true"]}],
        }}},
    });
    let jobs = Api::<Job>::namespaced(cluster.client(), ns);
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let name = until("the Job's pod", LIMIT, || async {
        let list = pods(cluster, ns).list(&ListParams::default()).await?;
        Ok(list.items.into_iter().next().and_then(|pod| pod.metadata.name))
    })
    .await
    .unwrap();
    pod_becomes(cluster, ns, &name, "running", |pod| phase(pod) == "Running").await;
    let succeeded = jobs.get("check").await.unwrap().status.and_then(|status| status.succeeded);
    assert_eq!(succeeded, None, "a pod does not succeed by itself");
    cluster.run_pod_command(ns, &name).await.unwrap();
    until("the Job to succeed", LIMIT, || async {
        let status = jobs.get("check").await?.status;
        Ok((status.and_then(|status| status.succeeded) == Some(1)).then_some(()))
    })
    .await
    .unwrap();
}
