//! How everything stands, at one look.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::schedules::name;
use jiff::Timestamp;
use kube::ResourceExt;
use velero::{Backup, BackupPhase, Cron, labels};

use super::cluster::ClusterIdentity;
use super::fitting::Fitting;
use super::orders::{Order, Orders, orders};
use super::read_back::{Course, Patience, Way, begun, course, phase};
use super::rules::VeleroRegime;
use super::template::{CLUSTER, CLUSTER_UID, NAMESPACE};
use super::volumes::BoundClaims;
use crate::observe::{Observed, VeleroSight};

/// What has to be written, and what Velero has made of what was written before.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What is to become of each Schedule.
    pub orders: Orders,
    /// How the backups of each Schedule stand, by its name.
    pub courses: BTreeMap<String, Course>,
}

impl Standing {
    /// That of one look. `certain` says that policies and namespaces are seen as they are; `fitting` is kept from one look to
    /// the next.
    #[must_use]
    pub fn at(
        now: Timestamp,
        cluster: &ClusterIdentity,
        observed: &Observed,
        regime: &VeleroRegime,
        sight: &VeleroSight,
        certain: bool,
        fitting: &mut Fitting,
    ) -> Self {
        let orders = orders(cluster, observed, regime, sight, certain, fitting);
        let wanted: BTreeSet<String> = orders.orders.iter().map(Order::name).collect();
        let mut courses = courses(now, cluster, observed, sight);
        for (name, course) in &mut courses {
            // What is not as it is to be has just been edited: nothing can be told by its times.
            if wanted.contains(name) {
                (course.missed, course.missed_since, course.overdue) = (None, None, None);
            }
        }
        Self { orders, courses }
    }
}

/// How the backups of each Schedule stand, by its name.
fn courses(
    now: Timestamp,
    cluster: &ClusterIdentity,
    observed: &Observed,
    sight: &VeleroSight,
) -> BTreeMap<String, Course> {
    let claims = BoundClaims::of(observed);
    let mut ours: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    // For Velero that is all that tells whose a backup is.
    let mut by_name: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    for backup in sight.backups.seen().unwrap_or_default() {
        let is_of_this = backup.annotations().get(CLUSTER_UID) == Some(&cluster.uid);
        if let (true, Some(namespace)) = (is_of_this, namespace_of(cluster, backup)) {
            ours.entry(namespace).or_default().push(backup);
        }
        // One of another cluster's that has ended never stood in the way here.
        let is_done = || phase(backup).is_some_and(BackupPhase::is_finished);
        if let Some(schedule) = backup.labels().get(labels::SCHEDULE_NAME)
            && (is_of_this || !is_done())
        {
            by_name.entry(schedule).or_default().push(backup);
        }
    }
    let schedules = sight.schedules.seen().unwrap_or_default();
    let patience = Patience::with(schedules.len());
    let courses = schedules.iter().filter_map(|schedule| {
        let namespace = schedule.labels().get(NAMESPACE)?;
        let cron: Option<Cron> = schedule.spec.schedule.parse().ok();
        let its = ours.get(namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
        let name = schedule.name_any();
        let of_its_name = by_name.get(name.as_str()).into_iter().flatten().copied();
        let way = Way::beside(of_its_name);
        let mut course = course(now, patience, schedule, cron.as_ref(), way, its.iter().copied());
        let newest =
            its.iter().find(|backup| Some(begun(backup)) == course.last_success && is_complete(backup));
        course.volumes_missing = newest.and_then(|newest| claims.missing(namespace, newest));
        Some((name, course))
    });
    courses.collect()
}

/// The namespace whose Schedule of ours a backup is out of, under the name that the cluster had by then. One out of a person's
/// copy of our Schedule bears our labels too, and tells nothing of ours.
fn namespace_of<'a>(cluster: &ClusterIdentity, backup: &'a Backup) -> Option<&'a str> {
    let namespace = backup.labels().get(NAMESPACE)?;
    let called = backup.labels().get(CLUSTER).unwrap_or(&cluster.name);
    let is_of_ours = backup.labels().get(labels::SCHEDULE_NAME) == Some(&name(called, namespace));
    is_of_ours.then_some(namespace.as_str())
}

fn is_complete(backup: &Backup) -> bool {
    phase(backup).is_some_and(BackupPhase::is_success)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use velero::Schedule;

    use super::*;
    use crate::observe::Holding;

    /// Hourly, and nothing was begun since noon.
    fn schedule_of_noon() -> Schedule {
        serde_json::from_value(json!({
            "metadata": {
                "name": "east-team-a",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": { NAMESPACE: "team-a" },
            },
            "spec": { "schedule": "0 * * * *", "template": {}, "paused": false },
            "status": { "phase": "Enabled", "lastBackup": "2026-01-01T12:00:30Z" },
        }))
        .expect("a Schedule")
    }

    fn missed_beside(backups: Vec<Backup>) -> bool {
        let mut sight = VeleroSight::of_schedules("velero", vec![Arc::new(schedule_of_noon())]);
        sight.backups = Holding::Seen(backups.into_iter().map(Arc::new).collect());
        let cluster = ClusterIdentity { name: "east".into(), uid: "here".into() };
        let now = "2026-01-01T13:20:00Z".parse().expect("a time");
        courses(now, &cluster, &Observed::default(), &sight)["east-team-a"].missed.is_some()
    }

    #[test]
    fn a_backup_out_of_a_copy_of_our_schedule_is_none_of_its() {
        let succeeded = |cluster: &str, schedule: &str| {
            let backup = json!({
                "metadata": {
                    "name": "b1",
                    "labels": { NAMESPACE: "team-a", CLUSTER: cluster, labels::SCHEDULE_NAME: schedule },
                    "annotations": { CLUSTER_UID: "here" },
                },
                "spec": {},
                "status": { "phase": "Completed", "startTimestamp": "2026-01-01T12:50:00Z" },
            });
            let mut sight = VeleroSight::of_schedules("velero", vec![Arc::new(schedule_of_noon())]);
            sight.backups = Holding::Seen(vec![Arc::new(serde_json::from_value(backup).expect("a Backup"))]);
            let cluster = ClusterIdentity { name: "east".into(), uid: "here".into() };
            let now = "2026-01-01T13:00:00Z".parse().expect("a time");
            courses(now, &cluster, &Observed::default(), &sight)["east-team-a"].last_success.is_some()
        };
        assert!(succeeded("east", "east-team-a"));
        assert!(succeeded("past", "past-team-a"), "the cluster was called otherwise then");
        assert!(!succeeded("east", "team-a-monthly"));
    }

    /// For Velero the name of the Schedule counts.
    #[test]
    fn somebody_elses_backup_of_the_same_name_is_in_the_way_too() {
        assert!(missed_beside(vec![]));
        let theirs = |schedule: &str, phase: &str| {
            let backup = json!({
                "metadata": {
                    "name": "b1",
                    "labels": { NAMESPACE: "team-a", labels::SCHEDULE_NAME: schedule },
                    "annotations": { CLUSTER_UID: "elsewhere" },
                },
                "spec": {},
                "status": {
                    "phase": phase,
                    "startTimestamp": "2026-01-01T12:50:00Z",
                    "completionTimestamp": "2026-01-01T13:19:00Z",
                },
            });
            serde_json::from_value(backup).expect("a Backup")
        };
        assert!(!missed_beside(vec![theirs("east-team-a", "InProgress")]));
        assert!(missed_beside(vec![theirs("west-team-a", "InProgress")]), "it is another's");
        assert!(missed_beside(vec![theirs("east-team-a", "Completed")]), "it was made elsewhere");
    }
}
