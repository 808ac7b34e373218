//! What there is to say, of one look.

use std::collections::BTreeMap;
use std::sync::Arc;

use agenttier_backup_plan::schedules::{Plan, Wish};
use kube::ResourceExt;
use velero::Schedule;

use super::cluster::ClusterIdentity;
use super::findings::{Finding, Findings};
use super::incident::Incident;
use super::left_out::left_out;
use super::namesake::shared_name;
use super::occupancy::Occupancy;
use super::orders::Orders;
use super::read_back::Course;
use super::rules::VeleroRegime;
use super::site::{backups_at_once, location_trouble, takes_csi_snapshots, unread};
use crate::api::VOLUME_POLICY;
use crate::observe::{Observed, VeleroSight};

/// One look.
pub(super) struct Report<'a> {
    pub(super) cluster: &'a ClusterIdentity,
    pub(super) observed: &'a Observed,
    pub(super) regime: &'a VeleroRegime,
    pub(super) sight: &'a VeleroSight,
    pub(super) courses: &'a BTreeMap<String, Course>,
}

impl Report<'_> {
    /// What there is to say of it. `failure` is why an object of that name could not be written, as reason and message.
    pub(super) fn findings(
        &self,
        worked_out: Orders,
        occupancy: &Occupancy,
        failure: impl Fn(&str) -> Option<(&'static str, String)>,
    ) -> Findings {
        let Self { regime, sight, .. } = self;
        let at_work = regime.policies.iter().filter(|(policy, _)| !regime.suspended.contains(*policy));
        let locations = at_work.filter_map(|(policy, rules)| {
            let wanted = rules.as_ref().ok()?.location.as_deref();
            Some((policy.clone(), location_trouble(sight, wanted)?))
        });
        let schedules: BTreeMap<String, &Arc<Schedule>> =
            sight.schedules.seen().unwrap_or_default().iter().map(|live| (live.name_any(), live)).collect();
        let unread = unread(sight);
        // One that is on its way out has nothing to be backed up, unless it cannot be taken away.
        let is_told = |plan: &&Plan| !matches!(plan.wish, Wish::Removed(_)) || failure(&plan.name).is_some();
        let namespaces = worked_out.plans.iter().filter(is_told).map(|plan| {
            let course = self.courses.get(&plan.name);
            let live = schedules.get(&plan.name).zip(course);
            let rules = plan.policy.as_ref().and_then(|policy| regime.policies.get(policy)?.as_ref().ok());
            // Data that is moved holds no place in the queue.
            let is_moved = rules.is_some_and(|rules| rules.move_data);
            Finding {
                took: course.and_then(|course| course.took).filter(|_| !is_moved),
                incidents: live
                    .map(|(schedule, course)| Incident::all_of(schedule, course))
                    .unwrap_or_default(),
                held: occupancy.of(&plan.namespace),
                ..Finding::of(plan, course, failure(&plan.name), unread.as_ref())
            }
        });
        let volume_policy = failure(&format!("configmap/{VOLUME_POLICY}"))
            .map(|(_, message)| format!("ConfigMap {VOLUME_POLICY}: {message}"));
        Findings {
            volume_policy,
            without_csi: !takes_csi_snapshots(sight),
            locations: locations.collect(),
            namespaces: namespaces.collect(),
            conflicts: worked_out.conflicts,
            unrenderable: worked_out.unrenderable,
            left_out: left_out(self.observed, regime),
            at_once: backups_at_once(sight),
            shared_name: shared_name(self.cluster, sight),
            unread,
            ..Findings::of_policies(regime, None)
        }
    }
}
