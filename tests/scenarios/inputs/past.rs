//! Recovery points from the past.

use agenttier_backup::csi::{SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec};
use jiff::{SignedDuration, Timestamp};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::Stage;

use crate::place::{TEAM, claims, eventually};

/// A recovery point as the product would have made it.
pub(super) struct Past<'a> {
    pub(super) claim: &'a str,
    pub(super) name: &'a str,
    /// So many hours ago.
    pub(super) age: i64,
    /// The retention that it was taken under.
    pub(super) retention: &'a str,
}

/// Makes them, waits until they are ready, and dates them back.
pub(super) async fn plant(stage: &Stage, points: &[Past<'_>]) {
    let api: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    for point in points {
        api.create(&PostParams::default(), &rendered(stage, point).await).await.unwrap();
    }
    eventually("what was planted is ready", || async {
        let ready = stage.points(TEAM).await?.ready().names();
        Ok(points.iter().all(|point| ready.contains(point.name)).then_some(()))
    })
    .await;
    let store = stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots");
    for point in points {
        let at = json!(moment(point.age).to_string());
        let date_back = |object: &mut serde_json::Value| {
            object["metadata"]["creationTimestamp"] = at.clone();
            object["status"]["creationTime"] = at.clone();
        };
        store.rewrite(&format!("{TEAM}/{}", point.name), date_back).await.unwrap();
    }
    eventually("the API server shows the older dates", || async {
        let shown = stage.points(TEAM).await?.0;
        let is_dated = |point: &Past<'_>| {
            let shown = shown.iter().find(|shown| shown.name_any() == point.name);
            let created = shown.and_then(ResourceExt::creation_timestamp);
            created.is_some_and(|created| created.0 <= moment(point.age) + SignedDuration::from_mins(5))
        };
        Ok(points.iter().all(is_dated).then_some(()))
    })
    .await;
}

fn moment(hours_ago: i64) -> Timestamp {
    let at = Timestamp::now() - SignedDuration::from_hours(hours_ago);
    Timestamp::from_second(at.as_second()).expect("a time in this century")
}

async fn rendered(stage: &Stage, point: &Past<'_>) -> VolumeSnapshot {
    let claim = claims(stage).get(point.claim).await.unwrap();
    let source = SnapshotSource {
        persistent_volume_claim_name: Some(point.claim.into()),
        ..SnapshotSource::default()
    };
    let spec = VolumeSnapshotSpec { source, ..VolumeSnapshotSpec::default() };
    let mut snapshot = VolumeSnapshot::new(point.name, spec);
    let labels = snapshot.labels_mut();
    labels.insert("app.kubernetes.io/managed-by".into(), "agenttier-backup".into());
    labels.insert("agenttier.io/snapshot-kind".into(), "scheduled-backup".into());
    let annotations = snapshot.annotations_mut();
    for (key, value) in [
        ("volume-uid", claim.uid().expect("the API server sets it")),
        ("claim", point.claim.to_owned()),
        ("slot", moment(point.age).to_string()),
        ("retention", point.retention.to_owned()),
    ] {
        annotations.insert(format!("backup.agenttier.io/{key}"), value);
    }
    snapshot
}
