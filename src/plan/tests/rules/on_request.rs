//! A snapshot that a person asks for.

use agenttier_backup_plan::{
    Governance, HeldBack, Policy, Reason, RecoveryPoint, Response, Surroundings, TakeSnapshot, Volume,
    on_request, snapshot_name,
};
use jiff::Timestamp;

use crate::world::{
    NOW, hours, judge, minutes, policy, ready, seconds, slot_start, unready, volume, wanted_snapshot, with,
};

fn asked(now: Timestamp, policy: &Policy, volume: &Volume) -> Response {
    on_request(now, &Governance::By(policy.clone()), volume, &Surroundings::of(&HeldBack::new()))
}

fn taken(response: Response) -> TakeSnapshot {
    let Response::Take(take) = response else { panic!("{response:?}") };
    *take
}

/// The point that an order makes, ready at once.
fn made(volume: &Volume, take: &TakeSnapshot, now: Timestamp) -> RecoveryPoint {
    RecoveryPoint { slot: Some(take.slot.start()), ..ready(volume, &take.name, now) }
}

#[test]
fn what_is_due_anyway_is_the_controllers_own_order() {
    let volume = volume("s1");
    let verdict = judge(NOW, &policy(), &volume);
    assert_eq!(Some(&taken(asked(NOW, &policy(), &volume))), wanted_snapshot(&verdict));
}

#[test]
fn in_a_covered_slot_it_begins_one_of_its_own_and_no_second_one_is_due() {
    let fresh = volume("s1");
    let start = slot_start(&policy(), &fresh, NOW);
    let regular = RecoveryPoint { slot: Some(start), ..ready(&fresh, "regular", start) };
    let covered = with(fresh.clone(), [regular.clone()]);
    assert!(wanted_snapshot(&judge(NOW, &policy(), &covered)).is_none(), "nothing is due");
    let take = taken(asked(NOW, &policy(), &covered));
    assert_eq!(take.slot.start().as_second(), NOW.as_second());
    assert_eq!(take.name, snapshot_name("s1-workspace", take.slot, 0));
    assert_eq!((take.retention, take.policy.as_str()), (policy().retention, "default"));

    let both = with(fresh, [regular, made(&covered, &take, NOW)]);
    assert!(wanted_snapshot(&judge(NOW + minutes(1), &policy(), &both)).is_none());
    // Asked again in the very second, it is that one; a second later, another.
    assert_eq!(asked(NOW, &policy(), &both), Response::There { name: take.name.clone() });
    let later = taken(asked(NOW + seconds(1), &policy(), &both));
    assert!(later.slot > take.slot && later.name != take.name);
}

#[test]
fn it_covers_the_slot_that_nobody_had_covered() {
    let fresh = volume("s1");
    let old = ready(&fresh, "old", NOW - hours(12));
    let volume = with(fresh.clone(), [old.clone()]);
    let take = taken(asked(NOW, &policy(), &volume));
    assert_eq!(take.slot.start(), slot_start(&policy(), &volume, NOW));
    let after = with(fresh, [old, made(&volume, &take, NOW)]);
    assert!(wanted_snapshot(&judge(NOW + minutes(1), &policy(), &after)).is_none());
}

#[test]
fn one_at_a_time_is_under_way() {
    let fresh = volume("s1");
    let volume = with(fresh.clone(), [unready(&fresh, "going", NOW - minutes(5))]);
    assert_eq!(asked(NOW, &policy(), &volume), Response::There { name: "going".into() });
}

#[test]
fn without_a_rule_that_prunes_it_none_is_taken() {
    let volume = volume("s1");
    let reason = |governance: &Governance, volume: &Volume| match on_request(
        NOW,
        governance,
        volume,
        &Surroundings::of(&HeldBack::new()),
    ) {
        Response::Refuse(notice) => notice.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&Governance::Nobody, &volume), Reason::NoPolicy);
    assert_eq!(reason(&Governance::Unknown, &volume), Reason::PolicyUnknown);
    let held = Governance::Held { policy: "default".into(), reason: Reason::PolicySuspended };
    assert_eq!(reason(&held, &volume), Reason::PolicySuspended);
    let governed = Governance::By(policy());
    assert_eq!(reason(&governed, &Volume { terminating: true, ..volume.clone() }), Reason::ClaimTerminating);
    assert_eq!(reason(&governed, &Volume { driver: None, ..volume.clone() }), Reason::NotCsi);
    let switched = Volume { switched_to: Some("other".into()), ..volume };
    assert_eq!(reason(&governed, &switched), Reason::WorkspaceSwitched);
}
