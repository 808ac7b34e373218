//! Who leads: the decision behind the Lease.
//!
//! As client-go's leader election has it: a candidate never compares its own clock with another's. It watches
//! the Lease's record for a change, and takes over when the record has stood still for the whole duration by its
//! own monotonic clock. A leader that could not renew within the deadline steps down before anybody else may
//! take over.
//!
//! Source: k8s.io/client-go `tools/leaderelection`.

use std::time::Duration;

/// How long a Lease holds, how soon a leader gives up, and how often it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A record that has stood still for this long may be taken over.
    pub duration: Duration,
    /// A leader that has not renewed for this long steps down; shorter than the duration.
    pub renew_deadline: Duration,
    /// Between two renewals.
    pub retry: Duration,
    /// Between two looks of a candidate at a Lease that another one holds: so much later than it might, at most, it
    /// takes over from one that has died.
    pub look: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(30),
            renew_deadline: Duration::from_secs(20),
            retry: Duration::from_secs(10),
            look: Duration::from_secs(3),
        }
    }
}

/// A moment by a monotonic clock of the process: time since its start. It goes on while the process is frozen.
pub type Uptime = Duration;

/// The Lease as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; `None` when it was given back.
    pub holder: Option<String>,
    /// Changes with every write.
    pub version: String,
    /// How long the holder asked for.
    pub duration: Duration,
}

/// What a candidate has seen of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record; `None` when there is no Lease.
    pub record: Option<Record>,
    /// Since when it has stood like this, as far as this candidate can tell.
    pub since: Uptime,
}

impl Seen {
    /// Takes in another reading: only a change moves the clock.
    #[must_use]
    pub fn and_now(self, record: Option<Record>, now: Uptime) -> Self {
        if self.record == record { self } else { Self { record, since: now } }
    }
}

/// What a candidate does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStep {
    /// Write the Lease with its own name: it is free, or its holder has gone silent.
    Acquire,
    /// Write it again.
    Renew,
    /// Look again at this moment.
    Wait(Uptime),
    /// It leads no longer: it was too late, or another one holds the Lease.
    StepDown,
}

/// Decides for the candidate `me`; `renewed` is when the last write of its that made it leader *began*.
#[must_use]
pub fn lease_step(
    times: &LeaseTimes,
    me: &str,
    seen: &Seen,
    renewed: Option<Uptime>,
    now: Uptime,
) -> LeaseStep {
    let holder = seen.record.as_ref().and_then(|record| record.holder.as_deref());
    if let Some(renewed) = renewed {
        return match () {
            () if now >= renewed + times.renew_deadline || holder != Some(me) => LeaseStep::StepDown,
            () if now >= renewed + times.retry => LeaseStep::Renew,
            () => LeaseStep::Wait(renewed + times.retry),
        };
    }
    let silent_at = match (&seen.record, holder) {
        (Some(record), Some(holder)) if holder != me => seen.since + record.duration,
        // Nobody's, or our own from before: a name is of one process only.
        _ => return LeaseStep::Acquire,
    };
    if now >= silent_at { LeaseStep::Acquire } else { LeaseStep::Wait(silent_at.min(now + times.look)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMES: LeaseTimes = LeaseTimes {
        duration: Duration::from_secs(30),
        renew_deadline: Duration::from_secs(20),
        retry: Duration::from_secs(10),
        look: Duration::from_secs(3),
    };

    fn at(seconds: u64) -> Uptime {
        Duration::from_secs(seconds)
    }

    fn held_by(holder: &str, version: u32, since: u64) -> Seen {
        let record = Record { holder: Some(holder.into()), version: version.to_string(), duration: at(30) };
        Seen { record: Some(record), since: at(since) }
    }

    /// For example when the answer to the write that made it leader was lost.
    #[test]
    fn what_is_in_its_own_name_is_taken_at_once() {
        assert_eq!(lease_step(&TIMES, "me", &held_by("me", 1, 100), None, at(101)), LeaseStep::Acquire);
        let of_another = lease_step(&TIMES, "me", &held_by("other", 1, 100), None, at(101));
        assert_eq!(of_another, LeaseStep::Wait(at(104)));
    }

    #[test]
    fn takes_what_is_free_and_waits_for_what_is_not() {
        let free = Seen { record: None, since: at(0) };
        assert_eq!(lease_step(&TIMES, "a", &free, None, at(5)), LeaseStep::Acquire);
        let given_back = Record { holder: None, version: "2".into(), duration: at(30) };
        let given_back = Seen { record: Some(given_back), since: at(5) };
        assert_eq!(lease_step(&TIMES, "a", &given_back, None, at(5)), LeaseStep::Acquire);
        let held = held_by("b", 1, 5);
        assert_eq!(lease_step(&TIMES, "a", &held, None, at(6)), LeaseStep::Wait(at(9)));
        assert_eq!(lease_step(&TIMES, "a", &held, None, at(33)), LeaseStep::Wait(at(35)));
        assert_eq!(lease_step(&TIMES, "a", &held, None, at(35)), LeaseStep::Acquire);
    }

    #[test]
    fn a_record_that_moves_is_alive() {
        let seen = held_by("b", 1, 5).and_now(held_by("b", 2, 0).record, at(20));
        assert_eq!(seen.since, at(20));
        let same = seen.clone().and_now(seen.record.clone(), at(30));
        assert_eq!(same, seen);
    }

    #[test]
    fn a_leader_renews_and_steps_down_in_time() {
        let mine = held_by("a", 1, 0);
        assert_eq!(lease_step(&TIMES, "a", &mine, Some(at(100)), at(105)), LeaseStep::Wait(at(110)));
        assert_eq!(lease_step(&TIMES, "a", &mine, Some(at(100)), at(110)), LeaseStep::Renew);
        assert_eq!(lease_step(&TIMES, "a", &mine, Some(at(100)), at(120)), LeaseStep::StepDown);
        let robbed = held_by("b", 2, 101);
        assert_eq!(lease_step(&TIMES, "a", &robbed, Some(at(100)), at(102)), LeaseStep::StepDown);
    }

    /// One candidate of the play below.
    #[derive(Clone)]
    struct Candidate {
        seen: Seen,
        renewed: Option<Uptime>,
        awake_at: u64,
    }

    proptest! {
        /// A leader dies at any time, with a candidate beside it that looks at any time: even when it has looked just
        /// before the last renewal, it takes over within the duration and five seconds.
        #[test]
        fn a_dead_leader_is_succeeded_in_time(dies in 0_u64..100_000, first_look in 0_u64..100_000) {
            let moment = Duration::from_millis;
            let mut now = moment(first_look);
            let mut seen = Seen { record: None, since: now };
            loop {
                // It renews at 0 s, 10 s, 20 s, … while it lives.
                let renewals = now.min(moment(dies)).as_secs() / TIMES.retry.as_secs();
                let version = u32::try_from(renewals).expect("few");
                seen = seen.and_now(held_by("leader", version, 0).record, now);
                match lease_step(&TIMES, "candidate", &seen, None, now) {
                    LeaseStep::Wait(until) => now = until,
                    step => {
                        prop_assert_eq!(step, LeaseStep::Acquire);
                        break;
                    }
                }
            }
            prop_assert!(now >= moment(dies), "it was alive at {:?}", now);
            let began = moment(dies.max(first_look));
            prop_assert!(now <= began + TIMES.duration + at(5), "{:?} after {:?}", now, began);
        }

        /// Two candidates, a Lease with optimistic locking, freezes and lost looks at any time: there is never a
        /// moment at which both may write.
        #[test]
        fn never_two_leaders(events in prop::collection::vec((0_usize..2, 1_u64..9, prop::bool::weighted(0.1), 1_u64..90), 1..400)) {
            let mut lease: Option<Record> = None;
            let mut version = 0_u32;
            let blank = Candidate { seen: Seen { record: None, since: at(0) }, renewed: None, awake_at: 0 };
            let mut all = [blank.clone(), blank];
            let mut led = [false, false];
            let mut now = 0;
            for (who, pause, freezes, for_long) in events {
                now += pause;
                if all[who].awake_at > now {
                    continue;
                }
                let me = ["a", "b"][who];
                let candidate = &mut all[who];
                candidate.seen = candidate.seen.clone().and_now(lease.clone(), at(now));
                let step = lease_step(&TIMES, me, &candidate.seen, candidate.renewed, at(now));
                match step {
                    LeaseStep::Acquire | LeaseStep::Renew => {
                        // The write is decided here; it may reach the server only after a freeze.
                        let begun = now;
                        let read = candidate.seen.record.clone();
                        let lands = if freezes { begun + for_long } else { begun };
                        candidate.awake_at = lands;
                        if read == lease {
                            version += 1;
                            let record = Record { holder: Some(me.into()), version: version.to_string(), duration: at(30) };
                            lease = Some(record.clone());
                            candidate.renewed = Some(at(begun));
                            candidate.seen = Seen { record: Some(record), since: at(begun) };
                            led[who] = true;
                        } else {
                            candidate.renewed = None;
                        }
                    }
                    LeaseStep::StepDown => candidate.renewed = None,
                    LeaseStep::Wait(until) => {
                        prop_assert!(until > at(now), "a wait ends later");
                        if freezes { candidate.awake_at = now + for_long; }
                    }
                }
                let may_write = |candidate: &Candidate| {
                    candidate.renewed.is_some_and(|renewed| at(now) < renewed + TIMES.renew_deadline)
                };
                prop_assert!(!(may_write(&all[0]) && may_write(&all[1])), "two leaders at {now}");
            }
            prop_assume!(led[0] || led[1]);
        }
    }
}
