//! `admit`: of all that is wanted, what may be done now.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{Action, Pacer, Rate, Readiness, Verdict, VolumeUid};

/// How much may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Snapshots of one CSI driver that are on their way. Slow ones have given up their place: a few that
    /// never get ready must not keep a driver from all its other volumes.
    pub snapshots_in_flight: usize,
    /// Snapshots of one CSI driver that are being deleted: deleting is work for the storage too.
    pub deletions_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { snapshots_in_flight: 10, deletions_in_flight: 20 }
    }
}

/// Volumes whose last action failed, each with the moment until which it is left alone.
///
/// They stay in here until an action succeeds: past their moment they may try again, but after all others. The most
/// exposed are those that fail, and would otherwise use up the whole pace with attempts.
pub type HeldBack = BTreeMap<VolumeUid, Timestamp>;

/// What may be done now.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// In the order to be done: prunes first, then snapshots, the most exposed volume first; of each kind,
    /// those of volumes whose last action failed come last.
    pub actions: Vec<Action>,
    /// The pacer after these actions.
    pub pacer: Pacer,
    /// How many wanted actions have to wait.
    pub waiting: usize,
    /// When the first of those that wait for time alone may be done. Those that wait for a
    /// place in flight are woken by the object that leaves its place.
    pub wake: Option<Timestamp>,
}

/// Lets through what pacing, the caps per driver and the back-off allow at `now`.
#[must_use]
pub fn admit(
    now: Timestamp,
    mut pacer: Pacer,
    limits: &Limits,
    held: &HeldBack,
    verdicts: &[Verdict],
) -> Admission {
    let mut rate = Rate::default();
    let mut load: BTreeMap<Option<&str>, Load> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(interval) = verdict.interval {
            rate.add(interval);
        }
        let load = load.entry(verdict.driver.as_deref()).or_default();
        for point in verdict.points.iter().filter(|point| point.ours) {
            load.deletions += usize::from(point.terminating);
            load.snapshots += usize::from(!point.terminating && point.readiness == Readiness::InFlight);
        }
    }

    let mut wanted: Vec<(&Verdict, &Action)> = verdicts
        .iter()
        .flat_map(|verdict| verdict.wants.iter().map(move |action| (verdict, action)))
        .collect();
    // Prunes first: they free quota. Then whoever would lose the most work, but for those that failed before.
    wanted.sort_by_key(|(_, action)| {
        let uid = &action.volume().uid;
        let failed = held.contains_key(uid);
        match action {
            Action::Prune(prune) => (0, failed, Timestamp::MIN, prune.name.as_str(), uid),
            Action::TakeSnapshot(take) => (1, failed, take.exposed_since, "", uid),
        }
    });

    let total = wanted.len();
    let mut actions = Vec::new();
    let mut wake: Option<Timestamp> = None;
    let mut wake_at = |at: Timestamp| wake = Some(wake.map_or(at, |wake| wake.min(at)));
    for (verdict, action) in wanted {
        if let Some(until) = held.get(&verdict.volume.uid).filter(|until| **until > now) {
            wake_at(*until);
            continue;
        }
        let load = load.entry(verdict.driver.as_deref()).or_default();
        match action {
            Action::Prune(_) if load.deletions < limits.deletions_in_flight => load.deletions += 1,
            Action::TakeSnapshot(_) if load.snapshots < limits.snapshots_in_flight => {
                let Some(next) = pacer.take(now, rate) else {
                    wake_at(pacer.free_at());
                    continue;
                };
                pacer = next;
                load.snapshots += 1;
            }
            Action::Prune(_) | Action::TakeSnapshot(_) => continue,
        }
        actions.push(action.clone());
    }
    Admission { waiting: total - actions.len(), actions, pacer, wake }
}

/// What one driver is busy with.
#[derive(Debug, Default)]
struct Load {
    snapshots: usize,
    deletions: usize,
}
