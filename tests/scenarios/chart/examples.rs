//! The examples work.

use std::path::{Path, PathBuf};

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};

use testbed::Testbed;
use testbed::progress::Console;

use super::site::{RELEASE, folder, install, installed, namespace};

/// The files of a folder, without those below it.
fn files(of: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(of)).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

fn is_values(file: &Path) -> bool {
    file.file_stem().unwrap().to_str().unwrap().starts_with("values")
}

#[tokio::test]
async fn the_api_server_takes_every_example() {
    let client = installed().client();
    namespace(&client, "team-a").await;
    let mut seen = 0;
    for file in files("examples").iter().filter(|file| !is_values(file)) {
        seen += taken(&client, file).await;
    }
    assert!(seen >= 4, "{seen} objects");
}

#[tokio::test]
async fn veleros_own_definitions_take_the_examples_for_it() {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let cluster = testbed.cluster("chart-velero-examples").inert().start().await.unwrap();
    namespace(&cluster.client(), "velero").await;
    let definitions = testbed.velero_crds().await.unwrap();
    cluster.install_crds(&definitions).await.unwrap();
    let files = files("examples/velero");
    let manifests: Vec<_> =
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")).collect();
    assert_eq!(manifests.len(), 4, "AWS, GCS, Azure, MinIO: {manifests:?}");
    for file in manifests {
        assert_eq!(taken(&cluster.client(), file).await, 1, "{}", file.display());
    }
    cluster.stop().await.unwrap();
}

/// How many objects of a file the API server takes, in a dry run: all of them.
async fn taken(client: &Client, file: &Path) -> usize {
    let params = PatchParams { dry_run: true, ..PatchParams::apply("examples").validation_strict() };
    let text = std::fs::read_to_string(file).unwrap();
    let objects = serde_saphyr::from_multiple::<DynamicObject>(&text).unwrap();
    for object in &objects {
        let types = object.types.as_ref().expect("an object says its kind");
        let gvk = GroupVersionKind::try_from(types).unwrap();
        let (kind, capabilities) = pinned_kind(client, &gvk).await.unwrap();
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
    objects.len()
}

#[tokio::test]
async fn helm_takes_the_example_values() {
    let files = files("examples");
    let values: Vec<_> = files.iter().filter(|file| is_values(file)).collect();
    assert!(!values.is_empty());
    for file in values {
        let file = file.display().to_string();
        let said = install(installed(), &["--dry-run=server", "-f", &file]).await.unwrap();
        assert!(said.contains("kind: BackupPolicy") && said.contains(RELEASE), "{said}");
    }
}
