//! After an error a volume is left alone for a while; a little longer each time.

use std::collections::BTreeMap;

use agenttier_backup_plan::{Action, HeldBack, VolumeUid};
use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(5);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Errors in a row, per volume.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    errors: BTreeMap<VolumeUid, Errors>,
    held: HeldBack,
}

#[derive(Debug, Default)]
struct Errors {
    in_a_row: u32,
    /// The last one was of a prune. What goes well of the other kind proves nothing about it.
    of_a_prune: bool,
}

impl Backoff {
    /// The volumes that are left alone, each until a moment of its own.
    pub(super) fn held(&self) -> &HeldBack {
        &self.held
    }

    pub(super) fn succeeded(&mut self, action: &Action) {
        let volume = &action.volume().uid;
        if self.errors.get(volume).is_some_and(|errors| errors.of_a_prune == is_prune(action)) {
            self.errors.remove(volume);
            self.held.remove(volume);
        }
    }

    pub(super) fn failed(&mut self, now: Timestamp, action: &Action) {
        let volume = &action.volume().uid;
        let errors = self.errors.entry(volume.clone()).or_default();
        let pause = FIRST.saturating_mul(1 << errors.in_a_row.min(10)).min(LONGEST);
        *errors = Errors { in_a_row: errors.in_a_row + 1, of_a_prune: is_prune(action) };
        self.held.insert(volume.clone(), now.checked_add(pause).unwrap_or(Timestamp::MAX));
    }

    /// Forgets volumes that are no longer there.
    pub(super) fn keep_only(&mut self, exists: impl Fn(&VolumeUid) -> bool) {
        self.errors.retain(|volume, _| exists(volume));
        self.held.retain(|volume, _| exists(volume));
    }
}

fn is_prune(action: &Action) -> bool {
    matches!(action, Action::Prune(_))
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::{Keeper, Prune, VolumeId};

    use super::*;

    fn prune() -> Action {
        Action::Prune(Prune {
            volume: VolumeId { namespace: "n".into(), claim: "c".into(), uid: VolumeUid::new("v") },
            name: "old".into(),
            uid: "old-uid".into(),
            version: "1".into(),
            keeper: Keeper { name: "new".into(), uid: "new-uid".into() },
        })
    }

    #[test]
    fn pauses_grow_to_five_minutes_and_end_with_a_success() {
        let (now, action) = (Timestamp::UNIX_EPOCH, prune());
        let mut backoff = Backoff::default();
        let mut pauses = vec![];
        for _ in 0..9 {
            backoff.failed(now, &action);
            pauses.push(backoff.held()[&action.volume().uid].as_second());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        backoff.succeeded(&action);
        assert!(backoff.held().is_empty());
        backoff.failed(now, &action);
        assert_eq!(backoff.held()[&action.volume().uid].as_second(), 5);
        backoff.keep_only(|_| false);
        assert!(backoff.held().is_empty());
    }
}
