//! How long what failed is left alone.

use jiff::SignedDuration;

use super::Failure;

const FIRST: SignedDuration = SignedDuration::from_secs(5);

/// What a failure is due to, and so how long it may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The API server cannot be reached, or serves nobody.
    Outage,
    /// A missing right comes back when somebody gives it; asking for it meanwhile is load for nothing.
    Right,
    /// The object itself, or its namespace.
    Object,
}

impl Cause {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::NoAnswer | Failure::Unavailable(_) => Self::Outage,
            Failure::Forbidden(_) => Self::Right,
            Failure::KeeperUnfit { .. }
            | Failure::StillThere(_)
            | Failure::NameTaken
            | Failure::Changed
            | Failure::NotLeading(_)
            | Failure::QuotaExceeded(_)
            | Failure::NamespaceTerminating(_)
            | Failure::RecordTooLarge { .. }
            | Failure::Refused(_) => Self::Object,
        }
    }

    fn longest_pause(self) -> SignedDuration {
        match self {
            Self::Outage => SignedDuration::from_secs(30),
            Self::Right => SignedDuration::from_hours(1),
            Self::Object => SignedDuration::from_mins(5),
        }
    }
}

/// Failures in a row, of one cause. How long an outage was says nothing of what fails for another cause after it: an API
/// server that just started refuses everything until it has read who has which rights.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row {
    of: Option<(Cause, u32)>,
}

impl Row {
    /// Notes one more; returns for how long to leave alone what failed.
    pub fn failed(&mut self, failure: &Failure) -> SignedDuration {
        let cause = Cause::of(failure);
        let before = self.of.filter(|(of, _)| *of == cause).map_or(0, |(_, before)| before);
        self.of = Some((cause, before + 1));
        FIRST.saturating_mul(1 << before.min(10)).min(cause.longest_pause())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(row: &mut Row, failure: &Failure, times: usize) -> Vec<i64> {
        std::iter::repeat_with(|| row.failed(failure).as_secs()).take(times).collect()
    }

    #[test]
    fn they_grow_to_what_suits_the_cause() {
        let full = Failure::QuotaExceeded("full".into());
        assert_eq!(pauses(&mut Row::default(), &full, 9), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        let forbidden = Failure::Forbidden("no".into());
        assert_eq!(pauses(&mut Row::default(), &forbidden, 12)[8..], [1280, 2560, 3600, 3600]);
    }

    #[test]
    fn after_an_outage_nothing_waits_long() {
        let mut row = Row::default();
        let unavailable = Failure::Unavailable("etcd is gone".into());
        assert_eq!(pauses(&mut row, &unavailable, 5), [5, 10, 20, 30, 30]);
        assert_eq!(pauses(&mut row, &Failure::NoAnswer, 1), [30], "the same outage");
        assert_eq!(pauses(&mut row, &Failure::Forbidden("not read yet".into()), 2), [5, 10]);
        assert_eq!(pauses(&mut row, &unavailable, 1), [5]);
    }
}
