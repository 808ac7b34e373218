//! VolumeSnapshot → [`RecoveryPoint`].

use std::collections::BTreeSet;

use agenttier_backup_plan::{Ownership, RecoveryPoint, marks, ownership};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::csi::VolumeSnapshot;

/// Whose a snapshot is.
#[must_use]
pub fn marks_of(snapshot: &VolumeSnapshot) -> Ownership {
    let source = snapshot.spec.source.persistent_volume_claim_name.as_deref();
    ownership(snapshot.labels(), snapshot.annotations(), source)
}

/// Whether somebody pinned a snapshot.
#[must_use]
pub fn is_pinned(snapshot: &VolumeSnapshot) -> bool {
    snapshot.annotations().contains_key(marks::PINNED)
}

/// A VolumeSnapshot as the planner sees it, without what reads from it and what its class is like. None for one that the API server has
/// not created.
#[must_use]
pub fn recovery_point(snapshot: &VolumeSnapshot) -> Option<RecoveryPoint> {
    let status = snapshot.status.as_ref();
    let annotation = |key: &str| snapshot.annotations().get(key).filter(|value| !value.is_empty()).cloned();
    let moment = |key: &str| annotation(key).and_then(|at| at.parse::<Timestamp>().ok());
    Some(RecoveryPoint {
        name: snapshot.name_any(),
        uid: snapshot.metadata.uid.clone()?,
        version: snapshot.metadata.resource_version.clone().unwrap_or_default(),
        ownership: marks_of(snapshot),
        sandbox: annotation(marks::SANDBOX),
        sandbox_uid: annotation(marks::SANDBOX_UID),
        at_rest_since: moment(marks::AT_REST_SINCE),
        after_switch: snapshot.annotations().contains_key(marks::AFTER_SWITCH),
        gone_since: moment(marks::GONE_SINCE),
        policy: annotation(marks::POLICY),
        retention: annotation(marks::RETENTION).and_then(|retention| retention.parse().ok()),
        amendments: annotation(marks::RETENTION_CHANGES)
            .and_then(|changes| changes.parse().ok())
            .unwrap_or_default(),
        class_retains: false,
        looks_like_agenttiers: snapshot.labels().get(marks::SNAPSHOT_KIND).map(String::as_str)
            == Some(marks::SCHEDULED_BACKUP),
        slot: moment(marks::SLOT),
        created: snapshot.metadata.creation_timestamp.as_ref()?.0,
        cut: status.and_then(|status| status.creation_time.as_ref()).map(|time| time.0),
        ready: snapshot.is_ready(),
        error: status.and_then(|status| status.error.as_ref()).and_then(|error| error.message.clone()),
        deleting_since: snapshot.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        pinned: is_pinned(snapshot),
        readers: BTreeSet::new(),
    })
}
