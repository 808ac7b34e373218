//! What keeps a volume from being protected is named where people look, and ends when its cause does.

use std::collections::BTreeMap;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, SnapshotSpec};
use agenttier_backup::csi::{SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec};
use agenttier_backup_plan::marks;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use stage::{Rhythm, Stage};
use testbed::{Code, Fault, STORAGE_CLASS};

use crate::place::{ONCE, TEAM, controller_may_not, eventually, stage, workspace};

const FAST: &[&str] = &["--snapshots-per-minute-at-least", "60"];

/// What the policy says of itself: status, reason and message of its condition.
async fn told(stage: &Stage) -> anyhow::Result<(String, String, String)> {
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let status = policies.get("stage").await?.status.unwrap_or_default();
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
    Ok(ready.map(|ready| (ready.status, ready.reason, ready.message)).unwrap_or_default())
}

/// What `plan` says of a volume.
async fn planned(stage: &Stage, claim: &str) -> Value {
    let plan = stage.run(&["plan", "-o", "json"]).await.unwrap().json().unwrap();
    let volumes = plan["volumes"].as_array().unwrap();
    volumes.iter().find(|volume| volume["volume"]["claim"] == claim).cloned().unwrap_or_default()
}

/// Sets the quota of snapshots, and waits until the API server keeps it.
pub(crate) async fn quota(stage: &Stage, snapshots: &str) {
    const KEY: &str = "count/volumesnapshots.snapshot.storage.k8s.io";
    let quotas: Api<ResourceQuota> = Api::namespaced(stage.client.clone(), TEAM);
    let mut turn = 0;
    eventually("the quota is in force", || {
        turn += 1;
        // Kubernetes looks at a quota when it is changed, and counts a new kind only some time after its CRD came.
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "snapshots" },
            "spec": { "hard": { KEY: snapshots, "count/configmaps": (1000 + turn).to_string() } },
        });
        let quotas = quotas.clone();
        async move {
            let params = PatchParams::apply("scenario").force();
            quotas.patch("snapshots", &params, &Patch::Apply(&quota)).await?;
            let status = quotas.get("snapshots").await?.status.unwrap_or_default();
            let counted = status.used.is_some_and(|used| used.contains_key(KEY));
            let hard = status.hard.and_then(|hard| hard.get(KEY).cloned());
            Ok(hard.filter(|hard| counted && hard.0 == snapshots))
        }
    })
    .await;
    // Whoever lets objects in hears of it a moment later.
    let source = SnapshotSource { persistent_volume_claim_name: Some("none".into()), ..Default::default() };
    let one_more =
        VolumeSnapshot::new("one-more", VolumeSnapshotSpec { source, ..VolumeSnapshotSpec::default() });
    let points: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("what is too many is refused", || async {
        let status = quotas.get("snapshots").await?.status.unwrap_or_default();
        let count = |counts: Option<BTreeMap<String, Quantity>>| {
            counts.and_then(|counts| counts.get(KEY)?.0.parse::<u32>().ok())
        };
        let full = count(status.used) >= count(status.hard);
        let refused = points.create(&dry_run, &one_more).await.err().map(|error| error.to_string());
        let refused = refused.is_some_and(|error| error.contains("exceeded quota"));
        Ok((refused || !full).then_some(()))
    })
    .await;
}

#[tokio::test]
async fn a_full_quota_is_named_at_once_and_its_end_is_enough() {
    let stage = stage("quota").await;
    quota(&stage, "0").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();

    let (status, reason, message) = eventually("the policy names the quota", || async {
        Ok(Some(told(&stage).await?).filter(|(_, _, message)| message.contains("QuotaExceeded")))
    })
    .await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SnapshotsFailing"), "{message}");
    assert!(message.contains("0 of 1 volume protected") && message.contains("team-a/w"), "{message}");
    assert!(message.contains("exceeded quota: snapshots"), "in the API server's own words: {message}");

    let volume = planned(&stage, "w").await;
    assert_eq!(
        (&volume["protection"]["state"], &volume["protection"]["reason"]),
        (&json!("Awaited"), &json!("QuotaExceeded")),
        "{volume:#}"
    );
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("Awaited: QuotaExceeded") && text.contains("exceeded quota: snapshots"), "{text}");
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 0);

    quota(&stage, "5").await;
    eventually("a recovery point", || async {
        Ok((stage.points(TEAM).await?.ours().ready().count() == 1).then_some(()))
    })
    .await;
    assert_eq!(planned(&stage, "w").await["protection"]["state"], "Protected");
    let (_, reason, message) = eventually("the policy says that all is well", || async {
        Ok(Some(told(&stage).await?).filter(|(status, ..)| status == "True"))
    })
    .await;
    assert_eq!((reason.as_str(), message.as_str()), ("Protected", "1 of 1 volume protected"));
    let failing =
        Api::<BackupPolicy>::all(stage.client.clone()).get("stage").await.unwrap().status.unwrap().failing;
    assert_eq!(failing, [], "nothing of it stays in the status");
    let passes = controller.log().unwrap().matches(" pass ").count();
    assert!(passes < 40, "a volume that waits fills no log: {passes} lines");
}

/// A day is too long to wait for somebody who has mistyped a class.
#[tokio::test]
async fn a_wrong_class_is_named_and_correcting_it_is_enough() {
    let stage = stage("class").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    let policy = |class: &str| {
        let snapshots = SnapshotSpec { snapshot_class_name: class.into(), ..ONCE.snapshots() };
        BackupPolicy::new(
            "stage",
            BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() },
        )
    };
    stage.write_policy(&policy("no-such-class")).await.unwrap();
    stage.start_controller(FAST).await.unwrap();

    let message = eventually("the policy says so", || async {
        let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
        let status = policies.get("stage").await?.status.unwrap_or_default();
        let warnings = status.conditions.into_iter().find(|condition| condition.type_ == "Warnings");
        Ok(warnings
            .filter(|told| told.status == "True" && told.reason == "UnknownClass")
            .map(|told| told.message))
    })
    .await;
    assert!(
        message.contains("no VolumeSnapshotClass no-such-class") && message.contains("team-a/w"),
        "{message}"
    );
    let (status, reason, message) = told(&stage).await.unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SnapshotsFailing"), "{message}");
    let volume = planned(&stage, "w").await;
    assert_eq!(
        (&volume["protection"]["state"], &volume["protection"]["reason"]),
        (&json!("Awaited"), &json!("UnknownClass")),
        "{volume:#}"
    );
    assert_eq!(volume["notices"][0]["reason"], "UnknownClass", "{volume:#}");
    assert_eq!(volume["wants"], json!([]), "{volume:#}");
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("Awaited: UnknownClass"), "{text}");
    assert!(text.contains("team-a/w: UnknownClass: there is no VolumeSnapshotClass no-such-class"), "{text}");
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 0, "none that could only fail is made");

    stage.write_policy(&policy("")).await.unwrap();
    eventually("a recovery point", || async {
        Ok((stage.points(TEAM).await?.ours().ready().count() == 1).then_some(()))
    })
    .await;
    let volume = planned(&stage, "w").await;
    assert_eq!((&volume["protection"]["state"], &volume["notices"]), (&json!("Protected"), &json!([])));
}

/// The storage refuses for a while: it is told in its own words, tried again in the same slot, and cleared away.
#[tokio::test]
async fn a_failed_snapshot_is_told_tried_again_and_cleared_away() {
    let stage = stage("failed").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    let refusal = || Fault::fail("CreateSnapshot", Code::Internal, "the array is full");
    stage.cluster.driver().faults(&[refusal()]).unwrap();
    let policy = |priority| {
        let snapshots = SnapshotSpec { ready_timeout: "5s".into(), ..ONCE.snapshots() };
        BackupPolicy::new("stage", BackupPolicySpec { priority, snapshots, ..BackupPolicySpec::default() })
    };
    stage.write_policy(&policy(10)).await.unwrap();
    stage.start_controller(FAST).await.unwrap();

    let volume = eventually("the failure is told", || async {
        let volume = planned(&stage, "w").await;
        let protection = &volume["protection"];
        Ok((protection["reason"] == "SnapshotFailed").then_some(volume))
    })
    .await;
    let point = &volume["points"][0];
    assert_eq!((&point["readiness"], &point["fate"]), (&json!("Failed"), &json!("Keep")), "{point:#}");
    assert!(point["error"].as_str().unwrap().contains("the array is full"), "{point:#}");
    let text = stage.run(&["list"]).await.unwrap().good().unwrap();
    assert!(text.contains("the array is full") && text.contains("Failed"), "{text}");
    // A status is written once a minute, and at once for whoever edits the policy.
    stage.write_policy(&policy(11)).await.unwrap();
    let (status, _, message) = eventually("the policy says so", || async {
        Ok(Some(told(&stage).await?).filter(|(_, _, message)| message.contains("SnapshotFailed")))
    })
    .await;
    assert!(status == "False" && message.contains("the array is full"), "{status}: {message}");

    // The storage is asked again and again for what it has refused: that must not get ready after all.
    eventually("all that was refused stays so", || async {
        let failed = stage.points(TEAM).await?;
        let refused =
            failed.0.iter().map(|point| refusal().matching(&point.uid().expect("the API server sets it")));
        stage.cluster.driver().faults(&refused.collect::<Vec<_>>())?;
        // One more may have been tried meanwhile.
        Ok((stage.points(TEAM).await?.names() == failed.names()).then_some(()))
    })
    .await;
    let good = eventually("a recovery point", || async {
        Ok(stage.points(TEAM).await?.ours().ready().0.into_iter().next())
    })
    .await;
    assert!(good.name_any().contains("-r"), "a further attempt in the same slot: {}", good.name_any());
    assert_eq!(planned(&stage, "w").await["protection"]["state"], "Protected");
    eventually("what failed is cleared away", || async {
        Ok((stage.points(TEAM).await?.count() == 1).then_some(()))
    })
    .await;
    assert_eq!(stage.points(TEAM).await.unwrap().names(), [good.name_any()].into());
}

/// One volume cannot be deleted from; its snapshots go on, and it is said.
#[tokio::test]
async fn a_right_to_prune_that_is_missing_stops_no_snapshot() {
    let stage = stage("no-prune").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    let roles = Api::<k8s_openapi::api::rbac::v1::ClusterRole>::all(stage.client.clone());
    let mut role = roles.get(stage.release()).await.unwrap();
    for rule in role.rules.iter_mut().flatten() {
        rule.verbs.retain(|verb| verb != "delete");
    }
    roles.replace(stage.release(), &PostParams::default(), &role).await.unwrap();
    controller_may_not(&stage, "delete", "volumesnapshots", "snapshot.storage.k8s.io").await;
    stage.policy(Rhythm { interval: "10s", max_age: "15s", keep_last: 1 }).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();

    eventually("a prune is refused", || async {
        Ok(controller.log()?.contains("reason=\"Forbidden\"").then_some(()))
    })
    .await;
    let then = stage.points(TEAM).await.unwrap().ready().count();
    eventually("two more snapshots", || async {
        Ok((stage.points(TEAM).await?.ready().count() >= then + 2).then_some(()))
    })
    .await;
    let volume = planned(&stage, "w").await;
    assert_eq!(volume["protection"]["state"], "Protected", "{volume:#}");
    eventually("the policy tells of it", || async {
        let (status, _, message) = told(&stage).await?;
        Ok((status == "True" && message.contains("cannot prune: 1 Forbidden (team-a/w)")).then_some(()))
    })
    .await;
    let points = stage.points(TEAM).await.unwrap();
    assert!(points.0.iter().all(|point| point.annotations().contains_key(marks::VOLUME_UID)));
    points.one_per_slot().unwrap();
}
