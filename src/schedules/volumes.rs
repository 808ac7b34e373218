//! Whether a backup holds the volumes that it should.

use std::collections::BTreeMap;

use agenttier_backup_plan::marks::{MANAGED, POOLED};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use velero::Backup;
use velero::labels::EXCLUDE_FROM_BACKUP;

use super::read_back::{VolumesMissing, begun};
use crate::observe::Observed;

/// A volume is there a moment before its claim is bound.
const BOUND_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Since when claims have been bound, by namespace.
///
/// Only those that AgentTier labels as its own from the beginning count. One out of a warm pool was left out of backups
/// while it waited there, and does not tell since when it is not.
pub(super) struct BoundClaims<'a>(BTreeMap<&'a str, Vec<Timestamp>>);

impl<'a> BoundClaims<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let volumes: BTreeMap<&str, Timestamp> = observed
            .persistent_volumes
            .iter()
            .filter_map(|volume| Some((volume.metadata.name.as_deref()?, volume.creation_timestamp()?.0)))
            .collect();
        let mut bound: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
        for claim in observed.claims.iter().filter(|claim| is_to_be_saved(claim)) {
            let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
            let volume = name.and_then(|name| volumes.get(name).copied());
            let times = volume.zip(claim.creation_timestamp());
            if let (Some((volume, created)), Some(namespace)) = (times, claim.metadata.namespace.as_deref()) {
                bound.entry(namespace).or_default().push(created.0.max(volume));
            }
        }
        Self(bound)
    }

    /// Whether a backup of a namespace that is complete holds fewer volumes than it should.
    pub(super) fn missing(&self, namespace: &str, backup: &Backup) -> Option<VolumesMissing> {
        let begun = begun(backup);
        let was_bound = |since: &&Timestamp| begun.duration_since(**since) > BOUND_WITHIN;
        let bound = self.0.get(namespace)?.iter().filter(was_bound).count();
        let bound = i64::try_from(bound).unwrap_or(i64::MAX);
        let status = backup.status.as_ref()?;
        let saved = if backup.spec.snapshot_move_data == Some(true) {
            status.backup_item_operations_attempted
        } else {
            status.csi_volume_snapshots_attempted
        };
        // Those of storage that is not CSI's are saved by a plugin of Velero's, where there is one.
        let saved = saved.unwrap_or_default() + status.volume_snapshots_attempted.unwrap_or_default();
        (saved < bound).then(|| VolumesMissing { backup: backup.name_any(), saved, bound })
    }
}

fn is_to_be_saved(claim: &PersistentVolumeClaim) -> bool {
    let says = |label: &str| claim.labels().get(label).is_some_and(|said| said == "true");
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Bound")
        && says(MANAGED)
        && !claim.labels().contains_key(POOLED)
        && !says(EXCLUDE_FROM_BACKUP)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn observed(phase: &str, labels: &Value, created: &str) -> Observed {
        let claim = json!({
            "metadata": { "name": "s1-workspace", "namespace": "team-a", "labels": labels, "creationTimestamp": created },
            "spec": { "volumeName": "pv-1" },
            "status": { "phase": phase },
        });
        let volume = json!({ "metadata": { "name": "pv-1", "creationTimestamp": "2026-06-01T00:00:00Z" } });
        Observed {
            claims: vec![Arc::new(serde_json::from_value(claim).expect("a claim"))],
            persistent_volumes: vec![Arc::new(serde_json::from_value(volume).expect("a volume"))],
            ..Observed::default()
        }
    }

    fn backup(spec: &Value, status: &Value) -> Backup {
        let mut backup = json!({ "metadata": { "name": "b1" }, "spec": spec, "status": { "startTimestamp": "2026-06-02T00:00:00Z" } });
        backup["status"].as_object_mut().expect("one").extend(status.as_object().expect("one").clone());
        serde_json::from_value(backup).expect("a Backup")
    }

    #[test]
    fn a_bound_workspace_that_no_snapshot_was_taken_of_is_missing() {
        let managed = json!({ MANAGED: "true" });
        let before = "2026-06-01T00:00:00Z";
        let missing = |observed: &Observed, backup: &Backup| {
            BoundClaims::of(observed).missing("team-a", backup).map(|missing| (missing.saved, missing.bound))
        };
        let bound = observed("Bound", &managed, before);
        let (plain, moved) = (json!({}), json!({ "snapshotMoveData": true }));
        assert_eq!(missing(&bound, &backup(&plain, &json!({}))), Some((0, 1)));
        assert_eq!(missing(&bound, &backup(&plain, &json!({ "csiVolumeSnapshotsAttempted": 1 }))), None);
        assert_eq!(
            missing(&bound, &backup(&moved, &json!({ "csiVolumeSnapshotsAttempted": 1 }))),
            Some((0, 1))
        );
        assert_eq!(missing(&bound, &backup(&moved, &json!({ "backupItemOperationsAttempted": 1 }))), None);

        let none = backup(&plain, &json!({}));
        for fine in [
            observed("Pending", &managed, before),
            observed("Bound", &json!({}), before),
            observed("Bound", &json!({ MANAGED: "true", POOLED: "true" }), before),
            observed("Bound", &json!({ MANAGED: "true", EXCLUDE_FROM_BACKUP: "true" }), before),
            observed("Bound", &managed, "2026-06-01T23:59:30Z"),
        ] {
            assert_eq!(missing(&fine, &none), None);
        }
    }
}
