//! What happens when the cluster holds nearly as many snapshots as its snapshot controller can bear.
//!
//! The CSI snapshot controller slows down past 15,000 VolumeSnapshots, and breaks near 36,000.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{Interval, Policy};

/// Past this age only one point a day stays when the limit is near.
const THIN_AFTER: SignedDuration = SignedDuration::from_hours(48);

/// How near the cluster is to `maxSnapshots`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub enum Pressure {
    /// Below 90 %.
    #[default]
    None,
    /// From 90 % on: older points are thinned out to one a day.
    NearLimit,
    /// From 100 % on: besides, intervals are doubled. A volume without a recovery point gets one all the same.
    AtLimit,
}

impl Pressure {
    /// Of so many snapshots of ours where so many are allowed.
    #[must_use]
    pub fn of(ours: usize, allowed: u32) -> Self {
        let (ours, allowed) = (ours as u128, u128::from(allowed));
        match () {
            () if ours >= allowed => Self::AtLimit,
            () if ours * 10 >= allowed * 9 => Self::NearLimit,
            () => Self::None,
        }
    }

    /// The policy under this pressure. The newest Ready point, `keepLast` and pins are not touched by it.
    pub(crate) fn relieve(self, policy: &mut Policy) {
        if self >= Self::NearLimit {
            let daily = &mut policy.retention.thin.daily;
            *daily = Some(daily.map_or(THIN_AFTER, |from| from.min(THIN_AFTER)));
        }
        if self == Self::AtLimit {
            let doubled = policy.interval.duration().saturating_mul(2);
            policy.interval = Interval::new(doubled).unwrap_or(policy.interval);
        }
    }
}
