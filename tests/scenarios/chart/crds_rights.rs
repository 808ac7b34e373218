//! What upgrades the definitions may upgrade these, and do nothing else.

use std::collections::BTreeSet;

use agenttier_backup::api::crds;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, ResourceExt};
use serde_json::json;
use testbed::{Cluster, Exit, client_of};

use super::crds::{POLICIES, age, definitions};
use super::rights::{denied, own_rights};
use super::site::{RELEASE, cluster, folder, install};
use crate::place::eventually;

/// What helm would make before an upgrade.
async fn hooks(cluster: &Cluster) -> Vec<DynamicObject> {
    let chart = folder("chart").display().to_string();
    let mut args = vec!["template", RELEASE, &chart, "-n", RELEASE, "--is-upgrade", "--kube-version", "1.33"];
    args.extend(["-s", "templates/crds-rights.yaml", "-s", "templates/crds-job.yaml"]);
    let rendered = cluster.helm(&args).await.unwrap();
    serde_saphyr::from_multiple(&rendered).unwrap()
}

async fn create(cluster: &Cluster, object: &DynamicObject) {
    let client = cluster.client();
    let gvk = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    let (kind, capabilities) = pinned_kind(&client, &gvk).await.unwrap();
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client, &kind),
        Scope::Namespaced => Api::namespaced_with(client, RELEASE, &kind),
    };
    api.create(&PostParams::default(), object).await.unwrap();
}

#[tokio::test]
async fn the_upgrade_job_may_upgrade_our_definitions_and_nothing_else() {
    let cluster = cluster("chart-crds-rights").await;
    install(&cluster, &[]).await.unwrap();
    let hooks = hooks(&cluster).await;
    let (jobs, rights): (Vec<_>, Vec<_>) =
        hooks.into_iter().partition(|object| object.types.as_ref().is_some_and(|types| types.kind == "Job"));
    assert_eq!((jobs.len(), rights.len()), (1, 3));
    for object in &rights {
        create(&cluster, object).await;
    }
    let job: Job = jobs[0].clone().try_parse().unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    let account = pod.service_account_name.unwrap();
    let kubeconfig = cluster.service_account_kubeconfig(RELEASE, &account).await.unwrap();
    let client = client_of(&kubeconfig).await.unwrap();

    // All that it has.
    let names: Vec<String> = crds().iter().map(ResourceExt::name_any).collect();
    let wanted = ["get", "create", "patch"].iter().flat_map(|verb| {
        let right = format!("{verb} customresourcedefinitions.apiextensions.k8s.io");
        names.iter().map(move |name| format!("{right} {name}"))
    });
    assert_eq!(own_rights(&cluster, &account).await, wanted.collect::<BTreeSet<_>>());

    // It is enough for the Job's very command, also to bring a definition that is not there.
    let kubeconfig = kubeconfig.display().to_string();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_agenttier-backup"));
    let args = pod.containers[0].args.clone().unwrap();
    let command = || async {
        let args: Vec<&str> =
            ["--kubeconfig", &kubeconfig].into_iter().chain(args.iter().map(String::as_str)).collect();
        let process = cluster.spawn("job", program, &args, &[]).await.unwrap();
        (process.wait().await.unwrap(), process.log().unwrap())
    };
    age(&cluster, Some("0.0.1")).await;
    let (exit, said) = command().await;
    assert!(exit == Exit::Code(0) && said.contains("updated from release 0.0.1"), "{said}");
    definitions(&cluster).delete(POLICIES, &DeleteParams::default()).await.unwrap();
    // Under load that takes longer than the Job waits for it.
    eventually("the definition is gone", || async {
        Ok(definitions(&cluster).get_opt(POLICIES).await?.is_none().then_some(()))
    })
    .await;
    let (exit, said) = command().await;
    assert!(exit == Exit::Code(0) && said.contains("created"), "{said}");

    // It is not enough for anything else.
    let theirs = Api::<CustomResourceDefinition>::all(client);
    let (post, apply) = (PostParams::default(), PatchParams::apply("scenario").force());
    let mut other: CustomResourceDefinition = crds().remove(0);
    other.spec.group = "example.com".into();
    other.metadata.name = Some("backuppolicies.example.com".into());
    let applied = theirs.patch("backuppolicies.example.com", &apply, &Patch::Apply(&other)).await;
    denied("apply another definition", applied);
    denied("create another definition", theirs.create(&post, &other).await);
    denied("create one of ours without naming it", theirs.create(&post, &crds()[0]).await);
    denied("read another definition", theirs.get("sandboxes.agenttier.io").await);
    let change = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    let merge = PatchParams::default();
    denied("change another definition", theirs.patch("sandboxes.agenttier.io", &merge, &change).await);
    denied("list definitions", theirs.list(&ListParams::default()).await);
    denied("delete one of ours", theirs.delete(POLICIES, &DeleteParams::default()).await);
    denied("delete all", theirs.delete_collection(&DeleteParams::default(), &ListParams::default()).await);
    denied("write a status", theirs.patch_status(POLICIES, &merge, &change).await);
    cluster.stop().await.unwrap();
}
