//! After an error a volume is left alone for a while; a little longer each time.

use std::collections::BTreeMap;

use agenttier_backup_plan::{HeldBack, VolumeUid};
use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(5);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Errors in a row, per volume.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    errors: BTreeMap<VolumeUid, u32>,
    held: HeldBack,
}

impl Backoff {
    /// The volumes that are left alone, each until a moment of its own.
    pub(super) fn held(&self) -> &HeldBack {
        &self.held
    }

    pub(super) fn succeeded(&mut self, volume: &VolumeUid) {
        self.errors.remove(volume);
        self.held.remove(volume);
    }

    pub(super) fn failed(&mut self, now: Timestamp, volume: &VolumeUid) {
        let errors = self.errors.entry(volume.clone()).or_default();
        let pause = FIRST.saturating_mul(1 << (*errors).min(10)).min(LONGEST);
        *errors += 1;
        self.held.insert(volume.clone(), now.checked_add(pause).unwrap_or(Timestamp::MAX));
    }

    /// Forgets volumes that are no longer there.
    pub(super) fn keep_only(&mut self, exists: impl Fn(&VolumeUid) -> bool) {
        self.errors.retain(|volume, _| exists(volume));
        self.held.retain(|volume, _| exists(volume));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_end_with_a_success() {
        let (now, volume) = (Timestamp::UNIX_EPOCH, VolumeUid::new("v"));
        let mut backoff = Backoff::default();
        let mut pauses = vec![];
        for _ in 0..9 {
            backoff.failed(now, &volume);
            pauses.push(backoff.held()[&volume].as_second());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        backoff.succeeded(&volume);
        assert!(backoff.held().is_empty());
        backoff.failed(now, &volume);
        assert_eq!(backoff.held()[&volume].as_second(), 5);
        backoff.keep_only(|_| false);
        assert!(backoff.held().is_empty());
    }
}
