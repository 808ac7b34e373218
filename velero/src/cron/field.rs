//! One field of an expression.

use std::fmt;

use super::CronError;

/// A field of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0-59.
    Minute,
    /// 0-23.
    Hour,
    /// 1-31.
    DayOfMonth,
    /// 1-12, or `jan`-`dec`.
    Month,
    /// 0-6, or `sun`-`sat`.
    DayOfWeek,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl CronField {
    fn first(self) -> u32 {
        match self {
            Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    fn last(self) -> u32 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
        }
    }

    /// Names of its values, from the first on.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::DayOfWeek => &DAYS,
        }
    }

    /// For messages: what its values are.
    pub(super) fn values(self) -> String {
        let numbers = format!("{}-{}", self.first(), self.last());
        match self.names() {
            [first, .., last] => format!("{numbers} or {first}-{last}"),
            _ => numbers,
        }
    }

    /// For messages: a range that it may have.
    pub(super) fn range(self) -> &'static str {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth | Self::Month => "1-5",
            Self::DayOfWeek => "mon-fri",
        }
    }

    fn value(self, text: &str) -> Option<u32> {
        let name = self.names().iter().zip(self.first()..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        name.map(|(_, value)| value).or_else(|| text.parse().ok())
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of the month",
            Self::Month => "month",
            Self::DayOfWeek => "day of the week",
        })
    }
}

/// The values that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values {
    bits: u64,
    /// Whether a `*` or `?` without a step is among its parts.
    pub(super) has_star: bool,
}

impl Values {
    /// Whether the value is among them. No value of a calendar is negative.
    pub(super) fn has(self, value: i8) -> bool {
        self.bits & 1 << value != 0
    }

    /// Reads a field.
    pub(super) fn read(field: CronField, text: &str) -> Result<Self, CronError> {
        let mut values = Self { bits: 0, has_star: false };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let part = Part::read(field, part)?;
            values.bits |= part.bits()?;
            values.has_star |= part.is_star();
        }
        if values.bits == 0 { Err(CronError::NoValue(field)) } else { Ok(values) }
    }
}

/// What stands between two commas.
struct Part<'a> {
    field: CronField,
    text: &'a str,
    range: Range,
    step: Option<u32>,
}

enum Range {
    Star,
    /// One value; with a step, from it on.
    From(u32),
    Between(u32, u32),
}

impl<'a> Part<'a> {
    fn read(field: CronField, text: &'a str) -> Result<Self, CronError> {
        let unreadable = || CronError::Unreadable { field, part: text.to_owned() };
        let value = |text: &str| field.value(text).ok_or_else(unreadable);
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse().map_err(|_| unreadable())?)),
            None => (text, None),
        };
        let range = match range.split_once('-') {
            None if is_star(range) => Range::Star,
            Some((start, _)) if is_star(start) => {
                return Err(CronError::StarRange { field, part: text.to_owned() });
            }
            None => Range::From(value(range)?),
            Some((start, end)) => Range::Between(value(start)?, value(end)?),
        };
        Ok(Self { field, text, range, step })
    }

    fn is_star(&self) -> bool {
        matches!((&self.range, self.step), (Range::Star, None | Some(1)))
    }

    /// Its values, if they are the same to every server.
    fn bits(&self) -> Result<u64, CronError> {
        let (field, part) = (self.field, self.text.to_owned());
        let (start, end) = match self.range {
            Range::Star => (field.first(), field.last()),
            Range::From(value) if self.step.is_none() => (value, value),
            Range::From(value) => (value, field.last()),
            Range::Between(start, end) => (start, end),
        };
        let largest = start.max(end);
        if field == CronField::DayOfWeek && largest == 7 {
            return Err(CronError::SundayAsSeven(part));
        }
        if start.min(end) < field.first() || largest > field.last() {
            return Err(CronError::OutOfRange { field, part });
        }
        if start > end {
            let instead = format!("{},{}", range(start, field.last()), range(field.first(), end));
            return Err(CronError::Backwards { field, part, instead });
        }
        let step = self.step.unwrap_or(1);
        // To 1.18.3, the days of the week that are not given an end go on to 7.
        let is_open = field == CronField::DayOfWeek && !matches!(self.range, Range::Between(..));
        let length = end - start + 1 + u32::from(is_open);
        if step == 0 || step > 1 && step >= length {
            return Err(CronError::Step { field, part });
        }
        let values = || (start..=end).step_by(step as usize);
        if is_open && start > 0 && (7 - start).is_multiple_of(step) && self.step.is_some() {
            let instead = values().map(|value| value.to_string()).collect::<Vec<_>>().join(",");
            return Err(CronError::OpenWeekdays { part, instead });
        }
        Ok(values().fold(0, |bits, value| bits | 1 << value))
    }
}

fn is_star(text: &str) -> bool {
    matches!(text, "*" | "?")
}

/// A range as it is written.
fn range(start: u32, end: u32) -> String {
    if start == end { start.to_string() } else { format!("{start}-{end}") }
}
