//! What pruning takes, and what it never does.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup::api::BackupPolicy;
use agenttier_backup::csi::{SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec};
use agenttier_backup_plan::marks;
use double::{NewSandbox, Phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Points, Rhythm, Stage};
use testbed::{Code, Fault};

use crate::place::{TEAM, TEMPLATE, eventually, stage, user};

async fn make(stage: &Stage, name: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    };
    let source =
        SnapshotSource { persistent_volume_claim_name: Some("s1-workspace".into()), ..Default::default() };
    let mut snapshot = VolumeSnapshot::new(name, VolumeSnapshotSpec { source, ..Default::default() });
    snapshot.metadata.labels = Some(map(labels));
    snapshot.metadata.annotations = Some(map(annotations));
    let api: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    api.create(&PostParams::default(), &snapshot).await.unwrap();
}

/// Old scheduled snapshots go; clones, on-stop, AgentTier's, Velero's, forged and pinned ones stay, and so does
/// the newest of a volume whose snapshots fail.
#[tokio::test]
async fn takes_only_what_we_made_and_never_the_last() {
    let stage = stage("pruning").await;
    let user = user(&stage);
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE).snapshot_on_stop()).await.unwrap();
    let running = user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(running.data["status"]["pvcName"], "s1-workspace");
    user.stop("s1").await.unwrap();
    user.wait_phase("s1", Phase::Stopped).await.unwrap();
    user.clone_sandbox("s1", "s2").await.unwrap();
    user.back_up("s1").await.unwrap();
    // While it is stopped, one point would be enough.
    user.resume("s1").await.unwrap();
    user.wait_phase("s1", Phase::Running).await.unwrap();

    let uid = crate::place::claims(&stage).get("s1-workspace").await.unwrap().uid().unwrap();
    let ours = [(marks::MANAGED_BY, marks::US), (marks::SNAPSHOT_KIND, marks::SCHEDULED_BACKUP)];
    let of_volume = [(marks::VOLUME_UID, uid.as_str()), (marks::CLAIM, "s1-workspace")];
    make(&stage, "by-hand", &[], &[]).await;
    make(&stage, "veleros", &[ours[0], ours[1], ("velero.io/backup-name", "b")], &of_volume).await;
    make(&stage, "forged-source", &ours, &[(marks::VOLUME_UID, &uid), (marks::CLAIM, "other-workspace")])
        .await;
    let sandbox = running.uid().unwrap();
    let of_earlier = [
        (marks::VOLUME_UID, "gone"),
        (marks::CLAIM, "s1-workspace"),
        (marks::SANDBOX, "s1"),
        (marks::SANDBOX_UID, sandbox.as_str()),
    ];
    make(&stage, "earlier-volume", &ours, &of_earlier).await;
    make(&stage, "pinned", &ours, &[of_volume[0], of_volume[1], (marks::PINNED, "audit")]).await;
    let kept = stage.points(TEAM).await.unwrap().names();
    assert_eq!(kept.len(), 8, "on-stop, clone, AgentTier's own and five by hand: {kept:?}");
    eventually("all of them are ready, so that only the rules keep them", || async {
        Ok((stage.points(TEAM).await?.ready().count() >= kept.len()).then_some(()))
    })
    .await;

    stage.policy(Rhythm { interval: "10s", max_age: "15s", keep_last: 1 }).await.unwrap();
    let controller = stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    let first = eventually("the first scheduled point", || async {
        Ok(scheduled(&stage, &kept).await?.into_iter().next())
    })
    .await;
    eventually("it is pruned when newer ones are there", || async {
        Ok((!scheduled(&stage, &kept).await?.contains(&first)).then_some(()))
    })
    .await;
    eventually("another is pruned", || async {
        Ok((controller.log()?.matches("snapshot pruned").count() >= 2).then_some(()))
    })
    .await;
    let now = stage.points(TEAM).await.unwrap().names();
    assert!(kept.is_subset(&now), "gone: {:?}", kept.difference(&now));

    // From now on no snapshot gets ready. The older ones go with time; the newest stays, however old it gets.
    stage.cluster.driver().faults(&[Fault::fail("CreateSnapshot", Code::Internal, "out of order")]).unwrap();
    let last = eventually("one ready point is left", || async {
        let points = scheduled_points(&stage, &kept).await?;
        // One that was cut before may still get ready.
        let failed = |point: &&VolumeSnapshot| point.status.as_ref().is_some_and(|it| it.error.is_some());
        let failed = points.0.iter().filter(failed).count();
        let ready = points.ready();
        Ok((ready.count() == 1 && failed + 1 == points.count()).then(|| ready.0[0].clone()))
    })
    .await;
    eventually("it is twice as old as its policy allows, and a newer one is under way", || async {
        let age = Timestamp::now().duration_since(last.creation_timestamp().unwrap().0);
        let newer = scheduled_points(&stage, &kept).await?.count() > 1;
        Ok((age > SignedDuration::from_secs(30) && newer).then_some(()))
    })
    .await;
    let ready = scheduled_points(&stage, &kept).await.unwrap().ready().names();
    assert_eq!(ready, BTreeSet::from([last.name_any()]), "the last good copy");

    // Suspended: newer ones get ready, and yet it is not pruned.
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let patch = json!({ "spec": { "suspend": true } });
    policies.patch("stage", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    eventually("the policy says that it is suspended", || async {
        let status = policies.get("stage").await?.status.unwrap_or_default();
        Ok(status.conditions.iter().any(|condition| condition.reason == "Suspended").then_some(()))
    })
    .await;
    let suspended = eventually("what was pruned before is gone", || async {
        let points = stage.points(TEAM).await?;
        let goes = |point: &VolumeSnapshot| point.metadata.deletion_timestamp.is_some();
        Ok((!points.0.iter().any(goes)).then(|| points.names()))
    })
    .await;
    stage.cluster.driver().faults(&[]).unwrap();
    eventually("a newer point gets ready", || async {
        Ok((scheduled_points(&stage, &kept).await?.ready().count() > 1).then_some(()))
    })
    .await;
    let plan = stage.run(&["plan", "-o", "json"]).await.unwrap().json().unwrap();
    assert_eq!(plan["actions"], json!([]));
    let protections = plan["volumes"].as_array().unwrap().iter().map(|volume| &volume["protection"]);
    // What is left of the earlier volume is retired; it follows no policy.
    let living: Vec<_> = protections.filter(|protection| protection["state"] != "Retired").collect();
    assert!(!living.is_empty());
    assert!(living.iter().all(|protection| protection["reason"] == "PolicySuspended"), "{living:?}");
    assert_eq!(stage.points(TEAM).await.unwrap().names(), suspended, "nothing came, nothing went");
    one_that_stays_keeps_no_other(&stage, &last.name_any(), &kept).await;
}

/// An admission policy keeps the oldest: all others go nonetheless, and it does too as soon as it may.
async fn one_that_stays_keeps_no_other(stage: &Stage, oldest: &str, by_hand: &BTreeSet<String>) {
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let refusals: Api<ValidatingAdmissionPolicy> = Api::all(stage.client.clone());
    refuse_deletion_of(stage, oldest).await;
    let patch = json!({ "spec": { "suspend": false } });
    policies.patch("stage", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let failing = || async {
        let status = policies.get("stage").await?.status.unwrap_or_default();
        // Others may fail for a moment, where something has changed meanwhile.
        Ok(status
            .failing
            .into_iter()
            .find(|failing| failing.action == "Prune" && failing.message.contains("held for an audit")))
    };
    eventually("the policy says that one cannot be pruned", failing).await;
    let mut younger = scheduled(stage, by_hand).await.unwrap();
    assert!(younger.remove(oldest) && !younger.is_empty(), "{younger:?}");
    eventually("those of that time are pruned all the same", || async {
        Ok(younger.is_disjoint(&scheduled(stage, by_hand).await?).then_some(()))
    })
    .await;
    assert!(scheduled(stage, by_hand).await.unwrap().contains(oldest));
    refusals.delete("audit", &DeleteParams::default()).await.unwrap();
    eventually("so is that one when it may be", || async {
        Ok((!scheduled(stage, by_hand).await?.contains(oldest)).then_some(()))
    })
    .await;
    eventually("and nothing is told of it any more", || async {
        Ok(failing().await?.is_none().then_some(()))
    })
    .await;
}

/// From when it returns, an admission policy refuses the deletion of this snapshot.
async fn refuse_deletion_of(stage: &Stage, snapshot: &str) {
    let refusal = json!({
        "metadata": { "name": "audit" },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": ["snapshot.storage.k8s.io"],
                "apiVersions": ["*"],
                "operations": ["DELETE"],
                "resources": ["volumesnapshots"],
            }] },
            "validations": [{
                "expression": format!("oldObject.metadata.name != '{snapshot}'"),
                "message": "held for an audit",
            }],
        },
    });
    let binding = json!({
        "metadata": { "name": "audit" },
        "spec": { "policyName": "audit", "validationActions": ["Deny"] },
    });
    let client = || stage.client.clone();
    let refusal: ValidatingAdmissionPolicy = serde_json::from_value(refusal).unwrap();
    Api::all(client()).create(&PostParams::default(), &refusal).await.unwrap();
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(binding).unwrap();
    Api::all(client()).create(&PostParams::default(), &binding).await.unwrap();
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client(), TEAM);
    eventually("it is in force", || async {
        let dry_run = DeleteParams::default().dry_run();
        let refused = snapshots.delete(snapshot, &dry_run).await.err().map(|error| error.to_string());
        Ok(refused.is_some_and(|error| error.contains("held for an audit")).then_some(()))
    })
    .await;
}

/// The points of `s1` that the controller has made itself.
async fn scheduled_points(stage: &Stage, by_hand: &BTreeSet<String>) -> anyhow::Result<Points> {
    let ours = stage.points(TEAM).await?.ours().of("s1-workspace");
    Ok(Points(ours.0.into_iter().filter(|point| !by_hand.contains(&point.name_any())).collect()))
}

/// Their names.
async fn scheduled(stage: &Stage, by_hand: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    Ok(scheduled_points(stage, by_hand).await?.names())
}
