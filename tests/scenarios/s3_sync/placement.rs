//! Where the recipe's pods run: a volume that is mounted on one node is mounted on no other.

use double::{NewSandbox, Phase};
use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use stage::Stage;

use super::recipe::{file, secret};
use crate::place::{self, TEAM, TEMPLATE, eventually};

/// The recipe for another sandbox, made as README.md says.
fn recipe_for(sandbox: &str, name: &str) -> String {
    let readme = file("README.md");
    assert!(readme.contains("sed 's/s1/builder/g' cronjob.yaml | kubectl apply -f -"), "{readme}");
    assert!(readme.contains("sed 's/s1/builder/g' restore-job.yaml | kubectl create -f -"), "{readme}");
    file(name).replace("s1", sandbox)
}

fn pods(stage: &Stage) -> Api<Pod> {
    Api::namespaced(stage.client.clone(), TEAM)
}

/// The node that a Job's pod runs on, once it does.
async fn node_of(stage: &Stage, job: &str) -> String {
    let params = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    eventually(&format!("the pod of {job} to run"), || async {
        let pod = pods(stage).list(&params).await?.items.pop();
        let is_running = |pod: &Pod| pod.status.as_ref()?.phase.as_ref().map(|phase| phase == "Running");
        Ok(pod.filter(|pod| is_running(pod) == Some(true)).and_then(|pod| pod.spec?.node_name))
    })
    .await
}

async fn start(stage: &Stage, name: &str, spec: JobSpec) -> String {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let job = Job { metadata, spec: Some(spec), ..Job::default() };
    let jobs = Api::<Job>::namespaced(stage.client.clone(), TEAM);
    jobs.create(&PostParams::default(), &job).await.unwrap();
    node_of(stage, name).await
}

#[tokio::test]
async fn a_copy_is_made_where_the_sandbox_runs_and_also_while_it_does_not() {
    let stage = place::stage("s3-sync").await;
    let user = place::user(&stage);
    user.create(NewSandbox::named("builder").cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase("builder", Phase::Running).await.unwrap();
    let sandbox = pods(&stage).get("builder-pod").await.unwrap();
    let home = sandbox.spec.unwrap().node_name.unwrap();

    let secrets = Api::<Secret>::namespaced(stage.client.clone(), TEAM);
    secrets.create(&PostParams::default(), &secret()).await.unwrap();
    let cron: CronJob = serde_saphyr::from_str(&recipe_for("builder", "cronjob.yaml")).unwrap();
    let crons = Api::<CronJob>::namespaced(stage.client.clone(), TEAM);
    let cron = crons.create(&PostParams::default(), &cron).await.unwrap();
    let copy = cron.spec.unwrap().job_template.spec.unwrap();
    let restore: Job = serde_saphyr::from_str(&recipe_for("builder", "restore-job.yaml")).unwrap();
    let restore = restore.spec.unwrap();
    // The emptier node would be the scheduler's choice.
    for name in ["copy-1", "copy-2", "copy-3"] {
        assert_eq!(start(&stage, name, copy.clone()).await, home);
    }
    assert_eq!(start(&stage, "restore-1", restore.clone()).await, home);

    user.stop("builder").await.unwrap();
    eventually("the sandbox's pod to be gone", || async {
        Ok(pods(&stage).get_opt("builder-pod").await?.is_none().then_some(()))
    })
    .await;
    start(&stage, "copy-4", copy).await;
    start(&stage, "restore-2", restore).await;
}
