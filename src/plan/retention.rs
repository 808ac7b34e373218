//! How long recovery points are kept, as a value that can be written down and read back.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::Serialize;

/// How long recovery points of a volume are kept. Only Ready ones count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// A Ready point older than this may go.
    pub max_age: SignedDuration,
    /// So many of the newest Ready points stay whatever their age. Zero counts as one: the newest Ready
    /// point of a volume never goes.
    pub keep_last: u32,
    /// No more than so many Ready points of a volume are kept; `None` sets no limit.
    pub max_count: Option<u32>,
    /// From which age on points are thinned out.
    pub thin: Thinning,
}

/// From which age on only the newest point of each day, week or month stays. Days begin at midnight UTC, weeks on
/// Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Thinning {
    /// Older points: one a day.
    pub daily: Option<SignedDuration>,
    /// Older points: one a week.
    pub weekly: Option<SignedDuration>,
    /// Older points: one a month.
    pub monthly: Option<SignedDuration>,
}

impl Retention {
    /// For so long, and otherwise the newest alone.
    #[must_use]
    pub fn for_at_least(max_age: SignedDuration) -> Self {
        Self { max_age, keep_last: 1, max_count: None, thin: Thinning::default() }
    }
}

/// Seconds and counts by name, such as `maxAge=1209600s keepLast=1 daily=172800s`; what is not set is left out.
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maxAge={}s keepLast={}", self.max_age.as_secs(), self.keep_last)?;
        if let Some(count) = self.max_count {
            write!(f, " maxCount={count}")?;
        }
        let thin = [("daily", self.thin.daily), ("weekly", self.thin.weekly), ("monthly", self.thin.monthly)];
        for (name, age) in thin {
            if let Some(age) = age {
                write!(f, " {name}={}s", age.as_secs())?;
            }
        }
        Ok(())
    }
}

/// Not a retention as this program writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionError;

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a retention is written as maxAge=1209600s keepLast=1")
    }
}

impl std::error::Error for RetentionError {}

impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = |value: &str| {
            let seconds: i64 = value.strip_suffix('s')?.parse().ok()?;
            (seconds >= 0).then(|| SignedDuration::from_secs(seconds))
        };
        let (mut max_age, mut keep_last, mut max_count) = (None, None, None);
        let mut thin = Thinning::default();
        for word in text.split(' ') {
            let (name, value) = word.split_once('=').ok_or(RetentionError)?;
            let understood = match name {
                "maxAge" => set(&mut max_age, seconds(value)),
                "keepLast" => set(&mut keep_last, value.parse().ok()),
                "maxCount" => set(&mut max_count, value.parse().ok()),
                "daily" => set(&mut thin.daily, seconds(value)),
                "weekly" => set(&mut thin.weekly, seconds(value)),
                "monthly" => set(&mut thin.monthly, seconds(value)),
                // A later release may keep by more than this one knows.
                _ => true,
            };
            if !understood {
                return Err(RetentionError);
            }
        }
        match (max_age, keep_last) {
            (Some(max_age), Some(keep_last)) => Ok(Self { max_age, keep_last, max_count, thin }),
            _ => Err(RetentionError),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let plain = "maxAge=1209600s keepLast=1";
        let read: Retention = plain.parse().expect("what is written");
        assert_eq!(read, Retention::for_at_least(SignedDuration::from_hours(14 * 24)));
        let full = "maxAge=86400s keepLast=3 maxCount=40 daily=7200s weekly=14400s monthly=28800s";
        assert_eq!(full.parse::<Retention>().expect("what is written").to_string(), full);
        assert_eq!("maxAge=86400s keepLast=3 hourly=9".parse::<Retention>().map(|r| r.keep_last), Ok(3));
        for bad in ["", "14d", "maxAge=14d keepLast=1", "maxAge=9s", "keepLast=1", "maxAge=-1s keepLast=1"] {
            assert_eq!(bad.parse::<Retention>(), Err(RetentionError), "{bad}");
        }
        assert!(RetentionError.to_string().contains("maxAge=1209600s keepLast=1"));
    }

    proptest! {
        #[test]
        fn every_one_survives_being_written(
            max_age in 0_i64..1_000_000_000,
            keep_last: u32,
            max_count: Option<u32>,
            daily in prop::option::of(0_i64..1_000_000_000),
            weekly in prop::option::of(0_i64..1_000_000_000),
            monthly in prop::option::of(0_i64..1_000_000_000),
        ) {
            let thin = Thinning {
                daily: daily.map(SignedDuration::from_secs),
                weekly: weekly.map(SignedDuration::from_secs),
                monthly: monthly.map(SignedDuration::from_secs),
            };
            let retention = Retention { max_age: SignedDuration::from_secs(max_age), keep_last, max_count, thin };
            prop_assert_eq!(retention.to_string().parse(), Ok(retention));
        }
    }
}
