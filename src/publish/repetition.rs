//! What was said a moment ago is not said again.

use std::collections::BTreeMap;

use agenttier_backup_plan::VolumeUid;
use jiff::{SignedDuration, Timestamp};

/// The same is said of the same volume at most once in this time.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Failures that were announced lately.
#[derive(Debug, Default)]
pub struct Repetition {
    said: BTreeMap<(VolumeUid, &'static str), Timestamp>,
}

impl Repetition {
    /// Whether this failure is to be announced: it has not been within the hour.
    pub fn is_news(&mut self, now: Timestamp, volume: &VolumeUid, reason: &'static str) -> bool {
        let is_news = !self.was_said(now, volume, reason);
        if is_news {
            self.said.insert((volume.clone(), reason), now);
        }
        is_news
    }

    /// Whether it has been announced within the hour.
    #[must_use]
    pub fn was_said(&self, now: Timestamp, volume: &VolumeUid, reason: &'static str) -> bool {
        self.said.get(&(volume.clone(), reason)).is_some_and(|last| is_fresh(now, *last))
    }

    /// Should it come again, it is news.
    pub fn is_over(&mut self, volume: &VolumeUid, reason: &'static str) {
        self.said.remove(&(volume.clone(), reason));
    }

    /// Forgets what was said longer ago.
    pub fn forget(&mut self, now: Timestamp) {
        self.said.retain(|_, at| is_fresh(now, *at));
    }
}

fn is_fresh(now: Timestamp, at: Timestamp) -> bool {
    now.duration_since(at) < AT_MOST_EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_of_the_same_volume_is_news_once_an_hour() {
        let start = Timestamp::UNIX_EPOCH;
        let later = |minutes| start + SignedDuration::from_mins(minutes);
        let (a, b) = (VolumeUid::new("a"), VolumeUid::new("b"));
        let mut repetition = Repetition::default();
        assert!(repetition.is_news(start, &a, "QuotaExceeded"));
        assert!(!repetition.is_news(later(59), &a, "QuotaExceeded"));
        assert!(repetition.is_news(later(59), &a, "Forbidden"));
        assert!(repetition.is_news(later(59), &b, "QuotaExceeded"));
        assert!(
            repetition.is_news(later(60), &a, "QuotaExceeded"),
            "an hour after it was said, not asked for"
        );
        assert!(repetition.was_said(later(60), &a, "QuotaExceeded"));
        assert!(!repetition.was_said(later(60), &a, "NoAnswer"));
        repetition.is_over(&a, "Forbidden");
        assert!(repetition.is_news(later(60), &a, "Forbidden"), "it has come again");
        repetition.is_over(&a, "Forbidden");
        repetition.forget(later(119));
        assert_eq!(repetition.said.len(), 1);
        repetition.forget(later(120));
        assert!(repetition.said.is_empty());
    }
}
