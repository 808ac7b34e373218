//! Why an expression is refused, and what to write instead.

use super::CronField;
use crate::{GoDuration, GoDurationError};

/// Why a cron expression is refused. Each message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There is nothing.
    #[error("the cron expression is empty: write five fields, such as 17 3 * * *, or a name such as @daily")]
    Empty,
    /// Velero 1.18.3 refuses it for its length in bytes.
    #[error("the cron expression has {0} bytes, and Velero takes 1024: write ranges instead of lists")]
    TooLong(usize),
    /// A time zone, and nothing after it. Servers before 1.18.3 panic over it.
    #[error("nothing follows the time zone: write, for example, CRON_TZ=Europe/Berlin 17 3 * * *")]
    ZoneAlone,
    /// A time zone in quotation marks, which servers before 1.18.3 take for a part of its name.
    #[error("{0} is a time zone in quotation marks, which Velero before 1.18.3 refuses: leave them out")]
    QuotedZone(String),
    /// No such time zone.
    #[error("{0:?} is no time zone: write a name of the IANA database, such as Europe/Berlin or UTC")]
    UnknownZone(String),
    /// A time zone whose letters are in another case: the server finds it on some systems only.
    #[error("{zone:?} is no time zone where the case of letters matters: write {right}")]
    ZoneInOtherLetters {
        /// As it is written.
        zone: String,
        /// As it is called.
        right: String,
    },
    /// There are more or less than five fields.
    #[error(
        "there are {0} fields: write five, which are minute, hour, day of the month, month and day of the week (no seconds, no years)"
    )]
    FieldCount(usize),
    /// An `@` with a word that is none of Velero's, such as `@reboot`.
    #[error(
        "{0:?} is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every with a length of time such as @every 6h"
    )]
    UnknownName(String),
    /// `@none`, `@manual`, `@triggered`: Velero 1.18.3 reads them as never, and then makes a backup every minute.
    #[error(
        "with {0} Velero 1.18.3 makes a backup every minute: pause the schedule where none is wanted (spec.paused)"
    )]
    NeverDue(String),
    /// After `@every` there is no length of time.
    #[error("@every: {0}")]
    Every(#[from] GoDurationError),
    /// `@every` with less than a minute.
    #[error("@every {0} is more often than Velero looks, which is once a minute: write 1m or more")]
    TooOften(GoDuration),
    /// A part of a field that is nothing that Velero reads.
    #[error(
        "{part:?} cannot be read as the {field}: write {}, ranges such as {}, lists of these by commas, and steps such as */2 (there is no L, W, # or H)",
        .field.values(), .field.range()
    )]
    Unreadable {
        /// Where it is.
        field: CronField,
        /// The part, as it is written.
        part: String,
    },
    /// A value that the field does not have.
    #[error("{part:?} is beyond the values of the {field}: write {}", .field.values())]
    OutOfRange {
        /// Where it is.
        field: CronField,
        /// The part, as it is written.
        part: String,
    },
    /// A step of zero, or one that is longer than its range: servers before 1.18.3 read it as the range's first value.
    #[error(
        "the step of {part:?} is none for the {field}: write one of at least 1 that is shorter than the range, or the one value that is meant"
    )]
    Step {
        /// Where it is.
        field: CronField,
        /// The part, as it is written.
        part: String,
    },
    /// Something after a `*` or `?` that no server looks at: `*-5` is `*`.
    #[error(
        "what follows the star of {part:?} is not looked at: write * for every {field}, or a range of numbers"
    )]
    StarRange {
        /// Where it is.
        field: CronField,
        /// The part, as it is written.
        part: String,
    },
    /// A range such as `22-2`, which servers before 1.18.3 refuse.
    #[error("{part:?} runs over the end of the {field}, which Velero before 1.18.3 refuses: write {instead}")]
    Backwards {
        /// Where it is.
        field: CronField,
        /// The part, as it is written.
        part: String,
        /// Two ranges that hold the same values.
        instead: String,
    },
    /// 7 as Sunday, which servers before 1.18.3 refuse.
    #[error("{0:?} has Sunday as 7, which Velero before 1.18.3 refuses: write 0 or sun")]
    SundayAsSeven(String),
    /// A step from a day of the week on, such as `1/2`: Velero 1.18.3 comes to 7 and takes Sunday as well, servers
    /// before it do not.
    #[error(
        "{part:?} has Sunday as its last day in Velero 1.18.3, and not in servers before it: write the days, such as {instead}"
    )]
    OpenWeekdays {
        /// The part, as it is written.
        part: String,
        /// The days without that Sunday.
        instead: String,
    },
    /// A field with nothing but commas: it never comes due, and Velero then makes a backup every minute.
    #[error("the {0} has no value, and Velero makes a backup every minute then: write *")]
    NoValue(CronField),
    /// Days of the month and days of the week: Velero 1.18.3 takes the days that are both, servers before it those that
    /// are either.
    #[error(
        "days of the month and days of the week are both given, and releases of Velero do not agree whether a day has to be both: write * for one of them"
    )]
    BothDays,
    /// A date such as 30 February: it never comes due, and Velero then makes a backup every minute.
    #[error(
        "none of these months has such a day, and Velero makes a backup every minute then: write a day that one of them has"
    )]
    NoSuchDate,
}
