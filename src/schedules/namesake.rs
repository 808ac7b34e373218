//! Another cluster that is called like this one.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use velero::labels::SCHEDULE_NAME;

use super::cluster::ClusterIdentity;
use super::template::{CLUSTER, CLUSTER_UID};
use crate::observe::VeleroSight;

/// The newest backup of another cluster that is called the same and was at work after this one's first Schedule: one that was rebuilt under
/// the name of a lost one has but older backups of that.
#[must_use]
pub(super) fn shared_name(cluster: &ClusterIdentity, sight: &VeleroSight) -> Option<String> {
    let of_this = |labels: &BTreeMap<String, String>| labels.get(CLUSTER) == Some(&cluster.name);
    let schedules = sight.schedules.seen()?.iter().filter(|schedule| of_this(schedule.labels()));
    let first = schedules.clone().filter_map(|schedule| schedule.creation_timestamp()).min()?;
    // Also one of another name whose Schedules come out like ours: `prod` with `eu-a` as `prod-eu` with `a`.
    let names: BTreeSet<String> = schedules.map(|schedule| schedule.name_any()).collect();
    let of_ours = |labels: &BTreeMap<String, String>| {
        of_this(labels) || labels.get(SCHEDULE_NAME).is_some_and(|schedule| names.contains(schedule))
    };
    let backups = sight.backups.seen()?.iter().filter(|backup| of_ours(backup.labels()));
    let others = backups.filter(|backup| {
        let uid = backup.annotations().get(CLUSTER_UID);
        let begun = backup.status.as_ref().and_then(|status| status.start_timestamp.as_ref());
        uid.is_some_and(|uid| *uid != cluster.uid) && begun.is_some_and(|begun| begun.0 > first.0)
    });
    others.map(|backup| backup.name_any()).max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::observe::Holding;

    /// What `east` sees with a Schedule since noon, and this backup.
    fn told(cluster: &str, schedule: &str, uid: &str, begun: &str) -> Option<String> {
        let labels = json!({ CLUSTER: "east", "backup.agenttier.io/namespace": "team-a" });
        let ours = json!({
            "metadata": { "name": "east-team-a", "labels": labels, "creationTimestamp": "2026-06-01T12:00:00Z" },
            "spec": { "schedule": "@daily", "template": {} },
        });
        let backup = json!({
            "metadata": {
                "name": "b1",
                "labels": { CLUSTER: cluster, SCHEDULE_NAME: schedule },
                "annotations": { CLUSTER_UID: uid },
            },
            "spec": {},
            "status": { "phase": "Completed", "startTimestamp": begun },
        });
        let mut sight = VeleroSight::of_schedules(
            "velero",
            vec![Arc::new(serde_json::from_value(ours).expect("a Schedule"))],
        );
        sight.backups = Holding::Seen(vec![Arc::new(serde_json::from_value(backup).expect("a Backup"))]);
        shared_name(&ClusterIdentity { name: "east".into(), uid: "here".into() }, &sight)
    }

    #[test]
    fn another_cluster_of_this_name_is_told_by_its_younger_backups() {
        let (before, after) = ("2026-06-01T11:00:00Z", "2026-06-01T13:00:00Z");
        assert_eq!(told("east", "east-team-a", "elsewhere", after).as_deref(), Some("b1"));
        assert_eq!(told("east", "east-team-a", "elsewhere", before), None, "that of a cluster that was lost");
        assert_eq!(told("east", "east-team-a", "here", after), None);
        assert_eq!(told("west", "west-team-a", "elsewhere", after), None);
        let alike = told("east-team", "east-team-a", "elsewhere", after);
        assert_eq!(alike.as_deref(), Some("b1"), "Velero takes its backups for those of ours");
    }
}
