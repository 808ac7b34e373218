//! Backups that fail in part, and hooks.

use ::velero::{Backup, BackupPhase, DownloadRequest};
use agenttier_backup::api::{BACKUP_ERRORS, BackupPolicy, VeleroSpec};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};
use testbed::VELERO_NAMESPACE;

use super::site::{Site, every_minute, held};
use crate::place::eventually;

/// Runs this in every sandbox before its volume is snapshotted; what fails there is an error of the backup.
fn hooked(script: &str) -> VeleroSpec {
    let hook = json!({
        "container": "sandbox", "command": ["/bin/sh", "-c", script], "onError": "Fail", "timeout": "30s",
    });
    let hooks = json!({ "resources": [{ "name": "before", "pre": [{ "exec": hook }] }] });
    let Value::Object(hooks) = hooks else { unreachable!("it is written as one") };
    VeleroSpec { hooks: Map::from_iter(hooks), ..every_minute() }
}

/// The first backup that ends like this.
async fn ended(site: &Site, phase: BackupPhase) -> Backup {
    eventually(&format!("a backup that is {phase:?}"), || async {
        let backups = site.backups().list(&ListParams::default()).await?;
        let is_it =
            |backup: &Backup| backup.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&phase);
        Ok(backups.items.into_iter().find(is_it))
    })
    .await
}

#[tokio::test]
async fn hooks_run_in_the_sandboxes_and_the_first_error_of_one_that_fails_is_told() {
    let site = Site::with_hooks("schedules-failures").await;
    site.start_controller().await;
    site.team("team-a").await;
    let trace = site.stage.cluster.dir().join("tmp/a-hook-ran");
    site.policy(hooked(&format!("echo ran >> {}", trace.display()))).await;

    let backup = ended(&site, BackupPhase::Completed).await;
    let status = backup.status.as_ref().unwrap();
    assert_eq!(status.hook_status.as_ref().and_then(|hooks| hooks.hooks_attempted), Some(1), "{status:#?}");
    assert!(std::fs::read_to_string(&trace).is_ok_and(|trace| trace.starts_with("ran")), "it is a real one");
    let held = held(&site, &backup.name_any());
    assert_eq!(held["v1/Pod"], ["team-a/s1-pod"], "the pods come along, for hooks run in what is held alone");
    assert_eq!(held["v1/PersistentVolumeClaim"], ["team-a/s1-workspace"]);
    assert_eq!(status.csi_volume_snapshots_attempted, Some(1));

    site.policy(hooked("exit 3")).await;
    let told = site.told_with("BackupPartiallyFailed", "the first error:").await;
    assert_eq!(told.status, "False");
    assert!(told.message.contains("hook"), "in the words of the server: {}", told.message);
    let events = Api::<Event>::namespaced(site.stage.client.clone(), VELERO_NAMESPACE);
    // That of a backup whose errors Velero is slow to hand out goes without.
    let event = eventually("an Event with the first error", || async {
        let is_it = |event: &Event| {
            let message = event.message.as_deref().unwrap_or_default();
            let reason = event.reason.as_deref();
            reason == Some("VeleroBackupFailed")
                && message.contains("the first error:")
                && message.contains("hook")
        };
        Ok(events.list(&ListParams::default()).await?.items.into_iter().find(is_it))
    })
    .await;
    println!("{}", event.message.as_deref().unwrap_or_default());
    let name = event.name_any();
    let about = name.strip_suffix(".velerobackupfailed").expect("it is called after the backup");
    let phase = site.backups().get(about).await.unwrap().status.and_then(|status| status.phase);
    assert_eq!(phase, Some(BackupPhase::PartiallyFailed), "{about}");

    let counted = r#"velero_namespaces{policy="stage",state="Failing",reason="BackupPartiallyFailed"} 1"#;
    eventually("it to be counted", || async {
        let text = site.stage.metrics(&site.stage.controller()?).await?;
        Ok(text.contains(counted).then_some(()))
    })
    .await;
    let policies = Api::<BackupPolicy>::all(site.stage.client.clone());
    let velero = eventually("the status to name the namespace", || async {
        let velero = policies.get("stage").await?.status.and_then(|status| status.velero).unwrap_or_default();
        Ok((!velero.lagging.is_empty()).then_some(velero))
    })
    .await;
    let [lagging] = &velero.lagging[..] else { panic!("{velero:#?}") };
    assert_eq!((lagging.namespace.as_str(), lagging.reason.as_str()), ("team-a", "BackupPartiallyFailed"));
    assert!(lagging.last_success.is_some(), "the one before: {velero:#?}");

    let requests = Api::<DownloadRequest>::namespaced(site.stage.client.clone(), VELERO_NAMESPACE);
    eventually("the request to be gone", || async {
        Ok(requests.get_opt(BACKUP_ERRORS).await?.is_none().then_some(()))
    })
    .await;
}
