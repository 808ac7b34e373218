//! What is left of sandboxes that are gone: since when, how long it is kept, and what goes last.

use agenttier_backup::csi::VolumeSnapshot;
use double::NewSandbox;
use jiff::{SignedDuration, Timestamp, Unit};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Rhythm, Stage};

use super::{FAST, PACE, at_least, mark, names, planned, ready, running, stopped};
use crate::place::{ONCE, TEAM, TEMPLATE, claims, eventually, stage, user};

const GONE_SINCE: &str = "backup.agenttier.io/gone-since";
const SANDBOXES: &str = "sandboxes.agenttier.io";
/// What the controller knows of the API server's clock may be off by so much.
const PRECISION: SignedDuration = SignedDuration::from_secs(5);

/// Since when the points of a claim say that its sandbox is gone.
async fn gone_since(stage: &Stage, claim: &str) -> anyhow::Result<Vec<Timestamp>> {
    let points = ready(stage, claim).await?;
    points.iter().filter_map(|point| mark(point, GONE_SINCE)).map(|at| Ok(at.parse()?)).collect()
}

/// Waits until one of them does.
async fn is_noted(stage: &Stage, claim: &str) -> Timestamp {
    eventually(&format!("the sandbox of {claim} is noted as gone"), || async {
        tokio::time::sleep(PACE).await;
        Ok(gone_since(stage, claim).await?.pop())
    })
    .await
}

async fn no_claim(stage: &Stage, claim: &str) {
    eventually(&format!("{claim} is gone"), || async {
        Ok(claims(stage).get_opt(claim).await?.is_none().then_some(()))
    })
    .await;
}

async fn deleted(stage: &Stage, sandbox: &str) {
    user(stage).delete(sandbox).await.unwrap();
    user(stage).wait_gone(sandbox).await.unwrap();
}

#[tokio::test]
async fn a_sandbox_is_gone_when_it_and_its_claim_are() {
    let stage = stage("gone-since").await;
    for sandbox in ["s1", "s2", "s3", "s4"] {
        running(&stage, sandbox).await;
    }
    stage.policy(ONCE).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    for sandbox in ["s1", "s2", "s3", "s4"] {
        at_least(&stage, &format!("{sandbox}-workspace"), 1).await;
    }
    // Of s1 the claim alone, of s2 the Sandbox alone.
    stopped(&stage, "s1").await;
    claims(&stage).delete("s1-workspace", &DeleteParams::default()).await.unwrap();
    no_claim(&stage, "s1-workspace").await;
    stopped(&stage, "s2").await;
    user(&stage).set_status("s2", json!({ "pvcName": null })).await.unwrap();
    let orphan = Patch::Merge(json!({ "metadata": { "ownerReferences": null } }));
    claims(&stage).patch("s2-workspace", &PatchParams::default(), &orphan).await.unwrap();
    deleted(&stage, "s2").await;
    // Of s3 both; of s4 both, and another one has its name.
    let before = Timestamp::now() - PRECISION;
    deleted(&stage, "s3").await;
    deleted(&stage, "s4").await;
    no_claim(&stage, "s4-workspace").await;
    user(&stage).create(NewSandbox::named("s4").cluster_template(TEMPLATE)).await.unwrap();

    for claim in ["s3-workspace", "s4-workspace"] {
        let since = is_noted(&stage, claim).await;
        assert!(since > before && since <= Timestamp::now() + PRECISION, "{since}");
    }
    let of_both = at_least(&stage, "s4-workspace", 2).await;
    assert!(mark(&of_both[0], GONE_SINCE).is_some(), "of the one that is gone");
    assert_eq!(mark(&of_both[1], GONE_SINCE), None, "of the one that lives");
    assert_eq!(gone_since(&stage, "s1-workspace").await.unwrap(), []);
    assert_eq!(planned(&stage, "s1-workspace").await.unwrap()["points"][0]["reason"], "VolumeGone");
    assert_eq!(gone_since(&stage, "s2-workspace").await.unwrap(), []);
    assert_eq!(planned(&stage, "s2-workspace").await.unwrap()["protection"]["state"], "Protected");

    deleted(&stage, "s1").await;
    claims(&stage).delete("s2-workspace", &DeleteParams::default()).await.unwrap();
    is_noted(&stage, "s1-workspace").await;
    is_noted(&stage, "s2-workspace").await;
}

/// Whoever takes the definition away has not deleted a sandbox, as far as anybody can tell: the other cluster's tool that
/// did it may bring all of them back.
#[tokio::test]
async fn without_the_definition_of_sandboxes_nothing_is_gone() {
    let mut stage = stage("no-sandboxes").await;
    running(&stage, "s1").await;
    stopped(&stage, "s1").await;
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    at_least(&stage, "s1-workspace", 1).await;
    stage.stop_agenttier().await;
    let orphan = Patch::Merge(json!({ "metadata": { "ownerReferences": null } }));
    claims(&stage).patch("s1-workspace", &PatchParams::default(), &orphan).await.unwrap();
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    user(&stage).sandboxes().patch("s1", &PatchParams::default(), &free).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    definitions.delete(SANDBOXES, &DeleteParams::default()).await.unwrap();
    eventually("there is no such kind", || async {
        Ok(definitions.get_opt(SANDBOXES).await?.is_none().then_some(()))
    })
    .await;
    claims(&stage).delete("s1-workspace", &DeleteParams::default()).await.unwrap();
    no_claim(&stage, "s1-workspace").await;

    eventually("the controller says that deletions are suspended", || async {
        let log = controller.log()?;
        let mut suspended = log.lines().filter(|line| line.contains("deletions are suspended"));
        Ok(suspended.any(|line| line.contains(SANDBOXES)).then_some(()))
    })
    .await;
    assert_eq!(gone_since(&stage, "s1-workspace").await.unwrap(), []);

    double::install_crds(&stage.client).await.unwrap();
    is_noted(&stage, "s1-workspace").await;
}

/// As if it had been made 100 days ago.
async fn date_back(stage: &Stage, points: &[VolumeSnapshot]) {
    let store = stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots");
    for (i, point) in points.iter().enumerate() {
        let age = SignedDuration::from_hours(24 * 100) - SignedDuration::from_mins(i64::try_from(i).unwrap());
        let at = (Timestamp::now() - age).round(Unit::Second).unwrap().to_string();
        let name = format!("{TEAM}/{}", point.name_any());
        let back = |object: &mut serde_json::Value| {
            object["metadata"]["creationTimestamp"] = json!(at);
            object["status"]["creationTime"] = json!(at);
        };
        store.rewrite(&name, back).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_left_goes_at_its_time_and_the_newest_last() {
    const KEPT: SignedDuration = SignedDuration::from_mins(2);
    let stage = stage("left-over").await;
    running(&stage, "s1").await;
    running(&stage, "s2").await;
    // Four stay while it lives, however long that takes.
    stage.policy(Rhythm { interval: "10s", max_age: "120s", keep_last: 4 }).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let points = at_least(&stage, "s1-workspace", 4).await;
    let pinned = points[1].name_any();
    let api: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    let pin =
        Patch::Merge(json!({ "metadata": { "annotations": { "backup.agenttier.io/pinned": "audit" } } }));
    api.patch(&pinned, &PatchParams::default(), &pin).await.unwrap();
    deleted(&stage, "s1").await;
    no_claim(&stage, "s1-workspace").await;
    let since = is_noted(&stage, "s1-workspace").await;
    let points = ready(&stage, "s1-workspace").await.unwrap();
    assert!(points.len() >= 4, "{:?}", names(&points));
    let newest = points.last().unwrap();
    assert!(mark(newest, GONE_SINCE).is_some(), "it is the newest that says so");
    let store = stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots");
    let start = store.now().await.unwrap().revision;
    date_back(&stage, &points).await;

    // Older than any policy keeps, and there all the same.
    eventually("only the pinned one is left", || async {
        tokio::time::sleep(PACE).await;
        let left = names(&ready(&stage, "s1-workspace").await?);
        let early = Timestamp::now() < since + KEPT - PRECISION;
        anyhow::ensure!(!early || left == names(&points), "gone before its time: {left:?}");
        Ok((left.len() == 1 && left.contains(&pinned)).then_some(()))
    })
    .await;
    let mut order = Vec::new();
    for change in store.since(start).await.unwrap() {
        let name = change.name.trim_start_matches(&format!("{TEAM}/")).to_owned();
        let going = change.object.is_none_or(|object| object["metadata"]["deletionTimestamp"].is_string());
        if going && names(&points).contains(&name) && !order.contains(&name) {
            order.push(name);
        }
    }
    assert_eq!(order.len(), points.len() - 1, "{order:?}");
    assert_eq!(order.last(), Some(&newest.name_any()), "{order:?}");

    // The living one's are pruned by their own age.
    at_least(&stage, "s2-workspace", 2).await;
    assert_eq!(gone_since(&stage, "s2-workspace").await.unwrap(), []);
}
