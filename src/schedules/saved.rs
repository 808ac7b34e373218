//! Backups by Velero, as recovery points of a namespace.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use velero::{Backup, BackupPhase};

use super::cluster::ClusterIdentity;
use super::read_back::{begun, why_failed};
use super::template::{CLUSTER, CLUSTER_UID, MANAGED_BY, NAMESPACE};
use crate::api::FIELD_MANAGER;
use crate::observe::VeleroSight;

/// A backup of a namespace that came out of a Schedule of ours, in this cluster or in another one that uses the same store.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The namespace.
    pub namespace: String,
    /// Name of the Backup.
    pub backup: String,
    /// The namespace that the Backup is in.
    pub velero_namespace: String,
    /// Its Schedule.
    pub schedule: Option<String>,
    /// What its cluster is called.
    pub cluster: Option<String>,
    /// It is of another cluster than this.
    pub elsewhere: bool,
    /// When it began, or was asked for.
    pub taken_at: Timestamp,
    /// Where it is.
    pub phase: BackupPhase,
    /// When Velero deletes it, as far as that is known.
    pub expires_at: Option<Timestamp>,
    /// Number of errors.
    pub errors: i64,
    /// Number of warnings.
    pub warnings: i64,
    /// Why it is not complete, where it has ended.
    pub error: Option<String>,
}

/// So many namespaces can be named in a request: it goes into its address.
const NAMED: usize = 50;

/// The labels of the backups that count, of all namespaces or of some: of very many, those of all are asked for.
#[must_use]
pub fn saved_labels(namespaces: Option<&BTreeSet<String>>) -> String {
    let named = namespaces.filter(|namespaces| namespaces.len() <= NAMED);
    let named = named.map(|named| named.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    let of_them = named.map(|named| format!(" in ({named})")).unwrap_or_default();
    format!("{MANAGED_BY}={FIELD_MANAGER},{NAMESPACE}{of_them}")
}

/// Those that were seen. Where it is not known which cluster this is, none of them is elsewhere.
#[must_use]
pub fn saved(sight: &VeleroSight, cluster: Option<&ClusterIdentity>) -> Vec<Saved> {
    let of = |backup: &Arc<Backup>| {
        let namespace = backup.labels().get(NAMESPACE)?.clone();
        let uid = backup.annotations().get(CLUSTER_UID);
        let status = backup.status.clone().unwrap_or_default();
        Some(Saved {
            namespace,
            backup: backup.name_any(),
            velero_namespace: sight.namespace.clone(),
            schedule: backup.labels().get(velero::labels::SCHEDULE_NAME).cloned(),
            cluster: backup.labels().get(CLUSTER).cloned(),
            elsewhere: cluster.is_some_and(|cluster| uid != Some(&cluster.uid)),
            taken_at: begun(backup),
            phase: status.phase.unwrap_or(BackupPhase::New),
            expires_at: status.expiration.map(|at| at.0),
            errors: status.errors.unwrap_or_default(),
            warnings: status.warnings.unwrap_or_default(),
            error: why_failed(backup),
        })
    };
    sight.backups.seen().unwrap_or_default().iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::Holding;

    fn backup(name: &str, uid: &str, status: &Value) -> Arc<Backup> {
        let backup = json!({
            "metadata": {
                "name": name,
                "labels": {
                    "backup.agenttier.io/namespace": "team-a", "backup.agenttier.io/cluster": uid,
                    "velero.io/schedule-name": "east-team-a",
                },
                "annotations": { "backup.agenttier.io/cluster-uid": uid },
                "creationTimestamp": "2026-11-20T10:00:00Z",
            },
            "spec": {},
            "status": status,
        });
        Arc::new(serde_json::from_value(backup).expect("a Backup"))
    }

    #[test]
    fn what_is_told_of_a_backup() {
        let done = json!({
            "phase": "PartiallyFailed", "errors": 2, "startTimestamp": "2026-11-20T10:00:05Z",
            "expiration": "2026-12-20T10:00:05Z",
        });
        let mut sight = VeleroSight::of_schedules("velero", vec![]);
        sight.backups = Holding::Seen(vec![backup("b1", "east", &done), backup("b2", "west", &json!({}))]);
        let here = ClusterIdentity { name: "east".into(), uid: "east".into() };
        let [ours, theirs] = &saved(&sight, Some(&here))[..] else { panic!("there are two") };
        assert_eq!((ours.elsewhere, theirs.elsewhere), (false, true));
        assert_eq!(ours.taken_at.to_string(), "2026-11-20T10:00:05Z");
        assert_eq!((ours.errors, ours.expires_at.is_some()), (2, true));
        assert!(ours.error.as_ref().is_some_and(|error| error.contains("velero backup logs b1")), "{ours:?}");
        assert_eq!(
            (&theirs.phase, theirs.error.as_ref()),
            (&BackupPhase::New, None),
            "nobody has looked at it yet"
        );
        assert_eq!(theirs.taken_at.to_string(), "2026-11-20T10:00:00Z");
        assert!(saved(&sight, None).iter().all(|saved| !saved.elsewhere), "who knows");
    }

    #[test]
    fn they_are_asked_for_by_label() {
        let labels = |namespaces: &[&str]| {
            saved_labels(Some(&namespaces.iter().map(|&namespace| namespace.to_owned()).collect()))
        };
        let ours = "app.kubernetes.io/managed-by=agenttier-backup,backup.agenttier.io/namespace";
        assert_eq!(labels(&["team-a"]), format!("{ours} in (team-a)"));
        assert_eq!(labels(&["team-b", "team-a"]), format!("{ours} in (team-a,team-b)"));
        assert_eq!(saved_labels(None), ours);
        let many: BTreeSet<String> = (0..=NAMED).map(|team| format!("team-{team}")).collect();
        assert_eq!(saved_labels(Some(&many)), ours);
    }
}
