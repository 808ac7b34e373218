//! What cannot be backed up as it is asked for is named, and stops nothing else.

use ::velero::labels::SCHEDULE_NAME;
use ::velero::{Backup, BackupStorageLocation, Schedule, SchedulePhase};
use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, VeleroSpec};
use agenttier_backup_plan::schedules::name;
use double::{NewSandbox, Options, Phase};
use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testbed::VELERO_NAMESPACE;

use super::site::{CLUSTER, Site};
use crate::place::eventually;

fn on() -> VeleroSpec {
    // None is made by itself while a test runs, but at New Year.
    VeleroSpec { cron: "0 0 1 1 *".into(), ttl: "400d".into(), ..daily() }
}

fn daily() -> VeleroSpec {
    VeleroSpec { enabled: true, ..VeleroSpec::default() }
}

async fn change(site: &Site, spec: Value) {
    let locations = Api::<BackupStorageLocation>::namespaced(site.stage.client.clone(), VELERO_NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": spec }));
    locations.patch("default", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn a_location_that_takes_no_backups_is_named() {
    let site = Site::set("schedules-locations", Options::default()).await;
    site.team("team-a").await;
    site.policy(VeleroSpec { storage_location: "elsewhere".into(), ..on() }).await;
    site.start_controller().await;
    let told = site.told("LocationMissing").await;
    assert!(told.status == "False" && told.message.contains("BackupStorageLocation elsewhere"), "{told:?}");
    site.policy(on()).await;
    site.told("AwaitingFirstBackups").await;

    change(&site, json!({ "accessMode": "ReadOnly" })).await;
    site.told("LocationReadOnly").await;
    // Read by the server as by us; its Schedules stay.
    change(&site, json!({ "accessMode": "ReadWrite", "objectStorage": { "bucket": "nobodys" } })).await;
    // In the server's own words.
    site.told_with("LocationUnavailable", "nobodys").await;
    assert!(site.schedules().get_opt("east-team-a").await.unwrap().is_some());
}

/// A backup out of a Schedule, as by `velero backup create --from-schedule`, to another location.
fn by_hand(schedule: &Schedule, location: &str) -> Backup {
    let mut spec = serde_json::to_value(&schedule.spec.template).unwrap();
    spec["storageLocation"] = location.into();
    spec["metadata"] = Value::Null;
    let mut labels = schedule.labels().clone();
    labels.insert(SCHEDULE_NAME.to_owned(), schedule.name_any());
    let backup = json!({
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": format!("{}-by-hand", schedule.name_any()),
            "labels": labels,
            "annotations": schedule.annotations(),
        },
        "spec": spec,
    });
    serde_json::from_value(backup).unwrap()
}

#[tokio::test]
async fn what_makes_no_sense_stops_nothing_else() {
    let site = Site::set("schedules-inputs", Options::default()).await;
    let long = "n".repeat(63);
    for namespace in ["team-a", "team-b", &long] {
        site.stage.namespace(namespace).await.unwrap();
        site.user(namespace).create(NewSandbox::named("s1")).await.unwrap();
    }
    // Somebody made one of this name by hand, long ago.
    let theirs = json!({
        "apiVersion": "velero.io/v1",
        "kind": "Schedule",
        "metadata": { "name": "east-team-b", "namespace": VELERO_NAMESPACE },
        "spec": { "schedule": "0 5 1 1 *", "template": { "includedNamespaces": ["team-b"] } },
    });
    let theirs = serde_json::from_value(theirs).unwrap();
    site.schedules().create(&PostParams::default(), &theirs).await.unwrap();
    // It comes before the chart's own, which would back them up.
    site.policy(VeleroSpec { cron: "not yet".into(), ..on() }).await;
    site.start_controller().await;

    // Refused at once, or named by the controller.
    let refused = |spec: VeleroSpec| {
        let site = &site;
        async move {
            let mut policy = BackupPolicy::new("refused", BackupPolicySpec::default());
            policy.spec.velero = spec;
            let error = site.stage.write_policy(&policy).await.expect_err("it makes no sense");
            format!("{error:#}")
        }
    };
    for (spec, words) in [
        (VeleroSpec { every: "5h".into(), ..daily() }, "not one of 1h, 2h"),
        (VeleroSpec { ttl: "1h".into(), ..daily() }, "shorter than the time between two backups"),
        (VeleroSpec { ttl: "336".into(), ..on() }, "spec.velero.ttl"),
        (VeleroSpec { cron: "CRON_TZ=UTC 0 0 * * *".into(), ..on() }, "belongs into timeZone"),
        (VeleroSpec { time_zone: "Europe Berlin".into(), ..on() }, "spec.velero.timeZone"),
    ] {
        let said = refused(spec).await;
        assert!(said.contains(words), "{said}");
    }
    for cron in ["0 0 13 * 5", "0 0 30 2 *", "@none", "@every 30s", "soon"] {
        site.policy(VeleroSpec { cron: cron.into(), ..on() }).await;
        let told = site.told_with("InvalidSpec", cron).await;
        assert!(told.message.starts_with("spec.velero.cron: "), "{told:?}");
    }
    assert_eq!(site.schedules().list(&ListParams::default()).await.unwrap().items.len(), 1, "theirs");

    site.policy(on()).await;
    let told = site.told("ScheduleTaken").await;
    assert!(
        told.message.contains("ScheduleTaken (team-b)") && told.message.contains("left alone"),
        "{told:?}"
    );
    for namespace in ["team-a", &long] {
        let name = name(CLUSTER, namespace);
        eventually(&format!("{name} to be enabled"), || async {
            let schedule = site.schedules().get_opt(&name).await?;
            let phase = schedule.and_then(|schedule| schedule.status).and_then(|status| status.phase);
            Ok((phase == Some(SchedulePhase::Enabled)).then_some(()))
        })
        .await;
    }
    let live = site.schedules().get("east-team-b").await.unwrap();
    assert_eq!((live.spec.schedule.as_str(), live.labels().len()), ("0 5 1 1 *", 0), "as they made it");
    site.schedules().delete("east-team-b", &DeleteParams::default()).await.unwrap();
    eventually("one of ours in its place", || async {
        let schedule = site.schedules().get_opt("east-team-b").await?;
        Ok(schedule.filter(|schedule| !schedule.labels().is_empty()))
    })
    .await;

    // A backup that fails is told of on its Schedule, in the words of the server.
    let schedule = site.schedules().get("east-team-a").await.unwrap();
    let backup = by_hand(&schedule, "nobodys");
    site.backups().create(&PostParams::default(), &backup).await.unwrap();
    let events = Api::<Event>::namespaced(site.stage.client.clone(), VELERO_NAMESPACE);
    let event = eventually("its Event", || async {
        Ok(events.get_opt("east-team-a-by-hand.velerobackupfailed").await?)
    })
    .await;
    assert_eq!(event.involved_object.uid, schedule.uid());
    let message = event.message.unwrap();
    assert!(message.contains("east-team-a-by-hand") && message.contains("nobodys"), "{message}");
    site.told("BackupFailed").await;
    // The longest name there is gets through a whole backup, with all the names and labels that are made of it.
    site.user(&long).wait_phase("s1", Phase::Running).await.unwrap();
    let made = site.stage.run(&["backup", "-n", &long, "--wait"]).await.unwrap().good().unwrap();
    assert!(made.contains(" is Completed"), "{made}");

    // What nobody wants any more is taken away; the backups stay until their time is over.
    site.policy(VeleroSpec::default()).await;
    eventually("no Schedule to be left", || async {
        let left = site.schedules().list(&ListParams::default()).await?;
        Ok(left.items.is_empty().then_some(()))
    })
    .await;
    let left = site.backups().list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 2, "{left:#?}");
}
