//! Another cluster that is called like this one.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::cluster::ClusterIdentity;
use super::template::{CLUSTER, CLUSTER_UID};
use crate::observe::VeleroSight;

/// The newest backup of another cluster that is called the same and was at work after this one's first Schedule: one that was rebuilt under
/// the name of a lost one has but older backups of that.
#[must_use]
pub(super) fn shared_name(cluster: &ClusterIdentity, sight: &VeleroSight) -> Option<String> {
    let of_this = |labels: &BTreeMap<String, String>| labels.get(CLUSTER) == Some(&cluster.name);
    let schedules = sight.schedules.seen()?.iter().filter(|schedule| of_this(schedule.labels()));
    let first = schedules.filter_map(|schedule| schedule.creation_timestamp()).min()?;
    let backups = sight.backups.seen()?.iter().filter(|backup| of_this(backup.labels()));
    let others = backups.filter(|backup| {
        let uid = backup.annotations().get(CLUSTER_UID);
        let begun = backup.status.as_ref().and_then(|status| status.start_timestamp.as_ref());
        uid.is_some_and(|uid| *uid != cluster.uid) && begun.is_some_and(|begun| begun.0 > first.0)
    });
    others.map(|backup| backup.name_any()).max()
}
