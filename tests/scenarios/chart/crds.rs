//! The definitions follow the release: by the Job that helm runs before an upgrade, with its very command and rights.

use agenttier_backup::api::{BackupPolicy, RELEASE as VERSION, RELEASE_LABEL};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use testbed::{Cluster, Exit, client_of};

use super::site::{RELEASE, cluster, install, install_with_job};
use crate::place::eventually;

pub(super) const POLICIES: &str = "backuppolicies.backup.agenttier.io";
const JOB: &str = "agenttier-backup-crds";

pub(super) fn definitions(cluster: &Cluster) -> Api<CustomResourceDefinition> {
    Api::all(cluster.client())
}

/// Puts the definition back to one of an earlier release, without the field `readyTimeout` and its default.
pub(super) async fn age(cluster: &Cluster, release: Option<&str>) {
    eventually("the definition is an old one", || async {
        let mut crd = definitions(cluster).get(POLICIES).await?;
        crd.labels_mut().remove(RELEASE_LABEL);
        crd.labels_mut().extend(release.map(|release| (RELEASE_LABEL.to_owned(), release.to_owned())));
        let schema = crd.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
        let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
        let snapshots = spec.properties.as_mut().unwrap().get_mut("snapshots").unwrap();
        snapshots.properties.as_mut().unwrap().remove("readyTimeout").expect("the field to take away");
        snapshots.default.as_mut().unwrap().0.as_object_mut().unwrap().remove("readyTimeout");
        match definitions(cluster).replace(POLICIES, &PostParams::default(), &crd).await {
            Ok(_) => Ok(Some(())),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await;
}

/// The release that the definition says, and whether it has the field that [`age`] takes away.
async fn release(cluster: &Cluster) -> (Option<String>, bool) {
    let crd = definitions(cluster).get(POLICIES).await.unwrap();
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    let field = "/openAPIV3Schema/properties/spec/properties/snapshots/properties/readyTimeout";
    (crd.labels().get(RELEASE_LABEL).cloned(), schema.pointer(field).is_some())
}

/// Runs helm and plays the kubelet beside it: runs the command of each pod of the Job as the pod's ServiceAccount, and
/// tells its end. What helm says, and what each command printed.
async fn with_job(cluster: &Cluster, more: &[&str]) -> (anyhow::Result<String>, Vec<String>) {
    let mut printed = Vec::new();
    let said = tokio::select! {
        said = install_with_job(cluster, more) => said,
        never = kubelet(cluster, &mut printed) => never,
    };
    (said, printed)
}

async fn kubelet(cluster: &Cluster, printed: &mut Vec<String>) -> ! {
    let pods = Api::<Pod>::namespaced(cluster.client(), RELEASE);
    loop {
        let pod = eventually("a pod of the Job", || async {
            let found = pods.list(&ListParams::default().labels(&format!("job-name={JOB}"))).await?;
            let waits =
                |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
            Ok(found.items.into_iter().find(waits))
        })
        .await;
        let name = pod.name_any();
        let spec = pod.spec.unwrap();
        let account = spec.service_account_name.unwrap();
        let kubeconfig = cluster.service_account_kubeconfig(RELEASE, &account).await.unwrap();
        // The API server takes a moment to see a new right, as a kubelet takes one to begin.
        let theirs = Api::<CustomResourceDefinition>::all(client_of(&kubeconfig).await.unwrap());
        eventually("the Job's rights to be in force", || async { Ok(theirs.get_opt(POLICIES).await.ok()) })
            .await;
        let kubeconfig = kubeconfig.display().to_string();
        let mut args = vec!["--kubeconfig", kubeconfig.as_str()];
        let container = &spec.containers[0];
        assert_eq!(container.command, None, "the image's entrypoint is our program");
        args.extend(container.args.iter().flatten().map(String::as_str));
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_agenttier-backup"));
        let process = cluster.spawn(&name, program, &args, &[]).await.unwrap();
        let phase = if process.wait().await.unwrap() == Exit::Code(0) { "Succeeded" } else { "Failed" };
        printed.push(process.log().unwrap());
        let end = json!({ "status": { "phase": phase } });
        // Helm may be through already with a Job that has failed for good, and its pods with it.
        let told = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(end)).await;
        assert!(told.is_ok() || pods.get_opt(&name).await.unwrap().is_none(), "{told:?}");
    }
}

/// Nothing of the Job is left, nor of its rights.
async fn nothing_left(cluster: &Cluster) {
    let client = cluster.client();
    eventually("the Job and its rights are gone", || async {
        let job = Api::<Job>::namespaced(client.clone(), RELEASE).get_opt(JOB).await?.is_some();
        let account =
            Api::<ServiceAccount>::namespaced(client.clone(), RELEASE).get_opt(JOB).await?.is_some();
        let role = Api::<ClusterRole>::all(client.clone()).get_opt(JOB).await?.is_some();
        let binding = Api::<ClusterRoleBinding>::all(client.clone()).get_opt(JOB).await?.is_some();
        Ok((!job && !account && !role && !binding).then_some(()))
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_brings_the_definitions_along_and_never_lowers_them() {
    let cluster = cluster("chart-crds").await;
    let this = || (Some(VERSION.to_owned()), true);
    let (said, ran) = with_job(&cluster, &[]).await;
    said.unwrap();
    assert_eq!(ran, [""; 0], "helm installs them itself the first time");
    assert_eq!(release(&cluster).await, this());

    // The chart's own policy has a field that the old definition lacks: it must not get lost.
    for earlier in [Some("0.0.1"), None] {
        age(&cluster, earlier).await;
        assert_eq!(release(&cluster).await, (earlier.map(Into::into), false));
        let set = "optional.backup.snapshots.enabled=true,optional.backup.snapshots.readyTimeout=33m";
        let (said, ran) = with_job(&cluster, &["--set", set]).await;
        said.unwrap();
        let [told] = &ran[..] else { panic!("run once: {ran:?}") };
        assert!(told.contains(&format!("{POLICIES} updated")) && told.contains(VERSION), "{told}");
        assert!(told.contains("+ v1alpha1.spec.snapshots.readyTimeout"), "{told}");
        assert_eq!(release(&cluster).await, this());
        let policy = Api::<BackupPolicy>::all(cluster.client()).get("default").await.unwrap();
        assert_eq!(policy.spec.snapshots.ready_timeout, "33m".into());
        nothing_left(&cluster).await;
    }

    let before = definitions(&cluster).get(POLICIES).await.unwrap();
    let (said, ran) = with_job(&cluster, &[]).await;
    said.unwrap();
    assert!(ran.len() == 1 && ran[0].contains("already"), "{ran:?}");
    let after = definitions(&cluster).get(POLICIES).await.unwrap();
    assert_eq!(after.metadata.generation, before.metadata.generation);

    // What an earlier installation left behind is brought along by the next one as well.
    cluster.helm(&["uninstall", RELEASE, "-n", RELEASE, "--wait"]).await.unwrap();
    age(&cluster, Some("0.0.1")).await;
    let (said, ran) = with_job(&cluster, &[]).await;
    said.unwrap();
    assert!(ran.len() == 1 && ran[0].contains("updated from release 0.0.1"), "{ran:?}");
    assert_eq!(release(&cluster).await, this());
    nothing_left(&cluster).await;

    // A definition of a newer release stands, and so does what it serves.
    let label = json!({ "metadata": { "labels": { RELEASE_LABEL: "99.0.0" } } });
    let newer =
        definitions(&cluster).patch(POLICIES, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let (said, ran) = with_job(&cluster, &["--timeout", "240s"]).await;
    assert!(said.unwrap_err().to_string().contains("pre-upgrade hooks failed"));
    assert!(!ran.is_empty());
    for told in ran {
        assert!(
            told.contains("is of release 99.0.0, newer than this one") && told.contains("crds.upgrade=false"),
            "{told}"
        );
    }
    assert_eq!(definitions(&cluster).get(POLICIES).await.unwrap().metadata, newer.metadata, "untouched");
    install(&cluster, &[]).await.unwrap();
    assert_eq!(
        definitions(&cluster).get(POLICIES).await.unwrap().metadata,
        newer.metadata,
        "told to leave it"
    );

    // One that an upgrade brings for the first time is made.
    definitions(&cluster).delete(POLICIES, &DeleteParams::default()).await.unwrap();
    eventually("it is gone", || async {
        Ok(definitions(&cluster).get_opt(POLICIES).await?.is_none().then_some(()))
    })
    .await;
    let (said, ran) = with_job(&cluster, &["--reset-values"]).await;
    said.unwrap();
    assert!(ran.len() == 1 && ran[0].contains("created"), "{ran:?}");
    assert_eq!(release(&cluster).await, this());
    cluster.stop().await.unwrap();
}
