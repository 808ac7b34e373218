//! The commands, where Velero is at work: in the hands of a person with all rights, and of one who may but look.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, SandboxRecord, VeleroSpec};
use double::Options;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use stage::{Output, Rhythm};
use testbed::{Exit, Signal};

use super::site::{Site, held};
use crate::place::eventually;

const TEAM: &str = "team-a";

/// Both layers, none of which comes due by itself while a test runs.
async fn policy(site: &Site) {
    let velero =
        VeleroSpec { enabled: true, cron: "0 0 1 1 *".into(), ttl: "400d".into(), ..VeleroSpec::default() };
    let snapshots = Rhythm { interval: "3650d", max_age: "3650d", keep_last: 1 }.snapshots();
    let spec = BackupPolicySpec { priority: 10, velero, snapshots, ..BackupPolicySpec::default() };
    site.stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
}

async fn json_of(site: &Site, args: &[&str]) -> Value {
    site.stage.run(&[args, &["-o", "json"]].concat()).await.unwrap().json().unwrap()
}

async fn refused(site: &Site, args: &[&str]) -> String {
    let Output { exit, text } = site.stage.run(args).await.unwrap();
    assert_eq!(exit, Exit::Code(1), "{text}");
    text
}

/// What the plan says of the one Schedule.
async fn schedule(site: &Site) -> Value {
    let report = json_of(site, &["plan"]).await;
    let schedules = report["velero"]["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 1, "{report:#}");
    assert_eq!(report["velero"]["cluster"], "east", "as the controller's Deployment says: {report:#}");
    schedules[0].clone()
}

async fn points(site: &Site) -> stage::Points {
    let points = site.stage.points(TEAM).await.unwrap().ours();
    points.one_per_slot().unwrap();
    points
}

/// Whether the plan wants a snapshot.
async fn is_due(site: &Site) -> bool {
    let report = json_of(site, &["plan"]).await;
    report["actions"].as_array().unwrap().iter().any(|action| action["action"] == "TakeSnapshot")
}

#[tokio::test]
async fn commands_show_and_make_backups_of_both_layers() {
    let site = Site::set("schedules-commands", Options::default()).await;
    policy(&site).await;
    site.team(TEAM).await;

    // The controller does not run yet: what it is going to do is told, and what it has to do first.
    let to_come = schedule(&site).await;
    assert_eq!((&to_come["step"], &to_come["name"]), (&json!("Make"), &json!("east-team-a")), "{to_come:#}");
    let text = refused(&site, &["backup", TEAM]).await;
    assert!(text.contains("NoSchedule") && text.contains("its BackupPolicy stage wants one"), "{text}");

    // A snapshot that is due anyway is the slot's own: the controller takes no second one.
    assert!(is_due(&site).await);
    let made = json_of(&site, &["backup", "s1", "-n", TEAM, "--wait"]).await;
    assert_eq!((&made["layer"], &made["state"]), (&json!("Snapshot"), &json!("Ready")), "{made:#}");
    let first = made["name"].as_str().unwrap().to_owned();
    assert_eq!(points(&site).await.names().into_iter().collect::<Vec<_>>(), [first.as_str()]);
    assert!(!is_due(&site).await);
    site.start_controller().await;
    let policies = Api::<BackupPolicy>::all(site.stage.client.clone());
    eventually("the policy to count the volume as protected", || async {
        let status = policies.get("stage").await?.status.unwrap_or_default();
        let is_told =
            |told: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| told.reason == "Protected";
        Ok(status.conditions.iter().any(is_told).then_some(()))
    })
    .await;
    assert_eq!(points(&site).await.count(), 1, "the one that was asked for is the slot's");

    eventually("the Schedule", || async { Ok(site.schedules().get_opt("east-team-a").await?) }).await;
    let kept = schedule(&site).await;
    assert_eq!((&kept["step"], &kept["diff"]), (&json!("Keep"), &json!("")), "{kept:#}");
    let nothing = site.stage.run(&["plan", "--schedules"]).await.unwrap().good().unwrap();
    assert_eq!(nothing, "note: in sync: the one Schedule is as it is to be\n", "and an empty diff");
    drift_is_shown(&site).await;
    backups_are_made(&site).await;
    what_is_made_is_listed(&site, &first).await;
    somebody_who_may_but_look(&site).await;
    a_namespace_that_is_gone(&site).await;
}

/// What somebody has changed while the controller was away, as a diff, and undone once it is back.
async fn drift_is_shown(site: &Site) {
    site.stage.controller().unwrap().kill().await.unwrap();
    let edit = json!({ "spec": { "template": { "ttl": "1h" } } });
    let merge = PatchParams { field_manager: Some("someone".into()), ..PatchParams::default() };
    site.schedules().patch("east-team-a", &merge, &Patch::Merge(edit)).await.unwrap();
    let diff = site.stage.run(&["plan", "--schedules"]).await.unwrap().good().unwrap();
    assert!(diff.starts_with("east-team-a: change\n--- cluster\n+++ plan\n"), "{diff}");
    let changed: Vec<&str> = diff.lines().skip(3).filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(changed, ["-    ttl: 1h0m0s", "+    ttl: 9600h0m0s"], "{diff}");
    let elsewhere = site.stage.run(&["plan", "--schedules", "-n", "default"]).await.unwrap().good().unwrap();
    assert!(
        elsewhere.starts_with("note: there is no Schedule to show: "),
        "of another namespace: {elsewhere}"
    );
    assert_eq!(elsewhere.lines().count(), 1, "{elsewhere}");
    site.start_controller().await;
    eventually("the edit to be undone", || async {
        let live = site.schedules().get("east-team-a").await?;
        Ok(live.spec.template.ttl.filter(|ttl| ttl.to_string() == "9600h0m0s"))
    })
    .await;
}

async fn backups_are_made(site: &Site) {
    let records = Api::<SandboxRecord>::namespaced(site.stage.client.clone(), TEAM);
    eventually("the sandbox's record", || async {
        Ok(records.list(&ListParams::default()).await?.items.into_iter().next())
    })
    .await;
    let before = points(site).await.names();
    let text = site.stage.run(&["backup", TEAM, "--wait"]).await.unwrap().good().unwrap();
    assert!(text.contains("Backup velero/east-team-a-") && text.contains(" is Completed"), "{text}");
    // The controller counts it.
    site.told("BackedUp").await;
    let made = text.split_whitespace().find_map(|word| word.strip_prefix("velero/")).unwrap();
    let held = held(site, made);
    assert_eq!(held["agenttier.io/v1alpha1/Sandbox"], ["team-a/s1"], "{held:#?}");
    assert_eq!(
        held["backup.agenttier.io/v1alpha1/SandboxRecord"].len(),
        1,
        "what it takes to come back: {held:#?}"
    );
    assert_eq!(points(site).await.names(), before, "Velero's snapshots come and go beside those of Layer 1");

    // Of two that are asked for before the first has begun, one is made; who does not wait any more leaves it going.
    site.stage.cluster.freeze("velero").await.unwrap();
    let waiting =
        site.stage.begin(&["backup", "-n", TEAM, "--wait"], site.stage.cluster.kubeconfig()).await.unwrap();
    eventually("it to be made", || async {
        Ok(waiting.log()?.contains("Velero has not looked at it yet").then_some(()))
    })
    .await;
    waiting.signal(Signal::Int).await.unwrap();
    assert_eq!(waiting.wait().await.unwrap(), Exit::Code(1));
    assert!(waiting.log().unwrap().contains("goes on; agenttier-backup list"), "{}", waiting.log().unwrap());
    let again = json_of(site, &["backup", "-n", TEAM]).await;
    assert_eq!(again["already"], true, "{again:#}");
    assert!(waiting.log().unwrap().contains(again["name"].as_str().unwrap()), "{again:#}");
    a_server_without_csi_is_told(site).await;
    site.stage.cluster.thaw("velero").await.unwrap();
    eventually("it to be complete", || async {
        let phase = site.backups().get(again["name"].as_str().unwrap()).await?.status.and_then(|it| it.phase);
        Ok(phase.filter(velero::BackupPhase::is_success))
    })
    .await;

    // One more snapshot in a slot that has its own.
    let second = json_of(site, &["backup", "team-a/s1", "--wait"]).await;
    assert_eq!((&second["state"], &second["already"]), (&json!("Ready"), &json!(false)), "{second:#}");
    assert_eq!(points(site).await.count(), 2);
    assert!(!is_due(site).await);

    for (args, said) in [
        (&["backup", "nobody"][..], "there is no namespace nobody, and no sandbox nobody"),
        (&["backup", "s9", "-n", TEAM], "there is no sandbox s9 in namespace team-a"),
        (&["backup", "-n", "default"], "its BackupPolicy stage gives it one with its first sandbox"),
    ] {
        let text = refused(site, args).await;
        assert!(text.contains(said), "{text}");
    }
}

/// By what its Deployment says. One backup is on its way: no other one is made.
async fn a_server_without_csi_is_told(site: &Site) {
    let servers = Api::<Deployment>::namespaced(site.stage.client.clone(), testbed::VELERO_NAMESPACE);
    let run_with = async |args: Value| {
        let container = json!({ "name": "velero", "args": args });
        let edit = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        servers.patch("velero", &PatchParams::default(), &Patch::Strategic(edit)).await.unwrap()
    };
    let before = servers.get("velero").await.unwrap().spec.unwrap().template.spec.unwrap().containers;
    run_with(json!(["server"])).await;
    let text = site.stage.run(&["backup", "-n", TEAM]).await.unwrap().good().unwrap();
    assert!(text.contains("warning: Velero's server takes no snapshots of CSI volumes"), "{text}");
    assert!(text.contains("(VeleroWithoutCsi)") && text.contains("is on its way already"), "{text}");
    run_with(json!(before[0].args)).await;
}

async fn what_is_made_is_listed(site: &Site, first: &str) {
    let rows = json_of(site, &["list", "s1", "-n", TEAM]).await;
    let rows = rows.as_array().unwrap();
    let of = |layer: &str| rows.iter().filter(|row| row["layer"] == layer).collect::<Vec<_>>();
    let (snapshots, backups) = (of("Snapshot"), of("Velero"));
    assert_eq!((snapshots.len(), backups.len()), (2, 2), "{rows:#?}");
    assert!(snapshots.iter().any(|row| row["snapshot"] == first), "{rows:#?}");
    for backup in backups {
        assert_eq!(
            (&backup["phase"], &backup["cluster"]),
            (&json!("Completed"), &json!("east")),
            "{backup:#}"
        );
        assert_eq!((&backup["namespace"], &backup["errors"]), (&json!(TEAM), &json!(0)), "{backup:#}");
        assert!(backup["expiresAt"].is_string(), "{backup:#}");
    }
    let times: Vec<&str> = rows.iter().map(|row| row["takenAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    let text = site.stage.run(&["list"]).await.unwrap().good().unwrap();
    assert!(text.contains("LAYER") && text.contains("Velero") && text.contains("expires in"), "{text}");
    assert_eq!(json_of(site, &["list", "-n", "default"]).await, json!([]), "of another namespace");
}

/// An account that reads everything and writes nothing is told which right it lacks; and nobody puts a backup where
/// none can be put.
async fn somebody_who_may_but_look(site: &Site) {
    const NAME: &str = "looker";
    let (client, params) = (&site.stage.client, PostParams::default());
    let account: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": NAME } })).unwrap();
    Api::namespaced(client.clone(), TEAM).create(&params, &account).await.unwrap();
    let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"] }]);
    let role: ClusterRole =
        serde_json::from_value(json!({ "metadata": { "name": NAME }, "rules": rules })).unwrap();
    Api::all(client.clone()).create(&params, &role).await.unwrap();
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": NAME },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME },
        "subjects": [{ "kind": "ServiceAccount", "namespace": TEAM, "name": NAME }],
    }))
    .unwrap();
    Api::all(client.clone()).create(&params, &binding).await.unwrap();
    let kubeconfig = site.stage.cluster.service_account_kubeconfig(TEAM, NAME).await.unwrap();
    let run = async |args: &[&str]| {
        let process = site.stage.begin(args, &kubeconfig).await?;
        anyhow::Ok(Output { exit: process.wait().await?, text: process.log()? })
    };
    let text = eventually("the rights are in force", || async {
        let text = run(&["backup", "-n", TEAM]).await?.text;
        Ok(text.contains("cannot have Velero").then_some(text))
    })
    .await;
    assert!(text.contains("create backups.velero.io in namespace velero"), "{text}");
    let output = run(&["backup", "s1", "-n", TEAM]).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    assert!(output.text.contains("create volumesnapshots.snapshot.storage.k8s.io"), "{}", output.text);
    let list = run(&["list", "-n", TEAM]).await.unwrap().good().unwrap();
    assert!(list.contains("Velero") && !list.contains("note:"), "{list}");
    assert_eq!(points(site).await.count(), 2, "nothing was made");

    let read_only = Patch::Merge(json!({ "spec": { "accessMode": "ReadOnly" } }));
    let locations =
        Api::<velero::BackupStorageLocation>::namespaced(client.clone(), testbed::VELERO_NAMESPACE);
    locations.patch("default", &PatchParams::default(), &read_only).await.unwrap();
    let text = refused(site, &["backup", "-n", TEAM]).await;
    assert!(text.contains("the BackupStorageLocation default is read-only"), "{text}");
}

/// Its Schedule stays while there is something to restore from, and not longer: the plan knows as well as the controller.
async fn a_namespace_that_is_gone(site: &Site) {
    let namespaces = Api::<Namespace>::all(site.stage.client.clone());
    namespaces.delete(TEAM, &DeleteParams::default()).await.unwrap();
    eventually("the namespace to be gone", || async {
        Ok(namespaces.get_opt(TEAM).await?.is_none().then_some(()))
    })
    .await;
    let schedule_of_gone = || async { site.schedules().get_opt("east-team-a").await };
    eventually("its Schedule to be paused", || async {
        Ok(schedule_of_gone().await?.filter(|live| live.spec.paused == Some(true)))
    })
    .await;
    site.stage.controller().unwrap().kill().await.unwrap();
    let paused = schedule(site).await;
    let reason = &paused["why"]["reason"];
    assert_eq!((&paused["step"], reason), (&json!("Keep"), &json!("NamespaceGone")), "{paused:#}");
    let rows = json_of(site, &["list", "-n", TEAM]).await;
    assert!(!rows.as_array().unwrap().is_empty(), "what there is to restore from");

    // As if their time were over. Velero would bring those that it finds in its store back.
    site.stage.cluster.freeze("velero").await.unwrap();
    for backup in site.backups().list(&ListParams::default()).await.unwrap() {
        site.backups().delete(&backup.name_any(), &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(schedule(site).await["step"], "Remove");
    let text = refused(site, &["list", "-n", TEAM]).await;
    assert!(text.contains("there is no namespace team-a"), "{text}");
    site.start_controller().await;
    eventually("it to be removed", || async { Ok(schedule_of_gone().await?.is_none().then_some(())) }).await;
}
