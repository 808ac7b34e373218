//! VolumeSnapshotClasses that cannot be used, that change what may be done, and that a driver of several needs.

use std::collections::BTreeMap;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, SnapshotSpec};
use agenttier_backup::csi::{IS_DEFAULT_CLASS, VolumeSnapshotClass};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Rhythm, Stage};
use testbed::{DRIVER, SNAPSHOT_CLASS, STORAGE_CLASS};

use super::told::{FAST, Told, condition};
use crate::place::{TEAM, eventually, stage, workspace};

const SHORT: Rhythm = Rhythm { interval: "10s", max_age: "12s", keep_last: 1 };

async fn class(stage: &Stage, name: &str, driver: &str, policy: &str, is_default: bool) {
    let class: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": { "name": name, "annotations": { IS_DEFAULT_CLASS: is_default.to_string() } },
        "driver": driver,
        "deletionPolicy": policy,
    }))
    .expect("a class");
    let kind = ApiResource::erase::<VolumeSnapshotClass>(&());
    let classes: Api<DynamicObject> = Api::all_with(stage.client.clone(), &kind);
    classes.create(&PostParams::default(), &class).await.unwrap();
}

/// A managed claim, bound to a volume of a driver that nobody runs.
async fn volume_of(stage: &Stage, name: &str, driver: &str) {
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": "1Gi" },
            "csi": { "driver": driver, "volumeHandle": name },
        },
    }))
    .expect("a volume");
    Api::<PersistentVolume>::all(stage.client.clone()).create(&PostParams::default(), &volume).await.unwrap();
    let claim = json!({
        "metadata": { "name": name, "labels": { "agenttier.io/managed": "true" } },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    claim_in(stage, TEAM, claim).await;
}

async fn claim_in(stage: &Stage, namespace: &str, claim: serde_json::Value) {
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).expect("a claim");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), namespace);
    claims.create(&PostParams::default(), &claim).await.unwrap();
}

/// A namespace of its own with a volume of the testbed's driver, and a policy for it alone.
async fn under(stage: &Stage, namespace: &str, change: impl FnOnce(&mut SnapshotSpec)) {
    stage.namespace(namespace).await.unwrap();
    let claim = json!({
        "metadata": { "name": format!("w-{namespace}"), "labels": { "agenttier.io/managed": "true" } },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": STORAGE_CLASS,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    });
    claim_in(stage, namespace, claim).await;
    let labels = [("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())];
    let mut spec =
        BackupPolicySpec { priority: 20, snapshots: SHORT.snapshots(), ..BackupPolicySpec::default() };
    spec.namespace_selector =
        LabelSelector { match_labels: Some(BTreeMap::from(labels)), ..LabelSelector::default() };
    change(&mut spec.snapshots);
    stage.write_policy(&BackupPolicy::new(namespace, spec)).await.unwrap();
}

fn by_driver(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(driver, class)| ((*driver).to_owned(), (*class).to_owned())).collect()
}

#[tokio::test]
async fn each_is_named_and_stops_no_other_volume() {
    let stage = stage("classes").await;
    class(&stage, "twin-1", "two.example", "Delete", true).await;
    class(&stage, "twin-2", "two.example", "Delete", true).await;
    class(&stage, "second", DRIVER, "Delete", false).await;
    class(&stage, "kept", DRIVER, "Retain", false).await;
    workspace(&stage, "fine", STORAGE_CLASS).await;
    volume_of(&stage, "none", "none.example").await;
    volume_of(&stage, "two", "two.example").await;
    volume_of(&stage, "other", "other.example").await;
    volume_of(&stage, "unknown", "unknown.example").await;
    let mut snapshots = SHORT.snapshots();
    snapshots.classes = by_driver(&[("other.example", SNAPSHOT_CLASS), ("unknown.example", "no-such-class")]);
    let spec = BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() };
    stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
    under(&stage, "kept", |snapshots| snapshots.snapshot_class_name = "kept".into()).await;
    under(&stage, "mapped", |snapshots| {
        snapshots.snapshot_class_name = "twin-1".into();
        snapshots.classes = by_driver(&[(DRIVER, "second")]);
    })
    .await;
    let controller = stage.start_controller(FAST).await.unwrap();

    let pruned = |claim: &str| {
        let log = controller.log().unwrap();
        log.lines()
            .filter(|line| line.contains("snapshot pruned") && line.contains(&format!("claim={claim} ")))
            .count()
    };
    eventually("two points each are pruned of the volumes whose class is fine", || async {
        Ok((pruned("fine") >= 2 && pruned("w-mapped") >= 2).then_some(()))
    })
    .await;

    // Of the class that retains as many are taken, and none goes.
    let (told, kept) =
        eventually("three points of the class that retains, one of them past its time", || async {
            let kept = stage.points("kept").await?.ours().ready();
            if kept.count() < 3 {
                return Ok(None);
            }
            let told = Told::by(&stage).await?;
            let bound = |claim: &&str| told.of(claim)["driver"].is_string();
            let all_bound = ["none", "two", "other", "unknown"].iter().all(bound);
            Ok((all_bound && told.fates("w-kept").contains(&"ClassRetains")).then_some((told, kept)))
        })
        .await;
    for (claim, reason, words) in [
        ("none", "NoDefaultClass", "driver none.example has no default VolumeSnapshotClass"),
        ("two", "TwoDefaultClasses", "driver two.example has more than one default VolumeSnapshotClass"),
        ("other", "ClassOfOtherDriver", "VolumeSnapshotClass dir is not of driver other.example"),
        ("unknown", "UnknownClass", "there is no VolumeSnapshotClass no-such-class"),
    ] {
        assert_eq!(told.reason(claim), reason, "{:#}", told.of(claim));
        assert!(told.notice(claim, reason).unwrap().starts_with(words), "{:#}", told.of(claim));
        assert_eq!(stage.points(TEAM).await.unwrap().of(claim).count(), 0, "{claim}");
    }
    // A status is written but once a minute.
    eventually("all that is wrong is a condition", || async {
        let warnings = condition(&stage, "stage", "Warnings").await?;
        let mut reasons =
            ["NoDefaultClass", "TwoDefaultClasses", "ClassOfOtherDriver", "UnknownClass"].iter();
        let is_whole = warnings.is_some_and(|warnings| {
            reasons.all(|reason| warnings.message.contains(&format!("1 {reason} (team-a/")))
        });
        Ok(is_whole.then_some(()))
    })
    .await;

    assert_eq!(told.of("fine")["protection"]["state"], "Protected");
    let mapped = stage.points("mapped").await.unwrap().ours();
    assert!(mapped.0.iter().all(|point| point.spec.volume_snapshot_class_name.as_deref() == Some("second")));

    assert!(kept.0.iter().all(|point| point.spec.volume_snapshot_class_name.as_deref() == Some("kept")));
    assert!(kept.names().is_subset(&stage.points("kept").await.unwrap().names()), "none has gone");
    assert_eq!(pruned("w-kept"), 0);
    assert_eq!(told.of("w-kept")["protection"]["state"], "Protected");
    let notice = told.notice("w-kept", "ClassRetains").unwrap();
    assert!(notice.contains("VolumeSnapshotClass kept has deletionPolicy Retain"), "{notice}");
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(
        text.contains("kept/w-kept: ClassRetains: ") && text.contains("team-a/two: TwoDefaultClasses: "),
        "{text}"
    );
    let warnings = eventually("it is a condition, too", || condition(&stage, "kept", "Warnings")).await;
    assert_eq!(warnings.reason, "ClassRetains", "{}", warnings.message);

    // One default is enough, and nothing else has to be done.
    let classes: Api<VolumeSnapshotClass> = Api::all(stage.client.clone());
    let plain = json!({ "metadata": { "annotations": { IS_DEFAULT_CLASS: null } } });
    classes.patch("twin-2", &PatchParams::default(), &Patch::Merge(&plain)).await.unwrap();
    let first = eventually("a snapshot of the one default class", || async {
        Ok(stage.points(TEAM).await?.ours().of("two").0.into_iter().next())
    })
    .await;
    assert_eq!(first.spec.volume_snapshot_class_name.as_deref(), Some("twin-1"), "{}", first.name_any());
    assert_eq!(Told::by(&stage).await.unwrap().notice("two", "TwoDefaultClasses"), None);
}
