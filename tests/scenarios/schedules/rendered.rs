//! What policies come to, and what the real server thinks of it.

use std::collections::BTreeMap;

use ::velero::{Schedule, SchedulePhase};
use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, VeleroSpec};
use double::{NewSandbox, Options};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};

use super::site::Site;
use crate::place::eventually;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is no object") };
    object
}

/// Ten policies, by what is special about them.
fn policies() -> [(&'static str, VeleroSpec); 10] {
    let on = || VeleroSpec { enabled: true, ..VeleroSpec::default() };
    [
        ("default", on()),
        ("hourly", VeleroSpec { every: "1h".into(), ttl: "2d".into(), ..on() }),
        ("six-hourly", VeleroSpec { every: "6h".into(), ttl: "14d".into(), ..on() }),
        ("weekly", VeleroSpec { every: "7d".into(), time_zone: "Europe/Berlin".into(), ..on() }),
        (
            "workdays",
            VeleroSpec { cron: "30 2 * * 1-5".into(), time_zone: "America/New_York".into(), ..on() },
        ),
        ("nightly", VeleroSpec { cron: "@daily".into(), ..on() }),
        ("often", VeleroSpec { cron: "@every 90m".into(), ..on() }),
        ("moved", VeleroSpec { storage_location: "default".into(), move_data: true, ..on() }),
        (
            "hooked",
            VeleroSpec {
                csi_snapshot_timeout: "1h30m".into(),
                hooks: object(json!({ "resources": [{
                    "name": "flush",
                    "includedNamespaces": ["hooked"],
                    "pre": [{ "exec": { "container": "sandbox", "command": ["sync"], "timeout": "30s" } }],
                }]})),
                ..on()
            },
        ),
        (
            "more",
            VeleroSpec {
                extra_template: object(json!({
                    "metadata": { "labels": { "tier": "gold", "app.kubernetes.io/managed-by": "me" } },
                    "itemOperationTimeout": "6h",
                    "orderedResources": { "secrets": "more/first" },
                    // What is backed up is not to be changed, in neither style of saying it.
                    "includedResources": ["pods"],
                    "excludedNamespaceScopedResources": ["secrets"],
                    "ttl": "14d",
                })),
                ..on()
            },
        ),
    ]
}

#[tokio::test]
async fn ten_policies_are_rendered_and_each_is_enabled_by_the_server() {
    let site = Site::set("schedules-rendered", Options::default()).await;
    let namespaces = Api::<Namespace>::all(site.stage.client.clone());
    for (name, velero) in policies() {
        let labels = BTreeMap::from([("policy".to_owned(), name.to_owned())]);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.labels = Some(labels.clone());
        if name != "default" {
            namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        }
        let selector = if name == "default" {
            LabelSelector::default()
        } else {
            LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
        };
        let priority = if name == "default" { 1 } else { 2 };
        let mut spec = BackupPolicySpec {
            priority,
            velero,
            namespace_selector: selector,
            ..BackupPolicySpec::default()
        };
        spec.snapshots.enabled = false;
        site.stage.write_policy(&BackupPolicy::new(name, spec)).await.unwrap();
        site.user(name).create(NewSandbox::named("s1")).await.unwrap();
    }
    let proxy = site.start_controller_behind_a_proxy().await;
    for (name, _) in policies() {
        let schedule = eventually(&format!("the Schedule of {name} to be enabled"), || async {
            let schedule = site.schedules().get_opt(&format!("east-{name}")).await?;
            Ok(schedule.filter(|schedule| {
                schedule.status.as_ref().and_then(|status| status.phase.as_ref())
                    == Some(&SchedulePhase::Enabled)
            }))
        })
        .await;
        assert!(!owns(&schedule, "f:skipImmediately"), "it is the server's: {:#?}", schedule.metadata);
        assert!(owns(&schedule, "f:template"), "{:#?}", schedule.metadata);
        insta::assert_yaml_snapshot!(name, rendered(&schedule));
    }
    let warned = eventually("the conflicts to be told", || async {
        let policies = Api::<BackupPolicy>::all(site.stage.client.clone());
        let status = policies.get("more").await?.status.unwrap_or_default();
        Ok(status.conditions.into_iter().find(|condition| condition.reason == "ExtraTemplateConflict"))
    })
    .await;
    assert!(
        warned.message.contains(
            "excludedNamespaceScopedResources, includedResources, metadata.labels.app.kubernetes.io/managed-by, ttl"
        ),
        "{}",
        warned.message
    );

    // What the server makes of a Schedule, such as its defaults, is nothing to write against. The warning came of a pass that
    // had seen all of them enabled, or one before; the one after the next edit has seen them for sure. Until it is seen it is
    // made, and that perhaps again: by an apply that forces nothing.
    site.user("default").create(NewSandbox::named("s2")).await.unwrap();
    site.stage.namespace("one-more").await.unwrap();
    site.user("one-more").create(NewSandbox::named("s1")).await.unwrap();
    eventually("the Schedule of one more", || async { Ok(site.schedules().get_opt("east-one-more").await?) })
        .await;
    for (name, _) in policies() {
        let path = format!("/schedules/east-{name}?");
        let writes: Vec<String> = proxy.writes().iter().map(ToString::to_string).collect();
        let of_it: Vec<_> = writes.iter().filter(|write| write.contains(&path)).collect();
        let makes = |write: &str| write.contains("fieldValidation=Strict") && !write.contains("force=true");
        let made = !of_it.is_empty() && of_it.iter().all(|write| makes(write));
        assert!(made, "{of_it:#?} of {writes:#?}");
    }
}

/// Whether we own this field of its spec.
fn owns(schedule: &Schedule, field: &str) -> bool {
    let writers = schedule.metadata.managed_fields.iter().flatten();
    let mut ours = writers.filter(|entry| entry.manager.as_deref() == Some("agenttier-backup"));
    ours.any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"].get(field).is_some()))
}

/// What is ours of it, whatever the cluster.
fn rendered(schedule: &Schedule) -> Value {
    let mut annotations = schedule.annotations().clone();
    annotations.insert("backup.agenttier.io/cluster-uid".into(), "the UID of kube-system".into());
    let mut spec = serde_json::to_value(&schedule.spec).unwrap();
    spec.as_object_mut().unwrap().remove("skipImmediately");
    json!({
        "name": schedule.name_any(),
        "labels": schedule.labels(),
        "annotations": annotations,
        "spec": spec,
    })
}
