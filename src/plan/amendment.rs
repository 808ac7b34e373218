//! Retentions that came into force while no newer recovery point was taken, noted on the newest one.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Retention, SHORTENING_DELAY};

/// So many changes within [`SHORTENING_DELAY`] are noted; further ones wait until the first of them is older than that.
const MOST: usize = 8;

/// From then on another retention was in force than the one that the recovery point was taken under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amendment {
    /// From when on, by the API server's clock.
    pub since: Timestamp,
    /// The retention.
    pub retention: Retention,
}

/// All of one recovery point, in the order in which they were noted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amendments(Vec<Amendment>);

impl Amendments {
    /// Each of them, the latest last.
    pub fn iter(&self) -> impl Iterator<Item = &Amendment> {
        self.0.iter()
    }

    /// Whether one more may be noted now.
    pub(crate) fn have_room(&self, now: Timestamp) -> bool {
        self.that_tell(now).len() < MOST
    }

    /// Those that tell something, and the one of now.
    #[must_use]
    pub fn amended(&self, now: Timestamp, retention: Retention) -> Self {
        let mut amendments = self.that_tell(now).to_vec();
        // Whole seconds are enough, and easier to read. The clock may have been set back.
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let since = amendments.iter().map(|amendment| amendment.since).fold(since, Timestamp::max);
        amendments.push(Amendment { since, retention });
        Self(amendments)
    }

    /// Of what is older than [`SHORTENING_DELAY`] only the last counts.
    fn that_tell(&self, now: Timestamp) -> &[Amendment] {
        let is_past = |at: &Amendment| now.duration_since(at.since) >= SHORTENING_DELAY;
        &self.0[self.0.iter().rposition(is_past).unwrap_or(0)..]
    }
}

impl FromIterator<Amendment> for Amendments {
    fn from_iter<I: IntoIterator<Item = Amendment>>(amendments: I) -> Self {
        Self(amendments.into_iter().collect())
    }
}

/// As `2026-01-01T00:00:00Z maxAge=86400s keepLast=1`, several of them with `; ` between.
impl fmt::Display for Amendments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Amendment { since, retention }) in self.0.iter().enumerate() {
            let between = if n == 0 { "" } else { "; " };
            write!(f, "{between}{since} {retention}")?;
        }
        Ok(())
    }
}

/// Not amendments as this program writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmendmentsError;

impl fmt::Display for AmendmentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("amendments are written as 2026-01-01T00:00:00Z maxAge=86400s keepLast=1; …")
    }
}

impl std::error::Error for AmendmentsError {}

impl FromStr for Amendments {
    type Err = AmendmentsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |text: &str| {
            let (since, retention) = text.split_once(' ')?;
            Some(Amendment { since: since.parse().ok()?, retention: retention.parse().ok()? })
        };
        text.split("; ").map(|text| read(text).ok_or(AmendmentsError)).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn of(hours: i64) -> Retention {
        Retention::for_at_least(SignedDuration::from_hours(hours))
    }

    fn at(hours_ago: i64, retention: i64) -> Amendment {
        Amendment { since: NOW - SignedDuration::from_hours(hours_ago), retention: of(retention) }
    }

    #[test]
    fn reads_what_it_writes() {
        let text =
            "2023-11-14T21:13:20Z maxAge=86400s keepLast=1; 2023-11-14T22:13:20Z maxAge=7200s keepLast=1";
        let read: Amendments = text.parse().expect("what is written");
        assert_eq!(read, [at(1, 24), at(0, 2)].into_iter().collect());
        assert_eq!(read.to_string(), text);
        for bad in ["", "maxAge=86400s keepLast=1", "2023-11-14T21:13:20Z", "2023-11-14T21:13:20Z x", "; "] {
            assert_eq!(bad.parse::<Amendments>(), Err(AmendmentsError), "{bad}");
        }
        assert!(AmendmentsError.to_string().contains("2026-01-01T00:00:00Z maxAge=86400s keepLast=1"));
    }

    #[test]
    fn of_what_is_past_the_last_alone_is_kept() {
        let before: Amendments = [at(60, 1), at(30, 2), at(24, 3), at(23, 4)].into_iter().collect();
        let now = NOW + SignedDuration::from_millis(700);
        let after = before.amended(now, of(5));
        assert_eq!(
            after,
            [at(24, 3), at(23, 4), at(0, 5)].into_iter().collect(),
            "in whole seconds, not ahead"
        );
        assert_eq!(Amendments::default().amended(NOW, of(5)), [at(0, 5)].into_iter().collect());
    }

    #[test]
    fn eight_within_a_day_are_enough() {
        let seven: Amendments = (0..7).map(|n| at(9 - n, n)).collect();
        assert!(seven.have_room(NOW));
        let eight = seven.amended(NOW, of(99));
        assert_eq!(eight.iter().count(), 8);
        assert!(!eight.have_room(NOW));
        let later = NOW + SignedDuration::from_hours(16);
        assert!(eight.have_room(later));
        assert_eq!(eight.amended(later, of(100)).iter().count(), 8, "two of them are past");
    }
}
