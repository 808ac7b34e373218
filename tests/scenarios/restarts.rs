//! Crashes and restarts of the controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use agenttier_backup_plan::marks;
use kube::ResourceExt;
use kube::api::ListParams;
use stage::NAMESPACE;
use testbed::{Exit, Point, STORAGE_CLASS, Signal, Then, Write};

use crate::place::{ONCE, PATIENCE, TEAM, claims, eventually, stage, workspace};

/// More than six controllers begin at once before they are killed: ten snapshots each may be under way.
const VOLUMES: usize = 64;
const FAST: &[&str] = &["--snapshots-per-minute-at-least", "600"];

fn is_snapshot(write: &Write) -> bool {
    write.path.contains("/volumesnapshots") && !write.path.contains("/events")
}

/// 64 volumes due at once; the controller is killed again and again, before and after the API server has
/// carried out a create. In the end every volume has one snapshot, not two.
#[tokio::test]
async fn kills_in_mid_batch_leave_one_snapshot_per_volume() {
    let stage = Arc::new(stage("restarts").await);
    for i in 0..VOLUMES {
        workspace(&stage, &format!("w{i:02}"), STORAGE_CLASS).await;
    }
    eventually("all volumes are bound", || async {
        let bound = claims(&stage).list(&ListParams::default()).await?;
        let is_bound = |claim: &&k8s_openapi::api::core::v1::PersistentVolumeClaim| {
            claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        Ok((bound.items.iter().filter(is_bound).count() == VOLUMES).then_some(()))
    })
    .await;
    stage.policy(ONCE).await.unwrap();

    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    for kill in 1..=6_u64 {
        let point = if kill % 2 == 0 { Point::before(3 + kill) } else { Point::after(3 + kill) };
        let killer = stage.clone();
        let mut cut = proxy.call(point.of(is_snapshot), |_| async move {
            killer.cluster.kill("controller").await.unwrap();
            Then::Pass
        });
        // It may be killed before anybody has heard that it is ready.
        let controller = stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
        tokio::time::timeout(PATIENCE, cut.reached()).await.unwrap().unwrap();
        assert_eq!(controller.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
    }
    assert!(stage.points(TEAM).await.unwrap().count() < VOLUMES, "it was killed in mid-batch");

    stage.start_controller_as(&kubeconfig, FAST).await.unwrap();
    eventually("every volume has a ready recovery point", || async {
        let points = stage.points(TEAM).await?.ours().ready();
        Ok((points.count() >= VOLUMES).then_some(()))
    })
    .await;
    assert_one_each(&stage, VOLUMES).await;

    // Once more with nothing due. A volume that comes after the restart proves that passes were made since.
    stage.cluster.kill("controller").await.unwrap();
    let writes = proxy.writes().len();
    stage.start_controller_as(&kubeconfig, FAST).await.unwrap();
    workspace(&stage, "late", STORAGE_CLASS).await;
    eventually("the late volume has its point", || async {
        Ok((stage.points(TEAM).await?.ours().of("late").ready().count() == 1).then_some(()))
    })
    .await;
    assert_one_each(&stage, VOLUMES + 1).await;
    let since: Vec<Write> = proxy.writes().split_off(writes);
    assert_eq!(since.iter().filter(|write| is_snapshot(write)).count(), 1, "{since:?}");
}

async fn assert_one_each(stage: &stage::Stage, volumes: usize) {
    let points = stage.points(TEAM).await.unwrap();
    points.one_per_slot().unwrap();
    let mut per_volume: BTreeMap<&String, usize> = BTreeMap::new();
    for point in &points.0 {
        *per_volume.entry(&point.annotations()[marks::VOLUME_UID]).or_default() += 1;
    }
    assert_eq!(per_volume.len(), volumes);
    assert!(per_volume.values().all(|count| *count == 1), "{per_volume:?}");
}

/// SIGTERM in the middle of a write: the write is brought to its end, nothing else begins, the exit is clean.
#[tokio::test]
async fn a_stop_ends_what_is_under_way() {
    let stage = stage("stops").await;
    for i in 0..5 {
        workspace(&stage, &format!("w{i}"), STORAGE_CLASS).await;
    }
    stage.policy(ONCE).await.unwrap();
    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    let mut held = proxy.hold(Point::before(1).of(is_snapshot));
    let args = ["--snapshots-per-minute-at-least", "600", "--calls-at-once", "1"];
    let controller = stage.start_controller_as(&kubeconfig, &args).await.unwrap();
    tokio::time::timeout(PATIENCE, held.reached()).await.unwrap().unwrap();

    controller.signal(Signal::Term).await.unwrap();
    eventually("it has heard", || async { Ok(controller.log()?.contains("told to stop").then_some(())) })
        .await;
    held.release();
    assert_eq!(controller.wait().await.unwrap(), Exit::Code(0));
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 1, "the one that was under way");
    assert_eq!(proxy.writes().iter().filter(|write| is_snapshot(write)).count(), 1);
}
