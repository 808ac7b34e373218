//! Two clusters that are called the same, and put their backups into the same place.

use std::collections::BTreeMap;

use ::velero::{Backup, BackupPhase};
use agenttier_backup::api::BackupPolicy;
use double::Options;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::site::{CLUSTER, Site, every_minute};
use crate::place::eventually;

/// What the policy warns of the other cluster.
async fn warned(site: &Site) -> String {
    let policies = Api::<BackupPolicy>::all(site.stage.client.clone());
    eventually("the namesake to be told of", || async {
        let status = policies.get("stage").await?.status.unwrap_or_default();
        let told = status.conditions.into_iter().find(|told| told.message.contains("another cluster"));
        Ok(told.map(|told| {
            assert_eq!((told.type_.as_str(), told.reason.as_str()), ("Warnings", "ClusterNameShared"));
            told.message
        }))
    })
    .await
}

/// The cluster that a backup says it is of.
fn origin(backup: &Backup) -> &str {
    &backup.annotations()["backup.agenttier.io/cluster-uid"]
}

/// The backups of a cluster that are complete, by name, with the cluster that they say they are of.
async fn complete(site: &Site) -> BTreeMap<String, String> {
    let backups = site.backups().list(&ListParams::default()).await.unwrap().items;
    let complete = backups.into_iter().filter(|backup| {
        backup.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&BackupPhase::Completed)
    });
    complete.map(|backup| (backup.name_any(), origin(&backup).to_owned())).collect()
}

/// What tells a cluster from all others.
async fn uid(site: &Site) -> String {
    let lasting = Api::<Namespace>::all(site.stage.client.clone()).get("kube-system").await.unwrap();
    lasting.uid().unwrap()
}

/// The newest of a cluster's own backups, by name, once there is one beside the one before.
async fn newest(site: &Site, before: Option<&str>) -> String {
    let uid = uid(site).await;
    eventually("a backup of its own", || async {
        let backups = site.backups().list(&ListParams::default()).await?.items;
        let own = backups.iter().filter(|backup| origin(backup) == uid);
        Ok(own.map(ResourceExt::name_any).max().filter(|newest| Some(newest.as_str()) > before))
    })
    .await
}

/// The second in which a cluster's server makes its backups, minute by minute, as their names have it.
async fn second(site: &Site) -> String {
    let newest = newest(site, None).await;
    newest[newest.len() - 2..].to_owned()
}

/// Two servers whose minutes begin in the same second give their backups the same names, and then neither brings those of the
/// other over. Few do.
async fn made_in_different_seconds(one: &Site, other: &Site) {
    while second(one).await == second(other).await {
        let before = newest(other, None).await;
        other.velero().sync().await.unwrap();
        // One more after the restart.
        newest(other, Some(&before)).await;
    }
}

#[tokio::test]
async fn two_clusters_of_one_name_are_told_of_and_take_nothing_from_each_other() {
    let one = Site::set("schedules-namesake", Options::default()).await;
    let other = one.beside("schedules-other").await;
    for site in [&one, &other] {
        site.start_controller().await;
        site.policy(every_minute()).await;
        site.team("team-a").await;
    }
    made_in_different_seconds(&one, &other).await;
    for site in [&one, &other] {
        let warning = warned(site).await;
        assert!(warning.contains("optional.backup.velero.clusterName"), "what to do: {warning}");
        assert!(warning.contains(&format!("{CLUSTER}-team-a-")), "by which backup: {warning}");
    }
    // Each is backed up all the same, and counts its own backups alone.
    for site in [&one, &other] {
        site.told("BackedUp").await;
        let uid = uid(site).await;
        eventually("complete backups, its own and the other's", || async {
            let complete = complete(site).await;
            let own = complete.values().filter(|of| **of == uid).count();
            Ok((own > 0 && own < complete.len()).then_some(()))
        })
        .await;
    }
}
