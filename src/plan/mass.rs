//! Safety of change: deletions in such numbers that somebody has to say that they are meant.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{Action, Note, Verdict};

/// So long a confirmation holds.
const CONFIRMED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// So many at once are no mass, however few there are in all.
const AT_ONCE: usize = 10;

/// Deletions under one policy that nobody can have meant without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MassDeletion {
    /// Recovery points that would be deleted at once, and sooner than was promised when they were taken.
    pub points: usize,
    /// Of so many.
    pub of_points: usize,
    /// Volumes whose sandboxes would be noted as gone at once: the first step to deleting all of their points.
    pub gone: usize,
    /// Of so many.
    pub of_volumes: usize,
}

/// The policies under which more than a tenth of all recovery points is to be deleted at once before its time, or more
/// than a tenth of all volumes is found gone; without those where somebody has confirmed it in the last 24 h.
///
/// What has outlived the retention that it was taken under does not count, however much of it there is: after an outage
/// that is a backlog, which may be all that fills a quota. Nor does what failed.
#[must_use]
pub fn mass_deletions(now: Timestamp, verdicts: &[Verdict]) -> BTreeMap<String, MassDeletion> {
    let mut found: BTreeMap<&str, (MassDeletion, bool)> = BTreeMap::new();
    for verdict in verdicts {
        let Some(policy) = verdict.policy.as_deref() else { continue };
        let none = MassDeletion { points: 0, of_points: 0, gone: 0, of_volumes: 0 };
        let (mass, confirmed) = found.entry(policy).or_insert((none, false));
        *confirmed |= verdict.deletions_confirmed.is_some_and(|at| holds(now, at));
        mass.of_volumes += 1;
        mass.of_points += verdict.points.iter().filter(|point| point.ours && !point.terminating).count();
        for action in &verdict.wants {
            mass.points += usize::from(is_early(action));
            mass.gone += usize::from(is_first_step(action));
        }
    }
    let held = found.into_iter().filter(|(_, (mass, confirmed))| {
        let points = mass.points > (mass.of_points / 10).max(AT_ONCE);
        let gone = mass.gone > (mass.of_volumes / 10).max(AT_ONCE);
        (points || gone) && !confirmed
    });
    held.map(|(policy, (mass, _))| (policy.to_owned(), mass)).collect()
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
