//! Orders that were planned from something that is no longer so.

use agenttier_backup::act::{Executor, Failure};
use agenttier_backup::leader::Leadership;
use agenttier_backup::observe::recovery_point;
use agenttier_backup_plan::{
    Action, Interval, Keeper, Mark, Note, Prune, RecoveryPoint, Retention, Safety, Slots, Spent,
    TakeSnapshot, VolumeId, VolumeUid, snapshot_name,
};
use double::{NewSandbox, Phase};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use testbed::STORAGE_CLASS;
use tokio_util::sync::CancellationToken;

use crate::place::{ONCE, TEAM, TEMPLATE, claims, eventually, stage, user, workspace};

/// The snapshot controller's last word of a snapshot that is bound.
const BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";

fn take(uid: &str) -> Action {
    let volume = VolumeId { namespace: TEAM.into(), claim: "w".into(), uid: VolumeUid::new(uid) };
    let interval = Interval::new(SignedDuration::from_hours(6)).unwrap();
    let slot = Slots::of(&volume.uid, interval).at(Timestamp::now());
    Action::TakeSnapshot(TakeSnapshot {
        name: snapshot_name(&volume.claim, slot, 0),
        volume,
        slot,
        class: None,
        sandbox: None,
        policy: "default".into(),
        retention: Retention::for_at_least(SignedDuration::from_hours(24)),
        at_rest_since: None,
        after_switch: false,
        hidden_from_agenttier: false,
        exposed_since: Timestamp::now(),
    })
}

/// A claim that was deleted and made again under its name is another volume; a point that has changed since is
/// not the one that was judged; a keeper that is gone keeps nothing.
#[tokio::test]
async fn stale_orders_are_not_carried_out() {
    let stage = stage("stale-orders").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    let uid = claims(&stage).get("w").await.unwrap().uid().unwrap();
    let executor = Executor::new(stage.client.clone(), Leadership::alone(), 1);
    let run = |action| {
        let executor = executor.clone();
        async move {
            executor.run(Timestamp::now(), vec![action], &CancellationToken::new()).await.remove(0).result
        }
    };

    assert!(matches!(run(take("of-an-earlier-claim")).await, Err(Failure::Changed)));
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 0, "not one with a wrong UID");
    let order = take(&uid);
    run(order.clone()).await.unwrap();
    run(order).await.expect("the same order again finds its work done");
    let point =
        eventually("it is ready", || async { Ok(stage.points(TEAM).await?.ready().0.into_iter().next()) })
            .await;
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 1);

    let prune = |version: &str, keeper: &str| {
        Action::Prune(Prune {
            volume: VolumeId { namespace: TEAM.into(), claim: "w".into(), uid: VolumeUid::new(&uid) },
            name: point.name_any(),
            uid: point.uid().unwrap(),
            version: version.to_owned(),
            taken_at: Timestamp::now(),
            reason: Spent::PastRetention,
            early: false,
            safety: Safety::Keeper(Keeper { name: point.name_any(), uid: keeper.to_owned() }),
        })
    };
    let itself = point.uid().unwrap();
    assert!(matches!(run(prune("1", &itself)).await, Err(Failure::Changed)), "another resourceVersion");
    let live = point.resource_version().unwrap();
    assert!(matches!(run(prune(&live, "gone")).await, Err(Failure::KeeperUnfit { .. })));
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 1, "still there");
}

/// Where no new point is taken, the newest says that the retention was changed, once and again.
#[tokio::test]
async fn a_change_of_retention_is_noted_on_the_object_that_was_planned_with() {
    let stage = stage("amendments").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    let uid = claims(&stage).get("w").await.unwrap().uid().unwrap();
    let executor = Executor::new(stage.client.clone(), Leadership::alone(), 1);
    let run =
        async |now, action| executor.run(now, vec![action], &CancellationToken::new()).await.remove(0).result;
    run(Timestamp::now(), take(&uid)).await.unwrap();
    let point = async || {
        let points = stage.points(TEAM).await.unwrap().0;
        recovery_point(&points[0]).expect("the API server has made it")
    };
    let mark = |point: &RecoveryPoint, hours: i64| {
        Action::Mark(Mark {
            volume: VolumeId { namespace: TEAM.into(), claim: "w".into(), uid: VolumeUid::new(&uid) },
            name: point.name.clone(),
            uid: point.uid.clone(),
            version: point.version.clone(),
            note: Note::RetentionChanged {
                before: point.amendments.clone(),
                retention: Retention::for_at_least(SignedDuration::from_hours(hours)),
            },
        })
    };
    let ready = async || {
        let points = stage.points(TEAM).await?.ready().0;
        let bound = points.iter().any(|point| point.finalizers().iter().any(|held| held == BOUND));
        Ok(bound.then_some(()))
    };
    eventually("it is ready, and changes no more", ready).await;

    let first = point().await;
    assert_eq!(first.policy.as_deref(), Some("default"));
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    run(at, mark(&first, 9)).await.unwrap();
    let second = point().await;
    run(at + SignedDuration::from_hours(1), mark(&second, 8)).await.unwrap();
    assert_eq!(
        point().await.amendments.to_string(),
        "2026-01-02T03:04:05Z maxAge=32400s keepLast=1; 2026-01-02T04:04:05Z maxAge=28800s keepLast=1"
    );
    assert_eq!(point().await.retention, first.retention, "what it was taken under stays");
    assert!(matches!(run(at, mark(&first, 7)).await, Err(Failure::Changed)), "it has changed since");
}

/// AgentTier's CRD lets a Sandbox have no spec. Such a one stops neither the controller nor the commands.
#[tokio::test]
async fn a_sandbox_without_a_spec_stops_nothing() {
    let stage = stage("bare-sandbox").await;
    let user = user(&stage);
    let bare: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox", "metadata": { "name": "bare" },
    }))
    .unwrap();
    user.sandboxes().create(&PostParams::default(), &bare).await.unwrap();
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase("s1", Phase::Running).await.unwrap();
    stage.policy(ONCE).await.unwrap();
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    eventually("s1 is backed up", || async {
        Ok((stage.points(TEAM).await?.ours().of("s1-workspace").ready().count() == 1).then_some(()))
    })
    .await;
    let list = stage.run(&["list", "-o", "json"]).await.unwrap().json().unwrap();
    assert!(list.as_array().is_some_and(|points| !points.is_empty()), "{list}");
}
