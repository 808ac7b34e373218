//! `list` and `plan` when it matters: after a sandbox is gone, and in the hands of a namespace's own people.

use std::path::Path;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, RetentionSpec, SnapshotSpec};
use agenttier_backup_plan::marks;
use double::{NewSandbox, Phase, User};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use stage::{Output, Rhythm, Stage};
use testbed::Exit;

use crate::place::{TEAM, TEMPLATE, claims, eventually, stage, user};

const FAST: &[&str] = &["--snapshots-per-minute-at-least", "60"];

async fn listed(stage: &Stage, args: &[&str]) -> Vec<Value> {
    let all = [&["list", "-n", TEAM, "-o", "json"], args].concat();
    let rows = stage.run(&all).await.unwrap().json().unwrap();
    rows.as_array().unwrap().clone()
}

async fn points_of(stage: &Stage, claim: &str, least: usize) -> Vec<String> {
    let names = eventually(&format!("{least} recovery points of {claim}"), || async {
        let points = stage.points(TEAM).await?.ours().of(claim).ready();
        Ok((points.count() >= least).then(|| points.names()))
    })
    .await;
    names.into_iter().collect()
}

async fn running(user: &User, name: &str) {
    user.create(NewSandbox::named(name).cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase(name, Phase::Running).await.unwrap();
}

/// Who asks for a sandbox's recovery points mostly asks because it is gone.
#[tokio::test]
async fn what_is_left_of_a_sandbox_that_is_gone_stays_and_is_listed() {
    let stage = stage("gone").await;
    let user = user(&stage);
    running(&user, "s1").await;
    running(&user, "s2").await;
    // The living one's go by their number; those of one that is gone are kept for an hour.
    let by_number = RetentionSpec { max_age: "1h".into(), max_count: Some(1), ..RetentionSpec::default() };
    let snapshots = SnapshotSpec { interval: "10s".into(), retention: by_number, ..SnapshotSpec::default() };
    let spec = BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() };
    stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    points_of(&stage, "s1-workspace", 1).await;
    user.delete("s1").await.unwrap();
    user.wait_gone("s1").await.unwrap();
    eventually("its volume is gone", || async {
        Ok(claims(&stage).get_opt("s1-workspace").await?.is_none().then_some(()))
    })
    .await;
    // What is pruned already stays pruned; an order may have been under way, until it is noted that the volume is gone.
    let left = eventually("what is left of it stays the same", || async {
        let plan = stage.run(&["plan", "-n", TEAM, "-o", "json"]).await?.json()?;
        let volumes = plan["volumes"].as_array().cloned().unwrap_or_default();
        let gone = volumes.into_iter().find(|volume| volume["protection"]["state"] == "Retired");
        let points = stage.points(TEAM).await?.ours().of("s1-workspace");
        let noted = points.0.iter().any(|point| point.annotations().contains_key(marks::GONE_SINCE));
        let same = noted && points.count() == points.ready().count();
        Ok(gone.filter(|_| same).map(|gone| (gone, points.names())))
    })
    .await;
    let (gone, left) = left;
    assert_eq!(
        (&gone["sandbox"], &gone["protection"]["reason"]),
        (&json!("s1"), &json!("ClaimGone")),
        "{gone:#}"
    );
    assert!(gone["wants"].as_array().unwrap().iter().all(|want| want["action"] == "Mark"), "{gone:#}");

    // The living one's are pruned on and on.
    let pruned = || controller.log().unwrap().matches("snapshot pruned").count();
    let then = pruned();
    eventually("three more are pruned", || async { Ok((pruned() >= then + 3).then_some(())) }).await;
    assert_eq!(stage.points(TEAM).await.unwrap().ours().of("s1-workspace").names(), left);

    let rows = listed(&stage, &["s1"]).await;
    assert_eq!(rows.len(), left.len(), "{rows:#?}");
    for row in &rows {
        assert_eq!((&row["fate"], &row["reason"]), (&json!("Keep"), &json!("SandboxGone")), "{row:#}");
        assert_eq!(row["protection"]["state"], "Retired");
    }

    // A namesake is another volume: both are listed, each as what it is.
    running(&user, "s1").await;
    eventually("a recovery point of the new one", || async {
        let rows = listed(&stage, &["s1"]).await;
        Ok((rows.iter().any(|row| row["protection"]["state"] == "Protected")).then_some(()))
    })
    .await;
    let retired =
        listed(&stage, &["s1"]).await.into_iter().filter(|row| row["protection"]["state"] == "Retired");
    assert_eq!(retired.count(), left.len());

    let output = stage.run(&["list", "s3", "-n", TEAM]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    assert!(output.text.contains("no sandbox s3 in namespace team-a") && output.text.contains("s1, s2"));
    let output = stage.run(&["list", "-n", "no-such-team"]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    assert!(output.text.contains("there is no namespace no-such-team"), "{}", output.text);
}

/// An account with no rights but these in the namespace.
async fn account(stage: &Stage) -> std::path::PathBuf {
    const NAME: &str = "team-admin";
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), TEAM);
    let account = serde_json::from_value(json!({ "metadata": { "name": NAME } })).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let rules = json!([
        { "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"] },
        { "apiGroups": ["agenttier.io"], "resources": ["sandboxes"], "verbs": ["list"] },
        { "apiGroups": ["snapshot.storage.k8s.io"], "resources": ["volumesnapshots"], "verbs": ["list"] },
    ]);
    let role: Role = serde_json::from_value(json!({ "metadata": { "name": NAME }, "rules": rules })).unwrap();
    let params = PostParams::default();
    Api::<Role>::namespaced(stage.client.clone(), TEAM).create(&params, &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": { "name": NAME },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME },
        "subjects": [{ "kind": "ServiceAccount", "namespace": TEAM, "name": NAME }],
    }))
    .unwrap();
    Api::<RoleBinding>::namespaced(stage.client.clone(), TEAM).create(&params, &binding).await.unwrap();
    stage.cluster.service_account_kubeconfig(TEAM, NAME).await.unwrap()
}

async fn run(stage: &Stage, kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let process = stage.begin(args, kubeconfig).await?;
    Ok(Output { exit: process.wait().await?, text: process.log()? })
}

#[tokio::test]
async fn a_namespaces_own_people_see_their_recovery_points() {
    let stage = stage("own-people").await;
    let user = user(&stage);
    running(&user, "s1").await;
    stage.policy(Rhythm { interval: "1d", max_age: "7d", keep_last: 1 }).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let points = points_of(&stage, "s1-workspace", 1).await;

    let kubeconfig = account(&stage).await;
    let list = eventually("the rights are in force", || async {
        let output = run(&stage, &kubeconfig, &["list", "s1", "-n", TEAM]).await?;
        Ok((output.exit == Exit::Code(0)).then_some(output.text))
    })
    .await;
    assert!(list.contains(&points[0]) && list.contains("Ready"), "{list}");
    assert!(list.contains("note: you have no right to read"), "{list}");
    assert!(list.contains("backuppolicies.backup.agenttier.io"), "{list}");
    let plan = run(&stage, &kubeconfig, &["plan", "-n", TEAM]).await.unwrap().good().unwrap();
    assert!(plan.contains("Unknown: PolicyUnknown") && plan.contains("Nothing to do now"), "{plan}");
    for command in ["list", "plan"] {
        let output = run(&stage, &kubeconfig, &[command]).await.unwrap();
        assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
        assert!(output.text.contains("name one with -n"), "{}", output.text);
    }
}
