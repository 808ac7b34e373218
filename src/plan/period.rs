//! Lengths of time as people write them.

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// Reads a length of time such as `15m`, `6h`, `14d` or `1h30m`; a day has 24 hours, a week 7 days. `None` for
/// anything else, and for nothing or less.
#[must_use]
pub fn read_period(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (duration > SignedDuration::ZERO).then_some(duration)
}
