//! Thinning: of each day, week and month the newest stays, in UTC.

use agenttier_backup_plan::{Fate, Keep, Policy, Retention, Spent, Thinning, Volume};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::world::{NOW, fate, hours, judge, policy, ready, seconds, volume, wanted_prunes, with};

const YEARS: SignedDuration = SignedDuration::from_hours(24 * 3650);

fn days(days: i64) -> SignedDuration {
    hours(24 * days)
}

fn daily(from: SignedDuration) -> Thinning {
    Thinning { daily: Some(from), ..Thinning::default() }
}

fn weekly(from: SignedDuration) -> Thinning {
    Thinning { weekly: Some(from), ..Thinning::default() }
}

fn monthly(from: SignedDuration) -> Thinning {
    Thinning { monthly: Some(from), ..Thinning::default() }
}

fn thinning(thin: Thinning) -> Policy {
    Policy { retention: Retention { thin, ..Retention::for_at_least(YEARS) }, ..policy() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A volume with a point of every one of these moments, named by it, and with one of just now.
fn taken(now: Timestamp, moments: &[&str]) -> Volume {
    let volume = volume("s1");
    let points = moments.iter().map(|moment| ready(&volume, moment, at(moment)));
    let points: Vec<_> = points.chain([ready(&volume, "now", now)]).collect();
    with(volume, points)
}

fn thinned_out(now: &str, thin: Thinning, moments: &[&str]) -> Vec<String> {
    let verdict = judge(at(now), &thinning(thin), &taken(at(now), moments));
    let prunes = wanted_prunes(&verdict);
    assert!(prunes.iter().all(|prune| prune.reason == Spent::ThinnedOut), "{prunes:?}");
    let mut names: Vec<_> = prunes.iter().map(|prune| prune.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn without_thinning_nothing_is_thinned_out() {
    let moments = ["2024-02-29T00:00:00Z", "2024-02-29T12:00:00Z"];
    assert_eq!(thinned_out("2024-04-10T12:00:00Z", Thinning::default(), &moments), [""; 0]);
}

#[test]
fn a_day_begins_at_midnight_utc() {
    let moments = [
        "2024-02-28T23:59:59Z",
        "2024-02-29T00:00:00Z",
        "2024-02-29T12:00:00Z",
        "2024-02-29T23:59:59.999Z",
        "2024-03-01T00:00:00Z",
    ];
    let gone = ["2024-02-29T00:00:00Z", "2024-02-29T12:00:00Z"];
    assert_eq!(thinned_out("2024-04-10T12:00:00Z", daily(days(2)), &moments), gone);
}

#[test]
fn a_week_begins_on_monday() {
    let moments = [
        "2024-02-26T00:00:00Z", // Monday
        "2024-03-03T23:59:59Z", // Sunday
        "2024-03-04T00:00:00Z", // Monday
        "2024-12-30T10:00:00Z", // Monday
        "2025-01-05T10:00:00Z", // Sunday, of the same week
    ];
    let gone = ["2024-02-26T00:00:00Z", "2024-12-30T10:00:00Z"];
    assert_eq!(thinned_out("2025-06-01T12:00:00Z", weekly(days(7)), &moments), gone);
}

#[test]
fn a_month_ends_with_its_last_day_also_in_leap_years() {
    let moments = [
        "2023-02-01T00:00:00Z",
        "2023-02-28T23:59:59Z",
        "2023-03-01T00:00:00Z",
        "2024-02-28T23:59:59Z",
        "2024-02-29T23:59:59Z",
        "2024-03-01T00:00:00Z",
        "2024-03-31T23:59:59Z",
        "2024-04-01T00:00:00Z",
        "2024-12-31T23:59:59Z",
        "2025-01-01T00:00:00Z",
    ];
    let gone = ["2023-02-01T00:00:00Z", "2024-02-28T23:59:59Z", "2024-03-01T00:00:00Z"];
    assert_eq!(thinned_out("2025-06-01T12:00:00Z", monthly(days(30)), &moments), gone);
}

/// The months of different years are different months, and so are weeks and days.
#[test]
fn stretches_of_different_years_are_apart() {
    let moments = ["2022-03-07T12:00:00Z", "2023-03-07T12:00:00Z", "2024-03-07T12:00:00Z"];
    for thin in [daily(days(2)), weekly(days(7)), monthly(days(30))] {
        assert_eq!(thinned_out("2025-06-01T12:00:00Z", thin, &moments), [""; 0], "{thin:?}");
    }
}

#[test]
fn thinning_begins_at_its_age_and_not_before() {
    let (older, newer) = (NOW - days(3), NOW - days(3) + hours(1));
    let volume = volume("s1");
    let points = [ready(&volume, "older", older), ready(&volume, "newer", newer), ready(&volume, "now", NOW)];
    let volume = with(volume, points);
    let policy = thinning(daily(days(5)));
    let begins = older + days(5);
    let verdict = judge(begins - seconds(1), &policy, &volume);
    assert_eq!(*fate(&verdict, "older"), Fate::Keep(Keep::Young { until: begins }));
    assert_eq!(wanted_prunes(&verdict).len(), 0);
    let verdict = judge(begins, &policy, &volume);
    assert!(matches!(fate(&verdict, "older"), Fate::Prune { reason: Spent::ThinnedOut, .. }), "{verdict:?}");
    // Which one is the newest of the day does not hang on its own age.
    assert_eq!(*fate(&verdict, "newer"), Fate::Keep(Keep::Young { until: newer + days(5) }));
    let verdict = judge(newer + days(5), &policy, &volume);
    assert_eq!(*fate(&verdict, "newer"), Fate::Keep(Keep::Thinned { until: newer + YEARS }));
}

#[test]
fn the_longest_rule_that_a_point_is_old_enough_for_applies() {
    let thin = Thinning { daily: Some(days(2)), weekly: Some(days(9)), monthly: Some(days(33)) };
    // One every noon for 60 days; today is a Sunday.
    let now = at("2024-06-30T12:00:00Z");
    let volume = volume("s1");
    let points: Vec<_> = (0..60).map(|day| ready(&volume, &format!("{day:02}"), now - days(day))).collect();
    let verdict = judge(now, &thinning(thin), &with(volume, points));
    let stays: Vec<&str> = verdict
        .points
        .iter()
        .filter(|point| matches!(point.fate, Fate::Keep(_)))
        .map(|point| point.name.as_str())
        .collect();
    // Daily to the eighth day; then Sundays, and the last day of May, which is to stand for its month; then May's none,
    // for its newest is the 31st, 30 days ago.
    assert_eq!(stays, ["00", "01", "02", "03", "04", "05", "06", "07", "08", "14", "21", "28", "30"]);
    assert_eq!(*fate(&verdict, "01"), Fate::Keep(Keep::Young { until: now + days(1) }));
    assert_eq!(*fate(&verdict, "05"), Fate::Keep(Keep::Thinned { until: now + days(4) }));
    assert_eq!(*fate(&verdict, "14"), Fate::Keep(Keep::Thinned { until: now + days(19) }));
}

/// Otherwise the week's newest, which is of the next month, would cost January its only point.
#[test]
fn what_a_month_will_keep_outlives_a_week_that_ends_in_the_next_one() {
    let moments =
        ["2024-01-30T10:00:00Z", "2024-01-31T10:00:00Z", "2024-02-02T10:00:00Z", "2024-02-20T10:00:00Z"];
    let thin = Thinning { daily: None, weekly: Some(days(7)), monthly: Some(days(30)) };
    assert_eq!(thinned_out("2024-02-21T00:00:00Z", thin, &moments), ["2024-01-30T10:00:00Z"]);
    let left = ["2024-01-31T10:00:00Z", "2024-02-02T10:00:00Z", "2024-02-20T10:00:00Z"];
    assert_eq!(thinned_out("2024-05-01T00:00:00Z", thin, &left), ["2024-02-02T10:00:00Z"]);
}

#[test]
fn keep_last_pins_and_readers_outweigh_thinning() {
    let now = at("2024-06-30T12:00:00Z");
    let volume = volume("s1");
    let mut points: Vec<_> =
        (0..6).map(|n| ready(&volume, &n.to_string(), at("2024-06-01T12:00:00Z") - hours(n))).collect();
    points[3].pinned = true;
    points[4].readers = ["claim/x".to_owned()].into();
    let mut policy = thinning(daily(days(2)));
    policy.retention.keep_last = 2;
    let verdict = judge(now, &policy, &with(volume, points));
    let pruned: Vec<_> = wanted_prunes(&verdict).iter().map(|prune| prune.name.clone()).collect();
    assert_eq!(pruned, ["2", "5"]);
}

#[test]
fn max_count_keeps_the_newest_whatever_their_age() {
    let volume = volume("s1");
    let points: Vec<_> = (0..6).map(|n| ready(&volume, &n.to_string(), NOW - hours(n))).collect();
    let volume = with(volume, points);
    let pruned = |count, keep_last| {
        let retention = Retention { max_count: Some(count), keep_last, ..Retention::for_at_least(YEARS) };
        let verdict = judge(NOW, &Policy { retention, ..policy() }, &volume);
        let prunes = wanted_prunes(&verdict);
        assert!(prunes.iter().all(|prune| prune.reason == Spent::OverCount), "{prunes:?}");
        let mut names: Vec<_> = prunes.iter().map(|prune| prune.name.clone()).collect();
        names.sort();
        names.join("")
    };
    assert_eq!(pruned(4, 1), "45");
    assert_eq!(pruned(6, 1), "");
    assert_eq!(pruned(0, 0), "12345", "never the newest");
    assert_eq!(pruned(1, 3), "345", "nor what keepLast keeps");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A controller that prunes as time goes on ends with what one sees that comes late: the newest of each stretch was
    /// spared all along.
    #[test]
    fn who_survives_does_not_hang_on_when_it_is_looked_at(
        ages in prop::collection::btree_set(0_i64..120 * 24, 1..60),
        (daily, weekly, monthly) in (1_i64..10, 3_i64..20, 10_i64..40),
        steps in prop::collection::vec(1_i64..500, 1..12),
    ) {
        let thin = Thinning {
            daily: Some(days(daily)), weekly: Some(days(daily + weekly)), monthly: Some(days(daily + weekly + monthly)),
        };
        let policy = thinning(thin);
        let volume = volume("s1");
        let points: Vec<_> = ages.iter().map(|age| ready(&volume, &format!("{age:05}"), NOW - hours(*age))).collect();
        let untouched = with(volume, points);
        let mut tended = untouched.clone();
        let mut now = NOW - days(60);
        for step in steps {
            now += hours(step);
            // What is taken later is not there yet.
            let mut by_now = tended.clone();
            by_now.points.retain(|point| point.created <= now);
            let verdict = judge(now, &policy, &by_now);
            let gone: Vec<_> = wanted_prunes(&verdict).iter().map(|prune| prune.name.clone()).collect();
            tended.points.retain(|point| !gone.contains(&point.name));
        }
        let end = now + days(400);
        let stays = |volume: &Volume| -> Vec<String> {
            let points = judge(end, &policy, volume).points;
            points.into_iter().filter(|point| matches!(point.fate, Fate::Keep(_))).map(|point| point.name).collect()
        };
        prop_assert_eq!(stays(&tended), stays(&untouched));
    }
}
