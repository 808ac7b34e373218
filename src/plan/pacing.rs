//! Pacing: how fast snapshots may be started.
//!
//! A token bucket in its GCRA form: its whole state is one instant, the time up to which the allowance is
//! spent. A restart forgets at most a burst of ten seconds' worth.

use jiff::{SignedDuration, Timestamp};

use crate::Interval;

/// How much more than the steady need is allowed, so that a backlog shrinks.
const HEADROOM: f64 = 1.25;
/// However few volumes there are, one snapshot a minute may start, where nothing else is asked for.
const FLOOR_PER_MINUTE: u16 = 1;
/// How much of the allowance may be used at once: little, so that the rate stays flat after an outage.
const BURST: SignedDuration = SignedDuration::from_secs(10);

/// Snapshots per time that volumes need: the sum of 1 ÷ interval over them, per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate(f64);

impl Rate {
    /// Adds one volume that is backed up once an interval.
    pub fn add(&mut self, interval: Interval) {
        self.0 += 1.0 / interval.duration().as_secs_f64();
    }

    /// Starts per minute that this need allows: 1.25 times the need.
    #[must_use]
    pub fn per_minute(self) -> f64 {
        self.0 * HEADROOM * 60.0
    }
}

/// What is left of the allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacer {
    spent_until: Timestamp,
    floor_per_minute: u16,
}

impl Pacer {
    /// An unused allowance, of at least one start a minute.
    #[must_use]
    pub fn new() -> Self {
        Self::with_floor(FLOOR_PER_MINUTE)
    }

    /// An unused allowance, of at least so many starts a minute; zero counts as one.
    ///
    /// A higher floor protects many new volumes sooner, at the price of a burst.
    #[must_use]
    pub fn with_floor(per_minute: u16) -> Self {
        Self { spent_until: Timestamp::MIN, floor_per_minute: per_minute.max(1) }
    }

    /// When the next snapshot may start.
    #[must_use]
    pub fn free_at(self) -> Timestamp {
        self.spent_until.checked_sub(BURST).unwrap_or(Timestamp::MIN)
    }

    /// Starts per minute under this need.
    #[must_use]
    pub fn per_minute(self, rate: Rate) -> f64 {
        rate.per_minute().max(f64::from(self.floor_per_minute))
    }

    /// Takes one start out of the allowance, if there is one at `now`.
    #[must_use]
    pub fn take(self, now: Timestamp, rate: Rate) -> Option<Self> {
        if now < self.free_at() {
            return None;
        }
        let spacing = SignedDuration::from_secs_f64(60.0 / self.per_minute(rate));
        let spent_until = self.spent_until.max(now).checked_add(spacing).unwrap_or(Timestamp::MAX);
        Some(Self { spent_until, ..self })
    }
}

impl Default for Pacer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(volumes: u32, interval_seconds: i64) -> Rate {
        let mut rate = Rate::default();
        for _ in 0..volumes {
            rate.add(Interval::new(SignedDuration::from_secs(interval_seconds)).expect("a fair interval"));
        }
        rate
    }

    /// Starts as often as allowed for `seconds`, looking once a second; returns the seconds of the starts.
    fn starts(mut pacer: Pacer, rate: Rate, seconds: i64) -> Vec<i64> {
        let begin = Timestamp::from_second(1_700_000_000).expect("a time");
        let mut starts = Vec::new();
        for second in 0..seconds {
            let now = begin + SignedDuration::from_secs(second);
            while let Some(next) = pacer.take(now, rate) {
                pacer = next;
                starts.push(second);
            }
        }
        starts
    }

    #[test]
    fn at_least_one_a_minute() {
        let minutely = [0, 50, 110, 170, 230, 290];
        assert_eq!(starts(Pacer::new(), Rate::default(), 300), minutely);
        assert_eq!(starts(Pacer::new(), rate(1, 86_400), 300), minutely);
        assert_eq!(starts(Pacer::with_floor(0), Rate::default(), 300), minutely);
        assert_eq!(starts(Pacer::with_floor(60), Rate::default(), 300).len(), 310, "burst and one a second");
    }

    #[test]
    fn ten_thousand_volumes_stay_flat() {
        let rate = rate(10_000, 6 * 3600);
        assert!((rate.per_minute() - 34.722).abs() < 0.001, "1.25 × 10,000 ÷ 360 min");
        let starts = starts(Pacer::new(), rate, 600);
        let mean = 10_000.0 / 360.0;
        for minute in 0..10 {
            let in_minute = starts.iter().filter(|second| **second / 60 == minute).count();
            assert!(
                f64::from(u32::try_from(in_minute).expect("few")) <= 1.5 * mean,
                "{in_minute} in minute {minute}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_above_the_rate_and_never_dry(volumes in 1_u32..400, interval in 10_i64..100_000, seconds in 60_i64..600) {
            let rate = rate(volumes, interval);
            let count = f64::from(u32::try_from(starts(Pacer::new(), rate, seconds).len()).expect("few"));
            let per_second = rate.per_minute().max(1.0) / 60.0;
            let seconds = f64::from(u32::try_from(seconds).expect("few"));
            prop_assert!(count <= per_second * (seconds + 10.0) + 2.0, "{count}");
            prop_assert!(count >= (per_second * (seconds - 1.0)).floor(), "{count}");
        }
    }
}
