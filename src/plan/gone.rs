//! What becomes of the recovery points of a sandbox that is gone.
//!
//! Their age counts from when it was found gone, so that a sandbox that was stopped for months and then deleted by
//! mistake is no worse off than one that ran. The newest Ready point goes last.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::retain::{counted, held};
use crate::{Fate, Keep, Keeper, Readiness, RecoveryPoint, Retention, Spent, VolumeUid};

/// How long they are kept: by the longest of these retentions.
pub(crate) fn kept_for(retention: &Retention, lately: &BTreeSet<Retention>) -> SignedDuration {
    lately.iter().map(|lately| lately.max_age).fold(retention.max_age, SignedDuration::max)
}

/// When the sandbox was found gone, by the latest mark on one of its points. A mark from before its newest
/// Ready point counts for nothing: it cannot have been gone then.
pub(crate) fn gone_since(volume: &VolumeUid, points: &[RecoveryPoint]) -> Option<Timestamp> {
    let ours = || points.iter().filter(|point| point.is_ours_of(volume));
    let newest = ours().filter(|point| point.ready).map(|point| point.created).max();
    ours()
        .filter_map(|point| point.gone_since)
        .max()
        .filter(|since| newest.is_none_or(|newest| *since >= newest))
}

/// Until when a point of it was promised to stay when it was taken: for the `maxAge` that it carries.
pub(crate) fn promised_until(since: Timestamp, point: &RecoveryPoint) -> Option<Timestamp> {
    point.retention.map(|carried| since.checked_add(carried.max_age).unwrap_or(Timestamp::MAX))
}

/// The point to mark a sandbox as gone on: the newest Ready one, else the newest.
pub(crate) fn to_mark<'p>(
    volume: &VolumeUid,
    points: &'p [RecoveryPoint],
    readiness: &[Readiness],
) -> Option<&'p RecoveryPoint> {
    let newest = || {
        let ours = points.iter().filter(|point| point.is_ours_of(volume) && !point.terminating());
        ours.max_by_key(|point| (point.created, &point.name))
    };
    counted(volume, points, readiness).first().map(|&i| &points[i]).or_else(newest)
}

/// Decides over all points; the answer has their order. `until` is when their time is over.
pub(crate) fn leave(
    now: Timestamp,
    until: Timestamp,
    volume: &VolumeUid,
    points: &[RecoveryPoint],
    readiness: &[Readiness],
) -> Vec<Fate> {
    let newest = counted(volume, points, readiness).first().copied();
    let free = |i: usize| -> Result<(), Keep> {
        let point = &points[i];
        match held(point) {
            _ if !point.is_ours_of(volume) => Err(Keep::OtherVolume),
            _ if point.terminating() => Err(Keep::Leaving),
            Some(keep) => Err(keep),
            None if readiness[i].is_in_flight() => Err(Keep::NotReady),
            None if now < until => Err(Keep::SandboxGone { until }),
            None => Ok(()),
        }
    };
    let is_last = |i: usize| {
        Some(i) == newest
            && (0..points.len()).all(|j| j == i || !matches!(free(j), Ok(()) | Err(Keep::Leaving)))
    };
    let fate = |i: usize| match (free(i), newest) {
        (Err(keep), _) => Fate::Keep(keep),
        (Ok(()), Some(newest)) if newest != i => Fate::Prune {
            reason: Spent::SandboxGone,
            keeper: Some(Keeper { name: points[newest].name.clone(), uid: points[newest].uid.clone() }),
        },
        (Ok(()), Some(_)) if !is_last(i) => Fate::Keep(Keep::Newest),
        // Nothing of it was ever good, or this is the last.
        (Ok(()), _) => Fate::Prune { reason: Spent::SandboxGone, keeper: None },
    };
    (0..points.len()).map(fate).collect()
}
