//! Two replicas, of which one works.

use std::time::Duration;

use stage::{NAMESPACE, Rhythm, Stage};
use testbed::{Exit, Point, Process, STORAGE_CLASS, Signal, Write};

use crate::place::{TEAM, eventually, stage, workspace};

const LEASE: &str = "agenttier-backup/agenttier-backup-controller-leader";
const VOLUMES: usize = 12;

fn is_snapshot(write: &Write) -> bool {
    write.path.contains("/volumesnapshots")
}

async fn leads(replica: &Process, times: usize) {
    eventually(&format!("{} leads", replica.name()), || async {
        Ok((replica.log()?.matches(" leading ").count() >= times).then_some(()))
    })
    .await;
}

async fn ready_points(stage: &Stage, count: usize) {
    eventually(&format!("{count} ready points"), || async {
        Ok((stage.points(TEAM).await?.ready().count() >= count).then_some(()))
    })
    .await;
}

/// The leader is frozen in mid-batch for longer than its lease. The other one takes over and finishes; thawed,
/// the first starts no write, though it had a batch under way. Told to stop, the second gives the Lease back.
#[tokio::test]
async fn a_frozen_leader_is_replaced_and_starts_no_further_write() {
    let stage = stage("leaders").await;
    for i in 0..VOLUMES {
        workspace(&stage, &format!("w{i:02}"), STORAGE_CLASS).await;
    }
    stage.policy(Rhythm { interval: "30d", max_age: "90d", keep_last: 1 }).await.unwrap();
    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let args = ["--snapshots-per-minute-at-least", "600", "--calls-at-once", "1", "--lease", LEASE];

    let mut held = proxy.hold(Point::before(3).of(is_snapshot));
    let first = stage.start_replica("first", &proxy.kubeconfig(&token).unwrap(), &args).await.unwrap();
    leads(&first, 1).await;
    tokio::time::timeout(Duration::from_mins(1), held.reached()).await.unwrap().unwrap();
    first.signal(Signal::Stop).await.unwrap();
    held.release();
    let begun = |proxy: &testbed::Proxy| proxy.writes().iter().filter(|write| is_snapshot(write)).count();
    assert_eq!(begun(&proxy), 3, "frozen in mid-batch");

    let kubeconfig = stage.controllers_kubeconfig().await.unwrap();
    let second = stage.start_replica("second", &kubeconfig, &args).await.unwrap();
    leads(&second, 1).await;
    ready_points(&stage, VOLUMES).await;

    first.signal(Signal::Continue).await.unwrap();
    eventually("the first knows that it leads no longer", || async {
        Ok(first.log()?.contains("no longer the leader").then_some(()))
    })
    .await;
    workspace(&stage, "late", STORAGE_CLASS).await;
    ready_points(&stage, VOLUMES + 1).await;
    assert_eq!(begun(&proxy), 3, "no write of the first has begun since: {:?}", proxy.writes());
    let points = stage.points(TEAM).await.unwrap();
    points.one_per_slot().unwrap();
    assert_eq!(points.count(), VOLUMES + 1);

    second.signal(Signal::Term).await.unwrap();
    assert_eq!(second.wait().await.unwrap(), Exit::Code(0));
    assert!(second.log().unwrap().contains("gave the Lease back"), "{}", second.log().unwrap());
    leads(&first, 2).await;
    workspace(&stage, "later", STORAGE_CLASS).await;
    ready_points(&stage, VOLUMES + 2).await;
    assert_eq!(begun(&proxy), 4, "the first one works again");
}
