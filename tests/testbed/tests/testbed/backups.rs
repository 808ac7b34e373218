//! Velero takes backups and restores them, with real bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use kube::ResourceExt;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use testbed::{Cluster, Exit, ObjectStore, Velero, VeleroPlan, Volume, difference, until};

use crate::object_stores::ask;
use crate::objects::{bound, create_claim, create_namespace};
use crate::shared_cluster::testbed;

/// More than Velero takes for anything here on a machine that is not stuck.
const LIMIT: Duration = Duration::from_mins(5);

const BUCKET: &str = "backups";

async fn create(velero: &Velero<'_>, kind: &str, name: &str, spec: Value) {
    let object = json!({
        "apiVersion": "velero.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": velero.namespace()},
        "spec": spec,
    });
    let object = serde_json::from_value(object).unwrap();
    velero.objects(kind).create(&PostParams::default(), &object).await.unwrap();
}

/// Waits until a backup or restore has come to an end, whichever.
async fn ends(velero: &Velero<'_>, kind: &str, name: &str) -> DynamicObject {
    let objects = velero.objects(kind);
    until(&format!("the {kind} {name} to end"), LIMIT, || async {
        let object = objects.get(name).await?;
        let phase = object.data["status"]["phase"].as_str().unwrap_or_default().to_owned();
        let is_over = phase == "Completed" || phase.contains("Failed");
        Ok(is_over.then_some(object))
    })
    .await
    .unwrap()
}

async fn completes(velero: &Velero<'_>, kind: &str, name: &str) {
    let begun = Instant::now();
    let status = ends(velero, kind, name).await.data["status"].clone();
    // A restore warns of what is there already: a class, the ConfigMap of the authority.
    assert_eq!((&status["phase"], &status["errors"]), (&json!("Completed"), &Value::Null), "{status:#}");
    println!("{kind} {name}: {:.1} s", begun.elapsed().as_secs_f32());
}

async fn installed<'a>(cluster: &'a Cluster, store: &ObjectStore) -> Velero<'a> {
    let begun = Instant::now();
    let velero = cluster.velero(VeleroPlan::new(store, BUCKET).prefix("region"));
    velero.install().await.unwrap();
    println!("Velero in {}: available after {:.1} s", cluster.name(), begun.elapsed().as_secs_f32());
    velero
}

/// What is easily lost on the way.
fn fill(volume: &Volume) {
    let random = (0..1 << 16).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect::<Vec<u8>>();
    assert_eq!(random.len(), 1 << 20);
    volume.write("random.bin", random).unwrap();
    volume.write("Grüße/日本語/🦀 – ñ.txt", "unicode").unwrap();
    volume.write("empty", "").unwrap();
    std::os::unix::fs::symlink("Grüße/日本語", volume.path().join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", volume.path().join("dangling")).unwrap();
    std::fs::create_dir(volume.path().join("an empty folder")).unwrap();
    volume.write("bin/run", "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    std::fs::set_permissions(volume.path().join("bin/run"), mode).unwrap();
}

#[tokio::test]
async fn a_backup_of_one_cluster_is_restored_in_another_byte_by_byte() {
    let testbed = testbed().await;
    let store = testbed.object_store().await.unwrap();
    let bucket = store.make_bucket(BUCKET).unwrap();
    let east = testbed.cluster("velero-east").start().await.unwrap();
    let west = testbed.cluster("velero-west").driver_root(east.driver_root()).start().await.unwrap();
    let (in_east, in_west) = tokio::join!(installed(&east, &store), installed(&west, &store));
    assert_eq!(in_east.answers().await.unwrap(), "v1.18.3");

    create_namespace(&east, "work").await;
    create_claim(&east, "work", "data", json!({})).await;
    bound(&east, "work", "data").await;
    let volume = east.volume("work", "data").await.unwrap();
    fill(&volume);
    let before = volume.tree().unwrap();
    assert_eq!(before.len(), 10, "{before:#?}");

    // As long as Velero allows: a key holds the name twice.
    let backup = format!("b{}", "-name".repeat(15));
    create(&in_east, "Backup", &backup, json!({"includedNamespaces": ["work"]})).await;
    completes(&in_east, "Backup", &backup).await;
    let objects = store.objects(BUCKET).unwrap();
    let folder = format!("region/backups/{backup}");
    assert!(objects.contains(&format!("{folder}/{backup}.tar.gz")), "{objects:#?}");
    assert!(bucket.join(folder).join("velero-backup.json").is_file());
    // What happens to the volume later is not in the backup.
    volume.write("random.bin", "lost").unwrap();

    let begun = Instant::now();
    in_west.sync().await.unwrap();
    let backups = in_west.objects("Backup");
    until("the backup to be known in the west", LIMIT, || async { Ok(backups.get_opt(&backup).await?) })
        .await
        .unwrap();
    println!("in the west after {:.1} s", begun.elapsed().as_secs_f32());

    let spec = json!({"backupName": backup, "namespaceMapping": {"work": "again"}});
    let begun = Instant::now();
    create(&in_west, "Restore", "again", spec).await;
    completes(&in_west, "Restore", "again").await;
    bound(&west, "again", "data").await;
    println!("the claim is bound after {:.1} s", begun.elapsed().as_secs_f32());
    let restored = west.volume("again", "data").await.unwrap();
    assert_ne!(restored.path(), volume.path());
    assert_eq!(difference(&before, &restored.tree().unwrap()), [""; 0]);

    let target = json!({"kind": "BackupLog", "name": backup});
    create(&in_west, "DownloadRequest", "log", json!({"target": target})).await;
    let requests = in_west.objects("DownloadRequest");
    let url = until("the URL of the log", LIMIT, || async {
        Ok(requests.get("log").await?.data["status"]["downloadURL"].as_str().map(str::to_owned))
    })
    .await
    .unwrap();
    let path = url.strip_prefix(store.url()).expect("the URL leads to the store");
    assert_eq!(ask(&store, path).await.unwrap().0, StatusCode::OK, "{url}");

    create(&in_east, "DeleteBackupRequest", "away", json!({"backupName": backup})).await;
    until("the backup to leave the bucket", LIMIT, || async {
        Ok((!store.objects(BUCKET)?.iter().any(|key| key.contains("backups/"))).then_some(()))
    })
    .await
    .unwrap();

    for cluster in [east, west] {
        cluster.stop().await.unwrap();
    }
    store.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_dies_comes_back_and_goes_on() {
    let testbed = testbed().await;
    let store = testbed.object_store().await.unwrap();
    store.make_bucket(BUCKET).unwrap();
    let cluster = testbed.cluster("velero-dies").start().await.unwrap();
    let velero = cluster.velero(VeleroPlan::new(&store, BUCKET).namespace("elsewhere"));
    velero.install().await.unwrap();
    create_namespace(&cluster, "work").await;
    let empty = json!({"includedNamespaces": ["work"]});

    let before = velero.process().unwrap();
    assert_eq!(cluster.kill("velero").await.unwrap(), Exit::Signal("SIGKILL".to_owned()));
    create(&velero, "Backup", "while-dead", empty.clone()).await;
    cluster.restart("velero").await.unwrap();
    velero.answers().await.unwrap();
    assert_ne!(velero.process().unwrap().pid(), before.pid());
    completes(&velero, "Backup", "while-dead").await;
    assert!(!store.objects(BUCKET).unwrap().is_empty());

    // Without its store it finds the location unavailable, and then again available.
    store.kill().await.unwrap();
    let locations = velero.objects("BackupStorageLocation");
    until("the location to be unavailable", LIMIT, || async {
        let location = locations.get("default").await?;
        Ok((location.data["status"]["phase"] == "Unavailable").then_some(()))
    })
    .await
    .unwrap();
    store.restart().await.unwrap();
    velero.is_available().await.unwrap();
    create(&velero, "Backup", "afterwards", empty).await;
    completes(&velero, "Backup", "afterwards").await;

    let plugins = cluster.dir().join("velero/plugins");
    assert_eq!(files_in(&plugins), ["velero-plugin-for-aws"]);
    cluster.stop().await.unwrap();
    store.stop().await.unwrap();
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn the_crds_are_velero_s_own_and_need_no_server() {
    let testbed = testbed().await;
    let store = testbed.object_store().await.unwrap();
    let crds = files_in(&testbed.velero_crds().await.unwrap());
    for kind in ["backups", "restores", "schedules", "backupstoragelocations", "datauploads"] {
        assert!(crds.contains(&format!("velero.io_{kind}.yaml")), "{crds:?}");
    }
    let cluster = testbed.cluster("velero-crds").inert().start().await.unwrap();
    let velero = cluster.velero(VeleroPlan::new(&store, BUCKET));
    velero.install_crds().await.unwrap();
    velero.create_namespace().await.unwrap();
    velero.create_location().await.unwrap();
    let location = velero.objects("BackupStorageLocation").get("default").await.unwrap();
    assert_eq!(location.name_any(), "default");
    velero.process().expect_err("nobody started it");
    cluster.stop().await.unwrap();
}
