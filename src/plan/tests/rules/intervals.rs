//! Changes of the interval: whatever it was, one snapshot a slot, none missing and none too many.

use agenttier_backup_plan::{Policy, Pressure, Volume};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::world::{
    NOW, every, hours, judge, minutes, policy, ready, seconds, volume, wanted_snapshot, with,
};

/// Looks whenever the volume asks for it, and grants every wish at once; returns when snapshots were taken.
fn taken(mut volume: Volume, plan: &[(Timestamp, Policy)], end: Timestamp) -> Vec<Timestamp> {
    let mut taken = Vec::new();
    let mut now = plan[0].0;
    let mut rest = plan.iter().peekable();
    let mut in_force = &plan[0].1;
    while now < end {
        while let Some((_, changed)) = rest.next_if(|(at, _)| *at <= now) {
            in_force = changed;
        }
        let mut verdict = judge(now, in_force, &volume);
        if let Some(take) = wanted_snapshot(&verdict) {
            taken.push(now);
            let point = ready(&volume, &take.name, now);
            volume = with(volume, [point]);
            verdict = judge(now, in_force, &volume);
            assert_eq!(wanted_snapshot(&verdict), None, "one is enough");
        }
        let wake = verdict.wake.expect("there is always a next slot");
        now = rest.peek().map_or(wake, |(at, _)| wake.min(*at));
    }
    taken
}

fn hourly(every_hours: i64) -> Policy {
    Policy { interval: every(hours(every_hours)), ..policy() }
}

#[test]
fn a_change_and_back_within_a_slot_takes_at_most_what_the_shorter_one_asks_for() {
    let plan = [(NOW, hourly(24)), (NOW + hours(30), hourly(6)), (NOW + hours(31), hourly(24))];
    let unchanged = [(NOW, hourly(24))];
    let end = NOW + hours(24 * 10);
    let (changed, unchanged) = (taken(volume("s1"), &plan, end), taken(volume("s1"), &unchanged, end));
    assert!(changed.len() - unchanged.len() <= 1, "{changed:?} {unchanged:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Between two snapshots under one interval lies at most that interval; a change takes at most one more.
    #[test]
    fn no_slot_is_missed_and_none_has_two(
        changes in prop::collection::vec((1_i64..48 * 60, 1_i64..48), 1..6), uid in "[a-f0-9]{8}",
    ) {
        let mut at = NOW;
        let mut plan = Vec::new();
        for (lasts, interval) in &changes {
            plan.push((at, hourly(*interval)));
            at += minutes(*lasts);
        }
        let end = at + hours(100);
        let taken = taken(volume(&uid), &plan, end);
        prop_assert_eq!(taken[0], NOW, "never backed up: due now");
        for (n, (from, policy)) in plan.iter().enumerate() {
            let until = plan.get(n + 1).map_or(end, |(at, _)| *at);
            let interval = policy.interval.duration();
            let within: Vec<_> = taken.iter().filter(|at| (*from..until).contains(*at)).collect();
            for pair in within.windows(2).skip(1) {
                prop_assert_eq!(pair[1].duration_since(*pair[0]), interval);
            }
            let begun = (*from).max(NOW + seconds(1));
            let last_before = taken.iter().filter(|at| **at < begun).max();
            let next = within.first().map_or(until, |at| **at);
            if let Some(last) = last_before {
                let due = (*last + interval).max(*from);
                prop_assert!(next <= due || next == until, "{last} then {next} every {interval:#}");
            }
        }
    }
}

/// Pressure that comes and goes is a change of the interval like any other.
#[test]
fn a_limit_that_is_near_for_an_hour_costs_no_slot() {
    use agenttier_backup_plan::{Governance, HeldBack, Surroundings};
    let volume = volume("s1");
    let start = crate::world::slot_start(&policy(), &volume, NOW);
    let volume = with(volume.clone(), [ready(&volume, "a", start)]);
    let held = HeldBack::new();
    let is_due = |pressure, now| {
        let around = Surroundings { held: &held, classes: None, pressure, rest_in_doubt: false };
        let verdict = agenttier_backup_plan::decide(now, &Governance::By(policy()), &volume, &around);
        wanted_snapshot(&verdict).is_some()
    };
    assert!(!is_due(Pressure::None, start + hours(3)) && !is_due(Pressure::AtLimit, start + hours(3)));
    assert!(is_due(Pressure::None, start + hours(6)), "the slot that comes after is not covered by it");
}
