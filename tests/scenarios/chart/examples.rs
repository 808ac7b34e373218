//! The examples work.

use std::path::{Path, PathBuf};

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};

use super::site::{RELEASE, folder, install, installed, namespace};

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder("examples")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn is_values(file: &Path) -> bool {
    file.file_stem().unwrap().to_str().unwrap().starts_with("values")
}

#[tokio::test]
async fn the_api_server_takes_every_example() {
    let client = installed().client();
    namespace(&client, "team-a").await;
    let params = PatchParams { dry_run: true, ..PatchParams::apply("examples").validation_strict() };
    let mut seen = 0;
    for file in files().iter().filter(|file| !is_values(file)) {
        let text = std::fs::read_to_string(file).unwrap();
        for object in serde_saphyr::from_multiple::<DynamicObject>(&text).unwrap() {
            let types = object.types.as_ref().expect("an object says its kind");
            let gvk = GroupVersionKind::try_from(types).unwrap();
            let (kind, capabilities) = pinned_kind(&client, &gvk).await.unwrap();
            let name = object.metadata.name.as_deref().expect("an object has a name");
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Cluster => Api::all_with(client.clone(), &kind),
                Scope::Namespaced => {
                    let namespace =
                        object.metadata.namespace.as_deref().expect("an example names its namespace");
                    Api::namespaced_with(client.clone(), namespace, &kind)
                }
            };
            let taken = api.patch(name, &params, &Patch::Apply(&object)).await;
            taken.unwrap_or_else(|error| panic!("{}: {name}: {error}", file.display()));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} objects");
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
