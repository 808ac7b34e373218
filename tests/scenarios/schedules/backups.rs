//! What the backups of the Schedules hold.

use ::velero::{Backup, BackupPhase, SchedulePhase};
use agenttier_backup::agenttier::Sandbox;
use double::{Options, StaleClaims, WarmPool};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
use kube::api::{ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testbed::STORAGE_CLASS;

use super::site::{CLUSTER, Site, archive, every_minute, held};
use crate::place::{TEMPLATE, eventually};

async fn secret(site: &Site, namespace: &str, name: &str, labels: Value) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": labels },
        "stringData": { "key": value_of(name) },
    }))
    .unwrap();
    let secrets = Api::namespaced(site.stage.client.clone(), namespace);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
}

/// What a Secret holds, like that of no other.
fn value_of(secret: &str) -> String {
    format!("the value of {secret}")
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

/// The first backup of a namespace that was begun after this and has come to an end.
async fn ended(site: &Site, namespace: &str, after: Timestamp) -> Backup {
    let selector = format!("velero.io/schedule-name={CLUSTER}-{namespace}");
    eventually(&format!("a backup of {namespace}"), || async {
        let backups = site.backups().list(&ListParams::default().labels(&selector)).await?;
        Ok(backups.items.into_iter().find(|backup| {
            let status = backup.status.clone().unwrap_or_default();
            status.phase.is_some_and(|phase| phase.is_finished())
                && status.start_timestamp.is_some_and(|begun| begun.0 > after)
        }))
    })
    .await
}

#[tokio::test]
async fn every_namespace_of_a_policy_is_backed_up_with_its_sandboxes_and_nothing_else() {
    // However quick it is, the sandbox beside it has a volume of its own.
    let stale_claims = StaleClaims::Always;
    let pool = WarmPool {
        storage_class: STORAGE_CLASS.into(),
        stale_claims,
        ..WarmPool::new("team-b", TEMPLATE, 1)
    };
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
    let in_the_pool = eventually("a claim in the pool", || async {
        let pooled = pooled.list(&ListParams::default().labels("agenttier.io/pooled=true")).await?;
        Ok(pooled
            .items
            .into_iter()
            .find(|claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")))
    })
    .await;
    let secrets = Api::<Secret>::namespaced(site.stage.client.clone(), "team-b");
    let last = secrets.get("scoped-api-key").await.unwrap();
    let made = |meta: &ObjectMeta| meta.creation_timestamp.clone().unwrap().0;
    // From then on all that is to be left out was there.
    let complete_since = made(&in_the_pool.metadata).max(made(&last.metadata));

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
    let scheduled =
        eventually("a Schedule of team-d", || async { Ok(site.schedules().get_opt("east-team-d").await?) })
            .await;
    let sandboxes = Api::<Sandbox>::namespaced(site.stage.client.clone(), "team-d");
    let after = made(&scheduled.metadata).duration_since(made(&sandboxes.get("s1").await.unwrap().metadata));
    println!("scheduled {after:#} after its first Sandbox was made");
    assert!(after < SignedDuration::from_mins(3), "seconds, and more on a busy machine: {after:#}");

    for team in ["team-a", "team-b", "team-c"] {
        let backup = ended(&site, team, complete_since).await;
        let status = backup.status.as_ref().unwrap();
        let name = backup.name_any();
        assert_eq!(status.phase, Some(BackupPhase::Completed), "{name}: {status:#?}");
        assert_eq!((status.errors, status.warnings), (None, None), "{name}");
        assert_eq!(status.csi_volume_snapshots_completed, Some(1), "{name}: {status:#?}");
        let held = held(&site, &name);
        println!("{name}: {held:#?}");
        let of = |kind: &str| held.get(kind).cloned().unwrap_or_default();
        let [volume] = &of("v1/PersistentVolume")[..] else {
            panic!("{team}: {:?}", of("v1/PersistentVolume"))
        };
        let volume = Api::<PersistentVolume>::all(site.stage.client.clone()).get(volume).await.unwrap();
        let claim = volume.spec.unwrap().claim_ref.unwrap();
        let claim = (claim.namespace.unwrap(), claim.name.unwrap());
        assert_eq!(claim, (team.to_owned(), "s1-workspace".to_owned()), "of no other namespace");
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
        let secrets = of("v1/Secret");
        if team == "team-b" {
            // The claim that is not bound is saved as such.
            assert_eq!(claims, ["team-b/s1-workspace", "team-b/s9-workspace"]);
            assert_eq!(secrets, ["team-b/github"], "and no key that lives as long as a pod");
            let archive = archive(&site, &name);
            let holds = |secret: &str| {
                let value = serde_json::to_string(&ByteString(value_of(secret).into_bytes())).unwrap();
                archive.windows(value.len()).any(|bytes| bytes == value.as_bytes())
            };
            assert!(holds("github"), "as it is stored");
            assert!(!holds("runtime-token") && !holds("scoped-api-key"), "nowhere in all of it");
        } else {
            assert_eq!(secrets, [""; 0], "{team}");
            assert_eq!(claims, [format!("{team}/s1-workspace")]);
        }
    }
    site.told("BackedUp").await;
}
