//! When the backups of each namespace are made, so that not all of them are made at once.

use std::fmt;

use jiff::SignedDuration;

use crate::hash::stable_hash;

/// Regular times, a namespace's own among all that come as often.
///
/// Velero makes one backup at a time by default, and those that are due in the same minute wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread(Every);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    /// So many hours, a divisor of 24.
    Hours(u64),
    Week,
}

/// A length of time that cron cannot repeat evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpreadError;

impl fmt::Display for SpreadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not one of 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d and 7d, which cron can repeat evenly; use cron for other times")
    }
}

impl std::error::Error for SpreadError {}

const MINUTES_OF_HOUR: u64 = 60;
const HOURS_OF_DAY: u64 = 24;
const DAYS_OF_WEEK: u64 = 7;

impl Spread {
    /// Times that come every so often.
    ///
    /// # Errors
    /// When it is no divisor of a day in whole hours, nor a week.
    pub fn every(every: SignedDuration) -> Result<Self, SpreadError> {
        let seconds = u64::try_from(every.as_secs()).map_err(|_| SpreadError)?;
        if every.subsec_nanos() != 0 || !seconds.is_multiple_of(3600) {
            return Err(SpreadError);
        }
        match seconds / 3600 {
            hours if hours == HOURS_OF_DAY * DAYS_OF_WEEK => Ok(Self(Every::Week)),
            hours if hours > 0 && HOURS_OF_DAY.is_multiple_of(hours) => Ok(Self(Every::Hours(hours))),
            _ => Err(SpreadError),
        }
    }

    /// The cron expression for whoever is called `name`: always the same for one name, and evenly spread over many.
    ///
    /// It uses what every reader of cron reads the same: numbers, `*`, ranges and steps.
    #[must_use]
    pub fn cron(self, name: &str) -> String {
        let hash = stable_hash(name);
        let minute = hash % MINUTES_OF_HOUR;
        let hours = hash / MINUTES_OF_HOUR;
        match self.0 {
            Every::Hours(1) => format!("{minute} * * * *"),
            Every::Hours(HOURS_OF_DAY) => format!("{minute} {} * * *", hours % HOURS_OF_DAY),
            Every::Hours(step) => format!("{minute} {}-23/{step} * * *", hours % step),
            Every::Week => {
                let day = hours / HOURS_OF_DAY % DAYS_OF_WEEK;
                format!("{minute} {} * * {day}", hours % HOURS_OF_DAY)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cron(hours: i64, name: &str) -> String {
        Spread::every(SignedDuration::from_hours(hours)).expect("it divides").cron(name)
    }

    /// A later release must not move anybody's backups.
    #[test]
    fn a_name_keeps_its_times() {
        let of_team_a = [1, 2, 6, 12, 24, 7 * 24].map(|hours| cron(hours, "team-a"));
        assert_eq!(
            of_team_a,
            [
                "36 * * * *",
                "36 0-23/2 * * *",
                "36 4-23/6 * * *",
                "36 4-23/12 * * *",
                "36 4 * * *",
                "36 4 * * 0"
            ]
        );
    }

    #[test]
    fn what_cron_cannot_repeat_evenly_is_refused() {
        for seconds in [0, -3600, 1, 60, 1800, 5400, 5 * 3600, 7 * 3600, 48 * 3600, 14 * 24 * 3600] {
            assert_eq!(Spread::every(SignedDuration::from_secs(seconds)), Err(SpreadError), "{seconds}");
        }
        assert_eq!(Spread::every(SignedDuration::new(3600, 1)), Err(SpreadError));
    }

    #[test]
    fn many_namespaces_are_spread_evenly() {
        let names = (0..14_400).map(|n| format!("team-{n}"));
        let mut at: BTreeMap<String, usize> = BTreeMap::new();
        for name in names {
            *at.entry(cron(24, &name)).or_default() += 1;
        }
        // Ten a minute in the mean.
        assert!(at.len() > 1430, "{} of 1440 minutes", at.len());
        assert!(at.values().all(|here| *here < 30), "{:?}", at.values().max());
    }
}
