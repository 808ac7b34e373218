//! Whether a backup holds the volumes that it should.

use std::collections::BTreeMap;
use std::fmt;

use agenttier_backup_plan::marks::{MANAGED, POOLED};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use velero::Backup;
use velero::labels::EXCLUDE_FROM_BACKUP;

use super::read_back::{VolumesMissing, begun};
use crate::claim::phase;
use crate::observe::Observed;

/// A volume is there a moment before its claim is bound.
const BOUND_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Since when claims have been bound, by namespace.
///
/// Only those that AgentTier labels as its own from the beginning count. One out of a warm pool was left out of backups
/// while it waited there, and does not tell since when it is not.
pub(crate) struct BoundClaims<'a>(BTreeMap<&'a str, Vec<Bound>>);

#[derive(Debug, Clone, Copy)]
struct Bound {
    since: Timestamp,
    /// A CSI driver keeps its volume.
    is_csi: bool,
}

impl<'a> BoundClaims<'a> {
    pub(crate) fn of(observed: &'a Observed) -> Self {
        let volumes: BTreeMap<&str, Bound> = observed
            .persistent_volumes
            .iter()
            .filter_map(|volume| {
                let is_csi = volume.spec.as_ref().is_some_and(|spec| spec.csi.is_some());
                Some((
                    volume.metadata.name.as_deref()?,
                    Bound { since: volume.creation_timestamp()?.0, is_csi },
                ))
            })
            .collect();
        let mut bound: BTreeMap<&str, Vec<Bound>> = BTreeMap::new();
        for claim in observed.claims.iter().filter(|claim| is_to_be_saved(claim)) {
            let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
            let volume = name.and_then(|name| volumes.get(name).copied());
            let times = volume.zip(claim.creation_timestamp());
            if let (Some((volume, created)), Some(namespace)) = (times, claim.metadata.namespace.as_deref()) {
                let since = created.0.max(volume.since);
                bound.entry(namespace).or_default().push(Bound { since, ..volume });
            }
        }
        Self(bound)
    }

    /// Whether a backup of a namespace that is complete holds fewer volumes than it should. Other volumes that it holds do not
    /// make up for one that it does not, as far as the numbers tell: those of CSI's storage and those of other storage are
    /// counted by themselves.
    pub(crate) fn missing(&self, namespace: &str, backup: &Backup) -> Option<VolumesMissing> {
        let begun = begun(backup);
        let was_bound = |bound: &&Bound| begun.duration_since(bound.since) > BOUND_WITHIN;
        let bound = self.0.get(namespace)?.iter().filter(was_bound);
        let (csi, other): (Vec<Bound>, Vec<Bound>) = bound.copied().partition(|bound| bound.is_csi);
        let [csi, other] = [csi, other].map(|bound| i64::try_from(bound.len()).unwrap_or(i64::MAX));
        let status = backup.status.as_ref()?;
        let saved = if backup.spec.snapshot_move_data == Some(true) {
            status.backup_item_operations_attempted
        } else {
            status.csi_volume_snapshots_attempted
        };
        // A plugin of Velero's for that storage, where there is one, saves CSI's as well as other.
        let (saved, by_plugins) =
            (saved.unwrap_or_default(), status.volume_snapshots_attempted.unwrap_or_default());
        let saved_other = by_plugins.min(other);
        let saved = (saved + by_plugins - saved_other).min(csi) + saved_other;
        let bound = csi.saturating_add(other);
        (saved < bound).then(|| VolumesMissing { backup: backup.name_any(), saved, bound })
    }
}

impl fmt::Display for VolumesMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saved, bound, .. } = self;
        let why = "are they CSI volumes, and is Velero's server run with --features=EnableCSI?";
        write!(f, "of {bound} bound volumes it holds {saved}: {why}")
    }
}

fn is_to_be_saved(claim: &PersistentVolumeClaim) -> bool {
    let says = |label: &str| claim.labels().get(label).is_some_and(|said| said == "true");
    phase(claim) == Some("Bound")
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
        let volume = json!({
            "metadata": { "name": "pv-1", "creationTimestamp": "2026-06-01T00:00:00Z" },
            "spec": { "csi": { "driver": "d", "volumeHandle": "v" } },
        });
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

    /// Velero leaves it out without a word.
    #[test]
    fn somebody_elses_volume_does_not_stand_for_one_that_is_not_csis() {
        let mut observed = observed("Bound", &json!({ MANAGED: "true" }), "2026-06-01T00:00:00Z");
        let mut volume = observed.persistent_volumes[0].as_ref().clone();
        volume.spec = None;
        observed.persistent_volumes = vec![Arc::new(volume)];
        let missing = |status: &Value| {
            let missing = BoundClaims::of(&observed).missing("team-a", &backup(&json!({}), status));
            missing.map(|missing| (missing.saved, missing.bound))
        };
        assert_eq!(missing(&json!({ "csiVolumeSnapshotsAttempted": 1 })), Some((0, 1)));
        assert_eq!(missing(&json!({ "volumeSnapshotsAttempted": 1 })), None, "a plugin has it");
    }
}
