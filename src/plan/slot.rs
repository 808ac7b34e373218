//! Slots: when a volume's turn comes.
//!
//! Time is cut into slots of one interval each. Every volume has an offset of its own, hashed from its UID,
//! so that a thousand volumes do not start in the same second, and so that no state is needed to know whose
//! turn it is: restarts and changes of leader see the same slots.

use jiff::Timestamp;
use serde::Serialize;

use crate::hash::stable_hash;
use crate::{Interval, VolumeUid};

/// One slot of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Slot {
    start: Timestamp,
}

impl Slot {
    /// One that begins at this moment, outside the volume's own: of a point that somebody asked for.
    #[must_use]
    pub fn beginning(at: Timestamp) -> Self {
        Self { start: Timestamp::from_second(at.as_second()).unwrap_or(at) }
    }

    /// When it starts; whole seconds.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.start
    }
}

/// The slots of one volume under one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    interval: i64,
    offset: i64,
}

impl Slots {
    /// The slots of the volume with this UID.
    #[must_use]
    pub fn of(volume: &VolumeUid, interval: Interval) -> Self {
        let seconds = interval.seconds();
        let offset = stable_hash(volume.as_str()) % seconds.unsigned_abs();
        Self { interval: seconds, offset: offset.cast_signed() }
    }

    /// The slot that `now` lies in.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Slot {
        let seconds = now.as_second();
        // A time before year -9999 cannot be written; the earliest one stands for it.
        let start = seconds - (seconds - self.offset).rem_euclid(self.interval);
        Slot { start: Timestamp::from_second(start).unwrap_or(Timestamp::MIN) }
    }

    /// When the slot after the one of `now` starts.
    #[must_use]
    pub fn next_start(self, now: Timestamp) -> Timestamp {
        let next = self.at(now).start.as_second().saturating_add(self.interval);
        Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn interval(seconds: i64) -> Interval {
        Interval::new(SignedDuration::from_secs(seconds)).expect("a fair interval")
    }

    /// Vectors: recovery points of every release are named by these numbers. Computed apart from this code, from
    /// `sha256sum`.
    #[test]
    fn offsets_never_change() {
        for (uid, seconds, start) in [
            ("abc", 21_600, 1_699_981_674),
            ("7f3e6c1a-0d8e-4f6e-9a55-0c1f6a1d2b3c", 21_600, 1_699_986_744),
            ("7f3e6c1a-0d8e-4f6e-9a55-0c1f6a1d2b3c", 900, 1_699_999_344),
        ] {
            let now = Timestamp::from_second(1_700_000_000).expect("a time");
            let slot = Slots::of(&VolumeUid::new(uid), interval(seconds)).at(now);
            assert_eq!(slot.start().as_second(), start, "{uid} every {seconds} s");
        }
    }

    proptest! {
        #[test]
        fn slots_tile_time(uid in "[a-z0-9-]{1,36}", seconds in 10_i64..10_000_000, at in -1_000_000_i64..4_000_000_000) {
            let slots = Slots::of(&VolumeUid::new(uid), interval(seconds));
            let now = Timestamp::from_second(at).expect("a time");
            let slot = slots.at(now);
            prop_assert!(slot.start() <= now && now < slots.next_start(now));
            prop_assert_eq!(slots.next_start(now).as_second() - slot.start().as_second(), seconds);
            prop_assert_eq!(slots.at(slot.start()), slot);
            prop_assert_eq!(slots.at(slots.next_start(now)).start(), slots.next_start(now));
        }
    }
}
