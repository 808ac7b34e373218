//! The next time by the calendar, as go-cron comes to it.
//!
//! It walks from field to field, month first, and goes on from there until the field fits. Walking over a change of
//! clocks it may lose the beat, and pass times over; which ones depends on each step. So the steps are the same here:
//! the tests compare instants in such nights with those of the Go library.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::Calendar;

/// How many years on there is a look for a time.
const YEARS: i16 = 5;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The first instant later than `after` that the calendar takes, in a zone.
pub(super) fn next(calendar: &Calendar, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let at = whole_second(after)?.checked_add(SignedDuration::from_secs(1)).ok()?;
    let mut walk = Walk { calendar, zone, at, is_aligned: false };
    let last = walk.clock().year() + YEARS;
    while walk.clock().year() <= last {
        // A field that runs over changes those before it: it begins anew.
        if walk.fit_month()?
            && walk.fit_day()?
            && walk.fit_hour()?
            && walk.fit_minute()?
            && walk.fit_second()?
        {
            return Some(walk.at);
        }
    }
    None
}

/// The second that an instant is in.
pub(super) fn whole_second(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?).ok()
}

/// Where the look for a time has come to.
struct Walk<'a> {
    calendar: &'a Calendar,
    zone: &'a TimeZone,
    at: Timestamp,
    /// Whether the smaller fields are at their beginning. It is done once, by the first field that moves on.
    is_aligned: bool,
}

/// Whether a field fits; false when it ran over into a larger one. None beyond the range of time.
type Fits = Option<bool>;

impl Walk<'_> {
    fn clock(&self) -> DateTime {
        self.zone.to_datetime(self.at)
    }

    fn fit_month(&mut self) -> Fits {
        while !self.calendar.months.has(self.clock().month()) {
            let clock = self.clock();
            self.align(clock.first_of_month().date(), Time::midnight())?;
            let clock = self.clock();
            let month = clock.date().first_of_month().checked_add(1.month()).ok()?;
            // A day that the month does not have is one of the next month.
            let date = month.checked_add(i64::from(clock.day() - 1).days()).ok()?;
            self.at = instant(self.zone, date, clock.time())?;
            if self.clock().month() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn fit_day(&mut self) -> Fits {
        while !self.calendar.has_day(self.clock().date()) {
            self.align(self.clock().date(), Time::midnight())?;
            let clock = self.clock();
            self.at = instant(self.zone, clock.date().tomorrow().ok()?, clock.time())?;
            // Midnight may have been left out, or there may be an hour more or less to it.
            let hour = i32::from(self.clock().hour());
            self.pass(HOUR * if hour > 12 { 24 - hour } else { -hour })?;
            // Where a whole day is left out, as in Samoa in 2011, the Go library never comes to an end.
            if self.clock() <= clock {
                return None;
            }
            if self.clock().day() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn fit_hour(&mut self) -> Fits {
        while !self.calendar.hours.has(self.clock().hour()) {
            let clock = self.clock();
            self.align(clock.date(), Time::constant(clock.hour(), 0, 0, 0))?;
            let before = self.clock().hour();
            self.pass(HOUR)?;
            let hour = self.clock().hour();
            // What was to be in an hour that is left out is now.
            if hour - before == 2 && self.calendar.hours.has(hour - 1) {
                break;
            }
            if hour == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn fit_minute(&mut self) -> Fits {
        while !self.calendar.minutes.has(self.clock().minute()) {
            if !self.is_aligned {
                self.is_aligned = true;
                // By UTC: the offsets of these days are full minutes.
                self.at = Timestamp::from_second(self.at.as_second().div_euclid(60) * 60).ok()?;
            }
            self.pass(MINUTE)?;
            if self.clock().minute() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn fit_second(&mut self) -> Fits {
        let second = self.clock().second();
        if second == 0 {
            return Some(true);
        }
        self.pass(SignedDuration::from_secs(60 - i64::from(second)))?;
        Some(false)
    }

    fn align(&mut self, date: Date, time: Time) -> Option<()> {
        if !self.is_aligned {
            self.is_aligned = true;
            self.at = instant(self.zone, date, time)?;
        }
        Some(())
    }

    fn pass(&mut self, length: SignedDuration) -> Option<()> {
        self.at = self.at.checked_add(length).ok()?;
        Some(())
    }
}

/// The instant at which clocks of a zone show a time, as Go's `time.Date` has it.
///
/// It guesses the offset from UTC by taking the time for UTC. Of a time that comes twice that is now the first, now the
/// second; a time that is left out becomes one before it or after it.
fn instant(zone: &TimeZone, date: Date, time: Time) -> Option<Timestamp> {
    let clock = date.to_datetime(time);
    let guess = zone.to_offset(Offset::UTC.to_timestamp(clock).ok()?);
    zone.to_offset(guess.to_timestamp(clock).ok()?).to_timestamp(clock).ok()
}
