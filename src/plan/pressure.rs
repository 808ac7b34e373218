//! What happens when the cluster holds nearly as many snapshots as its snapshot controller can bear.
//!
//! The CSI snapshot controller slows down past 15,000 VolumeSnapshots, and breaks near 36,000.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{Fate, Interval, Judged, Policy, Retention, Spent, Verdict};

/// Past this age only one point a day stays when the limit is near.
const THIN_AFTER: SignedDuration = SignedDuration::from_hours(48);

/// How near the cluster is to `maxSnapshots`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub enum Pressure {
    /// Below 90 %.
    #[default]
    None,
    /// From 90 % on: of older points more than one a day are thinned out, the oldest first, until it is less.
    NearLimit,
    /// From 100 % on: besides, intervals are doubled. A volume without a recovery point gets one all the same.
    AtLimit,
}

impl Pressure {
    /// Of so many snapshots of ours where so many are allowed.
    #[must_use]
    pub fn of(ours: usize, allowed: u32) -> Self {
        match () {
            () if ours as u128 >= u128::from(allowed) => Self::AtLimit,
            () if ours >= near(allowed) => Self::NearLimit,
            () => Self::None,
        }
    }

    /// The interval under this pressure.
    pub(crate) fn relieve(self, policy: &mut Policy) {
        if self == Self::AtLimit {
            let doubled = policy.interval.duration().saturating_mul(2);
            policy.interval = Interval::new(doubled).unwrap_or(policy.interval);
        }
    }

    /// What a retention comes to under pressure; `None` without. The newest Ready point, `keepLast` and pins are not touched
    /// by it.
    pub(crate) fn thinned(self, retention: &Retention) -> Option<Retention> {
        let mut thinned = *retention;
        let daily = &mut thinned.thin.daily;
        *daily = Some(daily.map_or(THIN_AFTER, |from| from.min(THIN_AFTER)));
        (self >= Self::NearLimit).then_some(thinned)
    }
}

/// So many recovery points of ours would have to go for the cluster not to be near its limit, besides those that go anyway.
/// No more are thinned out for
/// that: a few at a time for as long as it grows slowly, and a mass, which waits for somebody's word, where the limit
/// was mistyped.
#[must_use]
pub fn excess(allowed: Option<u32>, verdicts: &[Verdict]) -> usize {
    let stays = |point: &&Judged| {
        let goes = matches!(point.fate, Fate::Prune { reason, .. } if reason != Spent::NearLimit);
        point.ours && !point.terminating && !goes
    };
    let points = verdicts.iter().flat_map(|verdict| &verdict.points);
    allowed.map_or(0, |allowed| (points.filter(stays).count() + 1).saturating_sub(near(allowed)))
}

/// From so many on the limit is near: 90 % of it.
fn near(allowed: u32) -> usize {
    usize::try_from((u64::from(allowed) * 9).div_ceil(10)).unwrap_or(usize::MAX)
}
