//! The examples work.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::progress::Console;

use super::site::{RELEASE, folder, install, installed, namespace};
use crate::place::eventually;

/// All YAML files under examples.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                files.push(path);
            }
        }
    }
    files
}

/// The objects in all of them that are no values of the chart.
fn objects() -> Vec<(PathBuf, DynamicObject)> {
    let manifests = files().into_iter().filter(|file| !is_values(file));
    let objects = manifests.flat_map(|file| {
        let text = std::fs::read_to_string(&file).unwrap();
        let objects = serde_saphyr::from_multiple::<DynamicObject>(&text);
        let objects = objects.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        objects.into_iter().map(move |object| (file.clone(), object))
    });
    objects.collect()
}

/// The spec of the pods that it makes.
fn pod_spec(object: &DynamicObject) -> Option<&Value> {
    let paths = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    paths.iter().find_map(|path| object.data.pointer(path)).filter(|spec| spec.get("containers").is_some())
}

fn is_values(file: &Path) -> bool {
    file.file_stem().unwrap().to_str().unwrap().starts_with("values")
}

/// Whether it is of a kind of Velero's.
fn is_veleros(object: &DynamicObject) -> bool {
    object.types.as_ref().expect("an object says its kind").api_version.starts_with("velero.io/")
}

/// Asks the API server for it, in a dry run.
async fn taken(client: &Client, file: &Path, object: &DynamicObject) {
    let params = PatchParams { dry_run: true, ..PatchParams::apply("examples").validation_strict() };
    let gvk = GroupVersionKind::try_from(object.types.as_ref().expect("an object says its kind")).unwrap();
    // The API server takes a moment to tell of a new kind.
    let (kind, capabilities) =
        eventually("the kind to be told of", || async { Ok(pinned_kind(client, &gvk).await.ok()) }).await;
    let name = object.metadata.name.as_deref().expect("an object has a name");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &kind),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.as_deref().expect("an example names its namespace");
            Api::namespaced_with(client.clone(), namespace, &kind)
        }
    };
    let taken = api.patch(name, &params, &Patch::Apply(object)).await;
    taken.unwrap_or_else(|error| panic!("{}: {name}: {error}", file.display()));
}

#[tokio::test]
async fn the_api_server_takes_every_example() {
    let client = installed().client();
    namespace(&client, "team-a").await;
    let mut seen = 0;
    for (file, object) in objects().iter().filter(|(_, object)| !is_veleros(object)) {
        taken(&client, file, object).await;
        seen += 1;
    }
    assert!(seen >= 7, "{seen} objects");
}

#[tokio::test]
async fn veleros_own_definitions_take_the_examples_for_it() {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let cluster = testbed.cluster("chart-velero-examples").inert().start().await.unwrap();
    namespace(&cluster.client(), "velero").await;
    cluster.install_crds(&testbed.velero_crds().await.unwrap()).await.unwrap();
    let mut seen = 0;
    for (file, object) in objects().iter().filter(|(_, object)| is_veleros(object)) {
        taken(&cluster.client(), file, object).await;
        seen += 1;
    }
    assert_eq!(seen, 4, "AWS, GCS, Azure, MinIO");
    cluster.stop().await.unwrap();
}

/// A namespace that only takes restricted pods lets every CronJob and Job in, and then none of its pods.
#[tokio::test]
async fn the_pods_of_the_examples_are_restricted() {
    let client = installed().client();
    namespace(&client, "team-b").await;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "team-b");
    eventually("the namespace to have a ServiceAccount", || async { Ok(accounts.get_opt("default").await?) })
        .await;
    let pods = Api::<Pod>::namespaced(client.clone(), "team-b");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let create = async |spec: &Value| {
        let pod = json!({ "metadata": { "name": "example" }, "spec": spec });
        pods.create(&params, &serde_json::from_value(pod).unwrap()).await
    };
    let mut seen = 0;
    for (file, object) in objects() {
        let Some(spec) = pod_spec(&object) else { continue };
        create(spec).await.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut root = spec.clone();
        root["securityContext"]["runAsNonRoot"] = json!(false);
        let refused = create(&root).await.unwrap_err().to_string();
        assert!(refused.contains("runAsNonRoot"), "{refused}");
        seen += 1;
    }
    assert!(seen >= 2, "{seen} pods");
}

#[tokio::test]
async fn helm_takes_the_example_values() {
    let files = files();
    let values: Vec<_> = files.iter().filter(|file| is_values(file)).collect();
    assert!(!values.is_empty());
    for file in values {
        let file = file.display().to_string();
        let said = install(installed(), &["--dry-run=server", "-f", &file]).await.unwrap();
        assert!(said.contains("kind: BackupPolicy") && said.contains(RELEASE), "{said}");
    }
}
