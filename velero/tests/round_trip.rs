//! What Velero's server writes is read and written back whole.

#![allow(clippy::unwrap_used)]

use kube::Resource;
use serde_json::{Value, json};
use velero::{Backup, BackupPhase, GoDuration, Schedule, SchedulePhase, ScheduleSpec};

/// A Schedule in the form that a 1.18 server leaves it in, and fields of a later one at every level.
fn schedule() -> Value {
    json!({
        "apiVersion": "velero.io/v1",
        "kind": "Schedule",
        "metadata": { "name": "east-team-a", "namespace": "velero", "generation": 3 },
        "spec": {
            "schedule": "17 3 * * *",
            "paused": false,
            "skipImmediately": false,
            "useOwnerReferencesInBackup": false,
            "template": {
                "metadata": { "labels": { "team": "a" }, "later": 1 },
                "includedNamespaces": ["team-a"],
                "includedClusterScopedResources": ["clustersandboxtemplates.agenttier.io"],
                "includedNamespaceScopedResources": ["sandboxes.agenttier.io", "persistentvolumeclaims"],
                "labelSelector": { "matchExpressions": [
                    { "key": "agenttier.io/pooled", "operator": "DoesNotExist" },
                ]},
                "ttl": "336h0m0s",
                "csiSnapshotTimeout": "10m0s",
                "itemOperationTimeout": "4h0m0s",
                "storageLocation": "default",
                "snapshotMoveData": false,
                "resourcePolicy": { "kind": "ConfigMap", "name": "skip-unbound" },
                "hooks": { "resources": [{ "name": "flush", "pre": [{ "exec": { "command": ["sync"] } }] }] },
                "orderedResources": { "secrets": "team-a/first" },
                "uploaderConfig": { "parallelFilesUpload": 4, "later": true },
                "defaultVolumesToFsBackup": false,
                "later": { "deep": [1, "two"] },
            },
            "later": "on",
        },
        "status": {
            "phase": "Enabled",
            "lastBackup": "2026-06-01T03:17:00Z",
            "validationErrors": [],
            "later": 7,
        },
    })
}

#[test]
fn a_schedule_comes_back_as_it_went() {
    let read: Schedule = serde_json::from_value(schedule()).unwrap();
    assert_eq!(read.spec.template.ttl, Some("336h".parse().unwrap()));
    assert_eq!(read.spec.template.included_namespaces.as_deref(), Some(&["team-a".to_owned()][..]));
    assert_eq!(read.status.as_ref().unwrap().phase, Some(SchedulePhase::Enabled));
    assert_eq!(serde_json::to_value(&read).unwrap(), schedule());
}

#[test]
fn a_backup_comes_back_as_it_went() {
    for (phase, known) in [
        ("InProgress", BackupPhase::InProgress),
        ("WaitingForPluginOperationsPartiallyFailed", BackupPhase::WaitingForPluginOperationsPartiallyFailed),
        ("Completed", BackupPhase::Completed),
        ("SomethingNew", BackupPhase::Other("SomethingNew".into())),
    ] {
        let backup = json!({
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": { "name": "east-team-a-20260601031700", "namespace": "velero" },
            "spec": { "includedNamespaces": ["team-a"], "ttl": "720h0m0s" },
            "status": {
                "phase": phase,
                "expiration": "2026-07-01T03:17:00Z",
                "startTimestamp": "2026-06-01T03:17:00Z",
                "completionTimestamp": "2026-06-01T03:18:09Z",
                "progress": { "totalItems": 12, "itemsBackedUp": 12 },
                "warnings": 1,
                "errors": 2,
                "failureReason": "none",
                "csiVolumeSnapshotsAttempted": 2,
            },
        });
        let read: Backup = serde_json::from_value(backup.clone()).unwrap();
        assert_eq!(read.status.as_ref().unwrap().phase, Some(known));
        assert_eq!(serde_json::to_value(&read).unwrap(), backup);
    }
}

/// The CRDs call their lists nullable.
#[test]
fn null_is_nothing() {
    let spec = json!({ "includedNamespaces": null, "labelSelector": null, "snapshotVolumes": null });
    let read: velero::BackupSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(read, velero::BackupSpec::default());
}

#[test]
fn what_is_not_set_is_not_written() {
    let mut spec = ScheduleSpec { schedule: "@daily".into(), ..ScheduleSpec::default() };
    spec.template.ttl = Some(GoDuration::from_nanoseconds(3_600_000_000_000));
    let written = serde_json::to_value(Schedule::new("s", spec)).unwrap();
    assert_eq!(written["spec"], json!({ "schedule": "@daily", "template": { "ttl": "1h0m0s" } }));
    assert_eq!(written.get("status"), None);
}

#[test]
fn days_are_refused_with_the_field() {
    let mut wrong = schedule();
    wrong["spec"]["template"]["ttl"] = json!("14d");
    let error = serde_json::from_value::<Schedule>(wrong).unwrap_err().to_string();
    assert!(error.contains("14d"), "{error}");
}

#[test]
fn the_kinds_have_veleros_names() {
    assert_eq!(Schedule::api_version(&()), "velero.io/v1");
    assert_eq!((Schedule::plural(&()), Backup::plural(&())), ("schedules".into(), "backups".into()));
}
