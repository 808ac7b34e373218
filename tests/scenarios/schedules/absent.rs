//! Velero that is not there yet, not there any more, or not as it should be.

use ::velero::{Schedule, SchedulePhase};
use agenttier_backup::api::VeleroSpec;
use double::Options;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use testbed::{VELERO_NAMESPACE, VeleroPlan};

use super::site::{BUCKET, Site, VALUES};
use crate::place::eventually;

/// None is made by itself while a test runs, but at New Year.
fn on() -> VeleroSpec {
    VeleroSpec { enabled: true, cron: "0 0 1 1 *".into(), ttl: "400d".into(), ..VeleroSpec::default() }
}

/// Nothing but the namespace at first; then the CRDs, the server's Deployment, and the server. The controller that was there
/// all the time picks each of them up, and says what is missing until then.
#[tokio::test]
async fn velero_may_come_later_piece_by_piece() {
    let site = Site::bare("schedules-absent", Options::default()).await;
    let velero = site.velero();
    velero.create_namespace().await.unwrap();
    site.stage.install(&VALUES).await.unwrap();
    site.policy(on()).await;
    site.team("team-a").await;
    site.start_controller().await;
    let told = site.told("VeleroNotInstalled").await;
    assert!(told.status == "False" && told.message.contains("picked up"), "{told:?}");

    velero.install_crds().await.unwrap();
    let told = site.told("VeleroServerMissing").await;
    assert!(told.message.contains("no Deployment velero in namespace velero"), "{told:?}");
    assert!(told.message.contains("optional.backup.velero.namespace"), "it may be in another one: {told:?}");
    assert_eq!(site.schedules().list(&ListParams::default()).await.unwrap().items.len(), 0);

    // An older one comes, and is upgraded.
    let image = |tag: &str| format!("registry.example:5000/velero/velero:{tag}");
    velero.create_deployment_of(&image("v1.17.2")).await.unwrap();
    let told = site.told("VeleroTooOld").await;
    assert!(told.message.contains("Velero 1.17.2 is too old; 1.18.0 or newer"), "{told:?}");
    assert_eq!(site.schedules().list(&ListParams::default()).await.unwrap().items.len(), 0);
    let servers = Api::<Deployment>::namespaced(site.stage.client.clone(), VELERO_NAMESPACE);
    let container = json!({ "name": "velero", "image": image("v1.18.3") });
    let upgrade =
        Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": [container] } } } }));
    servers.patch("velero", &PatchParams::default(), &upgrade).await.unwrap();

    // There is no location yet, and nobody looks at the Schedules.
    eventually("a Schedule", || async { Ok(site.schedules().get_opt("east-team-a").await?) }).await;
    site.told("NoDefaultLocation").await;
    velero.create_location().await.unwrap();
    velero.start_server().await.unwrap();
    site.told("AwaitingFirstBackups").await;

    // A server that goes takes nothing along; its Deployment gone, the Schedules stay as they are.
    servers.delete("velero", &DeleteParams::default()).await.unwrap();
    site.told("VeleroServerMissing").await;
    assert!(site.schedules().get_opt("east-team-a").await.unwrap().is_some());

    // It comes back, and serves a namespace that came meanwhile.
    site.stage.cluster.kill("velero").await.unwrap();
    site.team("team-b").await;
    velero.create_deployment().await.unwrap();
    site.stage.cluster.restart("velero").await.unwrap();
    eventually("a Schedule of team-b that is enabled", || async {
        let schedule = site.schedules().get_opt("east-team-b").await?;
        let phase = schedule.and_then(|schedule| schedule.status).and_then(|status| status.phase);
        Ok((phase == Some(SchedulePhase::Enabled)).then_some(()))
    })
    .await;
    site.told("AwaitingFirstBackups").await;

    // It goes for good, and backups are not wanted any more: whoever makes them somewhere else is to stop.
    servers.delete("velero", &DeleteParams::default()).await.unwrap();
    site.told("VeleroServerMissing").await;
    site.policy(VeleroSpec::default()).await;
    eventually("no Schedule to be left", || async {
        let left = site.schedules().list(&ListParams::default()).await?;
        Ok(left.items.is_empty().then_some(()))
    })
    .await;
}

/// The chart was told the wrong namespace, and then the right one, which is not Velero's usual one.
#[tokio::test]
async fn a_velero_in_another_namespace_is_asked_for_and_then_served() {
    const ELSEWHERE: &str = "elsewhere";
    let site = Site::bare("schedules-elsewhere", Options::default()).await;
    site.velero().create_namespace().await.unwrap();
    let plan = VeleroPlan::new(&site.store, BUCKET).namespace(ELSEWHERE);
    site.stage.cluster.velero(plan).install().await.unwrap();
    site.stage.install(&VALUES).await.unwrap();
    site.policy(on()).await;
    site.team("team-a").await;
    site.start_controller().await;
    let told = site.told("VeleroServerMissing").await;
    assert!(told.message.contains("no Deployment velero in namespace velero"), "{told:?}");

    site.stage.controller().unwrap().kill().await.unwrap();
    let values = [VALUES[0], VALUES[1], "optional.backup.velero.namespace=elsewhere"];
    site.stage.install(&values).await.unwrap();
    let args = ["--velero-namespace", ELSEWHERE, "--cluster-name", "east"];
    site.stage.start_controller(&args).await.unwrap();
    let schedules = Api::<Schedule>::namespaced(site.stage.client.clone(), ELSEWHERE);
    eventually("a Schedule there that is enabled", || async {
        let phase =
            schedules.get_opt("east-team-a").await?.and_then(|live| live.status).and_then(|it| it.phase);
        Ok((phase == Some(SchedulePhase::Enabled)).then_some(()))
    })
    .await;
    site.told("AwaitingFirstBackups").await;
    assert_eq!(site.schedules().list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn without_velero_in_the_charts_values_a_policy_says_how_to_turn_it_on() {
    let site = Site::bare("schedules-off", Options::default()).await;
    site.policy(on()).await;
    site.team("team-a").await;
    site.stage.start_controller(&[]).await.unwrap();
    let told = site.told("VeleroNotConfigured").await;
    assert!(told.message.contains("optional.backup.velero.enabled"), "{told:?}");

    // The commands say the same, and work for the rest.
    let run = async |args: &[&str]| site.stage.run(args).await.unwrap();
    let report = run(&["plan", "-o", "json"]).await.json().unwrap();
    assert_eq!(report["velero"]["obstacle"]["reason"], "VeleroNotConfigured", "{report:#}");
    let [to_come] = &report["velero"]["schedules"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(
        (&to_come["step"], &to_come["backsUp"]),
        (&json!("Make"), &json!("team-a")),
        "once it is there"
    );
    let diff = run(&["plan", "--schedules"]).await.good().unwrap();
    assert!(
        diff.contains("note: Velero: VeleroNotConfigured: ") && diff.contains("-team-a: make\n"),
        "{diff}"
    );
    let list = run(&["list"]).await.good().unwrap();
    assert!(list.contains("note: this controller works with no Velero"), "{list}");
    let output = run(&["backup", "-n", "team-a"]).await;
    assert!(output.good().unwrap_err().to_string().contains("VeleroNotInstalled"));

    site.policy(VeleroSpec::default()).await;
    let report = run(&["plan", "-o", "json"]).await.json().unwrap();
    assert_eq!(report["velero"], json!(null), "nobody wants any");
    let diff = run(&["plan", "--schedules"]).await.good().unwrap();
    assert!(diff.starts_with("note: no BackupPolicy wants backups by Velero: "), "{diff}");
    let list = run(&["list"]).await.good().unwrap();
    assert!(!list.contains("note:"), "nobody misses anything: {list}");
}
