//! Retention: which recovery points stay, which may go, and why.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::thinning::judged_by;
use crate::{Fate, Keep, Keeper, Ownership, Pressure, Readiness, RecoveryPoint, Retention, Spent, VolumeUid};

/// By what a volume's points are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The retention that is asked for now.
    pub retention: Retention,
    /// Those that were in force until lately: what one of them keeps stays.
    pub lately: BTreeSet<Retention>,
    /// How near the cluster is to its limit of snapshots: what each of these keeps is thinned out for that, at once.
    pub pressure: Pressure,
    /// AgentTier's own scheduled snapshots are pruned too, if they were made since: it knows claims by name alone, and
    /// older ones are of an earlier claim of that name.
    pub adopted_since: Option<Timestamp>,
}

impl Rules {
    /// What these come to under pressure; nothing without.
    fn pressed(&self) -> impl Iterator<Item = Retention> {
        let all = self.lately.iter().chain([&self.retention]);
        all.filter_map(|retention| self.pressure.thinned(retention))
    }
}

/// Decides over all points of a claim; the answer has their order.
///
/// `readiness` has the points' order too. Only Ready points of this very volume that nobody deletes count. One that
/// failed goes as soon as a newer one is Ready: should it get ready after all, it would not be the newest.
#[must_use]
pub fn retain(
    now: Timestamp,
    rules: &Rules,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
    readiness: &[Readiness],
) -> Vec<Fate> {
    let counted = counted(volume, points, readiness);
    let taken_at: Vec<Timestamp> = counted.iter().map(|&i| points[i].taken_at(now)).collect();
    let said = judged_by(&rules.retention, now, &taken_at);
    let before: Vec<_> = rules.lately.iter().map(|retention| judged_by(retention, now, &taken_at)).collect();
    let pressed: Vec<_> = rules.pressed().map(|retention| judged_by(&retention, now, &taken_at)).collect();
    let newest = counted.first().map(|&i| &points[i]);
    let keeper = newest.map(|point| Keeper { name: point.name.clone(), uid: point.uid.clone() });

    let fate = |i: usize| {
        let point = &points[i];
        let rank = counted.iter().position(|&counted| counted == i);
        let is_older = newest.is_some_and(|newest| age_order(point) < age_order(newest));
        let spent = match &point.ownership {
            Ownership::Foreign(mark) => Err(Keep::Foreign { mark: *mark }),
            Ownership::AgentTier if rules.adopted_since.is_none_or(|since| point.created < since) => {
                Err(Keep::AgentTiers)
            }
            Ownership::Ours { volume: held } if held != volume => Err(Keep::OtherVolume),
            _ if point.terminating() => Err(Keep::Leaving),
            Ownership::AgentTier if !is_older => Err(Keep::AgentTiers),
            Ownership::AgentTier => adopted(now, rules, point),
            Ownership::Ours { .. } => match rank {
                Some(rank) => match (said[rank].clone(), kept_lately(&before, rank)) {
                    (Err(spent), None) => Ok(spent),
                    _ if is_pressed_out(&pressed, rank) => Ok(Spent::NearLimit),
                    (Err(_), Some(keep)) | (Ok(keep), _) => Err(keep),
                },
                None if readiness[i] == Readiness::Failed && is_older => Ok(Spent::Failed),
                None => Err(Keep::NotReady),
            },
        };
        match (spent, held(point)) {
            (Err(keep), _) | (Ok(_), Some(keep)) => Fate::Keep(keep),
            (Ok(reason), None) => Fate::Prune { reason, keeper: keeper.clone() },
        }
    };
    (0..points.len()).map(fate).collect()
}

/// The points that count, newest first.
///
/// By the API server's clock: the storage's may tell any time, and would then decide which is the last good copy.
/// The name settles a tie, so that two passes agree.
pub(crate) fn counted(volume: &VolumeUid, points: &[RecoveryPoint], readiness: &[Readiness]) -> Vec<usize> {
    let counts = |i: &usize| {
        points[*i].is_ours_of(volume) && readiness[*i] == Readiness::Ready && !points[*i].terminating()
    };
    let mut counted: Vec<usize> = (0..points.len()).filter(counts).collect();
    counted.sort_by(|&a, &b| age_order(&points[b]).cmp(&age_order(&points[a])));
    counted
}

/// What keeps a point that nothing else would keep.
pub(crate) fn held(point: &RecoveryPoint) -> Option<Keep> {
    match () {
        () if point.pinned => Some(Keep::Pinned),
        () if !point.readers.is_empty() => Some(Keep::ReadBy { readers: point.readers.clone() }),
        () if point.class_retains => Some(Keep::ClassRetains),
        () => None,
    }
}

fn age_order(point: &RecoveryPoint) -> (Timestamp, &str) {
    (point.created, &point.name)
}

/// What a retention that was in force lately says for a point that the present one lets go.
fn kept_lately(before: &[Vec<Result<Keep, Spent>>], rank: usize) -> Option<Keep> {
    let kept: Vec<&Keep> = before.iter().filter_map(|said| said[rank].as_ref().ok()).collect();
    let until = kept.iter().filter_map(|keep| keep.until()).min();
    (!kept.is_empty()).then_some(Keep::RetentionShortened { until })
}

/// Whether none of them keeps it, where there are any.
fn is_pressed_out(pressed: &[Vec<Result<Keep, Spent>>], rank: usize) -> bool {
    !pressed.is_empty() && pressed.iter().all(|said| said[rank].is_err())
}

/// AgentTier's own go by age alone, as they do under its own loop.
fn adopted(now: Timestamp, rules: &Rules, point: &RecoveryPoint) -> Result<Spent, Keep> {
    let ages = rules.lately.iter().chain([&rules.retention]).map(|retention| retention.max_age);
    let until = ages.max().and_then(|age| point.created.checked_add(age).ok()).unwrap_or(Timestamp::MAX);
    if until <= now { Ok(Spent::Adopted) } else { Err(Keep::Young { until }) }
}
