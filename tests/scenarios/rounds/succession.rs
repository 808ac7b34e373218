//! Two replicas: the leader freezes or dies in mid-batch, the other one finishes its work.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use proptest::prelude::RngExt as _;
use stage::NAMESPACE;
use testbed::{Cut, Point, Process, Proxy, Signal, Then, Write};
use tokio::sync::oneshot;

use super::audit::Tally;
use super::field::{Field, VOLUMES};
use super::random::{random, seed};
use crate::place::{PATIENCE, eventually};

const LEASE: &str = "agenttier-backup-controller-leader";
/// The Lease's 30 s, and what a successor may take on top on a busy machine.
const SUCCESSION: SignedDuration = SignedDuration::from_mins(3);
/// Calls that are under way when the leader is stopped.
const UNDER_WAY: u64 = 8;

fn is_snapshot(write: &Write) -> bool {
    write.path.contains("/volumesnapshots")
}

fn is_lease(write: &Write) -> bool {
    write.path.contains("/leases")
}

#[tokio::test]
async fn a_leader_that_freezes_or_dies_in_mid_batch_is_succeeded() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = random(seed);
    let field = Field::lay("succession").await;
    let volumes = u64::try_from(VOLUMES).expect("a small number");
    // All prunes are one batch, then all snapshots are one.
    let in_a_batch = 1..=volumes - UNDER_WAY + 1;
    let among_prunes = random.random_range(in_a_batch.clone());
    let among_snapshots = volumes + random.random_range(in_a_batch);
    let (freezes, dies) =
        if random.random() { (among_prunes, among_snapshots) } else { (among_snapshots, among_prunes) };
    play(&field, Signal::Stop, freezes).await;
    play(&field, Signal::Kill, dies).await;
}

/// The leader gets the signal with the `nth` write and those after it under way, right after it has renewed its
/// Lease: nobody waits longer for it to run out.
async fn play(field: &Field, signal: Signal, nth: u64) {
    let start = field.prepare().await;
    let (proxy, kubeconfig) = field.proxy().await;
    let lease = format!("{NAMESPACE}/{LEASE}");
    let at_once = UNDER_WAY.to_string();
    let args = [
        ["--lease", &lease],
        ["--calls-at-once", &at_once],
        ["--snapshots-in-flight", "50"],
        ["--deletions-in-flight", "50"],
        ["--snapshots-per-minute-at-least", "6000"],
    ]
    .concat();
    let mut held: Vec<Cut> =
        (nth..nth + UNDER_WAY).map(|nth| proxy.hold(Point::before(nth).of(is_snapshot))).collect();
    let name = |replica: &str| format!("{replica}-{nth}");
    let first = field.stage.launch_controller(&name("first"), &kubeconfig, &args).await.unwrap();
    says(&first, " leading ").await;
    let direct = field.stage.controllers_kubeconfig().await.unwrap();
    let second = field.stage.launch_controller(&name("second"), &direct, &args).await.unwrap();

    for cut in &mut held {
        tokio::time::timeout(PATIENCE, cut.reached()).await.expect("a batch").unwrap();
    }
    let stopped_at = stop_after_renewal(&proxy, &first, signal).await;
    held.into_iter().for_each(Cut::release);
    let successor = eventually("the second takes the Lease", || async {
        let leases: Api<Lease> = Api::namespaced(field.stage.client.clone(), NAMESPACE);
        let spec = leases.get(LEASE).await?.spec.unwrap_or_default();
        Ok(spec.acquire_time.map(|at| at.0).filter(|at| *at > stopped_at))
    })
    .await;
    let took = successor.duration_since(stopped_at);
    println!("{signal:?} at write {nth}: succeeded after {took:#}");
    assert!(took <= SUCCESSION, "{took:#}");
    field.done().await;

    if signal == Signal::Stop {
        let begun = || proxy.writes().iter().filter(|write| !is_lease(write)).count();
        let begun_before = begun();
        let looks = proxy.requests()["GET"];
        first.signal(Signal::Continue).await.unwrap();
        says(&first, "no longer the leader").await;
        eventually("it goes on looking", || async {
            Ok((proxy.requests()["GET"] > looks + 1).then_some(()))
        })
        .await;
        assert_eq!(begun(), begun_before, "no write has begun since it went on: {:?}", proxy.writes());
        first.kill().await.unwrap();
    }
    second.signal(Signal::Term).await.unwrap();
    second.wait().await.unwrap();
    let tally = field.audit(&start).await.unwrap();
    assert_eq!(tally, Tally { taken: VOLUMES, pruned: 2 * VOLUMES });
}

async fn says(replica: &Process, what: &str) {
    let waiting = format!("{} says {what:?}", replica.name());
    eventually(&waiting, || async { Ok(replica.log()?.contains(what).then_some(())) }).await;
}

/// Sends the signal when the API server has accepted the next renewal, and says when it had been sent.
async fn stop_after_renewal(proxy: &Proxy, leader: &Process, signal: Signal) -> Timestamp {
    let leader = leader.clone();
    let (say, sent) = oneshot::channel();
    // On its own: with the leader ends its connection, and all that is done in it.
    let _renewal = proxy.call(Point::after(1).of(is_lease), async move |_| {
        let sending = tokio::spawn(async move {
            leader.signal(signal).await.unwrap();
            say.send(()).unwrap();
        });
        sending.await.unwrap();
        Then::Pass
    });
    let sent = tokio::time::timeout(PATIENCE, sent).await;
    sent.expect("a leader renews its Lease").unwrap();
    Timestamp::now()
}
