//! Moments, as people write them.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::api::Period;

/// A moment, or how long ago it was. Without a zone it is in UTC, as everything that Kubernetes prints: the same
/// command means the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(SignedDuration),
}

impl Moment {
    /// The moment, seen from `now`.
    pub(super) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = Period::from(text).duration() {
            return Ok(Self::Ago(ago));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        let civil = text.parse::<DateTime>().and_then(|civil| civil.to_zoned(TimeZone::UTC));
        civil.map(|zoned| Self::At(zoned.timestamp())).map_err(|_| {
            "a moment is such as 2026-11-20T10:00:00Z, 2026-11-20T10:00+01:00, 2026-11-20T10:00 (UTC), 2026-11-20 \
             (its beginning, UTC), or how long ago: 90m, 2h, 3d"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a moment");
        for (text, wanted) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00.5+01:00", "2026-11-20T09:00:00.5Z"),
            ("2026-11-20T10:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20 10:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2h", "2026-11-20T10:00:00Z"),
            ("1d12h", "2026-11-19T00:00:00Z"),
        ] {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(moment.seen_from(now).to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_what_would_do() {
        for text in ["", "yesterday", "10:00", "2", "-2h", "2026-13-01", "2026-11-20T25:00"] {
            let error = text.parse::<Moment>().expect_err(text);
            assert!(error.contains("2026-11-20T10:00 (UTC)"), "{error}");
        }
    }
}
