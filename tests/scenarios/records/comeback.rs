//! A deleted sandbox comes back from its recovery point alone.

use agenttier_backup::csi::VolumeSnapshot;
use double::{NewSandbox, Options, Phase};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;
use stage::Stage;
use testbed::{Exit, Tree};

use super::{FAST, RECORD, named, point_of, records, running};
use crate::place::{ONCE, TEAM, TEMPLATE, claims, eventually, stage_with, user, with_pool};

/// Waits until a sandbox is gone, its volume too.
async fn delete(stage: &Stage, sandbox: &str) {
    user(stage).delete(sandbox).await.unwrap();
    user(stage).wait_gone(sandbox).await.unwrap();
    let claim = format!("{sandbox}-workspace");
    eventually("its volume is gone", || async {
        Ok(claims(stage).get_opt(&claim).await?.is_none().then_some(()))
    })
    .await;
}

async fn files(stage: &Stage, claim: &str) -> Tree {
    stage.cluster.volume(TEAM, claim).await.unwrap().tree().unwrap()
}

async fn write(stage: &Stage, claim: &str, text: &str) -> Tree {
    stage.cluster.volume(TEAM, claim).await.unwrap().write("work.txt", text).unwrap();
    files(stage, claim).await
}

async fn refused(stage: &Stage, args: &[&str]) -> String {
    let output = stage.run(args).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    output.text
}

/// Under its own name, with its spec, labels, annotations and what was installed, on its own bytes.
#[tokio::test]
async fn a_deleted_sandbox_comes_back_with_all_that_it_was() {
    let mut stage = stage_with("comebacks", Options::default()).await;
    user(&stage)
        .create_template(
            "own",
            json!({ "storage": { "size": "1Gi", "storageClass": testbed::STORAGE_CLASS } }),
        )
        .await
        .unwrap();
    let spec =
        json!({ "mode": "agent", "templateRef": { "name": "own" }, "env": [{ "name": "A", "value": "1" }] });
    running(&stage, NewSandbox::named("s1").spec(spec.clone()), "s1").await;
    let configured = json!({ "entrypoint": ["run"], "installCommandHash": "h", "installExitCode": 0 });
    user(&stage).set_status("s1", json!({ "agentConfigure": configured })).await.unwrap();
    let marks = json!({ "metadata": { "labels": { "team": "a" }, "annotations": { "note": "mine" } } });
    user(&stage).sandboxes().patch("s1", &PatchParams::default(), &Patch::Merge(&marks)).await.unwrap();
    let before = write(&stage, "s1-workspace", "three days of s1").await;
    running(&stage, NewSandbox::named("s2").cluster_template(TEMPLATE), "s2").await;
    let stopped = write(&stage, "s2-workspace", "a week of s2").await;
    user(&stage).stop("s2").await.unwrap();
    user(&stage).wait_phase("s2", Phase::Stopped).await.unwrap();

    stage.policy(ONCE).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let point = point_of(&stage, "s1-workspace").await;
    let record = named(&point).expect("the snapshot names a record").clone();
    point_of(&stage, "s2-workspace").await;
    delete(&stage, "s1").await;
    delete(&stage, "s2").await;
    stage.restart_agenttier(with_pool(2)).await;

    // Its template is gone too.
    let templates =
        || Api::<DynamicObject>::namespaced_with(stage.client.clone(), TEAM, &double::templates());
    templates().delete("own", &DeleteParams::default()).await.unwrap();
    let text = refused(&stage, &["restore", "s1", "-n", TEAM, "--as", "s1"]).await;
    assert!(text.contains("so is SandboxTemplate team-a/own") && text.contains(&record), "{text}");
    assert!(claims(&stage).get_opt("s1-workspace").await.unwrap().is_none(), "nothing was made");
    let kept = records(&stage).get(&record).await.unwrap().spec.templates.remove(0).spec.unwrap();
    user(&stage).create_template("own", kept.into()).await.unwrap();

    let restored = stage.run(&["restore", "s1", "-n", TEAM, "--as", "s1", "-o", "json"]).await.unwrap();
    assert_eq!(restored.json().unwrap()["phase"], "Running");
    let back = user(&stage).wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(back.data["spec"]["env"], spec["env"]);
    assert_eq!(back.data["spec"]["templateRef"]["name"], "own");
    assert_eq!((back.labels()["team"].as_str(), back.annotations()["note"].as_str()), ("a", "mine"));
    assert_eq!(back.data["status"]["agentConfigure"], configured);
    assert_eq!(back.data["status"]["pvcName"], "s1-workspace");
    assert_eq!(testbed::difference(&before, &files(&stage, "s1-workspace").await), Vec::<String>::new());
    let claim = claims(&stage).get("s1-workspace").await.unwrap();
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some(testbed::STORAGE_CLASS));

    // Run again, the same command finds its work done.
    let again = stage.run(&["restore", "s1", "-n", TEAM, "--as", "s1", "-o", "json"]).await.unwrap();
    assert_eq!(again.json().unwrap()["phase"], "Running");
    let same = user(&stage).sandboxes().get("s1").await.unwrap();
    assert_eq!(same.uid(), back.uid());

    // One that was stopped stays so until it is resumed.
    let args = ["restore", "s2", "-n", TEAM, "--start", "stopped", "-o", "json"];
    assert_eq!(stage.run(&args).await.unwrap().json().unwrap()["phase"], "Stopped");
    user(&stage).resume("s2-restored").await.unwrap();
    let back = user(&stage).wait_phase("s2-restored", Phase::Running).await.unwrap();
    assert_eq!(back.data["status"]["pvcName"], "s2-restored-workspace");
    let after = files(&stage, "s2-restored-workspace").await;
    assert_eq!(testbed::difference(&stopped, &after), Vec::<String>::new());
}

/// Without a record nobody knows what it was, and what can be done is said.
#[tokio::test]
async fn without_a_record_its_data_is_still_to_be_had() {
    let stage = stage_with("no-record", Options::default()).await;
    running(&stage, NewSandbox::named("s1").cluster_template(TEMPLATE), "s1").await;
    let before = write(&stage, "s1-workspace", "three days of s1").await;
    stage.policy(ONCE).await.unwrap();
    stage.start_controller(FAST).await.unwrap();
    let point = point_of(&stage, "s1-workspace").await.name_any();
    delete(&stage, "s1").await;
    let points: Api<VolumeSnapshot> = Api::namespaced(stage.client.clone(), TEAM);
    let unnamed = json!({ "metadata": { "annotations": { RECORD: null } } });
    points.patch(&point, &PatchParams::default(), &Patch::Merge(&unnamed)).await.unwrap();

    let text = refused(&stage, &["restore", "s1", "-n", TEAM]).await;
    assert!(text.contains("NoRecord") && text.contains("names no record of it"), "{text}");
    let proposed = format!("restore OTHER_SANDBOX -n {TEAM} --as s1-restored --from {point} --from-other");
    assert!(text.contains(&proposed), "{text}");
    running(&stage, NewSandbox::named("s3").cluster_template(TEMPLATE), "s3").await;
    let args = proposed.replace("OTHER_SANDBOX", "s3");
    stage.run(&args.split(' ').collect::<Vec<_>>()).await.unwrap().good().unwrap();
    let after = files(&stage, "s1-restored-workspace").await;
    assert_eq!(testbed::difference(&before, &after), Vec::<String>::new());
}
