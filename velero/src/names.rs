//! Names that Velero makes out of other names.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

/// The most characters of a label's value.
const LABEL_MAX: usize = 63;
/// How many of them are of a hash, in hexadecimal digits, where a name is longer.
const HASH: usize = 6;

const TIME: &str = "%Y%m%d%H%M%S";
/// How long a time is in that form.
const TIME_LENGTH: usize = 14;

/// A name as the value of a label: itself, or, above 63 characters, the first 57 and the first 6 hexadecimal digits of
/// its SHA-256. So does Velero (`pkg/label`, `GetValidName`) with names of backups, restores and locations.
///
/// ```
/// let selector = format!("{}={}", velero::labels::BACKUP_NAME, velero::label_value("east-team-a-20260601031700"));
/// assert_eq!(selector, "velero.io/backup-name=east-team-a-20260601031700");
/// ```
#[must_use]
pub fn label_value(name: &str) -> Cow<'_, str> {
    if name.len() <= LABEL_MAX {
        return Cow::Borrowed(name);
    }
    // Names of objects are ASCII; others must not make it panic.
    let start = &name[..name.floor_char_boundary(LABEL_MAX - HASH)];
    let hash = Sha256::digest(name);
    Cow::Owned(format!("{start}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]))
}

/// The name of the backup that a schedule makes at an instant: `<schedule>-YYYYMMDDhhmmss`, by the clock of the server's
/// time zone (Velero's schedule controller and `Schedule.TimestampedName`): UTC in a container that is given none.
///
/// Where that zone has daylight-saving time, a name comes twice in the night that has an hour twice, and the second
/// backup is not made.
///
/// ```
/// use jiff::{Timestamp, tz::TimeZone};
///
/// let at: Timestamp = "2026-06-01T03:17:00Z".parse()?;
/// let name = velero::scheduled_backup_name("east-team-a", at, &TimeZone::UTC);
/// assert_eq!(name, "east-team-a-20260601031700");
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn scheduled_backup_name(schedule: &str, at: Timestamp, server_zone: &TimeZone) -> String {
    format!("{schedule}-{}", server_zone.to_datetime(at).strftime(TIME))
}

/// The schedule and the time, by the clock of the server's time zone, that are in the name of a backup; none when it
/// does not end in a time.
///
/// A backup that somebody made by hand may have such a name too: its label
/// [`SCHEDULE_NAME`](crate::labels::SCHEDULE_NAME) says which schedule made it, if any.
///
/// ```
/// let (schedule, time) = velero::read_scheduled_backup_name("east-team-a-20260601031700").unwrap();
/// assert_eq!((schedule, time.to_string().as_str()), ("east-team-a", "2026-06-01T03:17:00"));
/// assert_eq!(velero::read_scheduled_backup_name("before-the-upgrade"), None);
/// ```
#[must_use]
pub fn read_scheduled_backup_name(name: &str) -> Option<(&str, DateTime)> {
    let (schedule, digits) = name.rsplit_once('-')?;
    if schedule.is_empty() || digits.len() != TIME_LENGTH {
        return None;
    }
    let time = DateTime::strptime(TIME, digits).ok()?;
    // Not every text that can be read is one that is written: a 61st second, say.
    (time.strftime(TIME).to_string() == digits).then_some((schedule, time))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_names_stay_as_they_are() {
        let longest = "a".repeat(63);
        assert_eq!(label_value(&longest), longest);
        assert_eq!(label_value(""), "");
    }

    /// Against `sha256sum`.
    #[test]
    fn long_names_end_in_a_hash() {
        assert_eq!(label_value(&"a".repeat(64)), format!("{}ffe054", "a".repeat(57)));
        let name =
            "east-team-team-team-team-team-team-team-team-team-team-team-team-workspaces-20260601031700";
        assert_eq!(label_value(name), "east-team-team-team-team-team-team-team-team-team-team-te70e6d8");
    }

    #[test]
    fn the_time_is_that_of_the_servers_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = "2026-12-31T23:30:05.9Z".parse().unwrap();
        assert_eq!(scheduled_backup_name("s", at, &zone), "s-20270101013005");
        let at = "0999-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(scheduled_backup_name("s", at, &TimeZone::UTC), "s-09990102030405");
    }

    #[test]
    fn other_names_are_no_schedules() {
        for name in [
            "",
            "-",
            "20260601031700",
            "-20260601031700",
            "s-2026060103170",
            "s-202606010317000",
            "s-20260631031700",
            "s-20260601241700",
            "s-20260601031760",
            "s-+026060103170",
            "s-2026060103170a",
            "s-20260601031700-r1",
            "s-２０２６0601031",
        ] {
            assert_eq!(read_scheduled_backup_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(schedule in "[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", second in -60_000_000_000_i64..250_000_000_000, hours in -12_i8..=14) {
            let (at, zone) = (Timestamp::from_second(second).unwrap(), TimeZone::fixed(jiff::tz::offset(hours)));
            let name = scheduled_backup_name(&schedule, at, &zone);
            prop_assert_eq!(read_scheduled_backup_name(&name), Some((schedule.as_str(), zone.to_datetime(at))));
        }

        #[test]
        fn a_time_is_read_or_not_without_a_panic(name in "[a-z-]{0,3}-[0-9]{13,15}|\\PC*") {
            if let Some((schedule, time)) = read_scheduled_backup_name(&name) {
                let utc = TimeZone::UTC.to_timestamp(time).unwrap();
                prop_assert_eq!(scheduled_backup_name(schedule, utc, &TimeZone::UTC), name);
            }
        }

        #[test]
        fn a_label_value_fits(name in "\\PC{0,80}|[a-z0-9.-]{50,253}") {
            let value = label_value(&name);
            prop_assert!(value.len() <= LABEL_MAX);
            prop_assert_eq!(name.len() <= LABEL_MAX, value == name);
            if name.is_ascii() && name.len() > LABEL_MAX {
                prop_assert_eq!(value.len(), LABEL_MAX);
                prop_assert_eq!(&value[..57], &name[..57]);
            }
        }
    }
}
