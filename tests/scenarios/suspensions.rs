//! What the controller sees may not be what there is: then it deletes nothing, says so, and goes on taking snapshots.

use agenttier_backup::api::BackupPolicy;
use agenttier_backup_plan::marks;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use stage::{NAMESPACE, Rhythm, Stage};
use testbed::{Process, STORAGE_CLASS};

use crate::place::{TEAM, controller_may_not, eventually, stage, workspace};

/// Every snapshot but the newest is soon too old.
const BRIEF: Rhythm = Rhythm { interval: "10s", max_age: "10s", keep_last: 1 };
const FAST: &[&str] = &["--snapshots-per-minute-at-least", "600"];

async fn suspended(stage: &Stage) -> anyhow::Result<Option<Condition>> {
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let status = policies.get("stage").await?.status.unwrap_or_default();
    let found = status.conditions.into_iter().find(|condition| condition.type_ == "DeletionsSuspended");
    Ok(found.filter(|condition| condition.status == "True"))
}

fn prunes(controller: &Process) -> usize {
    controller.log().unwrap().matches("snapshot pruned").count()
}

async fn prunes_more_than(controller: &Process, before: usize) {
    eventually("it prunes", || async { Ok((prunes(controller) > before).then_some(())) }).await;
}

/// Waits for so many more recovery points, and checks that none of those before has gone meanwhile.
async fn points_come_and_none_goes(stage: &Stage, more: usize) {
    let before = stage.points(TEAM).await.unwrap().ready();
    let count = before.count();
    eventually("further points get ready", || async {
        Ok((stage.points(TEAM).await?.ready().count() >= count + more).then_some(()))
    })
    .await;
    let now = stage.points(TEAM).await.unwrap().ready().names();
    assert!(before.names().is_subset(&now), "gone: {:?}", before.names().difference(&now));
}

/// By its own clock every recovery point is 15 days old, and slots of a fortnight to come are due.
#[tokio::test]
async fn a_clock_that_is_15_days_ahead_deletes_nothing_and_misses_nothing() {
    let stage = stage("wrong-clock").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(BRIEF).await.unwrap();
    let clock = stage.cluster.wrong_clock().unwrap();
    clock.set_ahead(15 * 24 * 60 * 60).unwrap();
    let controller = stage.start_controller_by(&clock, FAST).await.unwrap();

    // At the start, what is seen may be in doubt as well.
    let told = eventually("the policy says so, and nothing else", || async {
        let ahead = "the controller's clock is 15 days ahead of the API server's";
        Ok(suspended(&stage).await?.filter(|told| told.message == ahead))
    })
    .await;
    assert_eq!(told.reason, "ClockSkew");
    let transition = told.last_transition_time.0;
    assert!(transition <= Timestamp::now(), "{transition} is a time of the API server's");
    points_come_and_none_goes(&stage, 5).await;
    assert_eq!(prunes(&controller), 0);
    let points = stage.points(TEAM).await.unwrap().ours();
    points.one_per_slot().unwrap();
    for point in &points.0 {
        let slot: Timestamp = point.annotations()[marks::SLOT].parse().unwrap();
        let into_slot = point.creation_timestamp().unwrap().0.duration_since(slot);
        // A create is on its way for a while on a busy machine; but its slot has begun.
        let range = SignedDuration::ZERO..SignedDuration::from_mins(5);
        assert!(range.contains(&into_slot), "{} is {into_slot} into its slot", point.name_any());
    }

    // Whoever looks from a machine with such a clock is told what the controller thinks.
    let planned = stage.run_by(&clock, &["plan", "-o", "json"]).await.unwrap().json().unwrap();
    let planned_at: Timestamp = planned["now"].as_str().unwrap().parse().unwrap();
    let off = planned_at.duration_since(Timestamp::now()).abs();
    assert!(off < SignedDuration::from_mins(5), "planned for {planned_at}");
    let listed = stage.run_by(&clock, &["list"]).await.unwrap().good().unwrap();
    assert!(listed.contains("newest ready") && !listed.contains("15d"), "{listed}");

    clock.set_ahead(0).unwrap();
    prunes_more_than(&controller, 0).await;
    stage.points(TEAM).await.unwrap().ours().one_per_slot().unwrap();
    assert!(controller.log().unwrap().contains("deletions are no longer suspended"));
}

#[tokio::test]
async fn a_right_that_is_taken_away_suspends_deletions_until_it_is_back() {
    let stage = stage("lost-right").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(BRIEF).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    prunes_more_than(&controller, 0).await;

    let roles: Api<ClusterRole> = Api::all(stage.client.clone());
    let whole = roles.get(NAMESPACE).await.unwrap();
    let mut less = whole.clone();
    let is_sandboxes = |resources: &Vec<String>| resources.iter().any(|resource| resource == "sandboxes");
    less.rules.as_mut().unwrap().retain(|rule| !rule.resources.as_ref().is_some_and(is_sandboxes));
    assert_ne!(less.rules, whole.rules);
    let role = roles.replace(NAMESPACE, &PostParams::default(), &less).await.unwrap();
    // A watch that is open stays so, rights or not; this ends it.
    stage.cluster.restart("kube-apiserver").await.unwrap();
    // It may have been refused an answer, and goes on without what it has made (external-snapshotter 8.7).
    stage.cluster.restart("snapshot-controller").await.unwrap();

    // Other watches may take longer to open again, and this one may first have found no API server at all.
    let told = eventually("the policy says so of sandboxes", || async {
        let of_sandboxes = |told: &Condition| {
            told.message.starts_with("what is known of sandboxes.agenttier.io may be out of date: ")
                && told.message.contains("forbidden")
        };
        Ok(suspended(&stage).await?.filter(of_sandboxes))
    })
    .await;
    assert_eq!(told.reason, "CacheStale");
    let before = prunes(&controller);
    points_come_and_none_goes(&stage, 3).await;
    assert_eq!(prunes(&controller), before);

    let mut whole = whole;
    whole.metadata.resource_version = role.metadata.resource_version;
    roles.replace(NAMESPACE, &PostParams::default(), &whole).await.unwrap();
    prunes_more_than(&controller, before).await;
}

/// What a controller that starts may not read of what only makes its snapshots better holds none of them up.
#[tokio::test]
async fn without_the_rights_that_snapshots_can_do_without_it_takes_them_and_deletes_nothing() {
    let stage = stage("lesser-rights").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(BRIEF).await.unwrap();
    let roles: Api<ClusterRole> = Api::all(stage.client.clone());
    let whole = roles.get(NAMESPACE).await.unwrap();
    let mut less = whole.clone();
    let without = ["volumesnapshotclasses", "volumeattachments", "deployments"];
    let is_without = |resource: &String| without.contains(&resource.as_str());
    let is_left_out = |resources: &Vec<String>| resources.iter().any(is_without);
    less.rules.as_mut().unwrap().retain(|rule| !rule.resources.as_ref().is_some_and(is_left_out));
    assert_ne!(less.rules, whole.rules);
    let role = roles.replace(NAMESPACE, &PostParams::default(), &less).await.unwrap();
    controller_may_not(&stage, "list", "deployments", "apps").await;

    let controller = stage.start_controller(FAST).await.unwrap();
    points_come_and_none_goes(&stage, 3).await;
    let told = eventually("the policy says so", || suspended(&stage)).await;
    assert_eq!(told.reason, "CacheStale");
    for kind in without {
        assert!(told.message.contains(&format!("what is known of {kind}.")), "{}", told.message);
    }
    assert_eq!(prunes(&controller), 0);

    let mut whole = whole;
    whole.metadata.resource_version = role.metadata.resource_version;
    roles.replace(NAMESPACE, &PostParams::default(), &whole).await.unwrap();
    prunes_more_than(&controller, 0).await;
}

#[tokio::test]
async fn without_the_snapshot_crds_it_waits_and_deletes_nothing() {
    let stage = stage("no-crds").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.policy(BRIEF).await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let name = "volumesnapshots.snapshot.storage.k8s.io";
    let mut crd = crds.get(name).await.unwrap();
    crds.delete(name, &DeleteParams::default()).await.unwrap();
    eventually("the CRD is gone, and its kind is not served any more", || async {
        let gone = crds.get_opt(name).await?.is_none() && stage.points(TEAM).await.is_err();
        Ok(gone.then_some(()))
    })
    .await;

    let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    let controller = stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
    eventually("it says what it waits for", || async {
        let log = controller.log()?;
        Ok(log.lines().any(|line| line.contains("still filling") && line.contains(name)).then_some(()))
    })
    .await;
    assert_eq!(proxy.writes(), [], "it writes nothing");

    crd.metadata = kube::core::ObjectMeta {
        name: crd.metadata.name,
        labels: crd.metadata.labels,
        annotations: crd.metadata.annotations,
        ..Default::default()
    };
    crd.status = None;
    crds.create(&PostParams::default(), &crd).await.unwrap();
    eventually("it works by itself", || async {
        // The API server takes a moment to serve the kind again.
        let Ok(points) = stage.points(TEAM).await else { return Ok(None) };
        Ok((points.ours().ready().count() > 0).then_some(()))
    })
    .await;
    // Once there is a second one, the first may go.
    let mut snapshots = 0;
    let before_a_second = proxy.writes().into_iter().take_while(|write| {
        snapshots += usize::from(write.method == "POST" && write.path.contains("/volumesnapshots"));
        snapshots < 2
    });
    let deleted = before_a_second.filter(|write| write.method == "DELETE");
    assert_eq!(deleted.count(), 0);
}
