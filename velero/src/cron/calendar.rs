//! Five fields, and whether there is a day that they allow.

use std::str::FromStr;

use jiff::civil::Date;

use super::CronError;
use super::field::{CronField, Values};

/// Times by the calendar: those whose every field is among the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    pub(super) minutes: Values,
    pub(super) hours: Values,
    days: Values,
    pub(super) months: Values,
    weekdays: Values,
}

/// The most days of each month.
const LENGTHS: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Calendar {
    /// Whether it takes a day of one of its months.
    pub(super) fn has_day(&self, date: Date) -> bool {
        self.days.has(date.day()) && self.weekdays.has(date.weekday().to_sunday_zero_offset())
    }

    fn has_a_date(&self) -> bool {
        let in_month = |length: i8| (1..=length).any(|day| self.days.has(day));
        (1..).zip(LENGTHS).any(|(month, length)| self.months.has(month) && in_month(length))
    }
}

impl FromStr for Calendar {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields = text.split_whitespace().collect::<Vec<_>>();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(CronError::FieldCount(fields.len()));
        };
        let calendar = Self {
            minutes: Values::read(CronField::Minute, minutes)?,
            hours: Values::read(CronField::Hour, hours)?,
            days: Values::read(CronField::DayOfMonth, days)?,
            months: Values::read(CronField::Month, months)?,
            weekdays: Values::read(CronField::DayOfWeek, weekdays)?,
        };
        // Where one of them has a star, releases agree that a day has to be both.
        if !calendar.days.has_star && !calendar.weekdays.has_star {
            return Err(CronError::BothDays);
        }
        if !calendar.has_a_date() {
            return Err(CronError::NoSuchDate);
        }
        Ok(calendar)
    }
}
