//! Safety of change: deletions in such numbers that somebody has to say that they are meant.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{Action, Fate, Judged, Keep, Note, Verdict};

/// So long a confirmation holds.
const CONFIRMED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// So many at once are no mass, however few there are in all.
const AT_ONCE: usize = 10;

/// Deletions under one policy that nobody can have meant without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MassDeletion {
    /// Recovery points that would be deleted sooner than was promised when they were taken: at once, or as soon as the
    /// retention before has had its day.
    pub points: usize,
    /// Of so many.
    pub of_points: usize,
    /// Volumes whose sandboxes would be noted as gone at once: the first step to deleting all of their points.
    pub gone: usize,
    /// Of so many.
    pub of_volumes: usize,
}

/// The policies under which more than a tenth of all recovery points is to be deleted at once before its time, or more
/// than half of all volumes is found gone; without those where somebody has confirmed it in the last 24 h.
///
/// Volumes lose the protection of an earlier retention one by one, as their turns come: those that wait for it count too,
/// once the first deletion is due. Otherwise each pass would be small.
///
/// What has outlived the retention that it was taken under does not count, however much of it there is: after an outage
/// that is a backlog, which may be all that fills a quota. Nor does what failed.
#[must_use]
pub fn mass_deletions(now: Timestamp, verdicts: &[Verdict]) -> BTreeMap<String, MassDeletion> {
    let mut by_policy: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(policy) = verdict.policy.as_deref() {
            by_policy.entry(policy).or_default().push(verdict);
        }
    }
    let held = by_policy.into_iter().filter_map(|(policy, verdicts)| {
        let confirmed =
            verdicts.iter().filter_map(|verdict| verdict.deletions_confirmed).any(|at| holds(now, at));
        let mass = mass(&verdicts)?;
        (!confirmed).then(|| (policy.to_owned(), mass))
    });
    held.collect()
}

fn mass(verdicts: &[&Verdict]) -> Option<MassDeletion> {
    let wants = || verdicts.iter().flat_map(|verdict| &verdict.wants);
    let points = || verdicts.iter().flat_map(|verdict| &verdict.points).filter(|point| point.ours);
    let early = wants().filter(|action| is_early(action)).count();
    let waiting = if early > 0 { points().filter(|point| waits_for_its_day(point)).count() } else { 0 };
    let mass = MassDeletion {
        points: early + waiting,
        of_points: points().filter(|point| !point.terminating).count(),
        gone: wants().filter(|action| is_first_step(action)).count(),
        of_volumes: verdicts.len(),
    };
    let points = mass.points > (mass.of_points / 10).max(AT_ONCE);
    // Sandboxes come and go; that most are gone at once is no ordinary evening.
    let gone = mass.gone > (mass.of_volumes / 2).max(AT_ONCE);
    (points || gone).then_some(mass)
}

fn waits_for_its_day(point: &Judged) -> bool {
    matches!(point.fate, Fate::Keep(Keep::RetentionShortened { .. }))
}

/// Whether an action is one that a mass deletion consists of.
#[must_use]
pub fn is_of_mass(action: &Action) -> bool {
    is_early(action) || is_first_step(action)
}

fn is_early(action: &Action) -> bool {
    matches!(action, Action::Prune(prune) if prune.early)
}

/// Whether an action is the first step to deleting all points of a sandbox.
pub(crate) fn is_first_step(action: &Action) -> bool {
    matches!(action, Action::Mark(mark) if matches!(mark.note, Note::SandboxGone(_)))
}

fn holds(now: Timestamp, confirmed: Timestamp) -> bool {
    confirmed <= now && now.duration_since(confirmed) < CONFIRMED_FOR
}
