//! What failed is left alone for a while; a little longer each time.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::{Action, ActionKind, HeldBack, Reason, Setback, Verdict, VolumeUid};
use jiff::Timestamp;

use crate::act::{Failure, Row};

/// What is left alone.
pub(super) type Key = (VolumeUid, ActionKind);

/// Errors in a row, per volume and kind of order: what goes well of one kind proves nothing about the other.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    errors: BTreeMap<Key, Errors>,
    held: HeldBack,
}

#[derive(Debug)]
struct Errors {
    row: Row,
    /// The pass of the last one.
    pass: Timestamp,
}

impl Backoff {
    /// What is left alone, each until a moment of its own, and why.
    pub(super) fn held(&self) -> &HeldBack {
        &self.held
    }

    /// Notes a success. Of other recovery points of the volume whose orders failed it says nothing, but that theirs is
    /// a trouble of their own.
    pub(super) fn succeeded(&mut self, action: &Action) {
        let key = key(action);
        if let (Some(point), Some(setback)) = (action.point(), self.held.get_mut(&key)) {
            setback.failed.remove(point);
            setback.others_succeed = true;
            if !setback.failed.is_empty() {
                return;
            }
        }
        self.succeeded_with(&key);
    }

    /// Whether it had failed before.
    pub(super) fn succeeded_with(&mut self, key: &Key) -> bool {
        self.errors.remove(key);
        self.held.remove(key).is_some()
    }

    /// Notes a failure in the pass that began at `pass`. Several of one kind and volume in one pass are one: ten
    /// recovery points that may not be deleted show no more than one does.
    pub(super) fn failed(&mut self, now: Timestamp, pass: Timestamp, action: &Action, failure: &Failure) {
        let key = key(action);
        self.failed_with(now, pass, key.clone(), failure);
        if let (Some(point), Some(setback)) = (action.point(), self.held.get_mut(&key))
            && setback.failed.insert(point.to_owned(), now).is_none()
        {
            // It is not the old ones alone.
            setback.others_succeed = false;
        }
    }

    pub(super) fn failed_with(&mut self, now: Timestamp, pass: Timestamp, key: Key, failure: &Failure) {
        let errors =
            self.errors.entry(key.clone()).or_insert(Errors { row: Row::default(), pass: Timestamp::MIN });
        if errors.pass == pass {
            return;
        }
        errors.pass = pass;
        let pause = errors.row.failed(failure);
        let reason = Reason::named(failure.reason());
        let message = failure.to_string();
        let until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        match self.held.get_mut(&key) {
            Some(setback) => {
                setback.reason = reason;
                setback.message = message;
                setback.until = until;
            }
            None => {
                self.held.insert(key, Setback::new(reason, message, now, until));
            }
        }
    }

    /// Forgets what is of no matter any more, as the verdicts on all volumes say.
    pub(super) fn keep_only(&mut self, verdicts: &[Verdict]) {
        let mut matter: BTreeSet<Key> = BTreeSet::new();
        for verdict in verdicts {
            matter.extend(verdict.setbacks.keys().map(|kind| (verdict.volume.uid.clone(), *kind)));
        }
        self.errors.retain(|key, _| matter.contains(key));
        self.held.retain(|key, _| matter.contains(key));
    }
}

fn key(action: &Action) -> Key {
    (action.volume().uid.clone(), action.kind())
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::{
        Interval, Keeper, Prune, Retention, Safety, Slots, Spent, TakeSnapshot, VolumeId,
    };

    use jiff::SignedDuration;

    use super::*;

    fn volume() -> VolumeId {
        VolumeId { namespace: "n".into(), claim: "c".into(), uid: VolumeUid::new("v") }
    }

    fn prune() -> Action {
        prune_of("old")
    }

    fn prune_of(point: &str) -> Action {
        Action::Prune(Prune {
            volume: volume(),
            name: point.into(),
            uid: format!("{point}-uid"),
            version: "1".into(),
            taken_at: Timestamp::UNIX_EPOCH,
            reason: Spent::PastRetention,
            early: false,
            safety: Safety::Keeper(Keeper { name: "new".into(), uid: "new-uid".into() }),
        })
    }

    fn take() -> Action {
        let interval = Interval::new(SignedDuration::from_hours(6)).expect("a fair interval");
        Action::TakeSnapshot(TakeSnapshot {
            volume: volume(),
            name: "new".into(),
            slot: Slots::of(&volume().uid, interval).at(Timestamp::UNIX_EPOCH),
            class: None,
            sandbox: None,
            policy: "default".into(),
            retention: Retention::for_at_least(SignedDuration::from_hours(24)),
            at_rest_since: None,
            after_switch: false,
            hidden_from_agenttier: false,
            exposed_since: Timestamp::UNIX_EPOCH,
        })
    }

    /// The pauses, in seconds, after so many failures in a row, each in a pass of its own.
    fn pauses(backoff: &mut Backoff, action: &Action, failure: &Failure, times: i64) -> Vec<i64> {
        let pause = |n| {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(n);
            backoff.failed(now, now, action, failure);
            backoff.held()[&key(action)].until.duration_since(now).as_secs()
        };
        (0..times).map(pause).collect()
    }

    #[test]
    fn pauses_grow_and_end_with_a_success() {
        let action = prune();
        let mut backoff = Backoff::default();
        let full = Failure::QuotaExceeded("full".into());
        assert_eq!(pauses(&mut backoff, &action, &full, 3), [5, 10, 20]);
        assert_eq!(backoff.held()[&key(&action)].since, Timestamp::UNIX_EPOCH, "the first of them");
        backoff.succeeded(&action);
        assert!(backoff.held().is_empty());
        assert_eq!(pauses(&mut backoff, &action, &full, 1), [5]);
        backoff.keep_only(&[]);
        assert!(backoff.held().is_empty());
        assert_eq!(pauses(&mut backoff, &action, &full, 1), [5]);
    }

    #[test]
    fn many_failures_of_one_pass_are_one() {
        let (now, action) = (Timestamp::UNIX_EPOCH, prune());
        let mut backoff = Backoff::default();
        for n in 0..10 {
            backoff.failed(now + SignedDuration::from_secs(n), now, &action, &Failure::NoAnswer);
        }
        assert_eq!(backoff.held()[&key(&action)].until, now + SignedDuration::from_secs(5));
    }

    #[test]
    fn one_recovery_point_that_stays_holds_back_no_other() {
        let (now, second) = (Timestamp::UNIX_EPOCH, SignedDuration::from_secs(1));
        let (a, b, c) = (prune_of("a"), prune_of("b"), prune_of("c"));
        let mut backoff = Backoff::default();
        let held = |backoff: &Backoff| {
            let setback = backoff.held().get(&key(&a))?;
            Some((setback.others_succeed, setback.failed.keys().cloned().collect::<Vec<_>>().concat()))
        };
        backoff.failed(now, now, &a, &Failure::Refused("kept".into()));
        assert_eq!(held(&backoff), Some((false, "a".into())), "who knows what it is due to");
        backoff.succeeded(&b);
        assert_eq!(held(&backoff), Some((true, "a".into())));
        backoff.failed(now + second, now + second, &a, &Failure::Refused("kept".into()));
        assert_eq!(held(&backoff), Some((true, "a".into())), "nothing new");
        assert_eq!(backoff.held()[&key(&a)].since, now);
        backoff.failed(now + second, now + second, &c, &Failure::Refused("kept".into()));
        assert_eq!(held(&backoff), Some((false, "ac".into())), "it may be all of them by now");
        backoff.succeeded(&c);
        backoff.succeeded(&a);
        assert_eq!(held(&backoff), None);
    }

    #[test]
    fn what_goes_well_of_one_kind_proves_nothing_of_the_other() {
        let now = Timestamp::UNIX_EPOCH;
        let mut backoff = Backoff::default();
        backoff.failed(now, now, &prune(), &Failure::Forbidden("no".into()));
        assert!(!backoff.held().contains_key(&key(&take())), "snapshots go on");
        backoff.succeeded(&take());
        assert_eq!(backoff.held()[&key(&prune())].reason, Reason::Forbidden);
    }

    /// A policy's status and `plan` name it.
    #[test]
    fn every_failure_has_a_name_that_the_planner_knows() {
        let text = String::new;
        for failure in [
            Failure::KeeperUnfit { keeper: text(), state: "gone" },
            Failure::NameTaken,
            Failure::Changed,
            Failure::QuotaExceeded(text()),
            Failure::Forbidden(text()),
            Failure::NamespaceTerminating(text()),
            Failure::RecordTooLarge { size: 0 },
            Failure::Refused(text()),
            Failure::NoAnswer,
            Failure::Unavailable(text()),
        ] {
            assert_eq!(Reason::named(failure.reason()).to_string(), failure.reason());
        }
    }
}
