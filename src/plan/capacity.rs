//! How many snapshots a cluster comes to hold, and how fast they have to be taken.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{Interval, Rate, Retention, Verdict};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a set of volumes comes to, once every one has been backed up for longer than its retention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Volumes that take part.
    pub volumes: usize,
    /// Recovery points of ours that there are now, of these and of all other volumes.
    pub points: usize,
    /// Recovery points that those that take part come to have, if every one of them runs all the time.
    pub steady_points: u64,
    /// Snapshots that they need per minute, with the controller's headroom: the peak, for starts are paced.
    pub per_minute: f64,
}

impl Capacity {
    /// Of these volumes.
    #[must_use]
    pub fn of(verdicts: &[Verdict]) -> Self {
        let mut capacity = Self { volumes: 0, points: 0, steady_points: 0, per_minute: 0.0 };
        let mut rate = Rate::default();
        for verdict in verdicts {
            capacity.points += verdict.points.iter().filter(|point| point.ours).count();
            let (Some(interval), Some(retention)) = (verdict.interval, verdict.retention) else { continue };
            capacity.volumes += 1;
            capacity.steady_points =
                capacity.steady_points.saturating_add(steady_points(interval, &retention));
            rate.add(interval);
        }
        capacity.per_minute = rate.per_minute();
        capacity
    }
}

/// Recovery points of a volume that is backed up once an interval, in the long run; a calendar month counts as 30 days.
#[must_use]
pub fn steady_points(interval: Interval, retention: &Retention) -> u64 {
    let thin = &retention.thin;
    let mut stretches: Vec<(SignedDuration, SignedDuration)> =
        [(thin.daily, DAY), (thin.weekly, DAY * 7), (thin.monthly, DAY * 30)]
            .into_iter()
            .filter_map(|(from, step)| Some((from?, step)))
            .filter(|(from, _)| *from < retention.max_age)
            .collect();
    stretches.sort();
    let (mut since, mut step, mut count) = (SignedDuration::ZERO, interval.duration(), 0_u64);
    for (from, longer) in stretches {
        count = count.saturating_add(steps(from - since, step));
        // Where two apply, the longer one does.
        (since, step) = (from, step.max(longer));
    }
    count = count.saturating_add(steps(retention.max_age - since, step));
    let most = retention.max_count.map_or(u64::MAX, u64::from);
    count.min(most).max(u64::from(retention.keep_last.max(1)))
}

fn steps(stretch: SignedDuration, step: SignedDuration) -> u64 {
    let (stretch, step) = (stretch.as_secs().unsigned_abs(), step.as_secs().unsigned_abs().max(1));
    stretch.div_ceil(step)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::thinning::judged_by;
    use crate::{Fate, Judged, Protection, Readiness, Reason, Thinning, VolumeId, VolumeUid};

    fn interval(duration: SignedDuration) -> Interval {
        Interval::new(duration).expect("a fair interval")
    }

    #[test]
    fn of_several_volumes_it_is_their_sum() {
        let point = |name: &str, ours| Judged {
            name: name.into(),
            taken_at: Timestamp::UNIX_EPOCH,
            readiness: Readiness::Ready,
            error: None,
            ours,
            policy: None,
            terminating: false,
            stuck: false,
            fate: Fate::Unknown,
        };
        let verdict = |claim: &str, hours: Option<i64>, points: &[Judged]| {
            let uid = VolumeUid::new(claim);
            let volume = VolumeId { namespace: "n".into(), claim: claim.into(), uid };
            let interval = hours.map(|hours| interval(SignedDuration::from_hours(hours)));
            let retention = Some(Retention::for_at_least(DAY * 2));
            let unprotected = Protection::Unprotected { reason: Reason::NoPolicy };
            Verdict { interval, retention, points: points.to_vec(), ..Verdict::of(volume, unprotected) }
        };
        let capacity = Capacity::of(&[
            verdict("a", Some(6), &[point("1", true), point("2", true), point("3", false)]),
            verdict("b", Some(1), &[point("4", true)]),
            verdict("c", None, &[point("5", true)]),
        ]);
        assert_eq!((capacity.volumes, capacity.points, capacity.steady_points), (2, 4, 8 + 48));
        assert!((capacity.per_minute - 1.25 * (1.0 / 360.0 + 1.0 / 60.0)).abs() < 1e-9, "{capacity:?}");
    }

    #[test]
    fn a_month_counts_as_thirty_days() {
        let mut retention = Retention::for_at_least(DAY * 100);
        retention.thin.monthly = Some(DAY * 10);
        assert_eq!(steady_points(interval(DAY), &retention), 10 + 3);
    }

    #[test]
    fn two_weeks_of_four_a_day() {
        let mut retention = Retention::for_at_least(DAY * 14);
        let every_six_hours = interval(SignedDuration::from_hours(6));
        assert_eq!(steady_points(every_six_hours, &retention), 56);
        retention.thin.daily = Some(DAY * 2);
        assert_eq!(steady_points(every_six_hours, &retention), 8 + 12);
        retention.thin.weekly = Some(DAY * 7);
        assert_eq!(steady_points(every_six_hours, &retention), 8 + 5 + 1);
        retention.max_count = Some(10);
        assert_eq!(steady_points(every_six_hours, &retention), 10);
        retention.keep_last = 12;
        assert_eq!(steady_points(every_six_hours, &retention), 12, "the newest always stay");
        retention.max_age = SignedDuration::MAX;
        assert!(steady_points(interval(SignedDuration::from_secs(10)), &retention) <= 12, "no overflow");
    }

    proptest! {
        /// Against counting what retention keeps of a long series.
        #[test]
        fn is_what_retention_comes_to(
            hours in 1_i64..30, days in 1_i64..120, keep_last in 1_u32..9,
            daily in prop::option::of(1_i64..20), weekly in prop::option::of(10_i64..60),
            at in 1_600_000_000_i64..1_800_000_000,
        ) {
            let thin = Thinning { daily: daily.map(|n| SignedDuration::from_hours(24 * n)), weekly: weekly.map(|n| SignedDuration::from_hours(24 * n)), monthly: None };
            let retention = Retention { keep_last, thin, ..Retention::for_at_least(SignedDuration::from_hours(24 * days)) };
            let every = SignedDuration::from_hours(hours);
            let now = Timestamp::from_second(at).expect("a time");
            let series: Vec<Timestamp> = (0..=days * 24 / hours + 10).map(|n| now - SignedDuration::from_hours(n * hours)).collect();
            let kept = judged_by(&retention, now, &series).iter().filter(|said| said.is_ok()).count();
            let kept = u64::try_from(kept).expect("few");
            let counted = steady_points(interval(every), &retention);
            // Where one stretch ends within a day or week of the next, and for intervals that do not divide a day.
            let slack = 3 + counted / 5;
            prop_assert!(kept.abs_diff(counted) <= slack, "{kept} kept, {counted} foreseen");
        }
    }
}
