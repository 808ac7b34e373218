//! Safety of change: a retention that was shortened, by a slip or on purpose.

use agenttier_backup::api::BackupPolicy;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use stage::Rhythm;
use testbed::STORAGE_CLASS;

use super::past::{Past, plant};
use super::told::{FAST, Told, condition};
use crate::place::{TEAM, eventually, stage, workspace};

const DAY: i64 = 24;
const A_MONTH: &str = "maxAge=2592000s keepLast=1";
const A_DAY: &str = "maxAge=86400s keepLast=1";
/// More than ten, and more than a tenth of all.
const OLD: i64 = 12;

#[tokio::test]
async fn it_waits_for_a_day_and_a_mass_for_somebodys_word() {
    let stage = stage("change").await;
    for claim in ["lately", "before"] {
        workspace(&stage, claim, STORAGE_CLASS).await;
    }
    eventually("the volumes are bound", || async {
        let told = Told::by(&stage).await?;
        let bound = |claim| told.of(claim)["driver"].is_string();
        Ok((bound("lately") && bound("before")).then_some(()))
    })
    .await;
    // Of one, the last point that was taken under a retention of a month is 3 h old.
    let past = |claim, name, age, retention| Past { claim, name, age, retention };
    let mut points = vec![past("lately", "lately-3h", 3, A_MONTH)];
    points.push(past("lately", "lately-4d", 4 * DAY, A_MONTH));
    points.push(past("lately", "lately-5d", 5 * DAY, A_MONTH));
    // Of the other, a day has been in force for two days; twelve points were promised a month, one a day.
    let names: Vec<String> = (0..OLD).map(|n| format!("before-{n:02}")).collect();
    points.extend(names.iter().zip(5..).map(|(name, days)| past("before", name, days * DAY, A_MONTH)));
    points.push(past("before", "before-3d", 3 * DAY, A_DAY));
    points.push(past("before", "before-2d", 2 * DAY, A_DAY));
    plant(&stage, &points).await;

    stage.policy(Rhythm { interval: "1d", max_age: "1d", keep_last: 1 }).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let there = || async { Ok::<_, anyhow::Error>(stage.points(TEAM).await?.names()) };
    eventually("what had its time is pruned all the same", || async {
        Ok((!there().await?.contains("before-3d")).then_some(()))
    })
    .await;
    let waits = eventually("deletions wait, and it is said", || async {
        let told = condition(&stage, "stage", "DeletionsAwaitConfirmation").await?;
        Ok(told.filter(|told| told.reason == "MassDeletion"))
    })
    .await;
    let command = "kubectl annotate backuppolicy stage --overwrite backup.agenttier.io/deletions-confirmed=";
    assert!(of_a_mass(&waits.message) && waits.message.contains(command), "{}", waits.message);

    let told = Told::by(&stage).await.unwrap();
    let notice = &told.0["policyNotices"]["stage"][0];
    assert_eq!(notice["reason"], "MassDeletion", "{notice:#}");
    let wanted = told.of("before")["wants"].as_array().into_iter().flatten();
    let prunes = wanted.filter(|want| want["action"] == "Prune").count();
    assert_eq!(prunes, 12, "{:#}", told.of("before"));
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("policy stage: MassDeletion: ") && text.contains(command), "{text}");
    assert!(text.contains("past retention; ") && text.contains("; waits: MassDeletion"), "{text}");
    let shortened = told.fates("lately").iter().filter(|reason| **reason == "RetentionShortened").count();
    assert!(shortened >= 2, "{:#}", told.of("lately"));
    assert_eq!(told.of("lately")["wants"], json!([]));

    // Other work goes on meanwhile, and none of these goes.
    workspace(&stage, "another", STORAGE_CLASS).await;
    eventually("a new volume gets its first point", || async {
        Ok((stage.points(TEAM).await?.ours().of("another").ready().count() >= 1).then_some(()))
    })
    .await;
    let now = there().await.unwrap();
    assert!(names.iter().all(|name| now.contains(name)), "{now:?}");

    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let word = json!({ "metadata": { "annotations": {
        "backup.agenttier.io/deletions-confirmed": Timestamp::now().to_string(),
    }}});
    policies.patch("stage", &PatchParams::default(), &Patch::Merge(&word)).await.unwrap();
    eventually("those that waited are gone", || async {
        let now = there().await?;
        Ok((!names.iter().any(|name| now.contains(name))).then_some(()))
    })
    .await;
    let now = there().await.unwrap();
    for name in ["lately-3h", "lately-4d", "lately-5d"] {
        assert!(now.contains(name), "a confirmation does not shorten the day: {now:?}");
    }
    eventually("deletions wait no more", || async {
        Ok(condition(&stage, "stage", "DeletionsAwaitConfirmation").await?.is_none().then_some(()))
    })
    .await;
}

/// Whether a message counts the twelve, and those that wait for their day: two of the other volume, and the witness of the
/// change while it is one.
fn of_a_mass(message: &str) -> bool {
    let count: Option<i64> = message.split(' ').next().and_then(|count| count.parse().ok());
    count.is_some_and(|count| (OLD + 2..=OLD + 3).contains(&count))
}
