//! What is said of a volume: protected or not, and why.

use agenttier_backup_plan::{
    ActionKind, ClaimPhase, FAILED_AFTER, Fate, Governance, HeldBack, Keep, Ownership, Policy, Protection,
    Prune, Readiness, Reason, RecoveryPoint, Volume,
};

use crate::world::{
    NOW, decide, every, failing, fate, hours, judge, minutes, policy, ready, sandbox, seconds, slot_start,
    unready, volume, wanted_prunes, with,
};

fn overdue(policy: &Policy, volume: &Volume) -> Option<Reason> {
    match judge(NOW, policy, volume).protection {
        Protection::Overdue { reason, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn protected_while_the_newest_ready_point_is_younger_than_interval_and_ready_timeout() {
    let volume = volume("s1");
    let taken = NOW - hours(7) + seconds(1);
    let points = [ready(&volume, "a", taken), ready(&volume, "b", taken - hours(6))];
    let volume = with(volume.clone(), points);
    assert_eq!(judge(NOW, &policy(), &volume).protection, Protection::Protected { newest: taken });
    assert_eq!(
        judge(NOW + seconds(1), &policy(), &volume).protection,
        Protection::Overdue { newest: Some(taken), reason: Reason::WaitingForTurn }
    );
}

#[test]
fn a_new_volume_is_awaited_for_as_long() {
    let mut volume = volume("s1");
    volume.created = NOW - hours(7) + seconds(1);
    let by = NOW + seconds(1);
    let awaited = Protection::Awaited { by, reason: Reason::WaitingForTurn };
    assert_eq!(judge(NOW, &policy(), &volume).protection, awaited);
    let late = judge(by, &policy(), &volume).protection;
    assert_eq!(late, Protection::Overdue { newest: None, reason: Reason::WaitingForTurn });
}

#[test]
fn an_overdue_volume_says_why() {
    let volume = volume("s1");
    let behind = ready(&volume, "old", NOW - hours(100));
    let in_flight = unready(&volume, "in-flight", NOW - minutes(59));
    let slow = unready(&volume, "slow", NOW - hours(1));
    let failed = unready(&volume, "failed", NOW - FAILED_AFTER);
    for (points, reason) in [
        (vec![], Reason::WaitingForTurn),
        (vec![in_flight.clone()], Reason::SnapshotInFlight),
        (vec![slow.clone()], Reason::SnapshotSlow),
        (vec![slow.clone(), in_flight.clone()], Reason::SnapshotSlow),
        (vec![in_flight.clone(), slow], Reason::SnapshotSlow),
        (vec![failed.clone()], Reason::SnapshotFailed),
        (vec![failed.clone(), in_flight], Reason::SnapshotInFlight),
        (vec![failed, ready(&volume, "since", NOW - hours(8))], Reason::WaitingForTurn),
    ] {
        let names: Vec<_> = points.iter().map(|point| point.name.clone()).collect();
        let volume = with(volume.clone(), [behind.clone()].into_iter().chain(points));
        assert_eq!(overdue(&policy(), &volume), Some(reason), "{names:?}");
    }
}

/// Who reads "Awaited" of a volume in a namespace whose quota is full has to learn of the quota.
#[test]
fn what_keeps_a_snapshot_from_being_made_is_the_reason() {
    let held = failing("s1", ActionKind::TakeSnapshot, Reason::QuotaExceeded, NOW);
    let by = Governance::By(policy());
    let judged = |volume: &Volume, held: &HeldBack| decide(NOW, &by, volume, held).protection;
    let fresh = Volume { created: NOW - hours(1), ..volume("s1") };
    assert_eq!(
        judged(&fresh, &held),
        Protection::Awaited { by: NOW + hours(6), reason: Reason::QuotaExceeded }
    );
    let old = volume("s1");
    let points = [ready(&old, "old", NOW - hours(100)), unready(&old, "failed", NOW - FAILED_AFTER)];
    let late = with(old.clone(), points);
    assert_eq!(judged(&late, &held).reason(), Some(Reason::QuotaExceeded), "the newer trouble of the two");
    assert_eq!(judged(&late, &HeldBack::new()).reason(), Some(Reason::SnapshotFailed));

    let in_flight = with(old.clone(), [unready(&old, "in-flight", NOW)]);
    assert_eq!(judged(&in_flight, &held).reason(), Some(Reason::SnapshotInFlight), "it got through");
    let protected = with(old.clone(), [ready(&old, "new", NOW)]);
    assert_eq!(judged(&protected, &held), Protection::Protected { newest: NOW });
    let prunes = failing("s1", ActionKind::Prune, Reason::Forbidden, NOW);
    assert_eq!(
        judged(&late, &prunes).reason(),
        Some(Reason::SnapshotFailed),
        "prunes hold nothing else back"
    );
    let spent = with(late, [ready(&old, "older", NOW - hours(200)), ready(&old, "new", NOW)]);
    let verdict = decide(NOW, &by, &spent, &prunes);
    assert_eq!(verdict.setbacks.keys().collect::<Vec<_>>(), [&ActionKind::Prune], "but they are told of");
}

/// What is left of a volume is not protected, and has nothing left to protect: it is kept, whatever the policy.
#[test]
fn a_volume_that_is_gone_or_abandoned_is_retired_and_all_of_it_stays() {
    let volume = volume("s1");
    let points = [900, 1000].map(|age| ready(&volume, &age.to_string(), NOW - hours(age)));
    let volume = with(volume.clone(), points);
    let newest = Some(NOW - hours(900));
    let governances = [
        Governance::By(policy()),
        Governance::Nobody,
        Governance::Unknown,
        Governance::Held { policy: "default".into(), reason: Reason::PolicySuspended },
    ];
    for (phase, reason, why) in [
        (ClaimPhase::Gone, Reason::ClaimGone, Keep::VolumeGone),
        (ClaimPhase::Abandoned, Reason::ClaimAbandoned, Keep::VolumeAbandoned),
    ] {
        for governance in &governances {
            let verdict = decide(NOW, governance, &Volume { phase, ..volume.clone() }, &HeldBack::new());
            assert_eq!(verdict.protection, Protection::Retired { newest, reason });
            let marks = matches!((phase, governance), (ClaimPhase::Gone, Governance::By(_)));
            assert_eq!(verdict.wants.len(), usize::from(marks), "but for a note that the sandbox is gone");
            assert_eq!(wanted_prunes(&verdict), Vec::<&Prune>::new());
            assert_eq!(*fate(&verdict, "1000"), Fate::Keep(why.clone()));
            assert_eq!(verdict.interval, None, "it needs no share of the pace");
        }
    }
}

/// By then it is the points that know whose work it was.
#[test]
fn a_volume_is_the_sandboxs_that_uses_it_or_used_it_last() {
    let mut volume = volume("s1");
    let point = |name: &str, age, sandbox: Option<&str>| RecoveryPoint {
        sandbox: sandbox.map(str::to_owned),
        ..ready(&volume, name, NOW - hours(age))
    };
    let mut others = point("others", 1, Some("other"));
    others.ownership = Ownership::AgentTier;
    volume.points =
        vec![point("a", 4, Some("before")), point("b", 3, Some("last")), point("c", 2, None), others];
    let user = |volume: &Volume| judge(NOW, &policy(), volume).sandbox;
    assert_eq!(user(&volume).as_deref(), Some("last"));
    volume.sandbox = Some(sandbox("now", ""));
    assert_eq!(user(&volume).as_deref(), Some("now"));
}

/// Somebody with the rights of one namespace sees its volumes, but not the policies.
#[test]
fn without_a_sight_of_policies_nothing_is_claimed_and_nothing_done() {
    let volume = volume("s1");
    let points = [900, 1000].map(|age| ready(&volume, &age.to_string(), NOW - hours(age)));
    let volume = with(volume.clone(), points);
    let verdict = decide(NOW, &Governance::Unknown, &volume, &HeldBack::new());
    let newest = Some(NOW - hours(900));
    assert_eq!(verdict.protection, Protection::Unknown { newest, reason: Reason::PolicyUnknown });
    assert_eq!((verdict.wants.as_slice(), fate(&verdict, "1000")), (&[][..], &Fate::Unknown));
}

#[test]
fn others_points_and_leaving_ones_protect_nothing() {
    let volume = volume("s1");
    let mut leaving = ready(&volume, "leaving", NOW - minutes(1));
    leaving.deleting_since = Some(NOW);
    let mut clone = ready(&volume, "clone", NOW - minutes(1));
    clone.ownership = Ownership::AgentTier;
    let volume = with(volume.clone(), [leaving, clone]);
    assert_eq!(overdue(&policy(), &volume), Some(Reason::WaitingForTurn));
}

#[test]
fn readiness_goes_by_age_and_by_an_error_that_lasts() {
    let volume = volume("s1");
    let cases = [
        (seconds(-300), Readiness::InFlight, Readiness::InFlight),
        (hours(1) - seconds(1), Readiness::InFlight, Readiness::InFlight),
        (hours(1), Readiness::Slow, Readiness::Failed),
        (FAILED_AFTER - seconds(1), Readiness::Slow, Readiness::Failed),
        (FAILED_AFTER, Readiness::Failed, Readiness::Failed),
    ];
    for (age, readiness, with_an_error) in cases {
        let mut point = unready(&volume, "a", NOW - age);
        assert_eq!(Readiness::of(&point, NOW, hours(1)), readiness, "{age}");
        // The snapshot controller reports errors that it then overcomes.
        point.error = Some("DeadlineExceeded".into());
        assert_eq!(Readiness::of(&point, NOW, hours(1)), with_an_error, "{age}");
        point.ready = true;
        assert_eq!(Readiness::of(&point, NOW, hours(1)), Readiness::Ready, "{age}");
    }
    let patient = Readiness::of(&unready(&volume, "a", NOW - FAILED_AFTER), NOW, hours(48));
    assert_eq!(patient, Readiness::Failed, "a readyTimeout of two days does not make it wait longer");
}

/// Without a policy in force, or without a volume to snapshot, nothing happens, and it is said why.
#[test]
fn what_stands_in_the_way_is_named_and_nothing_is_done() {
    let volume = volume("s1");
    // Much would be due: one to prune, and a snapshot.
    let points = [900, 1000].map(|age| ready(&volume, &age.to_string(), NOW - hours(age)));
    let volume = with(volume.clone(), points);
    let by = Governance::By(policy());
    let held = |reason| Governance::Held { policy: "default".into(), reason };
    let cases = [
        (Governance::Nobody, volume.clone(), Reason::NoPolicy),
        (held(Reason::PolicySuspended), volume.clone(), Reason::PolicySuspended),
        (held(Reason::SnapshotsDisabled), volume.clone(), Reason::SnapshotsDisabled),
        (held(Reason::PolicyInvalid), volume.clone(), Reason::PolicyInvalid),
        (by.clone(), Volume { terminating: true, ..volume.clone() }, Reason::ClaimTerminating),
        (by.clone(), Volume { phase: ClaimPhase::Pending, ..volume.clone() }, Reason::ClaimPending),
        (by.clone(), Volume { phase: ClaimPhase::Lost, ..volume.clone() }, Reason::ClaimLost),
        (by.clone(), Volume { driver: None, ..volume.clone() }, Reason::NotCsi),
    ];
    for (governance, volume, reason) in cases {
        let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
        assert_eq!(verdict.protection, Protection::Unprotected { reason });
        assert_eq!(verdict.wants, [], "{reason}");
        assert_eq!(*fate(&verdict, "1000"), Fate::Keep(Keep::PruningHeld), "{reason}");
        assert_eq!(verdict.interval, None, "{reason}: it needs no share of the pace");
        assert_eq!(verdict.policy.as_deref(), governance.policy_name());
    }
    assert_eq!(judge(NOW, &policy(), &volume).wants.len(), 2, "or the cases would prove nothing");
}

#[test]
fn it_wakes_when_the_next_slot_begins_and_when_protection_ends() {
    let volume = volume("s1");
    let policy = Policy { ready_timeout: minutes(30), ..policy() };
    let start = slot_start(&policy, &volume, NOW);
    let early = with(volume.clone(), [ready(&volume, "a", start)]);
    assert_eq!(judge(start + hours(1), &policy, &early).wake, Some(start + hours(6)), "the next slot");
    let daily = Policy { interval: every(hours(24)), ..policy.clone() };
    let start = slot_start(&daily, &volume, NOW);
    let end = start + hours(24) + minutes(30);
    assert_eq!(
        judge(end - seconds(1), &daily, &with(volume.clone(), [ready(&volume, "a", start)])).wake,
        Some(end)
    );
}

#[test]
fn it_wakes_when_a_snapshot_becomes_slow_and_when_it_fails_also_while_suspended() {
    let volume = volume("s1");
    let policy = Policy { interval: every(hours(24 * 30)), ..policy() };
    let volume = with(volume.clone(), [unready(&volume, "a", NOW)]);
    assert_eq!(judge(NOW, &policy, &volume).wake, Some(NOW + hours(1)));
    assert_eq!(judge(NOW + hours(1), &policy, &volume).wake, Some(NOW + FAILED_AFTER));
    // It holds no slot then, but it is shown.
    let suspended = Governance::Held { policy: "default".into(), reason: Reason::PolicySuspended };
    let wake = |now| decide(now, &suspended, &volume, &HeldBack::new()).wake;
    assert_eq!(wake(NOW), Some(NOW + FAILED_AFTER));
    assert_eq!(wake(NOW + FAILED_AFTER), None);
}

#[test]
fn points_are_shown_newest_first() {
    let volume = volume("s1");
    let points = [3, 1, 2].map(|age| ready(&volume, &age.to_string(), NOW - hours(age)));
    let verdict = judge(NOW, &policy(), &with(volume.clone(), points));
    let shown: Vec<_> = verdict.points.iter().map(|point| (point.name.as_str(), point.ours)).collect();
    assert_eq!(shown, [("1", true), ("2", true), ("3", true)]);
}

#[test]
fn failures_are_counted_from_the_last_good_point_on() {
    let volume = volume("s1");
    let (good, failed) = (NOW - hours(30), NOW - FAILED_AFTER);
    let failures = |moments: &[_]| {
        let tried = moments.iter().enumerate().map(|(n, at)| unready(&volume, &format!("failed-{n}"), *at));
        let points = [ready(&volume, "good", good)].into_iter().chain(tried);
        judge(NOW, &policy(), &with(volume.clone(), points)).failed_snapshots
    };
    assert_eq!(failures(&[good - seconds(1), good]), 0);
    assert_eq!(failures(&[good, good + seconds(1), failed, failed + seconds(1)]), 2);
}
