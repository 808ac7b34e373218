//! What is refused and why, and what the instants have in common. That they are the right ones is seen against Go, in
//! `tests/cron`.

#![allow(clippy::unwrap_used)]

use jiff::ToSpan;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn bundled(zone: &str) -> TimeZone {
    ZONES.get(zone).unwrap()
}

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = text.parse::<Cron>().expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn the_shape() {
    for text in ["", " ", "\t"] {
        refused(
            text,
            "the cron expression is empty: write five fields, such as 17 3 * * *, or a name such as @daily",
        );
    }
    for (text, count) in [("* * * *", 4), ("0 * * * * *", 6), (" @daily", 1), ("TZ=UTC * *", 2)] {
        refused(
            text,
            &format!(
                "there are {count} fields: write five, which are minute, hour, day of the month, month and day of the week (no seconds, no years)"
            ),
        );
    }
    let long = format!("{}* * * *", "0,".repeat(510) + "0 ");
    assert_eq!(long.len(), 1029);
    refused(
        &long,
        "the cron expression has 1029 bytes, and Velero takes 1024: write ranges instead of lists",
    );
    assert_eq!(long[5..].len(), 1024);
    cron(&long[5..]);
}

#[test]
fn zones() {
    for text in ["TZ=UTC", "CRON_TZ=UTC", "CRON_TZ=UTC  ", "TZ=UTC\t* * * * *"] {
        let error = text.parse::<Cron>().expect_err(text);
        assert!(matches!(error, CronError::ZoneAlone | CronError::UnknownZone(_)), "{text}: {error}");
    }
    refused("TZ=UTC", "nothing follows the time zone: write, for example, CRON_TZ=Europe/Berlin 17 3 * * *");
    refused(
        "CRON_TZ=\"UTC\" * * * * *",
        "\"UTC\" is a time zone in quotation marks, which Velero before 1.18.3 refuses: leave them out",
    );
    refused(
        "CRON_TZ=Mars/Olympus * * * * *",
        "\"Mars/Olympus\" is no time zone: write a name of the IANA database, such as Europe/Berlin or UTC",
    );
    refused(
        "CRON_TZ=europe/berlin * * * * *",
        "\"europe/berlin\" is no time zone where the case of letters matters: write Europe/Berlin",
    );
    assert_eq!(cron("TZ=Asia/Tokyo @daily").zone().and_then(TimeZone::iana_name), Some("Asia/Tokyo"));
    assert_eq!(cron("@daily").zone(), None);
}

/// Every name of the database is one, and keeps its letters.
#[test]
fn all_zones_are_known() {
    let mut count = 0;
    for zone in ZONES.available() {
        let cron = cron(&format!("CRON_TZ={zone} 17 3 * * *"));
        assert_eq!(cron.zone().unwrap().iana_name(), Some(zone.as_str()));
        count += 1;
    }
    assert!(count > 400, "{count}");
}

#[test]
fn names() {
    for name in ["@reboot", "@Daily", "@daily ", "@every", "@"] {
        refused(
            name,
            &format!(
                "{name:?} is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every with a length of time such as @every 6h"
            ),
        );
    }
    for name in ["@none", "@manual", "@triggered"] {
        refused(
            name,
            &format!(
                "with {name} Velero 1.18.3 makes a backup every minute: pause the schedule where none is wanted (spec.paused)"
            ),
        );
    }
    for (name, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(cron(name).rule, cron(fields).rule);
    }
}

#[test]
fn every() {
    refused(
        "@every 14d",
        "@every: \"14d\" is not a length of time in Go's notation such as 336h, 1h30m or 300ms (there are no days)",
    );
    for (length, shown) in [("30s", "30s"), ("59.999999999s", "59.999999999s"), ("-1h", "-1h0m0s")] {
        refused(
            &format!("@every {length}"),
            &format!(
                "@every {shown} is more often than Velero looks, which is once a minute: write 1m or more"
            ),
        );
    }
    let next = |text: &str| cron(text).next(at("2026-06-01T03:17:04.9Z"), &TimeZone::UTC);
    assert_eq!(next("@every 1m"), Some(at("2026-06-01T03:18:04Z")));
    assert_eq!(next("@every 1h0.9s"), Some(at("2026-06-01T04:17:04Z")));
    assert_eq!(next("CRON_TZ=Asia/Tokyo @every 24h"), Some(at("2026-06-02T03:17:04Z")));
    assert_eq!(cron("@every 24h").next(Timestamp::MAX, &TimeZone::UTC), None);
}

#[test]
fn parts() {
    for (text, message) in [
        (
            "L * * * *",
            "\"L\" cannot be read as the minute: write 0-59, ranges such as 1-5, lists of these by commas, and steps such as */2 (there is no L, W, # or H)",
        ),
        (
            "0 0 * * fri#3",
            "\"fri#3\" cannot be read as the day of the week: write 0-6 or sun-sat, ranges such as mon-fri, lists of these by commas, and steps such as */2 (there is no L, W, # or H)",
        ),
        ("0 24 * * *", "\"24\" is beyond the values of the hour: write 0-23"),
        ("0 0 * 1,0 *", "\"0\" is beyond the values of the month: write 1-12 or jan-dec"),
        ("0 0 * * 8", "\"8\" is beyond the values of the day of the week: write 0-6 or sun-sat"),
        ("70-5 * * * *", "\"70-5\" is beyond the values of the minute: write 0-59"),
        (
            "*/60 * * * *",
            "the step of \"*/60\" is none for the minute: write one of at least 1 that is shorter than the range, or the one value that is meant",
        ),
        (
            "0 0 *-5 * *",
            "what follows the star of \"*-5\" is not looked at: write * for every day of the month, or a range of numbers",
        ),
        (
            "0 22-2 * * *",
            "\"22-2\" runs over the end of the hour, which Velero before 1.18.3 refuses: write 22-23,0-2",
        ),
        (
            "0 0 * nov-jan *",
            "\"nov-jan\" runs over the end of the month, which Velero before 1.18.3 refuses: write 11-12,1",
        ),
        (
            "0 0 * * sat-mon",
            "\"sat-mon\" runs over the end of the day of the week, which Velero before 1.18.3 refuses: write 6,0-1",
        ),
        ("0 0 * * 5-7", "\"5-7\" has Sunday as 7, which Velero before 1.18.3 refuses: write 0 or sun"),
        (
            "0 0 * * 1/2",
            "\"1/2\" has Sunday as its last day in Velero 1.18.3, and not in servers before it: write the days, such as 1,3,5",
        ),
        (", * * * *", "the minute has no value, and Velero makes a backup every minute then: write *"),
        (
            "0 0 1 * mon",
            "days of the month and days of the week are both given, and releases of Velero do not agree whether a day has to be both: write * for one of them",
        ),
        (
            "0 0 30 2 *",
            "none of these months has such a day, and Velero makes a backup every minute then: write a day that one of them has",
        ),
    ] {
        refused(text, message);
    }
}

#[test]
fn what_is_proposed_is_accepted() {
    for text in ["0 22-2 * * *", "50-10 * * * *", "0 0 25-5 * *", "0 0 * nov-feb *", "0 0 * * fri-mon"] {
        let Err(CronError::Backwards { part, instead, .. }) = text.parse::<Cron>() else { panic!("{text}") };
        cron(&text.replace(&part, &instead));
    }
    for text in ["0 0 * * 1/2", "0 0 * * 6/1", "0 0 * * mon/6", "0 0 * * 3/4"] {
        let Err(CronError::OpenWeekdays { part, instead }) = text.parse::<Cron>() else { panic!("{text}") };
        cron(&text.replace(&part, &instead));
    }
}

#[test]
fn the_named_zone_goes_before_the_servers() {
    let (after, tokyo) = (at("2026-06-01T12:00:00Z"), bundled("Asia/Tokyo"));
    assert_eq!(cron("0 3 * * *").next(after, &TimeZone::UTC), Some(at("2026-06-02T03:00:00Z")));
    assert_eq!(cron("0 3 * * *").next(after, &tokyo), Some(at("2026-06-01T18:00:00Z")));
    assert_eq!(cron("TZ=UTC 0 3 * * *").next(after, &tokyo), Some(at("2026-06-02T03:00:00Z")));
}

#[test]
fn an_hour_that_comes_twice_comes_due_twice() {
    let (cron, zone) = (cron("30 1 * * *"), bundled("America/New_York"));
    let first = cron.next(at("2026-10-31T12:00:00Z"), &zone).unwrap();
    assert_eq!(first, at("2026-11-01T05:30:00Z"));
    let second = cron.next(first, &zone).unwrap();
    assert_eq!(second, at("2026-11-01T06:30:00Z"));
    assert_eq!(cron.next(second, &zone), Some(at("2026-11-02T06:30:00Z")));
}

#[test]
fn a_time_that_is_left_out_is_an_hour_later() {
    let next = |text, after| cron(text).next(at(after), &bundled("America/New_York"));
    assert_eq!(next("30 2 * * *", "2026-03-07T12:00:00Z"), Some(at("2026-03-08T07:30:00Z")));
    assert_eq!(next("30 2 * * *", "2026-03-08T07:30:00Z"), Some(at("2026-03-09T06:30:00Z")));
    // Once, where the next hour comes due anyway.
    assert_eq!(next("30 2,3 * * *", "2026-03-08T07:30:00Z"), Some(at("2026-03-09T06:30:00Z")));
}

#[test]
fn some_changes_of_clocks_have_times_passed_over() {
    let next = |text, after, zone| cron(text).next(at(after), &bundled(zone));
    assert_eq!(
        next("0 5 * * *", "2026-10-03T12:00:00Z", "Australia/Lord_Howe"),
        Some(at("2026-10-04T18:00:00Z"))
    );
    assert_eq!(next("0 0 * * *", "2026-03-27T22:00:00Z", "Asia/Beirut"), Some(at("2026-03-29T21:00:00Z")));
    assert_eq!(next("0 12 * * sun", "2026-03-24T12:00:00Z", "Asia/Beirut"), Some(at("2026-04-05T09:00:00Z")));
    assert_eq!(next("0 5 28 * *", "2026-03-28T03:00:00Z", "Asia/Beirut"), Some(at("2026-03-29T02:00:00Z")));
}

/// There the Go library walks for ever.
#[test]
fn a_whole_day_that_is_left_out_ends_the_search() {
    let zone = bundled("Pacific/Apia");
    assert_eq!(cron("0 12 5 * *").next(at("2011-12-20T12:00:00Z"), &zone), None);
    assert_eq!(cron("0 12 * * *").next(at("2011-12-30T09:00:00Z"), &zone), Some(at("2011-12-30T22:00:00Z")));
}

#[test]
fn it_looks_five_years_ahead() {
    let next = |text, after| cron(text).next(at(after), &TimeZone::UTC);
    assert_eq!(next("0 0 29 2 *", "2024-02-29T00:00:00Z"), Some(at("2028-02-29T00:00:00Z")));
    assert_eq!(next("0 0 29 2 *", "2096-02-29T00:00:00Z"), None);
    assert_eq!(next("0 0 29 2 *", "2098-06-01T00:00:00Z"), None);
    assert_eq!(next("0 0 29 2 *", "2099-01-01T00:00:00Z"), Some(at("2104-02-29T00:00:00Z")));
    assert_eq!(next("* * * * *", "9999-12-30T21:59:30Z"), Some(at("9999-12-30T22:00:00Z")));
    assert_eq!(cron("* * * * *").next(Timestamp::MAX, &TimeZone::UTC), None);
}

#[test]
fn seconds_are_rounded_up_to_the_next_minute() {
    let next = |after: &str| cron("* * * * *").next(at(after), &TimeZone::UTC);
    for after in ["2026-06-01T03:17:00Z", "2026-06-01T03:17:00.000000001Z", "2026-06-01T03:17:59.999Z"] {
        assert_eq!(next(after), Some(at("2026-06-01T03:18:00Z")), "{after}");
    }
    assert_eq!(next("1969-12-31T23:58:59.5Z"), Some(at("1969-12-31T23:59:00Z")));
}

fn well_formed() -> impl Strategy<Value = String> {
    let list = |first: u32, last: u32| {
        let list = prop::collection::vec((first..=last).prop_map(|n| n.to_string()), 1..4);
        prop_oneof![Just("*".to_owned()), list.prop_map(|values| values.join(","))]
    };
    let days = prop_oneof![
        list(1, 28).prop_map(|days| (days, "*".to_owned())),
        list(0, 6).prop_map(|weekdays| ("*".to_owned(), weekdays)),
    ];
    (list(0, 59), list(0, 23), days, list(1, 12)).prop_map(|(minutes, hours, (days, weekdays), months)| {
        format!("{minutes} {hours} {days} {months} {weekdays}")
    })
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (1_600_000_000_000_i64..2_600_000_000_000).prop_map(|at| Timestamp::from_millisecond(at).unwrap())
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    let zones = [
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "America/Santiago",
        "Antarctica/Troll",
    ];
    prop::sample::select(zones.map(bundled).to_vec())
}

/// Whether a list, as [`well_formed`] has them, takes a value.
fn takes(list: &str, value: i8) -> bool {
    list == "*" || list.split(',').any(|taken| taken == value.to_string())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*|(CRON_TZ=UTC )?[-0-9*?/,a-z@ ]{0,20}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert_eq!(cron.to_string(), text);
        }
    }

    /// Every minute of the last two days before it is looked at, and some of those before them.
    #[test]
    fn in_utc_it_is_the_first_minute_that_fits(
        text in well_formed(),
        after in instant(),
    ) {
        let fields = text.split(' ').collect::<Vec<_>>();
        let fits = |at: Timestamp| {
            let clock = TimeZone::UTC.to_datetime(at);
            let values =
                [clock.minute(), clock.hour(), clock.day(), clock.month(), clock.weekday().to_sunday_zero_offset()];
            fields.iter().zip(values).all(|(list, value)| takes(list, value))
        };
        let next = cron(&text).next(after, &TimeZone::UTC).unwrap();
        prop_assert!(next > after && fits(next) && next.as_second() % 60 == 0);
        let mut minute = Timestamp::from_second(after.as_second().div_euclid(60) * 60 + 60).unwrap();
        while minute < next {
            prop_assert!(!fits(minute), "{} before {}", minute, next);
            minute += if next.duration_since(minute).as_hours() > 48 { 7.hours().minutes(1) } else { 1.minute() };
        }
    }

    #[test]
    fn it_is_later_in_every_zone(text in well_formed(), after in instant(), zone in any_zone()) {
        let next = cron(&text).next(after, &zone).unwrap();
        prop_assert!(next > after);
    }

    /// What is due is so to whoever asks at any time before it, where clocks do not change.
    #[test]
    fn nothing_is_passed_over_by_asking_later(text in well_formed(), after in instant(), share in 0.0..1.0) {
        let cron = cron(&text);
        let next = cron.next(after, &TimeZone::UTC).unwrap();
        let between = after + next.duration_since(after).mul_f64(share);
        if between < next {
            prop_assert_eq!(cron.next(between, &TimeZone::UTC), Some(next));
        }
    }
}
