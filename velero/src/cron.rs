//! When a schedule is due.
//!
//! Velero 1.18.3 reads cron expressions with the Go library netresearch/go-cron (`ParseStandard`); releases before it
//! with robfig/cron. The crates that read cron expressions read other dialects (seconds and years, `L` and `#`, no
//! `@every`, no `CRON_TZ`) and have their own rules for the nights in which clocks change. Here it is about what the
//! server is going to do, with its faults, and so the dialect is read anew, and held against both Go libraries in a test.

mod calendar;
mod error;
mod field;
mod next;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::GoDuration;
use calendar::Calendar;
pub use error::CronError;
pub use field::CronField;

/// A cron expression that every Velero server since 1.15 reads in one way, and that comes due.
///
/// There are five fields: minute, hour, day of the month, month (1-12 or `jan`-`dec`), day of the week (0-6 or
/// `sun`-`sat`). Each is a list, by commas, of `*` or `?`, a value, a range `a-b`, and any of these with a step `/n`;
/// `a/n` is `a-<last>/n`. Instead of the fields there may be `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`,
/// `@midnight`, `@hourly`, or `@every` with a [`GoDuration`] of a minute or more. Before it all there may be
/// `CRON_TZ=<zone> `.
///
/// What Velero reads as well, but releases do not agree upon, or what makes a backup every minute because it never comes
/// due, is refused with an error that says what to write instead: see [`CronError`].
///
/// ```
/// use jiff::{Timestamp, tz::TimeZone};
/// use velero::{Cron, CronError};
///
/// let cron: Cron = "CRON_TZ=Europe/Berlin 30 3 * * mon-fri".parse()?;
/// let friday: Timestamp = "2026-06-05T12:00:00Z".parse().unwrap();
/// assert_eq!(cron.next(friday, &TimeZone::UTC), Some("2026-06-08T01:30:00Z".parse().unwrap()));
/// assert_eq!(cron.to_string(), "CRON_TZ=Europe/Berlin 30 3 * * mon-fri");
///
/// // The first Monday of a month, or every Monday and the first seven days?
/// assert_eq!("0 3 1-7 * mon".parse::<Cron>(), Err(CronError::BothDays));
/// # Ok::<(), CronError>(())
/// ```
///
/// # Nights in which clocks change
///
/// In a zone with daylight-saving time the server of 1.18.3 does as follows, and so does [`next`](Self::next):
/// - An hour that comes twice comes due twice: `30 1 * * *` makes two backups.
/// - A time in an hour that is left out comes due in the hour after it, at the same minute: `30 2 * * *` at 03:30. In
///   servers before 1.18.3 it does not come due in that night.
/// - Where clocks change by half an hour (Lord Howe Island), a time later on that day may be passed over: `0 5 * * *`.
/// - Where an hour is left out at midnight (Beirut, Cairo, Santiago), `0 0 * * *` is passed over, and so may be all of the
///   day that begins so where days are given, as in `0 12 * * sun`; the day after the one that is given may come due too.
///
/// Schedules in UTC, the zone of a container that is given none, have no such nights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    zone: Option<TimeZone>,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// So long after the last one.
    Every(SignedDuration),
    /// By the calendar.
    Calendar(Calendar),
}

/// In bytes; go-cron refuses longer expressions.
const LENGTH: usize = 1024;

/// The server looks once a minute which schedules are due.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// The same on every machine: that of the crate jiff.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

impl Cron {
    /// When a backup is due that follows one at `after`: the first such instant later than it. None when there is none
    /// within five years, as for 29 February around the year 2100; the server then makes backups every minute.
    ///
    /// The server takes for `after` the latest of a Schedule's `lastBackup`, or its creation before there is one, and
    /// `lastSkipped`, all in `status`. It looks once a minute, and makes up for nothing: when many are due, one backup is
    /// made. `default_zone` is the server's time zone; it counts where the expression names none. `@every` counts
    /// from `after`, in full seconds.
    #[must_use]
    pub fn next(&self, after: Timestamp, default_zone: &TimeZone) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(length) => next::whole_second(after)?.checked_add(*length).ok(),
            Rule::Calendar(calendar) => next::next(calendar, self.zone().unwrap_or(default_zone), after),
        }
    }

    /// The time zone that the expression names.
    #[must_use]
    pub fn zone(&self) -> Option<&TimeZone> {
        self.zone.as_ref()
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        if text.trim().is_empty() {
            return Err(CronError::Empty);
        }
        if text.len() > LENGTH {
            return Err(CronError::TooLong(text.len()));
        }
        let (zone, rule) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(rest) => {
                let (name, rule) = rest.split_once(' ').ok_or(CronError::ZoneAlone)?;
                (Some(read_zone(name)?), rule.trim())
            }
            None => (None, text),
        };
        let rule = match rule.strip_prefix('@') {
            _ if rule.is_empty() => return Err(CronError::ZoneAlone),
            Some(name) => read_name(name)?,
            None => Rule::Calendar(rule.parse()?),
        };
        Ok(Self { text: text.to_owned(), zone, rule })
    }
}

fn read_zone(name: &str) -> Result<TimeZone, CronError> {
    if name.starts_with(['"', '\'']) {
        return Err(CronError::QuotedZone(name.to_owned()));
    }
    let zone = ZONES.get(name).map_err(|_| CronError::UnknownZone(name.to_owned()))?;
    match zone.iana_name() {
        // The server looks for a file of this name.
        Some(right) if right != name => {
            Err(CronError::ZoneInOtherLetters { zone: name.to_owned(), right: right.to_owned() })
        }
        _ => Ok(zone),
    }
}

/// What stands after an `@`.
fn read_name(name: &str) -> Result<Rule, CronError> {
    let fields = match name {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        "none" | "manual" | "triggered" => return Err(CronError::NeverDue(format!("@{name}"))),
        _ => {
            let length =
                name.strip_prefix("every ").ok_or_else(|| CronError::UnknownName(format!("@{name}")))?;
            return read_every(length);
        }
    };
    fields.parse().map(Rule::Calendar)
}

fn read_every(length: &str) -> Result<Rule, CronError> {
    let length: GoDuration = length.parse()?;
    let exact = SignedDuration::from(length);
    if exact < SHORTEST {
        return Err(CronError::TooOften(length));
    }
    Ok(Rule::Every(SignedDuration::from_secs(exact.as_secs())))
}

impl fmt::Display for Cron {
    /// The expression as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
