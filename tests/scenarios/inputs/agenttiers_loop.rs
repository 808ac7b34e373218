//! AgentTier's own backup loop, turned on and off beside ours.

use std::collections::BTreeSet;
use std::time::Duration;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use agenttier_backup::csi::VolumeSnapshot;
use double::{BackupLoop, NewSandbox, Options, Phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Points, Rhythm, Stage};
use testbed::STORAGE_CLASS;

use super::told::{FAST, Told, condition};
use crate::place::{TEAM, TEMPLATE, claims, eventually, stage_with, user, with_pool, workspace};

const KIND: &str = "agenttier.io/snapshot-kind";
const RHYTHM: Rhythm = Rhythm { interval: "10s", max_age: "1h", keep_last: 1 };

/// AgentTier's controller as its chart installs it. Nobody runs it here: the double does its work.
async fn deployment(stage: &Stage, args: &[&str]) {
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "agenttier-controller", "labels": { "app.kubernetes.io/component": "controller" } },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "agenttier" } },
            "template": {
                "metadata": { "labels": { "app": "agenttier" } },
                "spec": { "containers": [{
                    "name": "controller", "image": "agenttier", "args": args,
                    "env": [{ "name": "SANDBOX_NAMESPACE", "value": TEAM }],
                }]},
            },
        },
    });
    let deployments: Api<Deployment> = Api::namespaced(stage.client.clone(), "agenttier");
    let params = PatchParams::apply("scenario").force();
    deployments.patch("agenttier-controller", &params, &Patch::Apply(&deployment)).await.unwrap();
}

async fn ours(stage: &Stage, claim: &str) -> anyhow::Result<Points> {
    Ok(stage.points(TEAM).await?.ours().of(claim).ready())
}

/// Those that AgentTier's loop made.
async fn agenttiers(stage: &Stage) -> anyhow::Result<Points> {
    let mut points = stage.points(TEAM).await?.ready();
    points.0.retain(|point| !point.labels().contains_key("app.kubernetes.io/managed-by"));
    Ok(points)
}

fn is_shown(point: &VolumeSnapshot) -> bool {
    point.labels().contains_key(KIND)
}

fn oldest_first(points: &Points) -> Vec<&VolumeSnapshot> {
    let mut points: Vec<&VolumeSnapshot> = points.0.iter().collect();
    points.sort_by_key(|point| point.creation_timestamp());
    points
}

/// A sandbox whose volume is of the warm pool, which AgentTier does not label as managed.
async fn warm(stage: &Stage) -> String {
    let user = user(stage);
    eventually("a sandbox on a volume of the pool", || async {
        let name = format!("warm-{}", Timestamp::now().as_millisecond());
        user.create(NewSandbox::named(&name).cluster_template(TEMPLATE)).await?;
        let running = user.wait_phase(&name, Phase::Running).await?;
        let claim = running.data["status"]["pvcName"].as_str().unwrap_or_default().to_owned();
        let labelled = claims(stage).get(&claim).await?.labels().contains_key("agenttier.io/managed");
        Ok((claim.starts_with("pool-") && !labelled).then_some(claim))
    })
    .await
}

/// That the volume is left to AgentTier, wherever people look; nothing of the one that is not.
async fn told_of_it(stage: &Stage, not_covered: &str) {
    let told = Told::by(stage).await.unwrap();
    let covered = told.of("managed");
    assert_eq!(covered["protection"]["state"], "Protected", "AgentTier's count: {covered:#}");
    let notice = told.notice("managed", "AgentTierLoop").unwrap();
    assert!(notice.contains("optional.backup.snapshots.enabled"), "{notice}");
    assert_eq!(told.notice(not_covered, "AgentTierLoop"), None);
    let warnings = eventually("the policy tells of it", || async {
        let warnings = condition(stage, "stage", "Warnings").await?;
        // Until a volume of the pool came up, others of their own may have.
        Ok(warnings.filter(|warnings| warnings.message.contains("AgentTierLoop (team-a/managed")))
    })
    .await;
    assert!(!warnings.message.contains(not_covered), "{}", warnings.message);
}

/// Dates the oldest of AgentTier's back to three hours ago; gives its name and that of the youngest.
async fn date_back(stage: &Stage) -> [String; 2] {
    let left = agenttiers(stage).await.unwrap();
    let [old, young] =
        [oldest_first(&left)[0].name_any(), oldest_first(&left).pop().expect("two").name_any()];
    assert_ne!(old, young);
    let before = (Timestamp::now() - SignedDuration::from_hours(3)).as_second();
    let before = json!(Timestamp::from_second(before).expect("a time in this century").to_string());
    let store = stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots");
    let change = |object: &mut serde_json::Value| object["metadata"]["creationTimestamp"] = before.clone();
    store.rewrite(&format!("{TEAM}/{old}"), change).await.unwrap();
    [old, young]
}

#[tokio::test]
async fn what_it_covers_is_left_to_it_and_none_of_ours_that_must_stay_is_swept() {
    let mut stage = stage_with("agenttiers-loop", with_pool(1)).await;
    stage.namespace("agenttier").await.unwrap();
    deployment(&stage, &["--leader-elect"]).await;
    workspace(&stage, "managed", STORAGE_CLASS).await;
    let warm = warm(&stage).await;
    stage.policy(RHYTHM).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    eventually("points of both volumes", || async {
        let enough = ours(&stage, "managed").await?.count() >= 3 && ours(&stage, &warm).await?.count() >= 2;
        Ok(enough.then_some(()))
    })
    .await;
    let managed = ours(&stage, "managed").await.unwrap();
    assert!(managed.0.iter().all(is_shown), "AgentTier's own label, for its tools: {:?}", managed.names());
    let pinned = oldest_first(&managed)[0].name_any();
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    let pin = json!({ "metadata": { "annotations": { "backup.agenttier.io/pinned": "audit" } } });
    snapshots.patch(&pinned, &PatchParams::default(), &Patch::Merge(&pin)).await.unwrap();

    deployment(&stage, &["--leader-elect", "--backup-snapshots"]).await;
    let spared: BTreeSet<String> =
        eventually("the pinned and the newest give up AgentTier's label", || async {
            let (managed, warm) = (ours(&stage, "managed").await?, ours(&stage, &warm).await?);
            let newest = [oldest_first(&managed).pop(), oldest_first(&warm).pop()];
            let pinned = managed.0.iter().find(|point| point.name_any() == pinned);
            let spared: Vec<&VolumeSnapshot> = newest.into_iter().chain([pinned]).flatten().collect();
            let done = spared.len() == 3 && !spared.iter().any(|point| is_shown(point));
            Ok(done.then(|| spared.iter().map(|point| point.name_any()).collect()))
        })
        .await;
    // Also what is under way.
    let all = stage.points(TEAM).await.unwrap().ours();
    let (covered_by_us, of_warm) = (all.of("managed").names(), all.of(&warm).names());

    let backup_loop = BackupLoop {
        namespace: TEAM.into(),
        interval: Duration::from_secs(5),
        retention: Duration::from_secs(15),
        snapshot_class: None,
    };
    let lasting = BackupLoop { retention: Duration::from_hours(1), ..backup_loop.clone() };
    stage.restart_agenttier(Options { backup_loop: Some(backup_loop), ..with_pool(1) }).await;
    let first = eventually("a snapshot of AgentTier's", || async {
        Ok(agenttiers(&stage).await?.of("managed").names().pop_first())
    })
    .await;
    eventually("its sweep goes by age", || async {
        Ok((!agenttiers(&stage).await?.names().contains(&first)).then_some(()))
    })
    .await;
    eventually("three more points of the volume that it does not cover", || async {
        Ok((ours(&stage, &warm).await?.names().difference(&of_warm).count() >= 3).then_some(()))
    })
    .await;
    let now = stage.points(TEAM).await.unwrap().ready().names();
    assert!(spared.is_subset(&now), "swept: {:?}", spared.difference(&now));
    let managed = ours(&stage, "managed").await.unwrap().names();
    assert!(managed.is_subset(&covered_by_us), "two loops take snapshots of one volume: {managed:?}");
    let newer = ours(&stage, &warm).await.unwrap();
    let mut newer = newer.0.iter().filter(|point| !of_warm.contains(&point.name_any()));
    assert!(!newer.any(is_shown), "the sweep would take these for its own");
    told_of_it(&stage, &warm).await;

    // Turned off: its work is taken over, and what it made stays. What it sweeps last must not be one of these two.
    stage.restart_agenttier(Options { backup_loop: Some(lasting), ..with_pool(1) }).await;
    eventually("AgentTier leaves two", || async {
        Ok((agenttiers(&stage).await?.of("managed").count() >= 2).then_some(()))
    })
    .await;
    stage.restart_agenttier(with_pool(1)).await;
    deployment(&stage, &["--leader-elect", "--backup-snapshots=false"]).await;
    let [old, young] = date_back(&stage).await;
    let taken_over = || async {
        let now = ours(&stage, "managed").await?;
        let new = now.0.into_iter().filter(|point| !covered_by_us.contains(&point.name_any()));
        anyhow::Ok(Points(new.collect()))
    };
    eventually("two more of ours", || async { Ok((taken_over().await?.count() >= 2).then_some(())) }).await;
    assert!(taken_over().await.unwrap().0.iter().all(is_shown), "the label is of no harm any more");
    assert!(agenttiers(&stage).await.unwrap().names().contains(&old), "not ours to delete");
    let told = Told::by(&stage).await.unwrap();
    assert_eq!(told.notice("managed", "AgentTierLoop"), None);
    assert!(told.fates("managed").contains(&"AgentTiers"), "{:#}", told.of("managed"));

    let mut snapshots = RHYTHM.snapshots();
    snapshots.retention.adopt_agent_tier = true;
    let spec = BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() };
    stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
    // Dated back, it is older than the claim: it is of an earlier one of that name, as far as anybody can tell.
    let then = taken_over().await.unwrap().count();
    eventually("two more of ours under that policy", || async {
        Ok((taken_over().await?.count() >= then + 2).then_some(()))
    })
    .await;
    let left = agenttiers(&stage).await.unwrap().names();
    assert!(left.contains(&old) && left.contains(&young), "{left:?}");
}
