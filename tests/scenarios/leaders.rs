//! Two replicas, of which one works.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use stage::{NAMESPACE, Rhythm, Stage};
use testbed::{Exit, Point, Process, STORAGE_CLASS, Signal, Write};

use crate::place::{ONCE, PATIENCE, TEAM, eventually, stage, workspace};

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
    stage.policy(ONCE).await.unwrap();
    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let args = ["--snapshots-per-minute-at-least", "600", "--calls-at-once", "1", "--lease", LEASE];

    let mut held = proxy.hold(Point::before(3).of(is_snapshot));
    let first = stage.start_replica("first", &proxy.kubeconfig(&token).unwrap(), &args).await.unwrap();
    leads(&first, 1).await;
    tokio::time::timeout(PATIENCE, held.reached()).await.unwrap().unwrap();
    first.signal(Signal::Stop).await.unwrap();
    held.release();
    let begun = |proxy: &testbed::Proxy| proxy.writes().iter().filter(|write| is_snapshot(write)).count();
    // One that was held for long may have been given up, and the next one begun.
    let frozen = begun(&proxy);
    assert!((3..VOLUMES).contains(&frozen), "frozen in mid-batch: {frozen}");

    let kubeconfig = stage.controllers_kubeconfig().await.unwrap();
    let second = stage.start_replica("second", &kubeconfig, &args).await.unwrap();
    leads(&second, 1).await;
    ready_points(&stage, VOLUMES).await;

    let terms = first.log().unwrap().matches(" leading ").count();
    first.signal(Signal::Continue).await.unwrap();
    eventually("the first knows that it leads no longer", || async {
        Ok(first.log()?.contains("no longer the leader").then_some(()))
    })
    .await;
    workspace(&stage, "late", STORAGE_CLASS).await;
    ready_points(&stage, VOLUMES + 1).await;
    // Should the second be held up for as long, the first leads again, and says so before it writes.
    let since = begun(&proxy);
    let leads_again = first.log().unwrap().matches(" leading ").count() > terms;
    assert!(since == frozen || leads_again, "writes of the first have begun since: {:?}", proxy.writes());
    let points = stage.points(TEAM).await.unwrap();
    points.one_per_slot().unwrap();
    assert_eq!(points.count(), VOLUMES + 1);

    second.signal(Signal::Term).await.unwrap();
    assert_eq!(second.wait().await.unwrap(), Exit::Code(0));
    assert!(second.log().unwrap().contains("gave the Lease back"), "{}", second.log().unwrap());
    leads(&first, terms + 1).await;
    workspace(&stage, "later", STORAGE_CLASS).await;
    ready_points(&stage, VOLUMES + 2).await;
    assert!(begun(&proxy) > frozen, "the first one works again");
}

/// While another one holds the Lease, a replica writes nothing and counts nothing, and is well all the same: it would not
/// be there to take over if it were restarted, or taken for broken.
#[tokio::test]
async fn a_replica_that_does_not_lead_writes_nothing_and_is_well() {
    let stage = stage("follower").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(Rhythm { interval: "10s", max_age: "10s", keep_last: 1 }).await.unwrap();
    let (namespace, name) = LEASE.split_once('/').unwrap();
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), namespace);
    let held = json!({
        "metadata": { "name": name },
        "spec": {
            "holderIdentity": "somebody-else", "leaseDurationSeconds": 3600,
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    });
    leases.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let args = ["--snapshots-per-minute-at-least", "600", "--lease", LEASE];
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    let follower = stage.start_replica("follower", &kubeconfig, &args).await.unwrap();

    // One that is told to run alone shows that there is work, in creating and in pruning.
    let alone = stage.start_controller(&args[..2]).await.unwrap();
    eventually("the other one prunes", || async {
        Ok(alone.log()?.contains("snapshot pruned").then_some(()))
    })
    .await;
    assert!(stage.is_well(&follower).await.unwrap(), "alive and ready");
    let metrics = stage.metrics(&follower).await.unwrap();
    assert!(metrics.contains("agenttier_backup_leader 0.0\n"), "{metrics}");
    assert!(metrics.contains("agenttier_backup_snapshots_created_total 0\n"), "{metrics}");
    for of_the_leader in ["agenttier_backup_volumes", "agenttier_backup_last_pass"] {
        assert!(!metrics.contains(of_the_leader), "{of_the_leader} in\n{metrics}");
    }
    assert!(!follower.log().unwrap().contains(" leading "), "{}", follower.log().unwrap());
    assert!(proxy.writes().is_empty(), "{:?}", proxy.writes());

    alone.signal(Signal::Term).await.unwrap();
    assert_eq!(alone.wait().await.unwrap(), Exit::Code(0));
    leases.delete(name, &DeleteParams::default()).await.unwrap();
    leads(&follower, 1).await;
    eventually("it prunes in its turn", || async {
        Ok(follower.log()?.contains("snapshot pruned").then_some(()))
    })
    .await;
    let metrics = stage.metrics(&follower).await.unwrap();
    assert!(metrics.contains("agenttier_backup_leader 1.0\n"), "{metrics}");
    assert!(proxy.writes().iter().any(is_snapshot));
}
