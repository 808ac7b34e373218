//! Annotations of Sandboxes: followed within bounds, and not at all where they make no sense.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup::agenttier::Sandbox;
use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, OverrideBounds};
use agenttier_backup::csi::VolumeSnapshot;
use agenttier_backup_plan::marks;
use double::{NewSandbox, Phase};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Rhythm, Stage};

use super::told::{FAST, Told, condition};
use crate::place::{TEAM, TEMPLATE, eventually, stage, user};

/// What makes no sense: the Sandbox, its annotation, and what is said of it.
const GARBAGE: [(&str, &str, &str, &str); 6] = [
    ("often", "interval", "often", "is not a length of time such as 1h"),
    ("hasty", "interval", "5s", "is below the policy's overrides.minInterval"),
    ("hoarder", "retention", "2d", "is above the policy's overrides.maxRetention of 1d"),
    ("maybe", "enabled", "maybe", "is neither true nor false"),
    ("greedy", "keep-last", "201", "comes to 201 recovery points of one volume, and more than 200"),
    ("none", "keep-last", "0", "is not a number from 1 to 1000"),
];

async fn annotate(stage: &Stage, sandbox: &str, pairs: &[(&str, Option<&str>)]) {
    let pairs: BTreeMap<String, Option<&str>> =
        pairs.iter().map(|(key, value)| (format!("backup.agenttier.io/{key}"), *value)).collect();
    let patch = json!({ "metadata": { "annotations": pairs } });
    let sandboxes: Api<Sandbox> = Api::namespaced(stage.client.clone(), TEAM);
    sandboxes.patch(sandbox, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

async fn names(stage: &Stage, sandbox: &str) -> BTreeSet<String> {
    stage.points(TEAM).await.unwrap().ours().of(&workspace_of(sandbox)).ready().names()
}

fn workspace_of(sandbox: &str) -> String {
    format!("{sandbox}-workspace")
}

/// The retention that a point was taken under.
fn retention(point: &VolumeSnapshot) -> &str {
    point.annotations().get(marks::RETENTION).map_or("", String::as_str)
}

fn policy(priority: i32) -> BackupPolicy {
    let overrides =
        OverrideBounds { min_interval: "10s".into(), max_retention: "1d".into(), max_points: 200 };
    let snapshots = Rhythm { interval: "10s", max_age: "12s", keep_last: 1 }.snapshots();
    let spec = BackupPolicySpec { priority, snapshots, overrides, ..BackupPolicySpec::default() };
    BackupPolicy::new("stage", spec)
}

#[tokio::test]
async fn they_are_followed_within_bounds_and_change_nothing_beyond() {
    let stage = stage("overrides").await;
    let user = user(&stage);
    let all: Vec<&str> = ["plain", "out", "slow"].into_iter().chain(GARBAGE.map(|(name, ..)| name)).collect();
    for name in &all {
        user.create(NewSandbox::named(*name).cluster_template(TEMPLATE)).await.unwrap();
    }
    for name in &all {
        user.wait_phase(name, Phase::Running).await.unwrap();
    }
    stage.write_policy(&policy(10)).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    let pruned = |sandbox: &str| {
        let mark = format!("claim={} ", workspace_of(sandbox));
        let log = controller.log().unwrap();
        log.lines().filter(|line| line.contains("snapshot pruned") && line.contains(&mark)).count()
    };
    eventually("without annotations each is pruned", || async {
        Ok(all.iter().all(|name| pruned(name) >= 1).then_some(()))
    })
    .await;

    for (name, key, value, _) in GARBAGE {
        annotate(&stage, name, &[(key, Some(value))]).await;
    }
    annotate(&stage, "out", &[("enabled", Some("false"))]).await;
    annotate(
        &stage,
        "slow",
        &[("interval", Some("20s")), ("retention", Some("1h")), ("keep-last", Some("3"))],
    )
    .await;
    // What was under way when they came is done, once the last of them is followed; from here on nothing of these goes.
    eventually("the slow one is, and nothing of the one that is out is under way", || async {
        let points = stage.points(TEAM).await?;
        let out = points.of(&workspace_of("out"));
        let slow = points.ours().of(&workspace_of("slow"));
        let followed = slow.0.iter().any(|point| retention(point) == "maxAge=3600s keepLast=3");
        Ok((followed && out.count() == out.ready().count()).then_some(()))
    })
    .await;
    let mut before = BTreeMap::new();
    for name in &all {
        before.insert(*name, (names(&stage, name).await, pruned(name)));
    }
    eventually("two more points each of those with garbage", || async {
        for (name, ..) in GARBAGE {
            if names(&stage, name).await.len() < before[name].0.len() + 2 {
                return Ok(None);
            }
        }
        Ok((pruned("plain") >= before["plain"].1 + 2).then_some(()))
    })
    .await;

    // Two that were taken one right after the other are past their time a little later.
    let told = eventually("of each there is one that is held, and of the slow one one more", || async {
        let told = Told::by(&stage).await?;
        let held = |name: &str| told.fates(&workspace_of(name)).contains(&"PruningHeld");
        let slow = told.fates("slow-workspace").contains(&"KeepLast");
        Ok((slow && GARBAGE.iter().all(|(name, ..)| held(name))).then_some(told))
    })
    .await;
    for (name, key, _, words) in GARBAGE {
        let (had, pruned_then) = &before[name];
        let claim = workspace_of(name);
        assert!(
            had.is_subset(&names(&stage, name).await) && pruned(name) == *pruned_then,
            "{name} was pruned"
        );
        assert_eq!(told.of(&claim)["protection"]["state"], "Protected", "{:#}", told.of(&claim));
        let notice = told.notice(&claim, "OverrideInvalid").unwrap_or_default();
        assert!(notice.contains(&format!("backup.agenttier.io/{key}")) && notice.contains(words), "{notice}");
    }
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(
        text.contains("often-workspace: OverrideInvalid: annotation backup.agenttier.io/interval"),
        "{text}"
    );

    assert_eq!(told.reason("out-workspace"), "OptedOut");
    let out = (names(&stage, "out").await, pruned("out"));
    assert_eq!(out, before["out"], "nothing is made and nothing is deleted");
    assert_eq!(told.of("slow-workspace")["interval"], "PT20S", "{:#}", told.of("slow-workspace"));
    assert_eq!(told.notice("slow-workspace", "OverrideInvalid"), None);

    // A status is written once a minute, and at once for whoever edits the policy.
    stage.write_policy(&policy(11)).await.unwrap();
    let warnings = eventually("the policy tells of all six", || async {
        let warnings = condition(&stage, "stage", "Warnings").await?;
        Ok(warnings.filter(|warnings| warnings.message.contains("6 OverrideInvalid (team-a/")))
    })
    .await;
    assert_eq!(warnings.reason, "OverrideInvalid");

    annotate(&stage, "often", &[("interval", None)]).await;
    annotate(&stage, "out", &[("enabled", Some("true"))]).await;
    let (often, out) = (pruned("often"), pruned("out"));
    eventually("those that were put right are pruned again", || async {
        Ok((pruned("often") > often && pruned("out") > out).then_some(()))
    })
    .await;
}
