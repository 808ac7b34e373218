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
/// old enough to be thinned out and not the newest of their day, week or month. What a longer rule will keep stays until
/// that has its turn: the last days of a month may share a week with a newer point.
pub(crate) fn judged_by(
    retention: &Retention,
    now: Timestamp,
    taken_at: &[Timestamp],
) -> Vec<Result<Keep, Spent>> {
    let thins = retention.thin != Thinning::default();
    let mut seen = BTreeSet::new();
    let judged = taken_at.iter().enumerate().map(|(rank, at)| {
        let age = now.duration_since(*at);
        let stretches = if thins { stretches(retention, age, *at) } else { vec![] };
        let is_newest_somewhere = stretches.iter().any(|stretch| !seen.contains(stretch));
        if thins {
            seen.extend(buckets(*at));
        }
        match () {
            () if rank == 0 => Ok(Keep::Newest),
            () if rank < retention.keep_last as usize => Ok(Keep::KeepLast),
            () if retention.max_count.is_some_and(|count| rank >= count as usize) => Err(Spent::OverCount),
            () if age >= retention.max_age => Err(Spent::PastRetention),
            () if stretches.is_empty() => Ok(Keep::Young { until: next_threshold(retention, age, *at) }),
            () if is_newest_somewhere => Ok(Keep::Thinned { until: next_threshold(retention, age, *at) }),
            () => Err(Spent::ThinnedOut),
        }
    });
    judged.collect()
}

/// The stretches of which a point of this age has to be the newest: of one of them at least. They are that of the longest
/// rule that it is old enough for, and those of longer rules.
fn stretches(retention: &Retention, age: SignedDuration, at: Timestamp) -> Vec<Bucket> {
    let [day, week, month] = buckets(at);
    let thin = &retention.thin;
    let rules = [(thin.daily, day), (thin.weekly, week), (thin.monthly, month)];
    let set = rules.into_iter().filter_map(|(from, bucket)| Some((from?, bucket)));
    let set: Vec<_> = set.collect();
    let longest = set.iter().rposition(|(from, _)| age >= *from);
    longest.map_or_else(Vec::new, |longest| set[longest..].iter().map(|(_, bucket)| *bucket).collect())
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
    let next = thresholds(retention).filter(|from| *from > age).min();
    next.and_then(|from| at.checked_add(from).ok()).unwrap_or(Timestamp::MAX)
}

/// When [`judged_by`] may change by time alone: when one of the points grows old enough for another rule.
pub(crate) fn changes_at(retention: &Retention, now: Timestamp, taken_at: &[Timestamp]) -> Option<Timestamp> {
    let moments = taken_at.iter().flat_map(|at| thresholds(retention).map(|from| at.checked_add(from)));
    moments.flatten().filter(|at| *at > now).min()
}

/// The ages at which a retention says something else.
fn thresholds(retention: &Retention) -> impl Iterator<Item = SignedDuration> {
    let thin = &retention.thin;
    [thin.daily, thin.weekly, thin.monthly, Some(retention.max_age)].into_iter().flatten()
}
