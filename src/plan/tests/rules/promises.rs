//! Properties of every verdict, over random volumes under random policies.

use std::collections::BTreeSet;

use agenttier_backup_plan::{
    Action, ActionKind, FAILED_AFTER, Fate, Foreign, Governance, HeldBack, Keep, LONGEST_NAME, Ownership,
    Policy, Protection, Readiness, Reason, RecoveryPoint, Retention, Slots, Verdict, Volume, VolumeUid,
    snapshot_name,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::world::{
    NOW, decide, every, failing, hours, judge, keeper, minutes, policy, seconds, slot_start, unready, volume,
    wanted_prunes, wanted_snapshot, with,
};

fn policies() -> impl Strategy<Value = Policy> {
    let intervals = prop_oneof![10_i64..600, 900_i64..100_000, 80_000_i64..3_000_000];
    (intervals, 0_i64..100_000, 0_i64..2_000_000, 0_u32..5).prop_map(
        |(interval, ready_timeout, max_age, keep_last)| Policy {
            interval: every(seconds(interval)),
            ready_timeout: seconds(ready_timeout),
            retention: Retention { keep_last, ..Retention::for_at_least(seconds(max_age)) },
            ..policy()
        },
    )
}

fn governances() -> impl Strategy<Value = Governance> {
    prop_oneof![
        1 => Just(Governance::Nobody),
        1 => Just(Governance::Held { policy: "p".into(), reason: Reason::PolicySuspended }),
        18 => policies().prop_map(Governance::By),
    ]
}

fn ownerships() -> impl Strategy<Value = Ownership> {
    prop_oneof![
        14 => Just(Ownership::Ours { volume: VolumeUid::new("s1") }),
        1 => Just(Ownership::Ours { volume: VolumeUid::new("a-namesake") }),
        1 => Just(Ownership::AgentTier),
        1 => Just(Ownership::Foreign(Foreign::Velero)),
    ]
}

/// A moment that some clock gave it, from far wrong to right.
fn other_clock() -> impl Strategy<Value = Option<SignedDuration>> {
    prop_oneof![
        3 => Just(None),
        3 => (0_i64..900).prop_map(Some),
        2 => (-100_000_i64..100_000).prop_map(Some),
        1 => (-3_000_000_i64..3_000_000).prop_map(Some),
    ]
    .prop_map(|offset| offset.map(SignedDuration::from_secs))
}

fn points() -> impl Strategy<Value = RecoveryPoint> {
    let age = prop_oneof![-300_i64..100_000, 0_i64..3_000_000];
    let rarely = || prop::bool::weighted(0.07);
    let storage = (other_clock(), prop::bool::weighted(0.75), prop::bool::weighted(0.4));
    (age, ownerships(), storage, other_clock(), rarely(), rarely(), rarely()).prop_map(
        |(age, ownership, (cut, ready, error), slot, terminating, pinned, read)| {
            let created = NOW - seconds(age);
            RecoveryPoint {
                ownership,
                slot: slot.map(|offset| created + offset),
                cut: cut.map(|offset| created + offset),
                ready,
                error: error.then(|| "the storage's own words".to_owned()),
                deleting_since: terminating.then_some(NOW),
                pinned,
                readers: read.then(|| "claim/reader".to_owned()).into_iter().collect(),
                ..unready(&volume("s1"), "to-be-named", created)
            }
        },
    )
}

/// Not Ready, and given up.
fn has_failed(point: &RecoveryPoint, policy: &Policy) -> bool {
    let age = NOW.duration_since(point.created);
    !point.ready && (age >= FAILED_AFTER || point.error.is_some() && age >= policy.ready_timeout)
}

fn volumes() -> impl Strategy<Value = Volume> {
    (prop::collection::vec(points(), 0..12), -100_i64..3_000_000).prop_map(|(mut points, age)| {
        for (n, point) in points.iter_mut().enumerate() {
            point.name = format!("p{n:02}");
            point.uid = format!("uid-{n}");
        }
        let volume = Volume { created: NOW - seconds(age), ..volume("s1") };
        with(volume, points)
    })
}

/// Ready points of this very volume that nobody deletes: what a restore can count on.
fn good(volume: &Volume) -> Vec<&RecoveryPoint> {
    let is_good = |point: &&RecoveryPoint| {
        point.ready
            && !point.terminating()
            && matches!(&point.ownership, Ownership::Ours { volume: of } if *of == volume.uid)
    };
    volume.points.iter().filter(is_good).collect()
}

/// How often the rules below had something to say.
#[derive(Debug, Default)]
struct Coverage {
    worlds: u32,
    deleting: u32,
    clearing: u32,
    taking: u32,
    protected: u32,
    overdue: u32,
    held: u32,
    with_pins: u32,
    with_strangers: u32,
}

impl Coverage {
    fn count(&mut self, volume: &Volume, verdict: &Verdict) {
        self.worlds += 1;
        self.deleting += u32::from(!wanted_prunes(verdict).is_empty());
        let is_failed = |name: &str| volume.points.iter().any(|point| point.name == name && !point.ready);
        self.clearing += u32::from(wanted_prunes(verdict).iter().any(|prune| is_failed(&prune.name)));
        self.taking += u32::from(wanted_snapshot(verdict).is_some());
        self.protected += u32::from(matches!(verdict.protection, Protection::Protected { .. }));
        self.overdue += u32::from(matches!(verdict.protection, Protection::Overdue { .. }));
        self.held += u32::from(matches!(verdict.protection, Protection::Unprotected { .. }));
        self.with_pins += u32::from(volume.points.iter().any(|point| point.pinned));
        self.with_strangers += u32::from(volume.points.iter().any(|point| !point.is_ours_of(&volume.uid)));
    }

    fn is_fair(&self) -> bool {
        let percent = |count: u32| 100 * count / self.worlds;
        percent(self.deleting) >= 20
            && percent(self.clearing) >= 10
            && percent(self.taking) >= 20
            && percent(self.protected) >= 10
            && percent(self.overdue) >= 10
            && percent(self.held) >= 5
            && percent(self.with_pins) >= 10
            && percent(self.with_strangers) >= 10
    }
}

#[test]
fn a_deletion_always_leaves_a_newer_good_point_and_spares_what_is_not_for_us() {
    let coverage = std::cell::RefCell::new(Coverage::default());
    TestRunner::new(ProptestConfig::with_cases(3000))
        .run(&(governances(), volumes()), |(governance, volume)| {
            let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
            coverage.borrow_mut().count(&volume, &verdict);
            let good = good(&volume);
            let age_order = |point: &RecoveryPoint| (point.created, point.name.clone());
            let newest = good.iter().max_by_key(|point| age_order(point));
            let pruned: BTreeSet<&str> =
                wanted_prunes(&verdict).iter().map(|prune| prune.name.as_str()).collect();

            for prune in wanted_prunes(&verdict) {
                let Governance::By(policy) = &governance else { panic!("{verdict:?}") };
                let point = volume.points.iter().find(|point| point.name == prune.name).unwrap();
                prop_assert!(point.is_ours_of(&volume.uid) && !point.terminating(), "{}", prune.name);
                prop_assert!(point.ready || has_failed(point, policy), "still on its way: {}", prune.name);
                prop_assert!(!point.pinned && point.readers.is_empty());
                prop_assert_eq!((&prune.uid, &prune.version), (&point.uid, &point.version));
                let keeper = good.iter().find(|good| good.uid == keeper(prune).uid);
                prop_assert!(keeper.is_some(), "the keeper is Ready, ours and not leaving");
                let keeper = keeper.unwrap();
                prop_assert!(age_order(keeper) > age_order(point), "and newer");
                prop_assert!(!pruned.contains(keeper.name.as_str()), "and stays itself");
                if !point.ready {
                    continue;
                }
                prop_assert!(NOW.duration_since(point.taken_at(NOW)) >= policy.retention.max_age);
                let newer = good.iter().filter(|other| age_order(other) > age_order(point)).count();
                prop_assert!(newer >= policy.retention.keep_last as usize);
            }
            if let Some(newest) = newest {
                prop_assert!(!pruned.contains(newest.name.as_str()), "the newest good point");
            }

            // The dual: what may go does go.
            if let Governance::By(policy) = &governance {
                let failed = volume.points.iter().filter(|point| {
                    point.is_ours_of(&volume.uid) && !point.terminating() && has_failed(point, policy)
                });
                for point in failed {
                    let outlived = newest.is_some_and(|newest| age_order(newest) > age_order(point));
                    let free = outlived && !point.pinned && point.readers.is_empty();
                    prop_assert_eq!(pruned.contains(point.name.as_str()), free, "{}", point.name);
                }
                let mut by_age = good.clone();
                by_age.sort_by_key(|point| std::cmp::Reverse(age_order(point)));
                for point in by_age.iter().skip(policy.retention.keep_last.max(1) as usize) {
                    let old = NOW.duration_since(point.taken_at(NOW)) >= policy.retention.max_age;
                    let free = old && !point.pinned && point.readers.is_empty();
                    prop_assert_eq!(pruned.contains(point.name.as_str()), free, "{}", point.name);
                }
            }
            Ok(())
        })
        .unwrap();
    let coverage = coverage.into_inner();
    assert!(coverage.is_fair(), "{coverage:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Between now and `wake` nothing changes but by an object: a controller that sleeps until then misses nothing.
    #[test]
    fn nothing_changes_before_wake(
        governance in governances(), volume in volumes(), fraction in 0.0_f64..1.0, later in 1_i64..10_000_000,
        fails in any::<bool>(),
    ) {
        let held = if fails {
            failing("s1", ActionKind::TakeSnapshot, Reason::Refused, NOW + seconds(10))
        } else {
            HeldBack::new()
        };
        let verdict = decide(NOW, &governance, &volume, &held);
        let then = match verdict.wake {
            Some(wake) => {
                prop_assert!(wake > NOW);
                let left = wake.duration_since(NOW);
                // The very last moment is the likeliest to be wrong.
                let last = wake - SignedDuration::from_nanos(1);
                prop_assert_eq!(&decide(last, &governance, &volume, &held), &verdict);
                (NOW + SignedDuration::from_secs_f64(left.as_secs_f64() * fraction)).min(last)
            }
            None => NOW + seconds(later),
        };
        prop_assert_eq!(decide(then, &governance, &volume, &held), verdict);
    }

    #[test]
    fn a_snapshot_is_wanted_only_for_an_uncovered_slot_with_nothing_in_flight(
        policy in policies(), volume in volumes(), names in prop::collection::btree_set(0_u32..4, 0..4),
    ) {
        let start = slot_start(&policy, &volume, NOW);
        let slot = Slots::of(&volume.uid, policy.interval).at(NOW);
        let name = |attempt: &u32| snapshot_name(&volume.claim, slot, *attempt);
        let volume = Volume { taken_names: std::sync::Arc::new(names.iter().map(name).collect()), ..volume.clone() };
        let verdict = judge(NOW, &policy, &volume);

        let live: Vec<_> =
            volume.points.iter().filter(|p| p.is_ours_of(&volume.uid) && !p.terminating()).collect();
        let in_flight = live.iter().any(|p| !p.ready && !has_failed(p, &policy));
        let believable = |p: &RecoveryPoint, at: Option<Timestamp>| {
            at.is_some_and(|at| start <= at && at <= NOW && p.created <= at && at <= p.created + FAILED_AFTER)
        };
        let of_slot = |p: &RecoveryPoint| p.created >= start || believable(p, p.cut) || believable(p, p.slot);
        let covered = live.iter().any(|p| !has_failed(p, &policy) && of_slot(p));
        let attempts: Vec<_> = live.iter().filter(|p| has_failed(p, &policy) && of_slot(p)).collect();
        let pausing = attempts.iter().map(|p| p.created).max().is_some_and(|last| {
            let pause = policy.ready_timeout * 2_i32.pow(u32::try_from(attempts.len()).unwrap() - 1);
            NOW.duration_since(last) < pause.min(FAILED_AFTER)
        });
        match wanted_snapshot(&verdict) {
            None => prop_assert!(in_flight || covered || pausing, "due, but not wanted"),
            Some(take) => {
                prop_assert!(!in_flight && !covered && !pausing);
                prop_assert_eq!(take.slot, slot);
                prop_assert!(!volume.taken_names.contains(&take.name) && take.name.len() <= LONGEST_NAME);
                let first_free = (0..5).find(|attempt| !names.contains(attempt)).unwrap();
                prop_assert_eq!(&take.name, &name(&first_free), "no attempt is left out");
                let newest = good(&volume).iter().map(|p| p.taken_at(NOW)).max();
                prop_assert_eq!(take.exposed_since, newest.unwrap_or(volume.created));
            }
        }
    }

    /// Doing what a verdict wants leaves nothing to do: a restart right after takes no extra snapshot.
    #[test]
    fn a_wish_once_granted_is_not_repeated(
        governance in governances(), mut volume in volumes(), lag in 0_i64..30, now_ready in any::<bool>(),
    ) {
        // A policy whose points are past their age before the next one is refused.
        let is_sound = |policy: &Policy| policy.retention.max_age >= policy.interval.duration();
        prop_assume!(!matches!(&governance, Governance::By(policy) if !is_sound(policy)));
        let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
        for prune in wanted_prunes(&verdict) {
            volume.points.iter_mut().find(|point| point.name == prune.name).unwrap().deleting_since = Some(NOW);
        }
        if let Some(take) = wanted_snapshot(&verdict) {
            // The API server's clock is a little behind.
            let mut point = unready(&volume, &take.name, NOW - seconds(lag));
            point.slot = Some(take.slot.start());
            point.ready = now_ready;
            volume = with(volume.clone(), [point]);
        }
        let again = decide(NOW, &governance, &volume, &HeldBack::new());
        prop_assert_eq!(wanted_snapshot(&again), None);
        // A new Ready one may make the one before it prunable; nothing else may be wanted.
        for prune in wanted_prunes(&again) {
            prop_assert!(now_ready && wanted_snapshot(&verdict).is_some(), "{}", prune.name);
        }
    }

    #[test]
    fn a_verdict_does_not_hang_on_the_order_of_points(governance in governances(), volume in volumes()) {
        let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
        let mut turned = volume.clone();
        turned.points.reverse();
        let mut again = decide(NOW, &governance, &turned, &HeldBack::new());
        let by_name = |a: &Action, b: &Action| {
            a.snapshot().cmp(b.snapshot())
        };
        again.wants.sort_by(by_name);
        let mut verdict = verdict;
        verdict.wants.sort_by(by_name);
        prop_assert_eq!(again, verdict);
    }

    #[test]
    fn protection_is_the_age_of_the_newest_good_point(policy in policies(), volume in volumes()) {
        let verdict = judge(NOW, &policy, &volume);
        let newest = good(&volume).iter().map(|point| point.taken_at(NOW)).max();
        let since = newest.unwrap_or(volume.created);
        let in_time = NOW.duration_since(since) < policy.objective();
        let shown = match verdict.protection {
            Protection::Protected { newest } => (true, Some(newest)),
            Protection::Awaited { by, .. } => {
                prop_assert_eq!(by, volume.created + policy.objective());
                (true, None)
            }
            Protection::Overdue { newest, .. } => (false, newest),
            _ => panic!("{verdict:?}"),
        };
        prop_assert_eq!(shown, (in_time, newest));
        let shown_ready = verdict.points.iter().filter(|p| p.ours && p.readiness == Readiness::Ready).count();
        prop_assert!(shown_ready >= good(&volume).len());
        let newest_kept = verdict.points.iter().filter(|p| p.fate == Fate::Keep(Keep::Newest));
        prop_assert_eq!(newest_kept.count(), usize::from(newest.is_some()));
    }
}

#[test]
fn moments_at_the_end_of_time_do_no_harm() {
    let policy = Policy {
        interval: every(hours(6)),
        ready_timeout: SignedDuration::MAX,
        retention: Retention { keep_last: u32::MAX, ..Retention::for_at_least(SignedDuration::MAX) },
        ..policy()
    };
    let mut odd = unready(&volume("s1"), "odd", Timestamp::MAX);
    odd.cut = Some(Timestamp::MIN);
    odd.slot = Some(Timestamp::MAX);
    let mut other = odd.clone();
    (other.name, other.created, other.ready) = ("other".into(), Timestamp::MIN, true);
    let volume = with(Volume { created: Timestamp::MAX, ..volume("s1") }, [odd, other]);
    for now in [NOW, Timestamp::MIN, Timestamp::MIN + minutes(1), Timestamp::MAX] {
        let verdict = judge(now, &policy, &volume);
        assert!(wanted_prunes(&verdict).is_empty(), "{now}");
    }
}
