//! A volume that nothing can have written to since its last point gets no further one, and is protected all the same.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, SnapshotSpec};
use agenttier_backup::csi::VolumeSnapshot;
use double::{NewSandbox, Phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Points, Rhythm, Stage};

use super::{FAST, PACE, at_least, created, mark, names, planned, pods, ready, running, stopped};
use crate::place::{TEAM, TEMPLATE, claims, eventually, stage, user};

const AT_REST: &str = "backup.agenttier.io/at-rest-since";
/// Three slots, and more than interval and readyTimeout together.
const LONG: SignedDuration = SignedDuration::from_secs(33);

/// Every 10 s, ready within 10 s, kept for long.
async fn every_slot(stage: &Stage, skip_unchanged: bool) {
    let rhythm = Rhythm { interval: "10s", max_age: "1h", keep_last: 1 };
    let snapshots = SnapshotSpec { skip_unchanged, ready_timeout: "10s".into(), ..rhythm.snapshots() };
    let spec = BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() };
    stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
}

/// Waits for so many points that were made after `since`, and gives all that were.
async fn since(stage: &Stage, claim: &str, since: Timestamp, least: usize) -> Vec<VolumeSnapshot> {
    eventually(&format!("{least} points of {claim} after {since}"), || async {
        tokio::time::sleep(PACE).await;
        let mut points = ready(stage, claim).await?;
        points.retain(|point| created(point) > since);
        Ok((points.len() >= least).then_some(points))
    })
    .await
}

/// Waits until the controller knows the policy as it is by now.
async fn keeps_to_it(stage: &Stage) {
    eventually("the controller keeps to the policy", || async {
        tokio::time::sleep(PACE).await;
        let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
        let policy = policies.get("stage").await?;
        let told = policy.status.and_then(|status| status.observed_generation);
        Ok((told == policy.metadata.generation).then_some(()))
    })
    .await;
}

/// Waits for a point at rest that is the newest, with no other under way.
async fn at_rest(stage: &Stage, claim: &str) -> VolumeSnapshot {
    eventually(&format!("a point of {claim} at rest"), || async {
        tokio::time::sleep(PACE).await;
        let Points(points) = stage.points(TEAM).await?.ours().of(claim);
        let newest = points.iter().max_by_key(|point| (created(point), point.name_any()));
        let all_are_ready = points.iter().all(VolumeSnapshot::is_ready);
        Ok(newest.filter(|newest| all_are_ready && mark(newest, AT_REST).is_some()).cloned())
    })
    .await
}

/// Waits until the newest point is as old as it can only be without further ones.
async fn stays_the_newest(stage: &Stage, claim: &str, newest: &VolumeSnapshot) {
    eventually(&format!("the newest point of {claim} is {LONG:#} old"), || async {
        tokio::time::sleep(PACE).await;
        Ok((Timestamp::now().duration_since(created(newest)) > LONG).then_some(()))
    })
    .await;
    let last = ready(stage, claim).await.unwrap().pop();
    assert_eq!(last.map(|last| names(&[last])), Some(names(std::slice::from_ref(newest))));
    let volume = planned(stage, claim).await.unwrap();
    assert_eq!((&volume["unchanged"], &volume["protection"]["state"]), (&json!(true), &json!("Protected")));
    assert_eq!(volume["wants"], json!([]));
}

#[tokio::test]
async fn a_stopped_sandbox_is_saved_once_more_and_then_left_alone() {
    let stage = stage("rest").await;
    let user = user(&stage);
    running(&stage, "s1").await;
    let shared = json!({
        "templateRef": { "name": TEMPLATE, "kind": "ClusterSandboxTemplate" }, "storage": { "shared": true },
    });
    user.create(NewSandbox::named("s2").spec(shared)).await.unwrap();
    user.wait_phase("s2", Phase::Running).await.unwrap();
    let modes = claims(&stage).get("s2-workspace").await.unwrap().spec.unwrap().access_modes;
    assert_eq!(modes, Some(vec!["ReadWriteMany".to_owned()]));
    every_slot(&stage, true).await;
    stage.start_controller(FAST).await.unwrap();
    let points = at_least(&stage, "s1-workspace", 2).await;
    assert!(points.iter().all(|point| mark(point, AT_REST).is_none()), "it runs");

    stopped(&stage, "s2").await;
    stopped(&stage, "s1").await;
    let begun = Timestamp::now();
    let last = at_rest(&stage, "s1-workspace").await;
    let sandbox = user.sandboxes().get("s1").await.unwrap();
    assert_eq!(mark(&last, AT_REST), sandbox.data["status"]["lastActivityTimestamp"].as_str());
    stays_the_newest(&stage, "s1-workspace", &last).await;

    // Several can write to a volume of this kind, whatever the one Sandbox says.
    let shared = since(&stage, "s2-workspace", begun, 3).await;
    assert!(shared.iter().all(|point| mark(point, AT_REST).is_none()));
    assert_eq!(planned(&stage, "s2-workspace").await.unwrap()["unchanged"], false);

    // Whoever wants a point every slot gets it, and the other way round.
    every_slot(&stage, false).await;
    since(&stage, "s1-workspace", Timestamp::now(), 2).await;
    every_slot(&stage, true).await;
    keeps_to_it(&stage).await;
    let last = at_rest(&stage, "s1-workspace").await;
    stays_the_newest(&stage, "s1-workspace", &last).await;

    user.resume("s1").await.unwrap();
    user.wait_phase("s1", Phase::Running).await.unwrap();
    let again = since(&stage, "s1-workspace", Timestamp::now(), 2).await;
    assert!(again.iter().all(|point| mark(point, AT_REST).is_none()), "it runs again");
}

/// AgentTier says Stopped, but a pod on a node that is cut off may write for long, and so may a node that has the volume
/// attached still.
#[tokio::test]
async fn what_may_still_be_written_to_is_not_at_rest() {
    let stage = stage("no-rest").await;
    let user = user(&stage);
    running(&stage, "s1").await;
    running(&stage, "s2").await;
    every_slot(&stage, true).await;
    // Before the controller starts: it is to know of it when s2 is stopped.
    let attachments: Api<VolumeAttachment> = Api::all(stage.client.clone());
    let volume = claims(&stage).get("s2-workspace").await.unwrap().spec.unwrap().volume_name.unwrap();
    let attachment: VolumeAttachment = serde_json::from_value(json!({
        "metadata": { "name": "of-s2" },
        "spec": {
            "attacher": "another.csi", "nodeName": "node-1", "source": { "persistentVolumeName": volume },
        },
    }))
    .unwrap();
    attachments.create(&PostParams::default(), &attachment).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    at_least(&stage, "s1-workspace", 1).await;
    at_least(&stage, "s2-workspace", 1).await;

    stopped(&stage, "s2").await;
    let node = pods(&stage).get("s1-pod").await.unwrap().spec.unwrap().node_name.unwrap();
    stage.cluster.kill_node(&node).await.unwrap();
    user.stop("s1").await.unwrap();
    user.wait_phase("s1", Phase::Stopped).await.unwrap();
    let begun = Timestamp::now();
    for claim in ["s1-workspace", "s2-workspace"] {
        let points = since(&stage, claim, begun, 3).await;
        assert!(points.iter().all(|point| mark(point, AT_REST).is_none()), "{claim}: {points:#?}");
    }
    let lingers = pods(&stage).get("s1-pod").await.unwrap();
    assert!(lingers.metadata.deletion_timestamp.is_some(), "all the time there was a pod");

    stage.cluster.revive_node(&node).await.unwrap();
    attachments.delete("of-s2", &DeleteParams::default()).await.unwrap();
    let s1 = at_rest(&stage, "s1-workspace").await;
    let s2 = at_rest(&stage, "s2-workspace").await;
    stays_the_newest(&stage, "s1-workspace", &s1).await;
    stays_the_newest(&stage, "s2-workspace", &s2).await;

    // Somebody has it attached again, by whatever way.
    attachments.create(&PostParams::default(), &attachment).await.unwrap();
    let points = since(&stage, "s2-workspace", Timestamp::now(), 2).await;
    assert!(points.iter().all(|point| mark(point, AT_REST).is_none()));
}
