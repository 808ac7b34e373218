//! AgentTier's own backup loop: it is left to do the work while it does, and kept from what must stay.

use agenttier_backup_plan::{
    Action, AgentTierLoop, ClaimPhase, Fate, Governance, Keep, Note, Ownership, Policy, Protection, Reason,
    RecoveryPoint, Retention, Spent, Verdict, Volume,
};
use jiff::Timestamp;

use crate::world::{
    NOW, decide, fate, hours, judge, policy, ready, sandbox, seconds, unready, volume, wanted_prunes,
    wanted_snapshot, with,
};

fn covered(state: AgentTierLoop) -> Volume {
    Volume { agenttier_loop: state, ..volume("s1") }
}

fn agenttiers(volume: &Volume, name: &str, created: Timestamp) -> RecoveryPoint {
    RecoveryPoint { ownership: Ownership::AgentTier, ..ready(volume, name, created) }
}

/// The points that are to give up AgentTier's label.
fn hidden(verdict: &Verdict) -> Vec<&str> {
    let marks = verdict.wants.iter().filter_map(|action| match action {
        Action::Mark(mark) if mark.note == Note::HideFromAgentTier => Some(mark.name.as_str()),
        _ => None,
    });
    marks.collect()
}

fn stands_back(verdict: &Verdict) -> bool {
    let noticed = verdict.notices.iter().any(|notice| notice.reason == Reason::AgentTierLoop);
    assert_eq!(noticed, verdict.interval.is_none(), "it needs no share of the pace: {verdict:?}");
    assert!(!noticed || wanted_snapshot(verdict).is_none(), "{verdict:?}");
    noticed
}

#[test]
fn while_its_snapshots_come_none_of_ours_is_taken_and_they_protect() {
    let volume = covered(AgentTierLoop::Covers);
    let ours = ready(&volume, "ours", NOW - hours(50));
    let newest = NOW - hours(6);
    let volume = with(volume.clone(), [ours, agenttiers(&volume, "its", newest)]);
    let verdict = judge(NOW, &policy(), &volume);
    assert!(stands_back(&verdict));
    assert_eq!(verdict.protection, Protection::Protected { newest });
    assert!(verdict.notices[0].message.contains("s1-workspace"), "{:?}", verdict.notices);

    for state in [AgentTierLoop::Off, AgentTierLoop::Sweeps] {
        let verdict = judge(NOW, &policy(), &Volume { agenttier_loop: state, ..volume.clone() });
        assert!(!stands_back(&verdict) && wanted_snapshot(&verdict).is_some(), "{state:?}");
        assert!(
            matches!(verdict.protection, Protection::Overdue { .. }),
            "{state:?}: its snapshots do not count"
        );
    }
}

#[test]
fn when_its_snapshots_stop_ours_begin() {
    let volume = covered(AgentTierLoop::Covers);
    let last = NOW - hours(7) + seconds(1);
    let volume = with(volume.clone(), [agenttiers(&volume, "its", last)]);
    let verdict = judge(NOW, &policy(), &volume);
    assert!(stands_back(&verdict));
    let until = last + hours(7);
    assert!(verdict.wake.unwrap() <= until);
    let verdict = judge(until, &policy(), &volume);
    assert!(!stands_back(&verdict) && wanted_snapshot(&verdict).is_some(), "{verdict:?}");
    assert!(matches!(verdict.protection, Protection::Overdue { newest: None, .. }), "{verdict:?}");
}

/// A new claim is given time for AgentTier's first one; a loop that is on and takes none is not trusted for ever.
#[test]
fn a_loop_that_never_took_any_is_waited_for_no_longer() {
    let fresh = Volume { created: NOW - hours(7) + seconds(1), ..covered(AgentTierLoop::Covers) };
    let verdict = judge(NOW, &policy(), &fresh);
    assert!(stands_back(&verdict));
    let by = NOW + seconds(1);
    assert_eq!(verdict.protection, Protection::Awaited { by, reason: Reason::AgentTierLoop });
    assert!(!stands_back(&judge(by, &policy(), &fresh)));
}

#[test]
fn only_a_good_one_of_its_own_counts() {
    let volume = covered(AgentTierLoop::Covers);
    let spoiled: [fn(&mut RecoveryPoint); 4] = [
        |point| point.ready = false,
        |point| point.deleting_since = Some(NOW),
        |point| point.ownership = Ownership::Foreign(agenttier_backup_plan::Foreign::Unmarked),
        |point| point.ownership = Ownership::Foreign(agenttier_backup_plan::Foreign::Clone),
    ];
    for spoil in spoiled {
        let mut point = agenttiers(&volume, "its", NOW - hours(1));
        spoil(&mut point);
        assert!(!stands_back(&judge(NOW, &policy(), &with(volume.clone(), [point.clone()]))), "{point:?}");
    }
}

/// It may come on, or stop, at any moment: what is not ours to take is not told twice.
#[test]
fn it_is_told_before_a_class_that_is_wrong() {
    let volume = covered(AgentTierLoop::Covers);
    let volume = with(volume.clone(), [agenttiers(&volume, "its", NOW)]);
    let held = agenttier_backup_plan::HeldBack::new();
    let around = agenttier_backup_plan::Surroundings {
        held: &held,
        classes: Some(&[]),
        pressure: agenttier_backup_plan::Pressure::None,
        rest_in_doubt: false,
    };
    let verdict = agenttier_backup_plan::decide(NOW, &Governance::By(policy()), &volume, &around);
    let reasons: Vec<_> = verdict.notices.iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [Reason::AgentTierLoop]);
}

/// Its sweep goes by age and label: what must not go gives up the label, the rest keeps its form.
#[test]
fn what_must_stay_gives_up_the_label_while_it_sweeps() {
    let policy =
        Policy { retention: Retention { keep_last: 2, ..Retention::for_at_least(hours(100)) }, ..policy() };
    let bare = volume("s1");
    let mut pinned = ready(&bare, "pinned", NOW - hours(60));
    pinned.pinned = true;
    let mut read = ready(&bare, "read", NOW - hours(61));
    read.readers = ["claim/x".to_owned()].into();
    let mut namesakes = ready(&bare, "namesakes", NOW - hours(61));
    namesakes.ownership = Ownership::Ours { volume: agenttier_backup_plan::VolumeUid::new("another") };
    namesakes.pinned = true;
    let mut leaving = ready(&bare, "leaving", NOW - hours(62));
    (leaving.deleting_since, leaving.pinned) = (Some(NOW), true);
    let mut already = ready(&bare, "hidden-already", NOW - hours(63));
    (already.pinned, already.looks_like_agenttiers) = (true, false);
    let points = [
        unready(&bare, "under-way", NOW),
        ready(&bare, "newest", NOW - hours(1)),
        ready(&bare, "second", NOW - hours(7)),
        ready(&bare, "young", NOW - hours(13)),
        pinned,
        read,
        namesakes,
        leaving,
        already,
        ready(&bare, "spent", NOW - hours(200)),
    ];
    let volume = with(bare, points);
    let at = |state| judge(NOW, &policy, &Volume { agenttier_loop: state, ..volume.clone() });
    assert_eq!(hidden(&at(AgentTierLoop::Off)), [""; 0]);
    for state in [AgentTierLoop::Sweeps, AgentTierLoop::Covers] {
        assert_eq!(
            hidden(&at(state)),
            ["under-way", "newest", "second", "young", "pinned", "read"],
            "{state:?}"
        );
    }
    let mark = at(AgentTierLoop::Sweeps).wants.into_iter().find_map(|action| match action {
        Action::Mark(mark) => Some(mark),
        _ => None,
    });
    let mark = mark.unwrap();
    assert_eq!((mark.uid.as_str(), mark.version.as_str()), ("uid-of-under-way", "7"));
    assert_eq!(mark.volume.claim, "s1-workspace");
}

/// Of what is left of a volume, whatever became of it, everything is hidden, whether a policy is in force or not: what is
/// not to be deleted by us is not to be deleted by a sweep.
#[test]
fn what_is_left_of_a_volume_is_hidden_too() {
    let sweeping = covered(AgentTierLoop::Sweeps);
    let points = [ready(&sweeping, "a", NOW - hours(1)), ready(&sweeping, "b", NOW - hours(9))];
    let sweeping = with(sweeping, points);
    let alive = Volume { sandbox: Some(sandbox("s1", "Running")), ..sweeping.clone() };
    let switched = Volume { switched_to: Some("pool-1".into()), ..alive.clone() };
    let all = &["a", "b"][..];
    for (volume, expected) in [
        (Volume { phase: ClaimPhase::Gone, ..sweeping.clone() }, all),
        (Volume { phase: ClaimPhase::Gone, ..alive.clone() }, all),
        (Volume { phase: ClaimPhase::Abandoned, ..sweeping.clone() }, all),
        (Volume { phase: ClaimPhase::Gone, ..switched.clone() }, all),
        (switched, all),
        (Volume { phase: ClaimPhase::Lost, ..alive.clone() }, all),
        (Volume { terminating: true, ..alive.clone() }, all),
    ] {
        assert_eq!(
            hidden(&judge(NOW, &policy(), &volume)),
            expected,
            "{:?} {:?}",
            volume.phase,
            volume.switched_to
        );
        let verdict = decide(NOW, &Governance::Nobody, &volume, &agenttier_backup_plan::HeldBack::new());
        assert_eq!(hidden(&verdict), expected, "without a policy too");
    }
}

#[test]
fn ours_are_taken_without_the_label_while_it_sweeps() {
    for (state, hides) in [(AgentTierLoop::Off, false), (AgentTierLoop::Sweeps, true)] {
        let verdict = judge(NOW, &policy(), &covered(state));
        assert_eq!(wanted_snapshot(&verdict).unwrap().hidden_from_agenttier, hides, "{state:?}");
    }
    let old = Volume { created: NOW - hours(100), ..covered(AgentTierLoop::Covers) };
    assert!(wanted_snapshot(&judge(NOW, &policy(), &old)).unwrap().hidden_from_agenttier);
}

/// By age alone, as its own loop would; and only beside a newer one of ours.
#[test]
fn its_own_are_adopted_only_when_asked_and_by_age_alone() {
    let volume = volume("s1");
    let policy = |adopt| Policy {
        adopt_agenttier: adopt,
        retention: Retention { keep_last: 5, max_count: Some(1), ..Retention::for_at_least(hours(100)) },
        ..policy()
    };
    let points = [
        ready(&volume, "ours", NOW - hours(1)),
        agenttiers(&volume, "newer", NOW),
        agenttiers(&volume, "young", NOW - hours(100) + seconds(1)),
        agenttiers(&volume, "old", NOW - hours(100)),
    ];
    let with_ours = with(volume.clone(), points.clone());
    let verdict = judge(NOW, &policy(true), &with_ours);
    let [prune] = wanted_prunes(&verdict)[..] else { panic!("{verdict:?}") };
    assert_eq!((prune.name.as_str(), prune.reason, prune.early), ("old", Spent::Adopted, true));
    assert_eq!(crate::world::keeper(prune).name, "ours");
    assert_eq!(*fate(&verdict, "newer"), Fate::Keep(Keep::AgentTiers));
    let until = NOW + seconds(1);
    assert_eq!(*fate(&verdict, "young"), Fate::Keep(Keep::Young { until }));
    assert!(verdict.wake.unwrap() <= until);
    let verdict = judge(NOW, &policy(false), &with_ours);
    assert_eq!((wanted_prunes(&verdict).len(), fate(&verdict, "old")), (0, &Fate::Keep(Keep::AgentTiers)));

    let alone = with(volume.clone(), points[1..].to_vec());
    assert_eq!(wanted_prunes(&judge(NOW, &policy(true), &alone)).len(), 0, "nothing of ours would be left");
    for hold in [
        (|p| p.pinned = true) as fn(&mut RecoveryPoint),
        |p| p.deleting_since = Some(NOW),
        |p| p.class_retains = true,
    ] {
        let mut held = with_ours.clone();
        held.points.iter_mut().for_each(hold);
        assert_eq!(wanted_prunes(&judge(NOW, &policy(true), &held)).len(), 0);
    }
}

/// Safety of change holds for what is adopted as well.
#[test]
fn a_longer_retention_of_lately_keeps_its_own_too() {
    let volume = volume("s1");
    let policy = Policy { adopt_agenttier: true, retention: Retention::for_at_least(hours(100)), ..policy() };
    let ours = RecoveryPoint {
        retention: Some(Retention::for_at_least(hours(300))),
        ..ready(&volume, "ours", NOW - hours(1))
    };
    let old = agenttiers(&volume, "old", NOW - hours(200));
    let verdict = judge(NOW, &policy, &with(volume.clone(), [ours, old]));
    assert_eq!(*fate(&verdict, "old"), Fate::Keep(Keep::Young { until: NOW + hours(100) }));
}
