//! `admit`: of all that is wanted, what may be done now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::mass::{is_first_step, masses};
use crate::setback::setback_of;
use crate::{
    Action, ActionKind, HeldBack, MassDeletion, Note, Pacer, Rate, Readiness, Reason, Spent, Suspension,
    Verdict, VolumeUid, excess, is_of_mass,
};

/// So many notes are written in one pass; the next one goes on. A policy that is edited may ask for one of each volume.
const MARKS_AT_ONCE: usize = 200;

/// How much may be under way at once, and be there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Snapshots of one CSI driver that are on their way. Slow ones have given up their place: a few that
    /// never get ready must not keep a driver from all its other volumes.
    pub snapshots_in_flight: usize,
    /// Snapshots of one CSI driver that are being deleted: deleting is work for the storage too. Here, too, those that
    /// take longer than readyTimeout have given up their place.
    pub deletions_in_flight: usize,
    /// Recovery points of ours in the cluster; `None` sets no limit.
    pub snapshots: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { snapshots_in_flight: 10, deletions_in_flight: 20, snapshots: None }
    }
}

/// What may be done now.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// In the order of [`in_order`].
    pub actions: Vec<Action>,
    /// The pacer after these actions.
    pub pacer: Pacer,
    /// What has to wait, in the same order.
    pub waiting: Vec<Waiting>,
    /// When the first of those that wait for time alone may be done. Those that wait for a
    /// place in flight are woken by the object that leaves its place.
    pub wake: Option<Timestamp>,
    /// Deletions that wait for somebody to say that they are meant, by policy.
    pub mass: BTreeMap<String, MassDeletion>,
    /// Snapshots that may be started a minute, for as long as the volumes are these.
    pub per_minute: f64,
}

/// A wish that has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The volume that it is about.
    pub volume: VolumeUid,
    /// What it is for.
    pub kind: ActionKind,
    /// What it waits for.
    pub reason: Reason,
}

impl Admission {
    /// Gives every verdict on a volume that waits for its turn the reason for which it has to wait.
    pub fn name_waits(&self, verdicts: &mut [Verdict]) {
        let waits = self.waiting.iter().filter(|waiting| waiting.kind == ActionKind::TakeSnapshot);
        let reasons: BTreeMap<&VolumeUid, Reason> =
            waits.map(|waiting| (&waiting.volume, waiting.reason)).collect();
        for verdict in verdicts {
            if let Some(reason) = reasons.get(&verdict.volume.uid) {
                verdict.protection.name_wait(*reason);
            }
        }
    }
}

/// Everything that is wanted, in the order to be done: prunes first, they free quota, those for the cluster's limit alone
/// after the others, the oldest first; then snapshots, of the volume that would lose the most work first; then notes. Of
/// each kind, those that are held back come last: first of all of their volume those that have never failed themselves,
/// then the one that failed the longest ago, so that each has its turn.
#[must_use]
pub fn in_order<'v>(held: &HeldBack, verdicts: &'v [Verdict]) -> Vec<(&'v Verdict, &'v Action)> {
    let mut wanted: Vec<(&Verdict, &Action)> = verdicts
        .iter()
        .flat_map(|verdict| verdict.wants.iter().map(move |action| (verdict, action)))
        .collect();
    wanted.sort_by_cached_key(|(verdict, action)| {
        let uid = &action.volume().uid;
        let held = setback_of(held, action).map(|setback| {
            let failed = action.point().and_then(|point| setback.failed.get(point));
            failed.copied().unwrap_or(Timestamp::MIN)
        });
        match action {
            Action::Prune(prune) if prune.reason == Spent::NearLimit => {
                (1, held, prune.taken_at, prune.name.as_str(), uid)
            }
            Action::Prune(prune) => (0, held, Timestamp::MIN, prune.name.as_str(), uid),
            Action::TakeSnapshot(take) => {
                let again = (verdict.failed_snapshots > 0).then_some(Timestamp::MIN);
                (2, held.or(again), take.exposed_since, "", uid)
            }
            Action::Mark(mark) => (3, held, Timestamp::MIN, mark.name.as_str(), uid),
        }
    });
    wanted
}

/// Lets through what pacing, the caps per driver and the back-off allow at `now`; no deletion while those are
/// suspended.
#[must_use]
pub fn admit(
    now: Timestamp,
    mut pacer: Pacer,
    limits: &Limits,
    suspended: &[Suspension],
    held: &HeldBack,
    verdicts: &[Verdict],
) -> Admission {
    let mut excess = excess(limits.snapshots, verdicts);
    let mass = masses(now, excess, verdicts);
    let mut rate = Rate::default();
    let mut load: BTreeMap<Option<&str>, Load> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(interval) = verdict.interval {
            rate.add(interval);
        }
        let load = load.entry(verdict.driver.as_deref()).or_default();
        for point in verdict.points.iter().filter(|point| point.ours) {
            load.deletions += usize::from(point.terminating && !point.stuck);
            load.snapshots += usize::from(!point.terminating && point.readiness == Readiness::InFlight);
        }
    }

    let mut actions = Vec::new();
    let mut waiting = Vec::new();
    let mut wake: Option<Timestamp> = None;
    let mut wake_at = |at: Timestamp| wake = Some(wake.map_or(at, |wake| wake.min(at)));
    let mut tried_again = BTreeSet::new();
    let mut marks = 0;
    for (verdict, action) in in_order(held, verdicts) {
        let kind = action.kind();
        let key = (verdict.volume.uid.clone(), kind);
        let mut wait = |reason| waiting.push(Waiting { volume: verdict.volume.uid.clone(), kind, reason });
        let needs_certainty = kind == ActionKind::Prune || is_first_step(action) || shortens(action);
        if let (true, Some(suspension)) = (needs_certainty, suspended.first()) {
            wait(suspension.reason());
            continue;
        }
        let setback = setback_of(held, action);
        if let Some(setback) = setback {
            if setback.until > now {
                wake_at(setback.until);
                wait(setback.reason);
                continue;
            }
            // One shows whether it works again.
            if tried_again.contains(&key) {
                wait(setback.reason);
                continue;
            }
        }
        if is_of_mass(action) && verdict.policy.as_ref().is_some_and(|policy| mass.contains_key(policy)) {
            wait(Reason::MassDeletion);
            continue;
        }
        if matches!(action, Action::Prune(prune) if prune.reason == Spent::NearLimit) && excess == 0 {
            wait(Reason::NearLimit);
            continue;
        }
        let load = load.entry(verdict.driver.as_deref()).or_default();
        match action {
            Action::Mark(_) if marks < MARKS_AT_ONCE => marks += 1,
            Action::Mark(_) => {
                wait(Reason::Paced);
                continue;
            }
            Action::Prune(prune) if load.deletions < limits.deletions_in_flight => {
                load.deletions += 1;
                excess = excess.saturating_sub(usize::from(prune.reason == Spent::NearLimit));
            }
            Action::TakeSnapshot(_) if load.snapshots < limits.snapshots_in_flight => {
                let Some(next) = pacer.take(now, rate) else {
                    wake_at(pacer.free_at());
                    wait(Reason::Paced);
                    continue;
                };
                pacer = next;
                load.snapshots += 1;
            }
            Action::Prune(_) | Action::TakeSnapshot(_) => {
                wait(Reason::DriverBusy);
                continue;
            }
        }
        if setback.is_some() {
            tried_again.insert(key);
        }
        actions.push(action.clone());
    }
    Admission { actions, pacer, waiting, wake, mass, per_minute: pacer.per_minute(rate) }
}

/// Whether it starts the day after which a shortened retention counts. Of a policy that cannot be read, nobody knows what
/// is in force.
fn shortens(action: &Action) -> bool {
    matches!(action, Action::Mark(mark) if matches!(mark.note, Note::RetentionChanged { .. }))
}

/// What one driver is busy with.
#[derive(Debug, Default)]
struct Load {
    snapshots: usize,
    deletions: usize,
}
