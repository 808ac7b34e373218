//! How everything stands, at one look.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use velero::{Backup, Cron};

use super::cluster::ClusterIdentity;
use super::orders::{Order, Orders, orders};
use super::read_back::{Course, course};
use super::rules::VeleroRegime;
use super::template::{CLUSTER_UID, NAMESPACE};
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
        let mut courses = courses(now, cluster, sight);
        for (name, course) in &mut courses {
            // What is not as it is to be has just been edited: nothing can be told by its times.
            course.missed = course.missed.filter(|_| !wanted.contains(name));
        }
        Self { orders, courses }
    }
}

/// How the backups of each Schedule stand, by its name.
fn courses(now: Timestamp, cluster: &ClusterIdentity, sight: &VeleroSight) -> BTreeMap<String, Course> {
    let mut backups: BTreeMap<&str, Vec<&Backup>> = BTreeMap::new();
    for backup in sight.backups.seen().unwrap_or_default() {
        let is_of_this = backup.annotations().get(CLUSTER_UID) == Some(&cluster.uid);
        if let (true, Some(namespace)) = (is_of_this, backup.labels().get(NAMESPACE)) {
            backups.entry(namespace).or_default().push(backup);
        }
    }
    let schedules = sight.schedules.seen().unwrap_or_default().iter();
    let courses = schedules.filter_map(|schedule| {
        let namespace = schedule.labels().get(NAMESPACE)?;
        let cron: Option<Cron> = schedule.spec.schedule.parse().ok();
        let its = backups.get(namespace.as_str()).into_iter().flatten().copied();
        Some((schedule.name_any(), course(now, schedule, cron.as_ref(), its)))
    });
    courses.collect()
}
