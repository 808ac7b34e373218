//! What suspends deletions is told once it lasts: a blink of a watch is not worth a word.

use std::time::{Duration, Instant};

use agenttier_backup_plan::Suspension;

/// So long it has to last.
const LASTING: Duration = Duration::from_secs(15);

/// What suspends deletions, and since when.
#[derive(Debug, Default)]
pub(super) struct Notice {
    seen: Vec<(Instant, Suspension)>,
    told: Vec<Suspension>,
}

impl Notice {
    /// Takes note of what suspends deletions at `now`, and says in the log what has come to last and that it is over.
    pub(super) fn take(&mut self, now: Instant, suspensions: &[Suspension]) {
        let since = |new: &Suspension| {
            let known = self.seen.iter().find(|(_, old)| old.is_of_same_cause(new));
            known.map_or(now, |(since, _)| *since)
        };
        self.seen = suspensions.iter().map(|suspension| (since(suspension), suspension.clone())).collect();
        let lasting: Vec<Suspension> = self
            .seen
            .iter()
            .filter(|(since, _)| now.saturating_duration_since(*since) >= LASTING)
            .map(|(_, suspension)| suspension.clone())
            .collect();
        for new in &lasting {
            if !self.told.iter().any(|told| told.is_of_same_cause(new)) {
                tracing::warn!(reason = %new.reason(), "deletions are suspended: {new}");
            }
        }
        if lasting.is_empty() && !self.told.is_empty() {
            tracing::info!("deletions are no longer suspended");
        }
        self.told = lasting;
    }

    /// What has lasted long enough to be told.
    pub(super) fn told(&self) -> &[Suspension] {
        &self.told
    }

    /// In how long the next one is to be told.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let left = self.seen.iter().map(|(since, _)| (*since + LASTING).saturating_duration_since(now));
        left.filter(|left| !left.is_zero()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale(cause: &str) -> Suspension {
        Suspension::StaleCache { kind: "namespaces".into(), cause: cause.into() }
    }

    #[test]
    fn only_what_lasts_is_told() {
        let start = Instant::now();
        let mut notice = Notice::default();
        notice.take(start, &[stale("no answer")]);
        assert_eq!((notice.told(), notice.next(start)), (&[][..], Some(LASTING)));
        notice.take(start + LASTING / 2, &[stale("forbidden"), Suspension::ClockUnknown]);
        assert_eq!((notice.told(), notice.next(start + LASTING / 2)), (&[][..], Some(LASTING / 2)));
        notice.take(start + LASTING, &[stale("forbidden"), Suspension::ClockUnknown]);
        assert_eq!(notice.told(), [stale("forbidden")], "in its last words, counted from the first");
        assert_eq!(notice.next(start + LASTING), Some(LASTING / 2));
        notice.take(start + LASTING * 2, &[]);
        assert_eq!((notice.told(), notice.next(start + LASTING * 2)), (&[][..], None));
        notice.take(start + LASTING * 2, &[stale("forbidden")]);
        assert_eq!(notice.told(), [], "it begins anew");
    }
}
