//! Cron expressions, held against the Go libraries that Velero reads them with.

#![allow(clippy::unwrap_used)]

mod expressions;
mod probe;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use velero::{Cron, CronError};

use crate::expressions::{accepted, random, refused};
use crate::probe::{Answer, Library, Question, ask};

/// Zones in which every expression is asked for.
const ZONES: [&str; 4] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    // Half an hour.
    "Australia/Lord_Howe",
];

/// Zones with other sorts of changes of clocks, and years that have some.
const MORE_ZONES: [(&str, i16); 9] = [
    // At midnight, to the west and to the east of UTC.
    ("America/Sao_Paulo", 2018),
    ("America/Santiago", 2026),
    ("Asia/Beirut", 2026),
    ("Africa/Cairo", 2026),
    ("America/Havana", 2026),
    // Two hours.
    ("Antarctica/Troll", 2026),
    // Away from summer time for a month.
    ("Africa/Casablanca", 2026),
    // At UTC itself.
    ("Europe/London", 2026),
    // An offset of 12 hours and three quarters.
    ("Pacific/Chatham", 2026),
];

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

/// The first times, by the crate.
fn times(cron: &Cron, after: Timestamp, zone: &TimeZone, n: usize) -> Vec<Timestamp> {
    std::iter::successors(cron.next(after, zone), |at| cron.next(*at, zone)).take(n).collect()
}

/// Instants around the changes of clocks of a year, and some others.
fn instants(zone: &TimeZone, year: i16) -> Vec<Timestamp> {
    let start = jiff::civil::date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
    let changes = zone.following(start).map(|change| change.timestamp()).take(2);
    let around = [-40 * 3600, -7200, -1, 1700, 5400].map(SignedDuration::from_secs);
    let mut instants = changes
        .flat_map(|change| around.map(|length| change + length))
        .chain([start, start + SignedDuration::from_millis(86_399_500)])
        .collect::<Vec<_>>();
    instants.dedup();
    instants
}

fn questions(expressions: &[String], zone_name: &str, year: i16) -> Vec<Question> {
    let instants = instants(&zone(zone_name), year);
    let question = |expr: &String, after| Question {
        library: Library::GoCron,
        expr: expr.clone(),
        after,
        zone: zone_name.to_owned(),
        n: 4,
    };
    expressions.iter().flat_map(|expr| instants.iter().map(move |after| question(expr, *after))).collect()
}

#[test]
fn what_is_accepted_comes_due_as_in_go() {
    let expressions = accepted();
    assert!(expressions.len() >= 200, "{}", expressions.len());
    let mut asked = ZONES.map(|zone| questions(&expressions, zone, 2026)).concat();
    let some = expressions.into_iter().step_by(5).collect::<Vec<_>>();
    asked.extend(MORE_ZONES.into_iter().flat_map(|(zone, year)| questions(&some, zone, year)));
    for (question, answer) in asked.iter().zip(ask(&asked)) {
        let cron = question.expr.parse::<Cron>().unwrap_or_else(|error| panic!("{question:?}: {error}"));
        let ours = times(&cron, question.after, &zone(&question.zone), question.n);
        assert_eq!(Ok(ours), answer, "{question:?}");
    }
}

/// Around 2100, which is no leap year, there is no 29 February for longer than the libraries look.
#[test]
fn a_time_that_is_far_off_is_none_as_in_go() {
    let expr = "0 0 29 2 *";
    let questions = (2092..2100).flat_map(|year| ["01-01", "02-29", "06-01"].map(|day| (year, day)));
    let questions = questions
        .filter_map(|(year, day)| format!("{year}-{day}T00:00:00Z").parse().ok())
        .map(|after| Question {
            library: Library::GoCron,
            expr: expr.into(),
            after,
            zone: "UTC".into(),
            n: 1,
        })
        .collect::<Vec<_>>();
    let cron = expr.parse::<Cron>().unwrap();
    let answers = ask(&questions);
    for (question, answer) in questions.iter().zip(&answers) {
        assert_eq!(&Ok(times(&cron, question.after, &TimeZone::UTC, 1)), answer, "{question:?}");
    }
    assert!(answers.contains(&Ok(vec![])), "{answers:?}");
}

const AFTER: &str = "2026-01-30T12:34:56.789Z";

/// Asks both libraries for times in UTC.
fn ask_both(expressions: &[String], n: usize) -> Vec<(Answer, Answer)> {
    let after = AFTER.parse().unwrap();
    let questions = |library| {
        let question = |expr: &String| Question { library, expr: expr.clone(), after, zone: "UTC".into(), n };
        expressions.iter().map(question).collect::<Vec<_>>()
    };
    ask(&questions(Library::Robfig)).into_iter().zip(ask(&questions(Library::GoCron))).collect()
}

/// Every server since 1.15 reads the same; of the nights in which clocks change they have different ideas.
#[test]
fn what_is_accepted_comes_due_as_in_older_servers() {
    let changes = |expr: &String| {
        let zone = expr.parse::<Cron>().unwrap().zone().cloned();
        zone.is_some_and(|zone| zone.following(AFTER.parse().unwrap()).next().is_some())
    };
    let mut expressions = accepted();
    expressions.retain(|expr| !changes(expr));
    assert!(expressions.len() >= 100, "{}", expressions.len());
    for (expr, (older, newer)) in expressions.iter().zip(ask_both(&expressions, 40)) {
        assert!(older.as_ref().is_ok_and(|times| !times.is_empty()), "{expr}: {older:?}");
        assert_eq!(older, newer, "{expr}");
    }
}

/// Each refusal has its reason in one of the libraries.
#[test]
fn what_is_refused_has_its_reason() {
    let expressions = refused();
    for (expr, (older, newer)) in expressions.iter().zip(ask_both(&expressions, 40)) {
        let error = expr.parse::<Cron>().expect_err(expr);
        let has_a_reason = match error {
            CronError::Empty
            | CronError::TooLong(_)
            | CronError::FieldCount(_)
            | CronError::UnknownName(_)
            | CronError::UnknownZone(_)
            | CronError::ZoneAlone
            | CronError::Every(_)
            | CronError::Unreadable { .. }
            | CronError::Step { .. } => newer.is_err(),
            CronError::QuotedZone(_) | CronError::SundayAsSeven(_) | CronError::Backwards { .. } => {
                older.is_err() && newer.is_ok()
            }
            // Some ranges beyond the end are read, by newer servers, as some other range, or as none.
            CronError::OutOfRange { .. } => older.is_err(),
            CronError::OpenWeekdays { .. } | CronError::BothDays => {
                older.is_ok() && newer.is_ok() && older != newer
            }
            CronError::NeverDue(_) => older.is_err() && is_never(&newer),
            CronError::NoValue(_) | CronError::NoSuchDate => is_never(&older) && is_never(&newer),
            CronError::StarRange { .. } => older.is_ok() && newer.is_ok(),
            CronError::TooOften(_) => newer.as_ref().map_or(true, |times| is_too_often(times)),
            CronError::ZoneInOtherLetters { .. } => panic!("whether Go finds {expr} is up to the system"),
        };
        assert!(has_a_reason, "{expr:?} is refused with {error:?}; older: {older:?}, newer: {newer:?}");
    }
}

fn is_never(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(Vec::is_empty)
}

fn is_too_often(times: &[Timestamp]) -> bool {
    times.windows(2).any(|pair| pair[1].duration_since(pair[0]) < SignedDuration::from_mins(1))
}

/// The one sort of refusal that saves from a surprise alone.
#[test]
fn a_range_from_a_star_is_a_star() {
    for (expr, same) in
        [("*-5 * * * *", "* * * * *"), ("0 ?-x-9/6 * * *", "0 */6 * * *"), ("0 12 *-3 * *", "0 12 * * *")]
    {
        assert!(matches!(expr.parse::<Cron>(), Err(CronError::StarRange { .. })), "{expr}");
        let answers = ask_both(&[expr.to_owned(), same.to_owned()], 20);
        assert_eq!(answers[0], answers[1], "{expr}");
        assert!(answers[1].0.is_ok(), "{answers:?}");
    }
}

/// What is accepted is what both libraries read alike, and what is not accepted is not.
#[test]
fn random_expressions_are_read_as_in_go() {
    let expressions = random(3000);
    let zone = TimeZone::UTC;
    let mut accepted = 0;
    for (expr, (older, newer)) in expressions.iter().zip(ask_both(&expressions, 12)) {
        match expr.parse::<Cron>() {
            Ok(cron) => {
                accepted += 1;
                let ours = Ok(times(&cron, AFTER.parse().unwrap(), &zone, 12));
                assert_eq!((&ours, &ours), (&older, &newer), "{expr:?}");
            }
            // These may do no harm together with some others.
            Err(CronError::StarRange { .. } | CronError::BothDays | CronError::OpenWeekdays { .. }) => {}
            Err(error) => {
                let agree = older == newer
                    && newer.as_ref().is_ok_and(|times| !times.is_empty() && !is_too_often(times));
                assert!(!agree, "{expr:?} is refused with {error:?}; both: {newer:?}");
            }
        }
    }
    assert!(accepted > 500, "{accepted}");
}
