//! How everything stands, at one look.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use velero::{Backup, Cron};

use super::cluster::ClusterIdentity;
use super::orders::{Order, Orders, orders};
use super::read_back::{Course, Patience, begun, course};
use super::rules::VeleroRegime;
use super::template::{CLUSTER_UID, NAMESPACE};
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
    /// That of one look. `certain` says that policies and namespaces are seen as they are.
    #[must_use]
    pub fn at(
        now: Timestamp,
        cluster: &ClusterIdentity,
        observed: &Observed,
        regime: &VeleroRegime,
        sight: &VeleroSight,
        certain: bool,
    ) -> Self {
        let orders = orders(cluster, observed, regime, sight, certain);
        let wanted: BTreeSet<String> = orders.orders.iter().map(Order::name).collect();
        let mut courses = courses(now, cluster, observed, sight);
        for (name, course) in &mut courses {
            // What is not as it is to be has just been edited: nothing can be told by its times.
            if wanted.contains(name) {
                (course.missed, course.overdue) = (None, None);
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
    let mut backups: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    for backup in sight.backups.seen().unwrap_or_default() {
        let is_of_this = backup.annotations().get(CLUSTER_UID) == Some(&cluster.uid);
        if let (true, Some(namespace)) = (is_of_this, backup.labels().get(NAMESPACE)) {
            backups.entry(namespace).or_default().push(backup);
        }
    }
    let schedules = sight.schedules.seen().unwrap_or_default();
    let patience = Patience::with(schedules.len());
    let courses = schedules.iter().filter_map(|schedule| {
        let namespace = schedule.labels().get(NAMESPACE)?;
        let cron: Option<Cron> = schedule.spec.schedule.parse().ok();
        let its = backups.get(namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut course = course(now, patience, schedule, cron.as_ref(), its.iter().copied());
        let newest =
            its.iter().find(|backup| Some(begun(backup)) == course.last_success && is_complete(backup));
        course.volumes_missing = newest.and_then(|newest| claims.missing(namespace, newest));
        Some((schedule.name_any(), course))
    });
    courses.collect()
}

fn is_complete(backup: &Backup) -> bool {
    let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
    phase.is_some_and(velero::BackupPhase::is_success)
}
