//! When a snapshot is due, and what it is called.

use agenttier_backup_plan::{
    FAILED_AFTER, Ownership, Policy, RecoveryPoint, Slots, Volume, VolumeUid, snapshot_name,
};
use jiff::Timestamp;

use crate::world::{
    NOW, every, hours, judge, minutes, policy, ready, sandbox, seconds, slot_start, unready, volume,
    wanted_snapshot, with,
};

fn is_due(now: Timestamp, policy: &Policy, volume: &Volume) -> bool {
    wanted_snapshot(&judge(now, policy, volume)).is_some()
}

#[test]
fn a_volume_without_any_point_is_due_now() {
    let volume = volume("s1");
    let verdict = judge(NOW, &policy(), &volume);
    let take = wanted_snapshot(&verdict).unwrap();
    assert_eq!(take.slot.start(), slot_start(&policy(), &volume, NOW));
    assert_eq!(take.name, snapshot_name("s1-workspace", take.slot, 0));
    assert_eq!(take.exposed_since, volume.created);
}

#[test]
fn a_covered_slot_is_not_due_until_the_next_one_begins() {
    let volume = volume("s1");
    let start = slot_start(&policy(), &volume, NOW);
    let volume = with(volume.clone(), [ready(&volume, "a", start + minutes(3))]);
    for later in [minutes(3), minutes(4), hours(6) - seconds(1)] {
        assert!(!is_due(start + later, &policy(), &volume), "{later} into the slot");
    }
    let next = start + hours(6);
    assert!(is_due(next, &policy(), &volume));
    assert_eq!(
        wanted_snapshot(&judge(next, &policy(), &volume)).unwrap().exposed_since,
        start + minutes(3),
        "work since the last point is exposed"
    );
}

#[test]
fn a_point_of_the_slots_first_second_covers_it() {
    let volume = volume("s1");
    let start = slot_start(&policy(), &volume, NOW);
    assert!(!is_due(NOW, &policy(), &with(volume.clone(), [ready(&volume, "a", start)])));
    assert!(is_due(NOW, &policy(), &with(volume.clone(), [ready(&volume, "a", start - seconds(1))])));
}

#[test]
fn a_change_of_interval_asks_only_whether_the_new_slot_is_covered() {
    let volume = volume("s1");
    for old in [1, 6, 24] {
        for new in [1, 2, 6, 24, 96] {
            let old = Policy { interval: every(hours(old)), ..policy() };
            let new = Policy { interval: every(hours(new)), ..policy() };
            let taken = slot_start(&old, &volume, NOW);
            let slot = slot_start(&new, &volume, NOW);
            let volume = with(volume.clone(), [ready(&volume, "a", taken)]);
            assert_eq!(is_due(NOW, &new, &volume), taken < slot, "from {old:?} to {new:?}");
        }
    }
}

#[test]
fn missed_slots_give_one_snapshot() {
    let volume = volume("s1");
    let volume = with(volume.clone(), [ready(&volume, "a", NOW - hours(10 * 24))]);
    let verdict = judge(NOW, &policy(), &volume);
    let take = wanted_snapshot(&verdict).unwrap();
    assert_eq!(
        take.slot.start(),
        slot_start(&policy(), &volume, NOW),
        "for the current slot, no earlier one"
    );
    let volume = with(volume.clone(), [unready(&volume, &take.name, NOW)]);
    assert!(judge(NOW, &policy(), &volume).wants.is_empty(), "and then there is peace");
}

#[test]
fn one_in_flight_blocks_the_next_although_its_slot_begins() {
    let policy = Policy { interval: every(minutes(15)), ready_timeout: hours(1), ..policy() };
    let volume = volume("s1");
    let volume = with(volume.clone(), [unready(&volume, "a", NOW)]);
    for age in [minutes(15), minutes(59), hours(1), hours(5), FAILED_AFTER - seconds(1)] {
        assert!(!is_due(NOW + age, &policy, &volume), "in flight or slow after {age}");
    }
    assert!(is_due(NOW + FAILED_AFTER, &policy, &volume), "failed");
}

#[test]
fn after_a_failure_comes_the_name_of_the_new_slot_or_a_further_attempt() {
    let volume = volume("s1");
    let name = |policy: &Policy, attempt| {
        let slot = Slots::of(&volume.uid, policy.interval).at(NOW);
        snapshot_name(&volume.claim, slot, attempt)
    };
    let failed_at = NOW - FAILED_AFTER;

    let daily_or_less = policy();
    let failed = with(volume.clone(), [unready(&volume, "older-slot", failed_at)]);
    assert_eq!(
        wanted_snapshot(&judge(NOW, &daily_or_less, &failed)).unwrap().name,
        name(&daily_or_less, 0),
        "another slot"
    );

    // A slot of a month still has the failed one in it.
    let monthly = Policy { interval: every(hours(30 * 24)), ..policy() };
    assert!(slot_start(&monthly, &volume, NOW) < failed_at - hours(24), "or the case is not the one meant");
    let failed = with(volume.clone(), [unready(&volume, &name(&monthly, 0), failed_at)]);
    assert_eq!(wanted_snapshot(&judge(NOW, &monthly, &failed)).unwrap().name, name(&monthly, 1));
    let points = [0, 1]
        .map(|attempt| unready(&volume, &name(&monthly, attempt), failed_at - hours(i64::from(attempt))));
    let failed_twice = with(volume.clone(), points);
    assert_eq!(wanted_snapshot(&judge(NOW, &monthly, &failed_twice)).unwrap().name, name(&monthly, 2));
}

/// A class that does not exist, corrected: the next attempt comes when the first is given up, not a day later.
#[test]
fn an_error_that_lasts_is_a_failure_and_the_attempts_after_it_come_further_and_further_apart() {
    let policy = Policy { interval: every(hours(24 * 30)), ..policy() };
    let start = slot_start(&policy, &volume("s1"), NOW);
    let mut volume = volume("s1");
    let mut attempts = Vec::new();
    for minute in 0..60 * 60 {
        let now = start + minutes(minute);
        let verdict = judge(now, &policy, &volume);
        if let Some(take) = wanted_snapshot(&verdict) {
            attempts.push(minute);
            let mut point = unready(&volume, &take.name, now);
            point.slot = Some(take.slot.start());
            point.error = Some("no such class".into());
            volume = with(volume.clone(), [point]);
        } else {
            let wake = verdict.wake.unwrap();
            assert!(wake > now && wake < start + hours(24 * 30), "it looks again within the slot: {wake}");
        }
    }
    let at: Vec<_> = attempts.iter().map(|minute| (minute / 60, minute % 60)).collect();
    assert_eq!(at, [(0, 0), (1, 0), (3, 0), (7, 0), (15, 0), (31, 0), (55, 0)], "at last once a day");
    let slot = Slots::of(&volume.uid, policy.interval).at(start);
    assert!(volume.taken_names.contains(&snapshot_name(&volume.claim, slot, 6)), "{:?}", volume.taken_names);
    assert!(is_due(start + hours(24 * 30), &policy, &volume), "a new slot begins anew");
}

#[test]
fn a_name_that_anybody_has_is_not_given_again() {
    let mut volume = volume("s1");
    let first = wanted_snapshot(&judge(NOW, &policy(), &volume)).unwrap().clone();
    // Not among the points: it may be of quite another claim.
    volume.taken_names = std::sync::Arc::new([first.name.clone()].into());
    let second = wanted_snapshot(&judge(NOW, &policy(), &volume)).unwrap().clone();
    assert_eq!(second.name, snapshot_name(&volume.claim, first.slot, 1));
}

#[test]
fn what_is_not_ours_of_this_volume_or_is_leaving_covers_nothing() {
    let volume = volume("s1");
    let good = ready(&volume, "a", NOW);
    assert!(!is_due(NOW, &policy(), &with(volume.clone(), [good.clone()])));
    let other = Ownership::Ours { volume: VolumeUid::new("its-earlier-namesake") };
    for (why, mut point) in [
        ("another volume's", RecoveryPoint { ownership: other, ..good.clone() }),
        ("AgentTier's", RecoveryPoint { ownership: Ownership::AgentTier, ..good.clone() }),
        ("leaving", RecoveryPoint { deleting_since: Some(NOW), ..good.clone() }),
    ] {
        assert!(is_due(NOW, &policy(), &with(volume.clone(), [point.clone()])), "{why}, ready");
        (point.ready, point.cut) = (false, None);
        assert!(is_due(NOW, &policy(), &with(volume.clone(), [point])), "{why}, in flight");
    }
}

#[test]
fn a_storage_clock_that_is_wrong_makes_no_duplicate() {
    let volume = volume("s1");
    let start = slot_start(&policy(), &volume, NOW);
    for wrong_by in [-30 * 24 * 60, -600, -10, 10, 600, 20 * 60, 15 * 24 * 60] {
        let mut point = ready(&volume, "a", start + minutes(1));
        point.cut = Some(point.created + minutes(wrong_by));
        let volume = with(volume.clone(), [point]);
        for later in [minutes(2), hours(6) - seconds(1)] {
            assert!(!is_due(start + later, &policy(), &volume), "{wrong_by} min, {later} into the slot");
        }
    }
}

#[test]
fn an_api_server_behind_our_clock_makes_no_duplicate() {
    let volume = volume("s1");
    let start = slot_start(&policy(), &volume, NOW);
    // Ordered in the slot's first second; the API server dates it 20 s earlier, into the slot before.
    let mut point = unready(&volume, "a", start - seconds(20));
    point.slot = Some(start);
    for is_ready in [false, true] {
        point.ready = is_ready;
        point.cut = is_ready.then_some(point.created);
        assert!(!is_due(start + seconds(1), &policy(), &with(volume.clone(), [point.clone()])));
    }
    point.slot = None;
    assert!(is_due(start + seconds(1), &policy(), &with(volume.clone(), [point])), "the slot's name matters");
}

/// Otherwise one point from a time when a clock was wrong would keep a volume from every other until then.
#[test]
fn a_moment_far_ahead_covers_nothing_then_or_now() {
    let volume = volume("s1");
    let ahead = |moment: &str, by| {
        let mut point = ready(&volume, "a", NOW - hours(12));
        let at = Some(slot_start(&policy(), &volume, NOW) + by);
        if moment == "slot" {
            point.slot = at;
        } else {
            point.cut = at;
        }
        with(volume.clone(), [point])
    };
    for moment in ["slot", "cut"] {
        let volume = ahead(moment, hours(15 * 24));
        assert!(is_due(NOW, &policy(), &volume), "{moment} 15 days ahead, now");
        assert!(is_due(NOW + hours(15 * 24), &policy(), &volume), "{moment} 15 days ahead, in 15 days");
        let volume = ahead(moment, hours(6));
        assert!(is_due(NOW, &policy(), &volume), "{moment} in the next slot");
    }
}

#[test]
fn the_order_carries_what_the_snapshot_is_to_say() {
    let mut volume = volume("s1");
    let user = sandbox("s1", "Running");
    volume.sandbox = Some(user.clone());
    let policy = Policy { class: Some("fast".into()), ..policy() };
    let verdict = judge(NOW, &policy, &volume);
    let take = wanted_snapshot(&verdict).unwrap();
    assert_eq!((take.class.as_deref(), take.sandbox.as_ref()), (Some("fast"), Some(&user)));
    assert_eq!(
        (&take.volume.namespace, &take.volume.claim, &take.volume.uid),
        (&volume.namespace, &volume.claim, &volume.uid)
    );
    assert_eq!((verdict.sandbox.as_deref(), verdict.policy.as_deref()), (Some("s1"), Some("default")));
}
