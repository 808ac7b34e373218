//! Safety of change: a retention that was shortened takes effect a day later.
//!
//! Every recovery point carries the retention that was in force when it was taken. Together they are a record of how
//! long copies of this volume were promised to be kept, whoever changed that: an edited policy, another policy, an
//! annotation of the Sandbox. Where no new point is taken, a change is noted on the newest one.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::retain::counted;
use crate::thinning::{changes_at, judged_by};
use crate::{Fate, Readiness, RecoveryPoint, Retention, VolumeUid};

/// So long a shortened retention has no effect: long enough for somebody to notice the slip.
pub const SHORTENING_DELAY: SignedDuration = SignedDuration::from_hours(24);

/// The retentions that were in force at some time in the last [`SHORTENING_DELAY`], as far as points tell: those
/// of the points taken since, and of the last one before.
pub(crate) fn lately_in_force(
    now: Timestamp,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
) -> BTreeSet<Retention> {
    let last_before = last(witnesses(volume, points).filter(|witness| !is_recent(now, witness.at)));
    let since = witnesses(volume, points).filter(|witness| is_recent(now, witness.at));
    last_before.into_iter().chain(since).map(|witness| witness.retention).collect()
}

/// The last one before [`SHORTENING_DELAY`], by its place among the points, where it is to go and an older one carries
/// another retention. Without it that one would be the last word, and keep whatever it keeps for as long as it is
/// there itself.
pub(crate) fn last_witness(
    now: Timestamp,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
    fates: &[Fate],
) -> Option<usize> {
    let before = || witnesses(volume, points).filter(|witness| !is_recent(now, witness.at));
    let last = last(before()).filter(|last| matches!(fates[last.point], Fate::Prune { .. }))?;
    let differs = |witness: Witness<'_>| witness.retention != last.retention;
    before().filter(|witness| witness.point != last.point).any(differs).then_some(last.point)
}

/// The last word on what is in force, and since when, if points tell.
pub(crate) fn last_word(volume: &VolumeUid, points: &[RecoveryPoint]) -> Option<(Timestamp, Retention)> {
    last(witnesses(volume, points)).map(|witness| (witness.at, witness.retention))
}

/// The Ready points that the retention they carry would keep: those were promised to be here still.
pub(crate) fn still_promised<'p>(
    now: Timestamp,
    volume: &VolumeUid,
    points: &'p [RecoveryPoint],
    readiness: &[Readiness],
) -> BTreeSet<&'p str> {
    let counted = counted(volume, points, readiness);
    let taken_at: Vec<Timestamp> = counted.iter().map(|&i| points[i].taken_at(now)).collect();
    let mut promised = BTreeSet::new();
    for retention in carried(&counted, points) {
        for (&i, said) in counted.iter().zip(judged_by(&retention, now, &taken_at)) {
            if points[i].retention == Some(retention) && said.is_ok() {
                promised.insert(points[i].name.as_str());
            }
        }
    }
    promised
}

/// When one of these retentions, or one that a point carries, may say otherwise of a point by time alone.
pub(crate) fn ages_change_at(
    now: Timestamp,
    retentions: impl IntoIterator<Item = Retention>,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
    readiness: &[Readiness],
) -> Option<Timestamp> {
    let counted = counted(volume, points, readiness);
    let taken_at: Vec<Timestamp> = counted.iter().map(|&i| points[i].taken_at(now)).collect();
    let all: BTreeSet<Retention> = retentions.into_iter().chain(carried(&counted, points)).collect();
    all.iter().filter_map(|retention| changes_at(retention, now, &taken_at)).min()
}

fn carried(counted: &[usize], points: &[RecoveryPoint]) -> BTreeSet<Retention> {
    counted.iter().filter_map(|&i| points[i].retention).collect()
}

/// When [`lately_in_force`] changes by time alone: when one taken since becomes the last one before.
pub(crate) fn history_changes_at(
    now: Timestamp,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
) -> Option<Timestamp> {
    let recent = witnesses(volume, points).filter(|witness| is_recent(now, witness.at));
    recent.filter_map(|witness| witness.at.checked_add(SHORTENING_DELAY).ok()).min()
}

fn is_recent(now: Timestamp, at: Timestamp) -> bool {
    now.duration_since(at) < SHORTENING_DELAY
}

/// That a retention was in force at that time.
struct Witness<'p> {
    at: Timestamp,
    retention: Retention,
    /// Its place among the points.
    point: usize,
    name: &'p str,
}

/// Of each point the one that it was taken under first.
fn witnesses<'p>(volume: &VolumeUid, points: &'p [RecoveryPoint]) -> impl Iterator<Item = Witness<'p>> {
    let ours = points.iter().enumerate().filter(|(_, point)| point.is_ours_of(volume));
    ours.flat_map(|(i, point)| {
        let taken_under = point.retention.map(|retention| (point.created, retention));
        let amended = point.amendments.iter().map(|amendment| (amendment.since, amendment.retention));
        let told = taken_under.into_iter().chain(amended);
        told.map(move |(at, retention)| Witness { at, retention, point: i, name: &point.name })
    })
}

/// The name settles a tie, and of one point what was noted last.
fn last<'p>(witnesses: impl Iterator<Item = Witness<'p>>) -> Option<Witness<'p>> {
    witnesses.max_by_key(|witness| (witness.at, witness.name))
}
