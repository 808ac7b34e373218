//! Our controller: passes over what its caches show, with the product's own reckoning, and its writes one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup::api::BackupPolicy;
use agenttier_backup::observe::{Holding, Observed, VeleroSight};
use agenttier_backup::schedules::{
    ClusterIdentity, Course, Finding, Fitting, Incident, Order, Standing, VeleroRegime, usable,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use serde_json::json;
use velero::Backup;

use crate::store::{Refusal, Store};
use crate::world::{Trouble, World, seconds};

/// Objects by name.
type Named<K> = BTreeMap<String, Arc<K>>;

/// All that is lost in a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Controller {
    pub(crate) wake: Option<Timestamp>,
    /// So many versions its caches are behind, while they are.
    pub(crate) behind: usize,
    /// Namespaces and policies as they were when their watches broke.
    pub(crate) frozen: Option<(Named<Namespace>, Named<BackupPolicy>)>,
    /// What failed, how often, and until when it is left alone.
    failing: BTreeMap<String, (u32, Timestamp)>,
    seen: Option<(u64, BTreeSet<Trouble>)>,
    fitting: Fitting,
    /// What was found last.
    pub(crate) found: Option<Found>,
}

/// What a pass has found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) at: Timestamp,
    /// The version of the store that it has seen.
    pub(crate) version: u64,
    pub(crate) certain: bool,
    pub(crate) wanted: BTreeSet<String>,
    pub(crate) courses: BTreeMap<String, Course>,
    /// By the name of the Schedule.
    pub(crate) findings: BTreeMap<String, Finding>,
}

pub(crate) fn cluster() -> ClusterIdentity {
    ClusterIdentity { name: "east".into(), uid: "1234abcd-0000".into() }
}

/// Everything that orders are worked out of.
pub(crate) struct Shown {
    pub(crate) observed: Observed,
    pub(crate) sight: VeleroSight,
    pub(crate) certain: bool,
}

impl Shown {
    pub(crate) fn of(store: &Store) -> Self {
        let server = json!({ "metadata": { "name": "velero" } });
        let observed = Observed {
            sandboxes: store.sandboxes.values().cloned().collect(),
            policies: store.policies.values().cloned().collect(),
            namespaces: store.namespaces.values().cloned().collect(),
            ..Observed::default()
        };
        // As the selector of the product's watch has it.
        let is_labelled_ours = |backup: &&Arc<Backup>| {
            backup.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "agenttier-backup")
        };
        let sight = VeleroSight {
            namespace: "velero".into(),
            schedules: Holding::Seen(store.schedules.values().cloned().collect()),
            backups: Holding::Seen(store.backups.values().filter(is_labelled_ours).cloned().collect()),
            locations: Holding::Seen(vec![]),
            servers: Holding::Seen(vec![Arc::new(serde_json::from_value(server).expect("a Deployment"))]),
            maps: Holding::Seen(store.map.iter().cloned().collect()),
            absent: false,
            hidden: vec![],
        };
        Self { observed, sight, certain: true }
    }

    pub(crate) fn regime(&self) -> VeleroRegime {
        let Observed { policies, namespaces, .. } = &self.observed;
        VeleroRegime::of(policies.iter().map(AsRef::as_ref), namespaces.iter().map(AsRef::as_ref))
    }

    pub(crate) fn standing(&self, now: Timestamp, fitting: &mut Fitting) -> Standing {
        Standing::at(now, &cluster(), &self.observed, &self.regime(), &self.sight, self.certain, fitting)
    }
}

impl World {
    /// Passes until nothing changes any more.
    pub(crate) fn passes(&mut self) {
        for _ in 0..30 {
            if self.is_in(Trouble::Down) {
                return;
            }
            let shown = self.shown();
            let seen = Some((shown.version, self.troubles()));
            let is_due = self.controller.wake.is_some_and(|wake| wake <= self.now);
            if self.controller.seen == seen && !is_due {
                return;
            }
            self.controller.seen = seen;
            self.pass(&shown);
        }
        panic!("the controller does not come to rest at {}: {:?}", self.now, self.controller.found);
    }

    fn pass(&mut self, shown: &Store) {
        self.counts.passes += 1;
        let version = shown.version;
        self.counts.passes_behind += u32::from(version != self.store.version);
        let shown = self.clouded(shown);
        self.counts.passes_uncertain += u32::from(!shown.certain);
        self.controller.found = None;
        self.controller.wake = None;
        if usable(Some(&shown.sight)).is_err() {
            self.counts.passes_obstructed += 1;
            return;
        }
        let standing = shown.standing(self.now, &mut self.controller.fitting);
        let afresh = shown.standing(self.now, &mut Fitting::default());
        let told = |standing: &Standing| {
            let orders = standing.orders.orders.iter().map(|order| (order.name(), order.stops_backups()));
            (orders.collect::<Vec<_>>(), standing.orders.conflicts.clone())
        };
        assert_eq!(told(&standing), told(&afresh), "what is known to fit changes nothing");
        self.counts.fitted += u32::from(standing.orders.kept.len() < afresh.orders.kept.len());
        let wanted: BTreeSet<String> = standing.orders.orders.iter().map(Order::name).collect();
        self.controller.failing.retain(|name, _| wanted.contains(name));
        let (now, before) = (self.now, self.store.clone());
        let failing = &self.controller.failing;
        let is_due = |order: &&Order| failing.get(&order.name()).is_none_or(|(_, until)| *until <= now);
        let due: Vec<Order> = standing.orders.orders.iter().filter(is_due).cloned().collect();
        let crash_after = (!due.is_empty() && self.dice.one_in(8)).then(|| self.dice.between(0, 2));
        for (done, order) in (0..).zip(&due) {
            if crash_after.is_some_and(|after| done >= after) {
                self.counts.crashes += 1;
                self.check_writes(&before, &shown, &due);
                let Controller { behind, frozen, .. } = std::mem::take(&mut self.controller);
                self.controller = Controller { behind, frozen, ..Controller::default() };
                return;
            }
            self.write(order);
        }
        self.check_writes(&before, &shown, &due);
        self.digest(version, shown.certain, standing, wanted);
    }

    /// What there is to say, as the product's keeper says it.
    fn digest(&mut self, version: u64, certain: bool, standing: Standing, wanted: BTreeSet<String>) {
        let Standing { orders, courses } = standing;
        let findings = orders.plans.iter().map(|plan| {
            let course = courses.get(&plan.name);
            let failing =
                self.controller.failing.contains_key(&plan.name).then(|| ("Refused", "refused".to_owned()));
            let live = self.store.schedules.get(&plan.name).zip(course);
            let incidents = live.map(|(schedule, course)| Incident::all_of(schedule, course));
            let incidents = incidents.unwrap_or_default();
            (plan.name.clone(), Finding { incidents, ..Finding::of(plan, course, failing, None) })
        });
        let findings = findings.collect();
        let wakes = courses.values().filter_map(|course| course.wake);
        let wakes = wakes.chain(self.controller.failing.values().map(|(_, until)| *until));
        self.controller.wake = wakes.filter(|wake| *wake > self.now).min();
        self.controller.found = Some(Found { at: self.now, version, certain, wanted, courses, findings });
    }

    /// What is shown, with what cannot be seen for the moment.
    fn clouded(&self, store: &Store) -> Shown {
        let mut store = store.clone();
        let mut certain = true;
        if let Some((namespaces, policies)) =
            self.controller.frozen.clone().filter(|_| self.is_in(Trouble::Frozen))
        {
            (store.namespaces, store.policies) = (namespaces, policies);
            certain = false;
        }
        if self.is_in(Trouble::Unreadable) && store.policies.remove("gold").is_some() {
            certain = false;
        }
        let mut shown = Shown { certain, ..Shown::of(&store) };
        let sight = &mut shown.sight;
        if self.is_in(Trouble::NoKinds) {
            (sight.schedules, sight.backups, sight.absent) = (Holding::Refused, Holding::Refused, true);
        }
        if self.is_in(Trouble::Forbidden) {
            sight.schedules = Holding::Refused;
        }
        if self.is_in(Trouble::Unseen) {
            (sight.schedules, sight.maps) = (Holding::Unseen, Holding::Unseen);
        }
        if self.is_in(Trouble::NoBackups) {
            sight.backups = Holding::Refused;
        }
        shown
    }

    fn write(&mut self, order: &Order) {
        self.days.entry(self.day()).or_default().0 += 1;
        let name = order.name();
        let done = if self.is_in(Trouble::WritesFail) {
            self.counts.failed_writes += 1;
            Err(Refusal::Changed)
        } else {
            let done = match order {
                Order::KeepMap { live, wanted } => {
                    self.store.apply_map(live.as_deref(), Some(wanted.clone()))
                }
                Order::Keep { live, wanted } => self.store.apply(self.now, live.as_deref(), wanted),
                Order::Remove(live) => self.store.remove(live),
            };
            let counts = &mut self.counts;
            let count = match order {
                _ if done.is_err() => &mut counts.conflicts,
                Order::KeepMap { .. } => &mut counts.maps,
                Order::Keep { live: None, .. } => &mut counts.made,
                Order::Keep { .. } => &mut counts.kept,
                Order::Remove(_) => &mut counts.removed,
            };
            *count += 1;
            done
        };
        self.trace.push(format!("{} {name} {done:?}", self.now));
        if done.is_ok() {
            self.controller.failing.remove(&name);
        } else {
            let (before, until) = self.controller.failing.entry(name).or_insert((0, self.now));
            *until = self.now + seconds((5 << (*before).min(6)).min(300));
            *before += 1;
        }
    }
}
