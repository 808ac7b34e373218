//! Keeping the Schedules: what a pass leaves for the next one, and the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::asked::Asked;
use super::cluster::ClusterIdentity;
use super::contest::Contests;
use super::findings::Findings;
use super::first_error::{FirstErrors, tell_first_errors};
use super::fitting::Fitting;
use super::leaving::Leaving;
use super::occupancy::Occupancy;
use super::orders::{Order, SERVERS};
use super::report::Report;
use super::rules::VeleroRegime;
use super::site::{Obstacle, usable};
use super::standing::Standing;
use super::write::Writer;
use crate::act::{Failure, Row};
use crate::deadline::CALL_DEADLINE;
use crate::leader::Leadership;
use crate::observe::{Observed, VeleroSight};

/// The reason of an object that somebody else writes again and again.
const CONTESTED: &str = "Contested";
/// The reason of an object that was deleted, and stays.
const SCHEDULE_TERMINATING: &str = "ScheduleTerminating";
/// That somebody else was quicker comes right by itself, unless that is so again and again.
const QUICKER: u32 = 5;
/// After this long a pass begins no further write of Layer 2, and leaves the rest to the next one.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);

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
    contests: Contests,
    asked: Asked,
    fitting: Fitting,
    occupancy: Occupancy,
}

/// An order that failed when it was last tried.
struct Failing {
    row: Row,
    times: u32,
    until: Timestamp,
    reason: &'static str,
    message: String,
    /// It is worth a word.
    told: bool,
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
        Self {
            client,
            leadership,
            at_once,
            cluster_name,
            errors,
            failing: BTreeMap::new(),
            contests: Contests::default(),
            asked: Asked::default(),
            fitting: Fitting::default(),
            occupancy: Occupancy::default(),
        }
    }

    /// Forgets what failed: the time has leapt.
    pub fn forget(&mut self) {
        self.failing.clear();
        self.contests = Contests::default();
        self.asked = Asked::default();
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
        let cluster = self.cluster(observed);
        let obstacle = usable(sight).err().or_else(|| {
            cluster.is_none().then(|| Obstacle::VeleroUnseen("the namespace kube-system".to_owned()))
        });
        // Where nobody wants backups by Velero for the moment nothing stands in their way.
        let is_wanted = regime.policies.keys().any(|policy| !regime.suspended.contains(policy));
        let told = obstacle.clone().filter(|_| is_wanted);
        let (Some(sight), Some(cluster)) = (sight.filter(|sight| sight.schedules.seen().is_some()), cluster)
        else {
            // Nor are they paused or removed while they are not seen.
            let is_blind = |obstacle: &Obstacle| {
                matches!(obstacle, Obstacle::VeleroForbidden(_) | Obstacle::VeleroUnseen(_))
            };
            let told = told.or(obstacle.filter(is_blind).filter(|_| !regime.policies.is_empty()));
            return (Findings::of_policies(&regime, told), None);
        };
        let Standing { orders, mut courses } =
            Standing::at(now, &cluster, observed, &regime, sight, certain, &mut self.fitting);
        self.asked.see(now, &orders.plans, &regime, &courses);
        self.asked.find_overdue(now, &mut courses);
        // Whatever stands in the way of backups, nobody is kept from stopping them. What Velero makes of the Schedules is told
        // also while they cannot be kept.
        let due: Vec<&Order> =
            orders.orders.iter().filter(|order| obstacle.is_none() || order.stops_backups()).collect();
        let left = self.keep(now, sight, &due, stop).await;

        // While backups are not seen, what is known of them is kept.
        if let Some(backups) = sight.backups.seen() {
            self.occupancy.see(now, backups);
            if let Some(errors) = &self.errors {
                tell_first_errors(errors, now, sight.locations.seen().unwrap_or_default(), &mut courses);
            }
        }
        let wakes = courses.values().filter_map(|course| course.wake);
        let held_back =
            due.iter().filter_map(|order| self.held_back(&order.name())).filter(|until| *until > now);
        let mended = self.contests.mended(now);
        let leaving = Leaving::of(sight);
        let wake =
            wakes.chain(held_back).chain(mended).chain(leaving.wake(now)).chain(left.then_some(now)).min();
        let look = Report { cluster: &cluster, observed, regime: &regime, sight, courses: &courses };
        let findings = look.findings(orders, &self.occupancy, |name| {
            let failing = self.failing.get(name).filter(|failing| failing.told);
            let failing = failing.map(|failing| (failing.reason, failing.message.clone()));
            let contested = || Some((CONTESTED, self.contests.told(now, name)?));
            let stuck = || Some((SCHEDULE_TERMINATING, leaving.told(now, name)?));
            failing.or_else(contested).or_else(stuck)
        });
        (Findings { obstacle: told, ..findings }, wake)
    }

    fn cluster(&self, observed: &Observed) -> Option<ClusterIdentity> {
        ClusterIdentity::find(self.cluster_name.as_deref(), observed.namespaces.iter().map(AsRef::as_ref))
    }

    /// Until when an object is not written to, after a failure or for somebody else writes it as well.
    fn held_back(&self, name: &str) -> Option<Timestamp> {
        let failing = self.failing.get(name).map(|failing| failing.until);
        failing.max(self.contests.until(name))
    }

    /// Carries out the orders that are due; returns whether some are left for the next pass.
    async fn keep(
        &mut self,
        now: Timestamp,
        sight: &VeleroSight,
        orders: &[&Order],
        stop: &CancellationToken,
    ) -> bool {
        let wanted: BTreeSet<String> = orders.iter().map(|order| order.name()).collect();
        self.failing.retain(|name, _| wanted.contains(name));
        self.contests.forget(now);
        let is_due = |order: &&&Order| self.held_back(&order.name()).is_none_or(|until| until <= now);
        let due: Vec<Order> = orders.iter().filter(is_due).map(|order| (*order).clone()).collect();
        let all = due.len();
        self.carry_out(now, &sight.namespace, due, stop).await < all
    }

    /// The ConfigMap comes first, on its own: the others need it. Returns how many have been tried: nothing of Velero's is to
    /// keep snapshots waiting for long.
    async fn carry_out(
        &mut self,
        now: Timestamp,
        namespace: &str,
        due: Vec<Order>,
        stop: &CancellationToken,
    ) -> usize {
        let until = Instant::now() + BEGUN_WITHIN;
        let mut tried = 0;
        let writer = Writer::new(self.client.clone(), self.leadership.clone(), namespace);
        let (maps, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|order| matches!(order, Order::KeepMap { .. }));
        for batch in [maps, others] {
            let outcomes: Vec<_> = futures::stream::iter(batch)
                .take_while(|_| std::future::ready(!stop.is_cancelled() && Instant::now() < until))
                .map(async |order| {
                    let done = tokio::time::timeout(CALL_DEADLINE, write(&writer, &order)).await;
                    (order, done.unwrap_or(Err(Failure::NoAnswer)))
                })
                .buffer_unordered(self.at_once)
                .collect()
                .await;
            tried += outcomes.len();
            for (order, done) in outcomes {
                self.note(now, &order, done);
            }
        }
        tried
    }

    fn note(&mut self, now: Timestamp, order: &Order, done: Result<(), Failure>) {
        let name = order.name();
        let Err(failure) = done else {
            self.failing.remove(&name);
            self.contests.wrote(now, order);
            tracing::info!(schedule = name, what = what(order), "Velero");
            return;
        };
        let failing = self.failing.entry(name.clone()).or_insert_with(|| Failing {
            row: Row::default(),
            times: 0,
            until: now,
            reason: "",
            message: String::new(),
            told: false,
        });
        let pause = failing.row.failed(&failure);
        failing.times += 1;
        failing.until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        failing.reason = failure.reason();
        failing.message = failure.to_string();
        let is_of_note = !failure.is_stale_plan() || failing.times > QUICKER;
        failing.told = is_of_note && !matches!(failure, Failure::NotLeading(_));
        if failure.is_stale_plan() {
            tracing::debug!(schedule = name, what = what(order), %failure, "Velero");
        } else {
            tracing::warn!(schedule = name, what = what(order), %failure, "Velero");
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

#[cfg(test)]
mod tests;
