//! Switches that a live read did not prove: each is read anew after a while, a little longer each time.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::VolumeUid;
use jiff::{SignedDuration, Timestamp};

/// A Sandbox that is being started has mostly settled by then.
const FIRST: SignedDuration = SignedDuration::from_secs(5);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Failed proofs in a row, per volume, and when the next one may be tried.
#[derive(Debug, Default)]
pub(super) struct Unproved(BTreeMap<VolumeUid, (u32, Timestamp)>);

impl Unproved {
    /// Whether it is too early to read again.
    pub(super) fn waits(&self, now: Timestamp, volume: &VolumeUid) -> bool {
        self.0.get(volume).is_some_and(|(_, until)| now < *until)
    }

    pub(super) fn failed(&mut self, now: Timestamp, volume: &VolumeUid) {
        let (in_a_row, until) = self.0.entry(volume.clone()).or_insert((0, now));
        let pause = FIRST.saturating_mul(1 << (*in_a_row).min(10)).min(LONGEST);
        *in_a_row += 1;
        *until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
    }

    /// It was proved, or there is nothing to prove any more.
    pub(super) fn is_over(&mut self, volume: &VolumeUid) {
        self.0.remove(volume);
    }

    /// Forgets volumes that are no longer there.
    pub(super) fn keep_only(&mut self, there: &BTreeSet<&VolumeUid>) {
        self.0.retain(|volume, _| there.contains(volume));
    }

    /// When the first of those that wait may be tried again.
    pub(super) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().map(|(_, until)| *until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_proved_is_left_alone_for_longer_and_longer() {
        let start = Timestamp::UNIX_EPOCH;
        let (a, b) = (VolumeUid::new("a"), VolumeUid::new("b"));
        let mut unproved = Unproved::default();
        assert_eq!((unproved.waits(start, &a), unproved.wake(start)), (false, None));
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            unproved.failed(now, &a);
            let until = unproved.wake(now).expect("it is tried again");
            assert!(unproved.waits(now, &a) && !unproved.waits(until, &a) && !unproved.waits(now, &b));
            pauses.push(until.duration_since(now).as_secs());
            assert_eq!(unproved.wake(until), None, "what is due wakes nobody again");
            now = until;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        unproved.is_over(&a);
        unproved.failed(now, &a);
        assert_eq!(unproved.wake(now), Some(now + FIRST), "it begins anew");
        unproved.keep_only(&BTreeSet::from([&b]));
        assert_eq!(unproved.wake(now), None);
    }
}
