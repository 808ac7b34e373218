//! Volumes that were saved after a switch a short while ago. That one is saved does not prove that its switch was told of:
//! the Sandbox may have been started anew in between, and the process may have ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use agenttier_backup_plan::{Ownership, VolumeUid, marks};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::csi::VolumeSnapshot;
use crate::observe::marks_of;

/// Shorter than what was told is remembered for, or it would be told again.
const LATELY: SignedDuration = SignedDuration::from_mins(30);

/// The volumes of which a recovery point was taken after a switch, within the last half an hour.
pub(super) fn lately_saved(now: Timestamp, snapshots: &[Arc<VolumeSnapshot>]) -> BTreeSet<VolumeUid> {
    let lately = snapshots.iter().filter(|snapshot| {
        let created = snapshot.creation_timestamp().map(|created| created.0);
        snapshot.annotations().contains_key(marks::AFTER_SWITCH)
            && created.is_some_and(|created| now.duration_since(created) < LATELY)
    });
    let of_ours = lately.filter_map(|snapshot| match marks_of(snapshot) {
        Ownership::Ours { volume } => Some(volume),
        _ => None,
    });
    of_ours.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn point(change: impl FnOnce(&mut Value)) -> Arc<VolumeSnapshot> {
        let mut point = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": "c-backup-1",
                "namespace": "n",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": { marks::MANAGED_BY: marks::US },
                "annotations": { marks::VOLUME_UID: "v", marks::CLAIM: "c", marks::AFTER_SWITCH: "true" },
            },
            "spec": { "source": { "persistentVolumeClaimName": "c" } },
        });
        change(&mut point);
        Arc::new(serde_json::from_value(point).expect("a VolumeSnapshot"))
    }

    #[test]
    fn half_an_hour_after_it_was_saved_a_switch_is_told_of_no_more() {
        let created: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let after = |minutes, point| lately_saved(created + SignedDuration::from_mins(minutes), &[point]);
        let saved = BTreeSet::from([VolumeUid::new("v")]);
        assert_eq!(after(0, point(|_| ())), saved);
        assert_eq!(after(29, point(|_| ())), saved);
        assert_eq!(after(30, point(|_| ())), BTreeSet::new());
        let ordinary = |point: &mut Value| {
            let annotations = point["metadata"]["annotations"].as_object_mut().expect("it has some");
            annotations.remove(marks::AFTER_SWITCH);
        };
        assert_eq!(after(0, point(ordinary)), BTreeSet::new(), "an ordinary one");
        let of_others = |point: &mut Value| point["metadata"]["labels"] = json!({});
        assert_eq!(after(0, point(of_others)), BTreeSet::new(), "of somebody else's");
    }
}
