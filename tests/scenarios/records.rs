//! Records of Sandboxes: made on change, named by the snapshots, collected, and what a deleted sandbox comes back from.

mod comeback;

use std::sync::Arc;

use agenttier_backup::api::SandboxRecord;
use agenttier_backup::csi::VolumeSnapshot;
use double::{NewSandbox, Options, Phase};
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use stage::{Rhythm, Stage};
use testbed::{Exit, Point, Then, Write};

use crate::place::{ONCE, PATIENCE, TEAM, TEMPLATE, controller_may_not, eventually, stage, stage_with, user};

const FAST: &[&str] = &["--snapshots-per-minute-at-least", "600"];
const RECORD: &str = "backup.agenttier.io/record";

fn records(stage: &Stage) -> Api<SandboxRecord> {
    Api::namespaced(stage.client.clone(), TEAM)
}

/// The records of one sandbox, oldest first.
async fn records_of(stage: &Stage, sandbox: &str) -> anyhow::Result<Vec<SandboxRecord>> {
    let mut all = records(stage).list(&ListParams::default()).await?.items;
    all.retain(|record| record.spec.sandbox.name == sandbox);
    all.sort_by_key(|record| record.metadata.creation_timestamp.as_ref().map(|time| time.0));
    Ok(all)
}

/// The first ready recovery point of a sandbox's claim.
async fn point_of(stage: &Stage, claim: &str) -> VolumeSnapshot {
    eventually(&format!("a recovery point of {claim}"), || async {
        Ok(stage.points(TEAM).await?.ours().of(claim).ready().0.into_iter().next())
    })
    .await
}

async fn running(stage: &Stage, sandbox: NewSandbox, name: &str) -> DynamicObject {
    user(stage).create(sandbox).await.unwrap();
    user(stage).wait_phase(name, Phase::Running).await.unwrap()
}

fn named(snapshot: &VolumeSnapshot) -> Option<&String> {
    snapshot.annotations().get(RECORD)
}

/// The first snapshot of a new sandbox names the record of what it is; what it becomes is another record; and neither
/// can be changed.
#[tokio::test]
async fn a_sandbox_is_recorded_when_it_changes_and_snapshots_say_what_it_was() {
    let stage = stage("records").await;
    stage.policy(Rhythm { interval: "10s", max_age: "1h", keep_last: 1 }).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let user = user(&stage);
    let parent = json!({ "name": TEMPLATE, "kind": "ClusterSandboxTemplate" });
    user.create_template("own", json!({ "inheritsFrom": parent, "description": "ours" })).await.unwrap();
    let spec = json!({ "templateRef": { "name": "own" }, "env": [{ "name": "A", "value": "1" }] });
    let live = running(&stage, NewSandbox::named("s1").spec(spec), "s1").await;

    let first = point_of(&stage, "s1-workspace").await;
    let name =
        named(&first).unwrap_or_else(|| panic!("its first snapshot names a record: {:?}", first.metadata));
    assert_eq!(first.annotations()["backup.agenttier.io/sandbox-uid"], live.uid().unwrap());
    let record = records(&stage).get(name).await.unwrap();
    let told = serde_json::to_value(&record.spec).unwrap();
    assert_eq!(told["sandbox"]["uid"], live.uid().unwrap().as_str());
    assert_eq!(told["sandbox"]["spec"]["env"], json!([{ "name": "A", "value": "1" }]));
    assert_eq!(told["sandbox"]["phase"], "Running");
    let templates: Vec<_> =
        told["templates"].as_array().unwrap().iter().map(|template| &template["name"]).collect();
    assert_eq!(templates, ["own", TEMPLATE], "and what that one inherits from");
    assert_eq!(told["templates"][0]["spec"]["description"], "ours");

    let change = json!({ "spec": { "sandbox": { "spec": { "env": [] } } } });
    let refused = records(&stage).patch(name, &PatchParams::default(), &Patch::Merge(&change)).await;
    let refused = refused.expect_err("a record never changes").to_string();
    assert!(refused.contains("a record never changes"), "{refused}");

    let change = json!({ "spec": { "env": [{ "name": "A", "value": "2" }] }, "metadata": { "labels": { "team": "a" } } });
    user.sandboxes().patch("s1", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    let second = eventually("a snapshot that names another record", || async {
        let points = stage.points(TEAM).await?.ours().of("s1-workspace");
        Ok(points.0.into_iter().find_map(|point| named(&point).filter(|other| *other != name).cloned()))
    })
    .await;
    let record = records(&stage).get(&second).await.unwrap();
    assert_eq!(record.spec.sandbox.spec.other["env"], json!([{ "name": "A", "value": "2" }]));
    assert_eq!(record.spec.sandbox.labels["team"], "a");

    // What it was before is what it was before, whatever some controller has noted on it: the record is there already.
    let noted = json!({ "example.com/last-seen": "17", "example.com/probed": "2026-07-23T08:00:00Z" });
    let change = json!({
        "spec": { "env": [{ "name": "A", "value": "1" }] },
        "metadata": { "labels": null, "annotations": noted },
    });
    user.sandboxes().patch("s1", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    let newest = eventually("a snapshot that names the first again", || async {
        let points = stage.points(TEAM).await?.ours().of("s1-workspace");
        let newest = points.0.into_iter().max_by_key(|point| point.metadata.creation_timestamp.clone());
        Ok(newest.filter(|newest| named(newest) == Some(name)))
    })
    .await;
    assert_ne!(newest.name_any(), first.name_any());
    assert_eq!(records_of(&stage, "s1").await.unwrap().len(), 2);

    // A template that changes makes another record too.
    let templates = Api::<DynamicObject>::namespaced_with(stage.client.clone(), TEAM, &double::templates());
    let change = json!({ "spec": { "description": "changed" } });
    templates.patch("own", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    eventually("a third record", || async {
        let records = records_of(&stage, "s1").await?;
        let changed = |record: &SandboxRecord| {
            let spec = record.spec.templates[0].spec.as_ref();
            spec.is_some_and(|spec| spec["description"] == "changed")
        };
        Ok((records.len() == 3 && records.iter().any(changed)).then_some(()))
    })
    .await;
}

/// A spec that fits into no record: its snapshots are taken, the reason is told, and the others have theirs.
#[tokio::test]
async fn a_spec_that_is_too_large_is_named_and_stops_nothing() {
    let stage = stage("large-records").await;
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    let env: Vec<Value> =
        (0..500).map(|n| json!({ "name": format!("V{n}"), "value": "x".repeat(1_000) })).collect();
    let spec = json!({ "env": env, "templateRef": { "name": TEMPLATE, "kind": "ClusterSandboxTemplate" } });
    assert!(spec.to_string().len() > 500 * 1024);
    let large = running(&stage, NewSandbox::named("large").spec(spec), "large").await;
    running(&stage, NewSandbox::named("small").cluster_template(TEMPLATE), "small").await;

    assert_eq!(named(&point_of(&stage, "large-workspace").await), None);
    assert!(named(&point_of(&stage, "small-workspace").await).is_some());
    let events: Api<Event> = Api::namespaced(stage.client.clone(), TEAM);
    let event = eventually("an Event on the sandbox", || async {
        let events = events.list(&ListParams::default().fields("reason=BackupFailed")).await?;
        let told = |event: &Event| event.message.as_ref().is_some_and(|told| told.contains("RecordTooLarge"));
        Ok(events.items.into_iter().find(told))
    })
    .await;
    assert_eq!(event.involved_object.uid, large.uid());
    let message = event.message.unwrap();
    assert!(message.contains("RecordTooLarge") && message.contains("65536"), "{message}");
    assert!(event.last_timestamp.is_some(), "AgentTier delivers no others");
    let policies: Api<agenttier_backup::api::BackupPolicy> = Api::all(stage.client.clone());
    let ready =
        eventually("the policy's status names it, and says that every volume is protected", || async {
            let status = policies.get("stage").await?.status.unwrap_or_default();
            let named = status.failing.iter().any(|failing| failing.reason == "RecordTooLarge");
            let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
            Ok(ready.filter(|ready| named && ready.status == "True"))
        })
        .await;
    assert!(ready.message.contains("cannot record the sandbox: 1 RecordTooLarge"), "{}", ready.message);
    assert!(records_of(&stage, "large").await.unwrap().is_empty());
    let log = controller.log().unwrap();
    let of_it = |line: &&str| line.contains("cannot record the sandbox") && line.contains("RecordTooLarge");
    assert_eq!(log.lines().filter(of_it).count(), 1, "said once an hour");

    // It is made smaller, and all is well.
    let sandboxes = user(&stage).sandboxes();
    let change = json!({ "spec": { "env": [] } });
    sandboxes.patch("large", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    eventually("it is recorded", || async {
        Ok((records_of(&stage, "large").await?.len() == 1).then_some(()))
    })
    .await;
}

fn is_record(write: &Write) -> bool {
    write.method == "POST" && write.path.contains("/sandboxrecords")
}

fn is_snapshot(write: &Write) -> bool {
    write.method == "POST" && write.path.contains("/volumesnapshots")
}

/// Killed right after a record was made, before the snapshot that is to name it: both are there once in the end.
#[tokio::test]
async fn killed_between_record_and_snapshot_there_is_one_of_each() {
    let stage = Arc::new(stage("killed-records").await);
    running(&stage, NewSandbox::named("s1").cluster_template(TEMPLATE), "s1").await;
    stage.policy(ONCE).await.unwrap();
    let token = stage.cluster.service_account_token(stage.release(), stage.release()).await.unwrap();
    let proxy = stage.cluster.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&token).unwrap();
    for point in
        [Point::before(1).of(is_record), Point::after(1).of(is_record), Point::before(1).of(is_snapshot)]
    {
        let killer = stage.clone();
        let mut cut = proxy.call(point, |_| async move {
            killer.cluster.kill("controller").await.unwrap();
            Then::Pass
        });
        // It may be killed before anybody has heard that it is ready.
        let controller = stage.launch_controller("controller", &kubeconfig, FAST).await.unwrap();
        tokio::time::timeout(PATIENCE, cut.reached()).await.unwrap().unwrap();
        assert_eq!(controller.wait().await.unwrap(), Exit::Signal("SIGKILL".into()));
    }
    stage.start_controller_as(&kubeconfig, FAST).await.unwrap();
    let snapshot = point_of(&stage, "s1-workspace").await;
    let all = records_of(&stage, "s1").await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(named(&snapshot), all[0].metadata.name.as_ref());
    assert_eq!(stage.points(TEAM).await.unwrap().count(), 1);
}

/// Without the right to make records, snapshots are taken all the same, and the missing right is told.
#[tokio::test]
async fn a_right_to_record_that_is_missing_stops_no_snapshot() {
    use k8s_openapi::api::rbac::v1::ClusterRole;
    use kube::api::PostParams;
    let stage = stage_with("no-records", Options::default()).await;
    let roles = Api::<ClusterRole>::all(stage.client.clone());
    let mut role = roles.get(stage.release()).await.unwrap();
    for rule in role.rules.iter_mut().flatten() {
        if rule.resources.iter().flatten().any(|resource| resource == "sandboxrecords") {
            rule.verbs.retain(|verb| verb != "create");
        }
    }
    roles.replace(stage.release(), &PostParams::default(), &role).await.unwrap();
    controller_may_not(&stage, "create", "sandboxrecords", "backup.agenttier.io").await;
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    running(&stage, NewSandbox::named("s1").cluster_template(TEMPLATE), "s1").await;
    assert_eq!(named(&point_of(&stage, "s1-workspace").await), None);
    eventually("the missing right is told", || async {
        let log = controller.log()?;
        Ok((log.contains("cannot record the sandbox") && log.contains("reason=\"Forbidden\"")).then_some(()))
    })
    .await;
    assert!(records_of(&stage, "s1").await.unwrap().is_empty());
}

/// What nothing refers to any more goes when it is old enough; what a snapshot names, what a sandbox is, and what we did
/// not make stay, however old.
#[tokio::test]
async fn a_record_that_nothing_refers_to_is_collected() {
    let stage = stage("collected-records").await;
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    for name in ["s1", "s2"] {
        running(&stage, NewSandbox::named(name).cluster_template(TEMPLATE), name).await;
    }
    let snapshot = point_of(&stage, "s1-workspace").await;
    point_of(&stage, "s2-workspace").await;
    let named = named(&snapshot).expect("it names a record").clone();
    for env in ["1", "2"] {
        let change = json!({ "spec": { "env": [{ "name": "A", "value": env }] } });
        user(&stage).sandboxes().patch("s1", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
        eventually("it is recorded as it is now", || async {
            let is = |record: &SandboxRecord| record.spec.sandbox.spec.other["env"][0]["value"] == env;
            let records = records_of(&stage, "s1").await?;
            Ok(records
                .iter()
                .any(|record| record.spec.sandbox.spec.other.contains_key("env") && is(record))
                .then_some(()))
        })
        .await;
    }
    let mut foreign = records(&stage).get(&named).await.unwrap();
    foreign.metadata = kube::core::ObjectMeta { name: Some("by-hand".into()), ..Default::default() };
    records(&stage).create(&kube::api::PostParams::default(), &foreign).await.unwrap();
    let all = eventually("three records of s1, one of s2, one by hand", || async {
        Ok(Some(records(&stage).list(&ListParams::default()).await?.items).filter(|all| all.len() == 5))
    })
    .await;
    let between = all
        .iter()
        .find(|record| record.spec.sandbox.spec.other.get("env").is_some_and(|env| env[0]["value"] == "1"));
    let between = between.unwrap().name_any();

    controller.kill().await.unwrap();
    let store = stage.cluster.store("backup.agenttier.io/sandboxrecords");
    for record in &all {
        let old =
            |object: &mut Value| object["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
        store.rewrite(&format!("{TEAM}/{}", record.name_any()), old).await.unwrap();
    }
    stage.start_controller(FAST).await.unwrap();
    eventually("the one that nothing refers to is gone", || async {
        Ok(records(&stage).get_opt(&between).await?.is_none().then_some(()))
    })
    .await;
    // A pass later the others are still there: a new sandbox's snapshot proves that it was made.
    running(&stage, NewSandbox::named("late").cluster_template(TEMPLATE), "late").await;
    point_of(&stage, "late-workspace").await;
    for record in all.iter().filter(|record| record.name_any() != between) {
        assert!(
            records(&stage).get_opt(&record.name_any()).await.unwrap().is_some(),
            "{}",
            record.name_any()
        );
    }
}
