//! Safety of change: deletions in such numbers that somebody has to say that they are meant.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{Action, Fate, Judged, Keep, Note, Spent, Verdict, excess};

/// So long a confirmation holds.
const CONFIRMED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// So many at once are no mass, however few there are in all.
const AT_ONCE: usize = 10;

/// Deletions under one policy that nobody can have meant without saying so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Policies under which some of them were taken, before the present one took their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken_under: Vec<String>,
}

/// The policies under which more than a tenth of all recovery points is to be deleted at once before its time, or more
/// than half of all volumes is found gone; without those where somebody has confirmed it in the last 24 h.
///
/// Points that were taken under another policy are counted by themselves: where a policy was deleted or selects other
/// namespaces by now, the one that follows has many more, among which they would not show.
///
/// Volumes lose the protection of an earlier retention one by one, as their turns come: those that wait for it count too,
/// once the first deletion is due. Otherwise each pass would be small.
///
/// What has outlived the retention that it was taken under does not count, however much of it there is: after an outage
/// that is a backlog, which may be all that fills a quota. Nor does what failed. Of what goes for the limit of
/// `snapshots` in the cluster, no more counts than is needed for that.
#[must_use]
pub fn mass_deletions(
    now: Timestamp,
    snapshots: Option<u32>,
    verdicts: &[Verdict],
) -> BTreeMap<String, MassDeletion> {
    masses(now, excess(snapshots, verdicts), verdicts)
}

/// The same, where no more than `excess` go for the limit of the cluster.
pub(crate) fn masses(now: Timestamp, excess: usize, verdicts: &[Verdict]) -> BTreeMap<String, MassDeletion> {
    let limit_in_mass = is_mass(
        count(verdicts, |reason| reason == Spent::NearLimit).min(excess),
        verdicts.iter().flat_map(|verdict| &verdict.points).filter(|point| is_counted(point)).count(),
        AT_ONCE,
    );
    let mut by_policy: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(policy) = verdict.policy.as_deref() {
            by_policy.entry(policy).or_default().push(verdict);
        }
    }
    let held = by_policy.into_iter().filter_map(|(policy, verdicts)| {
        let confirmed =
            verdicts.iter().filter_map(|verdict| verdict.deletions_confirmed).any(|at| holds(now, at));
        let mass = (!confirmed).then(|| mass(policy, limit_in_mass.then_some(excess), &verdicts))?;
        mass.map(|mass| (policy.to_owned(), mass))
    });
    held.collect()
}

fn is_mass(early: usize, of_points: usize, few: usize) -> bool {
    early > (of_points / 10).max(few)
}

fn is_counted(point: &Judged) -> bool {
    point.ours && !point.terminating
}

/// So many points go before their time, for such a reason.
fn count(verdicts: &[Verdict], is_such: impl Fn(Spent) -> bool) -> usize {
    let early = verdicts.iter().flat_map(|verdict| &verdict.wants).filter_map(early);
    early.filter(|(_, reason)| is_such(*reason)).count()
}

/// Of the points that were taken under one policy.
#[derive(Default)]
struct Share {
    points: usize,
    early: usize,
    for_limit: usize,
    waiting: usize,
}

/// Everything that somebody has to know who confirms it. `for_limit` is how many go for the cluster's limit at most, where
/// those are a mass.
fn mass(policy: &str, for_limit: Option<usize>, verdicts: &[&Verdict]) -> Option<MassDeletion> {
    let gone =
        verdicts.iter().flat_map(|verdict| &verdict.wants).filter(|action| is_first_step(action)).count();
    // Sandboxes come and go; that most are gone at once is no ordinary evening.
    let gone_in_mass = gone > (verdicts.len() / 2).max(AT_ONCE);
    let mut mass = MassDeletion {
        points: 0,
        of_points: 0,
        gone: if gone_in_mass { gone } else { 0 },
        of_volumes: verdicts.len(),
        taken_under: vec![],
    };
    for (taken_under, share) in shares(policy, verdicts) {
        let early = share.early + if share.early > 0 { share.waiting } else { 0 };
        let few = if taken_under.is_none() { AT_ONCE } else { 1 };
        let for_limit = share.for_limit.min(for_limit.unwrap_or(0));
        if is_mass(early, share.points, few) || for_limit > 0 {
            mass.points += early + for_limit;
            mass.of_points += share.points;
            mass.taken_under.extend(taken_under.map(str::to_owned));
        }
    }
    (gone_in_mass || mass.points > 0).then_some(mass)
}

/// By the policy that points were taken under, where it is another one.
fn shares<'v>(policy: &str, verdicts: &[&'v Verdict]) -> BTreeMap<Option<&'v str>, Share> {
    let mut shares: BTreeMap<Option<&str>, Share> = BTreeMap::new();
    for verdict in verdicts {
        let reasons: BTreeMap<&str, Spent> = verdict.wants.iter().filter_map(early).collect();
        for point in &verdict.points {
            let reason = reasons.get(point.name.as_str());
            // What AgentTier made goes before its time as well, where a policy adopts it.
            if !point.ours && reason.is_none() {
                continue;
            }
            let taken_under = point.policy.as_deref().filter(|taken_under| *taken_under != policy);
            let share = shares.entry(taken_under).or_default();
            share.points += usize::from(!point.terminating);
            share.waiting += usize::from(waits_for_its_day(point));
            match reason {
                Some(Spent::NearLimit) => share.for_limit += 1,
                Some(_) => share.early += 1,
                None => {}
            }
        }
    }
    shares
}

/// The point that goes before its time, and why.
fn early(action: &Action) -> Option<(&str, Spent)> {
    match action {
        Action::Prune(prune) if prune.early => Some((&prune.name, prune.reason)),
        _ => None,
    }
}

fn waits_for_its_day(point: &Judged) -> bool {
    matches!(point.fate, Fate::Keep(Keep::RetentionShortened { .. }))
}

/// Whether an action is one that a mass deletion consists of.
#[must_use]
pub fn is_of_mass(action: &Action) -> bool {
    early(action).is_some() || is_first_step(action)
}

/// Whether an action is the first step to deleting all points of a sandbox.
pub(crate) fn is_first_step(action: &Action) -> bool {
    matches!(action, Action::Mark(mark) if matches!(mark.note, Note::SandboxGone(_)))
}

fn holds(now: Timestamp, confirmed: Timestamp) -> bool {
    confirmed <= now && now.duration_since(confirmed) < CONFIRMED_FOR
}
