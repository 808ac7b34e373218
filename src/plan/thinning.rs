//! What a retention says of each of a volume's Ready points.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::{Keep, Retention, Spent, Thinning};

/// A stretch of the calendar, by its first day; days, weeks and months are told apart by their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bucket {
    Day(Date),
    Week(Date),
    Month(Date),
}

/// What `retention` says of points whose data is from `taken_at`, newest first.
///
/// The first `keepLast` (at least one) stay; of the others those past `maxCount` or `maxAge` go, and those that are
/// old enough to be thinned out and not the newest of their day, week or month.
pub(crate) fn judged_by(
    retention: &Retention,
    now: Timestamp,
    taken_at: &[Timestamp],
) -> Vec<Result<Keep, Spent>> {
    let thins = retention.thin != Thinning::default();
    let mut seen = BTreeSet::new();
    let judged = taken_at.iter().enumerate().map(|(rank, at)| {
        let age = now.duration_since(*at);
        let bucket = bucket(retention, age, *at);
        let is_newest_there = bucket.is_none_or(|bucket| !seen.contains(&bucket));
        if thins {
            seen.extend(buckets(*at));
        }
        match () {
            () if rank == 0 => Ok(Keep::Newest),
            () if rank < retention.keep_last as usize => Ok(Keep::KeepLast),
            () if retention.max_count.is_some_and(|count| rank >= count as usize) => Err(Spent::OverCount),
            () if age >= retention.max_age => Err(Spent::PastRetention),
            () if !is_newest_there => Err(Spent::ThinnedOut),
            () if bucket.is_some() => Ok(Keep::Thinned { until: next_threshold(retention, age, *at) }),
            () => Ok(Keep::Young { until: next_threshold(retention, age, *at) }),
        }
    });
    judged.collect()
}

/// The stretch that a point of this age has to be the newest of, by the longest rule that it is old enough for.
fn bucket(retention: &Retention, age: SignedDuration, at: Timestamp) -> Option<Bucket> {
    if retention.thin == Thinning::default() {
        return None;
    }
    let [day, week, month] = buckets(at);
    let applies = |from: Option<SignedDuration>| from.is_some_and(|from| age >= from);
    let thin = &retention.thin;
    [(thin.monthly, month), (thin.weekly, week), (thin.daily, day)]
        .into_iter()
        .find_map(|(from, bucket)| applies(from).then_some(bucket))
}

fn buckets(at: Timestamp) -> [Bucket; 3] {
    let day = TimeZone::UTC.to_datetime(at).date();
    let since_monday = i64::from(day.weekday().to_monday_zero_offset());
    // Where the calendar ends there is no earlier Monday.
    let monday = day.checked_sub(SignedDuration::from_hours(24 * since_monday)).unwrap_or(day);
    [Bucket::Day(day), Bucket::Week(monday), Bucket::Month(day.first_of_month())]
}

/// When a point grows old enough for the next rule.
fn next_threshold(retention: &Retention, age: SignedDuration, at: Timestamp) -> Timestamp {
    let thin = &retention.thin;
    let thresholds = [thin.daily, thin.weekly, thin.monthly, Some(retention.max_age)];
    let next = thresholds.into_iter().flatten().filter(|from| *from > age).min().unwrap_or(retention.max_age);
    at.checked_add(next).unwrap_or(Timestamp::MAX)
}
