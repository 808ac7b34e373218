//! Keeping the Schedules: what a pass leaves for the next one, and the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use velero::Schedule;

use super::cluster::ClusterIdentity;
use super::findings::{Finding, Findings};
use super::first_error::{FirstErrors, tell_first_errors};
use super::incident::Incident;
use super::left_out::left_out;
use super::namesake::shared_name;
use super::orders::{Order, Orders, SERVERS};
use super::read_back::Course;
use super::rules::VeleroRegime;
use super::site::{Obstacle, backups_at_once, location_trouble, usable};
use super::standing::Standing;
use super::write::Writer;
use crate::act::{Failure, Row};
use crate::api::VOLUME_POLICY;
use crate::deadline::CALL_DEADLINE;
use crate::leader::Leadership;
use crate::observe::{Observed, VeleroSight};

/// Keeps Velero's Schedules as the policies say.
pub struct Keeper {
    client: Client,
    leadership: Leadership,
    at_once: usize,
    cluster_name: Option<String>,
    /// None where they are not to be read.
    errors: Option<FirstErrors>,
    /// What failed, by name of the object.
    failing: BTreeMap<String, Failing>,
}

/// An order that failed when it was last tried.
struct Failing {
    row: Row,
    until: Timestamp,
    reason: &'static str,
    message: String,
}

impl Keeper {
    /// Calls under way at once are at most `at_once`; none of them writes without leadership. `cluster_name` is what the
    /// operator calls this cluster. `errors` reads the first errors of backups that failed in part.
    #[must_use]
    pub fn new(
        client: Client,
        leadership: Leadership,
        at_once: usize,
        cluster_name: Option<String>,
        errors: Option<FirstErrors>,
    ) -> Self {
        Self { client, leadership, at_once, cluster_name, errors, failing: BTreeMap::new() }
    }

    /// Forgets what failed: the time has leapt.
    pub fn forget(&mut self) {
        self.failing.clear();
    }

    /// Brings the Schedules to what the policies say, and says how the backups stand and when to look again. `certain` says
    /// that policies and namespaces are seen as they are.
    pub async fn pass(
        &mut self,
        now: Timestamp,
        observed: &Observed,
        sight: Option<&VeleroSight>,
        certain: bool,
        stop: &CancellationToken,
    ) -> (Findings, Option<Timestamp>) {
        let policies = observed.policies.iter().map(AsRef::as_ref);
        let regime = VeleroRegime::of(policies, observed.namespaces.iter().map(AsRef::as_ref));
        let obstacle = match (usable(sight), sight) {
            (Err(obstacle), _) => Some(obstacle),
            (Ok(()), sight) => {
                let cluster = self.cluster(observed);
                match (sight, cluster) {
                    (Some(sight), Some(cluster)) => {
                        return self.keep(now, observed, &regime, sight, &cluster, certain, stop).await;
                    }
                    _ => Some(Obstacle::VeleroUnseen("the namespace kube-system".to_owned())),
                }
            }
        };
        // Where nobody wants backups by Velero nothing stands in their way.
        let obstacle = obstacle.filter(|_| !regime.policies.is_empty());
        (Findings { obstacle, ..Findings::default() }, None)
    }

    fn cluster(&self, observed: &Observed) -> Option<ClusterIdentity> {
        ClusterIdentity::find(self.cluster_name.as_deref(), observed.namespaces.iter().map(AsRef::as_ref))
    }

    #[expect(clippy::too_many_arguments, reason = "one pass, all that it goes by")]
    async fn keep(
        &mut self,
        now: Timestamp,
        observed: &Observed,
        regime: &VeleroRegime,
        sight: &VeleroSight,
        cluster: &ClusterIdentity,
        certain: bool,
        stop: &CancellationToken,
    ) -> (Findings, Option<Timestamp>) {
        let Standing { orders: worked_out, mut courses } =
            Standing::at(now, cluster, observed, regime, sight, certain);
        let wanted: BTreeSet<String> = worked_out.orders.iter().map(Order::name).collect();
        self.failing.retain(|name, _| wanted.contains(name));
        let due: Vec<Order> = worked_out
            .orders
            .iter()
            .filter(|order| self.failing.get(&order.name()).is_none_or(|failing| failing.until <= now))
            .cloned()
            .collect();
        self.carry_out(now, &sight.namespace, due, stop).await;

        if let Some(errors) = &self.errors {
            tell_first_errors(errors, now, sight.locations.seen().unwrap_or_default(), &mut courses);
        }
        let wakes = courses.values().filter_map(|course| course.wake);
        let wake = wakes.chain(self.failing.values().map(|failing| failing.until)).min();
        let findings = self.findings(cluster, regime, sight, worked_out, &courses);
        (Findings { left_out: left_out(observed, regime), ..findings }, wake)
    }

    /// The ConfigMap comes first, on its own: the others need it.
    async fn carry_out(
        &mut self,
        now: Timestamp,
        namespace: &str,
        due: Vec<Order>,
        stop: &CancellationToken,
    ) {
        let writer = Writer::new(self.client.clone(), self.leadership.clone(), namespace);
        let (maps, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|order| matches!(order, Order::KeepMap { .. }));
        for batch in [maps, others] {
            let outcomes: Vec<_> = futures::stream::iter(batch)
                .take_while(|_| std::future::ready(!stop.is_cancelled()))
                .map(async |order| {
                    let done = tokio::time::timeout(CALL_DEADLINE, write(&writer, &order)).await;
                    (order, done.unwrap_or(Err(Failure::NoAnswer)))
                })
                .buffer_unordered(self.at_once)
                .collect()
                .await;
            for (order, done) in outcomes {
                self.note(now, &order, done);
            }
        }
    }

    fn note(&mut self, now: Timestamp, order: &Order, done: Result<(), Failure>) {
        let name = order.name();
        let Err(failure) = done else {
            self.failing.remove(&name);
            tracing::info!(schedule = name, what = what(order), "Velero");
            return;
        };
        let failing = self.failing.entry(name.clone()).or_insert_with(|| Failing {
            row: Row::default(),
            until: now,
            reason: "",
            message: String::new(),
        });
        let pause = failing.row.failed(&failure);
        failing.until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        failing.reason = failure.reason();
        failing.message = failure.to_string();
        if failure.is_stale_plan() {
            tracing::debug!(schedule = name, what = what(order), %failure, "Velero");
        } else {
            tracing::warn!(schedule = name, what = what(order), %failure, "Velero");
        }
    }

    fn findings(
        &self,
        cluster: &ClusterIdentity,
        regime: &VeleroRegime,
        sight: &VeleroSight,
        worked_out: Orders,
        courses: &BTreeMap<String, Course>,
    ) -> Findings {
        let locations = regime.policies.iter().filter_map(|(policy, rules)| {
            let wanted = rules.as_ref().ok()?.location.as_deref();
            Some((policy.clone(), location_trouble(sight, wanted)?))
        });
        let failure = |name: &str| {
            let failing = self.failing.get(name)?;
            Some((failing.reason, failing.message.as_str()))
        };
        let schedules: BTreeMap<String, &Arc<Schedule>> =
            sight.schedules.seen().unwrap_or_default().iter().map(|live| (live.name_any(), live)).collect();
        let namespaces = worked_out.plans.iter().map(|plan| {
            let course = courses.get(&plan.name);
            let live = schedules.get(&plan.name).zip(course);
            Finding {
                incident: live.and_then(|(schedule, course)| Incident::of(schedule, course)),
                ..Finding::of(plan, course, failure(&plan.name))
            }
        });
        let volume_policy = failure(&format!("configmap/{VOLUME_POLICY}"))
            .map(|(_, message)| format!("ConfigMap {VOLUME_POLICY}: {message}"));
        Findings {
            obstacle: None,
            volume_policy,
            locations: locations.collect(),
            namespaces: namespaces.collect(),
            conflicts: worked_out.conflicts,
            unrenderable: worked_out.unrenderable,
            left_out: BTreeMap::new(),
            at_once: backups_at_once(sight),
            shared_name: shared_name(cluster, sight),
        }
    }
}

async fn write(writer: &Writer, order: &Order) -> Result<(), Failure> {
    match order {
        Order::KeepMap { live, wanted } => writer.keep(live.as_deref(), wanted, &[]).await,
        Order::Keep { live, wanted } => writer.keep(live.as_deref(), wanted, &SERVERS).await,
        Order::Remove(live) => writer.remove(live.as_ref()).await,
    }
}

fn what(order: &Order) -> &'static str {
    match order {
        Order::KeepMap { live: None, .. } | Order::Keep { live: None, .. } => "made",
        Order::KeepMap { .. } | Order::Keep { .. } => "kept",
        Order::Remove(_) => "removed",
    }
}
