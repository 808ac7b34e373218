//! What has to be written in Velero's namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::schedules::{NamespaceSight, Owner, Plan, Rule, ScheduleSight, Wish, name, plan};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use velero::{Backup, Schedule, ScheduleSpec};

use super::called::{called, told};
use super::cluster::ClusterIdentity;
use super::drift::drift;
use super::fitting::Fitting;
use super::render::{Rendered, render, volume_policy_map};
use super::rules::VeleroRegime;
use super::template::{CLUSTER, MANAGED_BY, POLICY};
use crate::api::FIELD_MANAGER;
use crate::observe::{Observed, VeleroSight};

/// Fields of a Schedule's spec that its server writes.
///
/// Velero sets `skipImmediately` back when it has skipped a time; whoever applies it again and again stops all backups.
pub(super) const SERVERS: [&str; 1] = ["skipImmediately"];

/// Something to write.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time, and most are the large one")]
pub enum Order {
    /// Make the ConfigMap with the volume policy what it is to be.
    KeepMap {
        /// As it is.
        live: Option<Arc<ConfigMap>>,
        /// As it is to be.
        wanted: ConfigMap,
    },
    /// Make a Schedule what it is to be.
    Keep {
        /// As it is.
        live: Option<Arc<Schedule>>,
        /// As it is to be.
        wanted: Schedule,
    },
    /// Delete a Schedule.
    Remove(Arc<Schedule>),
}

impl Order {
    /// Whether it only keeps backups from being made.
    #[must_use]
    pub fn stops_backups(&self) -> bool {
        match self {
            Self::KeepMap { .. } => false,
            Self::Keep { live, wanted } => live.is_some() && wanted.spec.paused == Some(true),
            Self::Remove(_) => true,
        }
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::KeepMap { wanted, .. } => format!("configmap/{}", wanted.name_any()),
            Self::Keep { wanted, .. } => wanted.name_any(),
            Self::Remove(live) => live.name_any(),
        }
    }
}

/// What there is to say of all Schedules, and what has to be done about them.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// What is to become of each Schedule.
    pub plans: Vec<Plan>,
    /// What has to be written, the ConfigMap first: a backup that names one that is not there fails.
    pub orders: Vec<Order>,
    /// Schedules that were rendered and are as they are to be; those that are known to fit are not rendered again.
    pub kept: Vec<Schedule>,
    /// By policy, fields of its extraTemplate that have no part in its Schedules.
    pub conflicts: BTreeMap<String, Vec<String>>,
    /// By policy, why its Schedules cannot be rendered.
    pub unrenderable: BTreeMap<String, String>,
}

impl Orders {
    fn conflict(&mut self, plan: &Plan, fields: &[String]) {
        if !fields.is_empty() {
            self.conflicts.insert(plan.policy.clone().unwrap_or_default(), fields.to_vec());
        }
    }
}

/// What is to become of each Schedule. `certain` says that policies and namespaces are seen as they are.
pub(super) fn plans(
    cluster: &ClusterIdentity,
    observed: &Observed,
    regime: &VeleroRegime,
    sight: &VeleroSight,
    certain: bool,
) -> Vec<Plan> {
    let with_backups = with_backups(sight);
    let schedules = sight.schedules.seen().unwrap_or_default().iter();
    let schedules: Vec<ScheduleSight> = schedules
        .map(|live| ScheduleSight {
            name: live.name_any(),
            owner: owner(cluster, live),
            may_have_backups: with_backups.as_ref().is_none_or(|with| with.contains(&live.name_any())),
        })
        .collect();
    plan(&cluster.name, &namespaces(observed, regime), &regime.on(), &schedules, certain)
}

/// Works out what has to be written. `certain` says that policies and namespaces are seen as they are. What is known to fit
/// is not rendered again.
#[must_use]
pub fn orders(
    cluster: &ClusterIdentity,
    observed: &Observed,
    regime: &VeleroRegime,
    sight: &VeleroSight,
    certain: bool,
    fitting: &mut Fitting,
) -> Orders {
    fitting.go_by(cluster, &sight.namespace, regime);
    let live: BTreeMap<String, &Arc<Schedule>> =
        sight.schedules.seen().unwrap_or_default().iter().map(|live| (live.name_any(), live)).collect();
    let plans = plans(cluster, observed, regime, sight, certain);
    fitting.keep_only(&plans);
    let mut worked_out = Orders::default();
    let mut wants_map = false;
    let mut keeps = Vec::new();
    for plan in &plans {
        let paused = match plan.wish {
            Wish::Enabled => false,
            Wish::Paused(_) => true,
            Wish::Untouched(_) => continue,
            Wish::Removed(_) => {
                let stays = live.get(&plan.name).filter(|live| live.metadata.deletion_timestamp.is_none());
                keeps.extend(stays.map(|live| Order::Remove(Arc::clone(live))));
                continue;
            }
        };
        let live = live.get(&plan.name).map(|live| Arc::clone(live));
        // What is on its way out is written to no more, but to be paused; where it is to be there, it is made anew after that.
        if !paused && live.as_ref().is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
            continue;
        }
        if let Some(conflicts) = live.as_ref().and_then(|live| fitting.fits(plan, live, paused)) {
            wants_map = true;
            worked_out.conflict(plan, conflicts);
            continue;
        }
        let rendered = match rendered(cluster, regime, sight, plan, live.as_deref(), paused) {
            Some(Ok(rendered)) => Some(rendered),
            Some(Err(error)) => {
                worked_out.unrenderable.insert(plan.policy.clone().unwrap_or_default(), error.to_string());
                None
            }
            None => None,
        };
        let (wanted, conflicts) = match (rendered, &live) {
            (Some(Rendered { schedule, conflicts }), _) => {
                wants_map = true;
                worked_out.conflict(plan, &conflicts);
                (schedule, Some(conflicts))
            }
            // One that cannot be read stands there without content: it is not to be written like that.
            (None, Some(live)) if paused && !live.spec.schedule.is_empty() => (paused_as_it_is(live), None),
            (None, _) => continue,
        };
        match live {
            Some(live) if drift(live.as_ref(), &wanted, &SERVERS).is_none() => {
                if let Some(conflicts) = conflicts {
                    fitting.note(plan, &live, paused, &conflicts);
                }
                worked_out.kept.push(wanted);
            }
            live => keeps.push(Order::Keep { live, wanted }),
        }
    }
    if wants_map {
        // It has our name: somebody who edits all of it does not make it theirs.
        let wanted = volume_policy_map(&sight.namespace);
        let live = sight.maps.seen().and_then(|maps| maps.first()).cloned();
        if live.as_ref().is_none_or(|live| !drift(live.as_ref(), &wanted, &[]).is_none()) {
            worked_out.orders.push(Order::KeepMap { live, wanted });
        }
    }
    worked_out.orders.extend(keeps);
    Orders { plans, ..worked_out }
}

/// The Schedule as its policy says; `None` where that makes no sense. One from before the cluster was renamed goes on saying so:
/// whose it is nothing else would tell.
fn rendered(
    cluster: &ClusterIdentity,
    regime: &VeleroRegime,
    sight: &VeleroSight,
    plan: &Plan,
    live: Option<&Schedule>,
    paused: bool,
) -> Option<Result<Rendered, serde_json::Error>> {
    let rules = regime.policies.get(plan.policy.as_deref()?)?.as_ref().ok()?;
    let is_former = plan.name != name(&cluster.name, &plan.namespace);
    let before = live.filter(|_| is_former).and_then(|live| live.labels().get(CLUSTER));
    let called = before.map(|before| ClusterIdentity { name: before.clone(), uid: cluster.uid.clone() });
    Some(render(called.as_ref().unwrap_or(cluster), &sight.namespace, &plan.namespace, rules, paused))
}

/// Pausing takes no policy that makes sense.
fn paused_as_it_is(live: &Schedule) -> Schedule {
    let metadata = ObjectMeta {
        name: live.metadata.name.clone(),
        namespace: live.metadata.namespace.clone(),
        labels: live.metadata.labels.clone(),
        annotations: live.metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    let spec = ScheduleSpec { paused: Some(true), skip_immediately: None, ..live.spec.clone() };
    Schedule { metadata, spec, status: None }
}

fn namespaces(observed: &Observed, regime: &VeleroRegime) -> Vec<NamespaceSight> {
    let sandboxes: BTreeSet<String> =
        observed.sandboxes.iter().filter_map(|sandbox| sandbox.namespace()).collect();
    let sight = |namespace: &Arc<Namespace>| {
        let name = namespace.name_any();
        NamespaceSight {
            terminating: namespace.metadata.deletion_timestamp.is_some(),
            holds_sandboxes: sandboxes.contains(&name),
            rule: regime.namespaces.get(&name).cloned().unwrap_or(Rule::Nobody),
            name,
        }
    };
    observed.namespaces.iter().map(sight).collect()
}

/// Whether it was we who wrote an object. Somebody who edits its labels does not make it theirs.
fn is_written_by_us<K: Resource>(object: &K) -> bool {
    let writers = object.meta().managed_fields.iter().flatten();
    writers.filter_map(|fields| fields.manager.as_deref()).any(|writer| writer == FIELD_MANAGER)
}

fn is_labelled_ours<K: Resource>(object: &K) -> bool {
    object.labels().get(MANAGED_BY).map(String::as_str) == Some(FIELD_MANAGER)
}

/// Whose a Schedule is. One that came out of a backup, and so was written by Velero, is ours where it names this cluster.
fn owner(cluster: &ClusterIdentity, schedule: &Schedule) -> Owner {
    let is_ours = is_written_by_us(schedule)
        || is_labelled_ours(schedule) && schedule.labels().get(CLUSTER) == Some(&cluster.name);
    if !is_ours {
        return Owner::Other;
    }
    let called = called(cluster, schedule);
    let former = called.as_ref().is_some_and(|called| called.former);
    let namespace = called.map(|called| called.namespace);
    Owner::Ours {
        namespace: namespace.or_else(|| told(schedule).next().map(str::to_owned)).unwrap_or_default(),
        policy: schedule.annotations().get(POLICY).cloned(),
        former,
    }
}

/// The Schedules that backups are left of; `None` where backups are not seen.
fn with_backups(sight: &VeleroSight) -> Option<BTreeSet<String>> {
    let of = |backup: &Arc<Backup>| backup.labels().get(velero::labels::SCHEDULE_NAME).cloned();
    Some(sight.backups.seen()?.iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests;
