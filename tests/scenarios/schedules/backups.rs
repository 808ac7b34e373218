//! What the backups of the Schedules hold.

use std::collections::BTreeMap;
use std::io::Read as _;

use ::velero::{Backup, BackupPhase, SchedulePhase};
use double::{Options, WarmPool};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testbed::STORAGE_CLASS;

use super::site::{BUCKET, CLUSTER, Site, every_minute};
use crate::place::{TEMPLATE, eventually};

/// What a backup in the store says that it holds: names by kind, as `namespace/name` or `name`.
fn held(site: &Site, backup: &str) -> BTreeMap<String, Vec<String>> {
    let folder = site.store.bucket(BUCKET).join("backups").join(backup);
    let list = std::fs::File::open(folder.join(format!("{backup}-resource-list.json.gz"))).unwrap();
    let mut text = String::new();
    GzDecoder::new(list).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn secret(site: &Site, namespace: &str, name: &str, labels: Value) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": labels },
        "stringData": { "key": "value" },
    }))
    .unwrap();
    let secrets = Api::namespaced(site.stage.client.clone(), namespace);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
}

/// A claim whose class no provisioner has.
async fn pending_claim(site: &Site, namespace: &str) {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "s9-workspace", "labels": { "agenttier.io/managed": "true" } },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nobodys",
            "resources": { "requests": { "storage": "1Gi" } },
        },
    }))
    .unwrap();
    let claims = Api::namespaced(site.stage.client.clone(), namespace);
    claims.create(&PostParams::default(), &claim).await.unwrap();
}

/// The first backup of a namespace that has come to an end.
async fn ended(site: &Site, namespace: &str) -> Backup {
    let selector = format!("velero.io/schedule-name={CLUSTER}-{namespace}");
    eventually(&format!("a backup of {namespace}"), || async {
        let backups = site.backups().list(&ListParams::default().labels(&selector)).await?;
        Ok(backups.items.into_iter().find(|backup| {
            backup
                .status
                .as_ref()
                .and_then(|status| status.phase.as_ref())
                .is_some_and(BackupPhase::is_finished)
        }))
    })
    .await
}

#[tokio::test]
async fn every_namespace_of_a_policy_is_backed_up_with_its_sandboxes_and_nothing_else() {
    let pool = WarmPool { storage_class: STORAGE_CLASS.into(), ..WarmPool::new("team-b", TEMPLATE, 1) };
    let site = Site::set("schedules", Options { warm_pool: Some(pool), ..Options::default() }).await;
    site.start_controller().await;
    site.policy(every_minute()).await;
    for team in ["team-a", "team-b", "team-c"] {
        site.team(team).await;
    }
    pending_claim(&site, "team-b").await;
    secret(&site, "team-b", "github", json!({})).await;
    for purpose in ["runtime-token", "scoped-api-key"] {
        secret(&site, "team-b", purpose, json!({ "agenttier.io/secret-purpose": purpose })).await;
    }
    let pooled = Api::<PersistentVolumeClaim>::namespaced(site.stage.client.clone(), "team-b");
    eventually("a claim in the pool", || async {
        let pooled = pooled.list(&ListParams::default().labels("agenttier.io/pooled=true")).await?;
        Ok((!pooled.items.is_empty()).then_some(()))
    })
    .await;

    for team in ["team-a", "team-b", "team-c"] {
        let schedule = eventually(&format!("a Schedule of {team}"), || async {
            let schedule = site.schedules().get_opt(&format!("{CLUSTER}-{team}")).await?;
            let is_enabled = |status: &::velero::ScheduleStatus| status.phase == Some(SchedulePhase::Enabled);
            Ok(schedule.filter(|schedule| schedule.status.as_ref().is_some_and(is_enabled)))
        })
        .await;
        assert_eq!(schedule.spec.paused, Some(false));
    }

    // One more joins, seconds after its first Sandbox.
    site.stage.namespace("team-d").await.unwrap();
    assert!(site.schedules().get_opt("east-team-d").await.unwrap().is_none(), "there is nothing in it yet");
    site.sandbox("team-d", "s1").await;
    let begun = Timestamp::now();
    eventually("a Schedule of team-d", || async { Ok(site.schedules().get_opt("east-team-d").await?) }).await;
    println!(
        "scheduled {:.1} s after its first Sandbox ran",
        begun.duration_until(Timestamp::now()).as_secs_f64()
    );

    for team in ["team-a", "team-b", "team-c"] {
        let backup = ended(&site, team).await;
        let status = backup.status.as_ref().unwrap();
        let name = backup.name_any();
        assert_eq!(status.phase, Some(BackupPhase::Completed), "{name}: {status:#?}");
        assert_eq!((status.errors, status.warnings), (None, None), "{name}");
        let held = held(&site, &name);
        println!("{name}: {held:#?}");
        let of = |kind: &str| held.get(kind).cloned().unwrap_or_default();
        assert_eq!(
            of("v1/PersistentVolume").len(),
            1,
            "{team}: of its own Sandbox, and of no other namespace"
        );
        assert_eq!(of("agenttier.io/v1alpha1/Sandbox"), [format!("{team}/s1")]);
        assert_eq!(of("agenttier.io/v1alpha1/ClusterSandboxTemplate"), [TEMPLATE]);
        assert_eq!(of("v1/Pod"), [""; 0], "AgentTier makes it anew");
        let snapshots = of("snapshot.storage.k8s.io/v1/VolumeSnapshot");
        assert_eq!(snapshots.len(), 1, "{team}: {snapshots:?}");
        let everything = held.values().flatten();
        let foreign: Vec<_> =
            everything.filter(|name| name.contains('/') && !name.starts_with(&format!("{team}/"))).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
        let mut claims = of("v1/PersistentVolumeClaim");
        claims.sort_unstable();
        let secrets: Vec<_> = of("v1/Secret").into_iter().filter(|name| !name.contains("-netpol")).collect();
        if team == "team-b" {
            // The claim that is not bound is saved as such.
            assert_eq!(claims, ["team-b/s1-workspace", "team-b/s9-workspace"]);
            assert_eq!(secrets, ["team-b/github"], "and no key that lives as long as a pod");
        } else {
            assert_eq!(claims, [format!("{team}/s1-workspace")]);
        }
    }
    site.told("BackedUp").await;
}
