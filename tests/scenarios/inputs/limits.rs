//! Policies that get in each other's way, and a limit that is soon reached.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use kube::Api;
use stage::Rhythm;
use testbed::STORAGE_CLASS;

use super::past::{Past, plant};
use super::told::{FAST, Told, condition};
use crate::place::{TEAM, eventually, stage, workspace};

fn policy(name: &str, interval: &'static str, max_snapshots: u32) -> BackupPolicy {
    let snapshots = Rhythm { interval, max_age: "30d", keep_last: 1 }.snapshots();
    BackupPolicy::new(
        name,
        BackupPolicySpec { priority: 10, snapshots, max_snapshots, ..BackupPolicySpec::default() },
    )
}

#[tokio::test]
async fn a_tie_and_a_limit_are_told_and_take_no_last_good_copy() {
    let stage = stage("limits").await;
    for claim in ["a", "b"] {
        workspace(&stage, claim, STORAGE_CLASS).await;
    }
    eventually("the volumes are bound", || async {
        let told = Told::by(&stage).await?;
        Ok(["a", "b"].iter().all(|claim| told.of(claim)["driver"].is_string()).then_some(()))
    })
    .await;
    // Two of one day, both past the 48 h from which on one a day is enough when the limit is near.
    let retention = "maxAge=2592000s keepLast=1";
    let past = |name, age| Past { claim: "b", name, age, retention };
    let of_other_days = [past("b-old-3", 6 * 24), past("b-old-4", 7 * 24)];
    plant(&stage, &[past("b-old-1", 5 * 24), past("b-old-2", 5 * 24)]).await;
    plant(&stage, &of_other_days).await;
    stage.write_policy(&policy("beta", "1d", 15_000)).await.unwrap();
    stage.write_policy(&policy("alpha", "10s", 15_000)).await.unwrap();
    stage.start_controller(FAST).await.unwrap();

    for (name, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let told = eventually("a tie is told", || async {
            let told = condition(&stage, name, "Warnings").await?;
            Ok(told.filter(|told| told.reason == "PriorityTie"))
        })
        .await;
        assert!(
            told.message.starts_with(&format!("{other} selects some of the same namespaces")),
            "{}",
            told.message
        );
    }
    let told = Told::by(&stage).await.unwrap();
    assert_eq!((&told.of("a")["policy"], &told.of("a")["interval"]), (&"alpha".into(), &"PT10S".into()));
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("policy alpha: PriorityTie: beta selects some"), "{text}");

    // The least limit of all policies counts, whoever follows it.
    eventually("ten points are there", || async {
        Ok((stage.points(TEAM).await?.ours().ready().count() >= 10).then_some(()))
    })
    .await;
    let before = stage.points(TEAM).await.unwrap().ours().ready().names();
    stage.write_policy(&policy("beta", "1d", 9)).await.unwrap();
    let told = eventually("the limit is told", || async {
        let told = condition(&stage, "beta", "Warnings").await?;
        Ok(told.filter(|told| told.message.contains("maxSnapshots")))
    })
    .await;
    assert!(
        told.message.contains("as many snapshots of ours as maxSnapshots allows (9)"),
        "{}",
        told.message
    );
    assert!(told.message.contains("intervals are doubled"), "{}", told.message);
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("policy alpha: AtLimit: ") && text.contains("policy beta: AtLimit: "), "{text}");
    let told = Told::by(&stage).await.unwrap();
    assert_eq!(told.of("a")["interval"], "PT20S", "{:#}", told.of("a"));
    assert_eq!(told.of("a")["protection"]["state"], "Protected", "{:#}", told.of("a"));
    eventually("of the two of one day one goes", || async {
        Ok((!stage.points(TEAM).await?.names().contains("b-old-1")).then_some(()))
    })
    .await;
    workspace(&stage, "c", STORAGE_CLASS).await;
    eventually("a volume without a point gets one all the same", || async {
        Ok((stage.points(TEAM).await?.ours().of("c").ready().count() >= 1).then_some(()))
    })
    .await;
    let now = stage.points(TEAM).await.unwrap().ours().ready().names();
    let gone: Vec<_> = before.difference(&now).collect();
    assert_eq!(gone, ["b-old-1"], "and nothing else");

    // From nine tenths on. Nothing is made meanwhile.
    let mut suspended = policy("alpha", "10s", 15_000);
    suspended.spec.suspend = true;
    stage.write_policy(&suspended).await.unwrap();
    eventually("the policy is suspended", || async {
        let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
        let status = policies.get("alpha").await?.status.unwrap_or_default();
        Ok(status.conditions.iter().any(|condition| condition.reason == "Suspended").then_some(()))
    })
    .await;
    let count = stage.points(TEAM).await.unwrap().ours().count();
    let near = u32::try_from(count * 10 / 9).expect("a few");
    stage.write_policy(&policy("beta", "1d", near)).await.unwrap();
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    let words = "NearLimit: the cluster holds nearly as many snapshots of ours as maxSnapshots allows";
    assert!(text.contains(&format!("policy beta: {words} ({near})")), "{count}: {text}");
    stage.write_policy(&policy("beta", "1d", 15_000)).await.unwrap();
    eventually("it is over", || async {
        let told = condition(&stage, "beta", "Warnings").await?;
        Ok(told.filter(|told| !told.message.contains("maxSnapshots")).map(drop))
    })
    .await;
}
