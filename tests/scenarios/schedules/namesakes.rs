//! Two clusters that are called the same, and put their backups into the same place.

use std::collections::BTreeMap;

use ::velero::BackupPhase;
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

/// Backups of a cluster's own that are complete, by name, with the cluster that they say they are of.
async fn complete(site: &Site) -> BTreeMap<String, String> {
    let backups = site.backups().list(&ListParams::default()).await.unwrap().items;
    let complete = backups.into_iter().filter(|backup| {
        backup.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&BackupPhase::Completed)
    });
    let uid = |backup: &::velero::Backup| backup.annotations()["backup.agenttier.io/cluster-uid"].clone();
    complete.map(|backup| (backup.name_any(), uid(&backup))).collect()
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
    for site in [&one, &other] {
        let warning = warned(site).await;
        assert!(warning.contains("optional.backup.velero.clusterName"), "what to do: {warning}");
        assert!(warning.contains(&format!("{CLUSTER}-team-a-")), "by which backup: {warning}");
    }
    // Each is backed up all the same, and counts its own backups alone.
    for site in [&one, &other] {
        site.told("BackedUp").await;
        let lasting = Api::<Namespace>::all(site.stage.client.clone()).get("kube-system").await.unwrap();
        let uid = lasting.uid().unwrap();
        let complete = complete(site).await;
        let own = complete.values().filter(|of| **of == uid).count();
        assert!(own > 0 && own < complete.len(), "its own and the other's: {complete:#?}");
    }
}
