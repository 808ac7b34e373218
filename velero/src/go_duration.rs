//! Lengths of time as Go programs write them.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in Go's notation: `336h`, `1h30m`, `1.5h`, `300ms`.
///
/// It is a number of nanoseconds that fits 64 bits (about 292 years), as Go's `time.Duration` is. Two of them are
/// equal when they last equally long: Velero's server prints `336h0m0s` for a `336h` that was written.
///
/// Go knows no days: `14d` passes the schema of Velero's CRDs, and its server can then not read the object. Reading
/// it here is an error as well; watches over objects that others write want a guard around each one
/// (`kube::core::DeserializeGuard`).
///
/// ```
/// let ttl: velero::GoDuration = "336h".parse().unwrap();
/// assert_eq!(ttl.to_string(), "336h0m0s");
/// assert_eq!(ttl, "336h0m0s".parse().unwrap());
/// assert!("14d".parse::<velero::GoDuration>().is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration {
    nanoseconds: i64,
}

/// A text or a length of time that Go cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time in Go's notation such as 336h, 1h30m or 300ms (there are no days)")]
pub struct GoDurationError(String);

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The size of the most negative one; the largest is one less.
const LIMIT: u64 = i64::MIN.unsigned_abs();

impl GoDuration {
    /// So many nanoseconds.
    #[must_use]
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self { nanoseconds }
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        self.nanoseconds
    }
}

impl From<GoDuration> for SignedDuration {
    fn from(duration: GoDuration) -> Self {
        Self::from_nanos(duration.nanoseconds)
    }
}

impl TryFrom<SignedDuration> for GoDuration {
    type Error = GoDurationError;

    fn try_from(duration: SignedDuration) -> Result<Self, GoDurationError> {
        let nanoseconds = i64::try_from(duration.as_nanos());
        Ok(Self { nanoseconds: nanoseconds.map_err(|_| GoDurationError(duration.to_string()))? })
    }
}

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, GoDurationError> {
        let nanoseconds = read(text).ok_or_else(|| GoDurationError(text.to_owned()))?;
        Ok(Self { nanoseconds })
    }
}

/// An optional sign, then numbers with units in any order; `0` alone needs no unit.
fn read(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = read_part(rest)?;
        sum = sum.checked_add(part).filter(|sum| *sum <= LIMIT)?;
        rest = after;
    }
    let sum = i128::from(sum);
    i64::try_from(if negative { -sum } else { sum }).ok()
}

/// One number with its unit, in nanoseconds, and what follows it.
fn read_part(text: &str) -> Option<(u64, &str)> {
    let (whole, after) = digits(text);
    let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
    let (unit, after) = after.split_at(end);
    let unit = match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = whole.checked_mul(unit)?.checked_add(part_of(unit, fraction))?;
    Some((part, after))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The fraction of a unit that decimal digits name, in nanoseconds.
///
/// In floating point, as Go computes it: the same text must not be a nanosecond more here than there.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between 0 and the unit; its loss of precision is Go's"
)]
fn part_of(unit: u64, digits: &str) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        // What 63 bits cannot hold is left out.
        let Some(next) = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')))
        else {
            break;
        };
        if next > LIMIT {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        let size = self.nanoseconds.unsigned_abs();
        match size {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{size}ns"),
            MICROSECOND..MILLISECOND => write!(f, "{}µs", decimal(size, MICROSECOND)),
            MILLISECOND..SECOND => write!(f, "{}ms", decimal(size, MILLISECOND)),
            SECOND..MINUTE => write!(f, "{}s", decimal(size, SECOND)),
            MINUTE..HOUR => write!(f, "{}m{}s", size / MINUTE, decimal(size % MINUTE, SECOND)),
            _ => {
                let (minutes, rest) = (size % HOUR / MINUTE, size % MINUTE);
                write!(f, "{}h{minutes}m{}s", size / HOUR, decimal(rest, SECOND))
            }
        }
    }
}

/// A number of units with as many decimals as it needs.
fn decimal(size: u64, unit: u64) -> String {
    let (whole, rest) = (size / unit, size % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let places = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0places$}").trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
