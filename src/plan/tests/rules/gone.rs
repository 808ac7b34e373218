//! A sandbox that is gone: noted once, then kept for `maxAge` from that.

use agenttier_backup_plan::{
    Action, ClaimPhase, FAILED_AFTER, Fate, FormerUser, Governance, HeldBack, Keep, Mark, Note, Ownership,
    Policy, Protection, Reason, RecoveryPoint, Retention, Safety, Spent, Verdict, Volume, VolumeUid,
};
use jiff::{SignedDuration, Timestamp};

use crate::world::{
    NOW, decide, fate, hours, judge, policy, ready, sandbox, seconds, unready, volume, wanted_prunes, with,
};

fn days(days: i64) -> SignedDuration {
    hours(24 * days)
}

fn gone() -> Volume {
    Volume { phase: ClaimPhase::Gone, ..volume("s1") }
}

/// `a` is the newest of three points, all long past their age, and says since when its sandbox is gone.
fn gone_since(since: Timestamp) -> Volume {
    let volume = gone();
    let mut points =
        [("a", 900), ("b", 1000), ("c", 1100)].map(|(name, age)| ready(&volume, name, NOW - hours(age)));
    points[0].gone_since = Some(since);
    points[0].sandbox = Some("s1".into());
    points[0].sandbox_uid = Some("u-1".into());
    with(volume, points)
}

fn mark(verdict: &Verdict) -> Option<&Mark> {
    let mut marks = verdict.wants.iter().filter_map(|action| match action {
        Action::Mark(mark) => Some(mark),
        _ => None,
    });
    let mark = marks.next();
    assert!(marks.next().is_none(), "{verdict:?}");
    mark
}

fn pruned(verdict: &Verdict) -> Vec<&str> {
    let mut names: Vec<_> = wanted_prunes(verdict).iter().map(|prune| prune.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn without(mut volume: Volume, names: &[&str]) -> Volume {
    volume.points.retain(|point| !names.contains(&point.name.as_str()));
    volume
}

#[test]
fn first_it_is_noted_on_the_newest_ready_point() {
    let volume = gone();
    let named = |name: &str, age| RecoveryPoint {
        sandbox: Some(format!("of-{name}")),
        sandbox_uid: Some(format!("uid-of-{name}")),
        ..ready(&volume, name, NOW - hours(age))
    };
    let unready_one = RecoveryPoint { sandbox: None, ..unready(&volume, "unready", NOW - hours(1)) };
    let points = [named("b", 1000), named("a", 900), unready_one.clone()];
    let verdict = judge(NOW, &policy(), &with(volume.clone(), points));
    let found = mark(&verdict).unwrap();
    assert_eq!((found.name.as_str(), found.uid.as_str(), found.version.as_str()), ("a", "uid-of-a", "7"));
    let user = FormerUser { sandbox: Some("of-a".into()), sandbox_uid: Some("uid-of-a".into()) };
    assert_eq!(found.note, Note::SandboxGone(user));
    assert_eq!((verdict.wants.len(), fate(&verdict, "b")), (1, &Fate::Keep(Keep::VolumeGone)));
    let newest = Some(NOW - hours(900));
    assert_eq!(verdict.protection, Protection::Retired { newest, reason: Reason::ClaimGone });
    assert_eq!(verdict.interval, None);

    let noted_on = |points: Vec<RecoveryPoint>| {
        let verdict = judge(NOW, &policy(), &with(volume.clone(), points));
        mark(&verdict).map(|mark| mark.name.clone())
    };
    let older = unready(&volume, "older", NOW - hours(40));
    assert_eq!(
        noted_on(vec![unready_one.clone(), older.clone()]).as_deref(),
        Some("unready"),
        "where none is Ready"
    );
    let leaving = RecoveryPoint { deleting_since: Some(NOW), ..unready_one };
    assert_eq!(noted_on(vec![leaving.clone(), older]).as_deref(), Some("older"));
    assert_eq!(noted_on(vec![leaving]), None);
    let foreign = RecoveryPoint { ownership: Ownership::AgentTier, ..ready(&volume, "its", NOW) };
    assert_eq!(noted_on(vec![foreign]), None);
    assert_eq!(noted_on(vec![]), None);
}

#[test]
fn the_note_of_another_volume_says_nothing() {
    let mut volume = gone_since(NOW - days(30));
    volume.points[0].ownership = Ownership::Ours { volume: VolumeUid::new("a-namesake") };
    let verdict = judge(NOW, &policy(), &volume);
    assert_eq!((mark(&verdict).map(|mark| mark.name.as_str()), pruned(&verdict).len()), (Some("b"), 0));
}

/// However old they are: a sandbox that was stopped for months and deleted by mistake is no worse off.
#[test]
fn all_of_it_is_kept_for_max_age_from_then() {
    let since = NOW - days(14) + seconds(1);
    let verdict = judge(NOW, &policy(), &gone_since(since));
    let until = NOW + seconds(1);
    assert_eq!(verdict.wants, []);
    for name in ["a", "b", "c"] {
        assert_eq!(*fate(&verdict, name), Fate::Keep(Keep::SandboxGone { until }));
    }
    assert_eq!(verdict.wake, Some(until));
    assert_eq!(pruned(&judge(until, &policy(), &gone_since(since))), ["b", "c"]);
}

#[test]
fn then_all_others_go_before_the_newest_ready_one() {
    let volume = gone_since(NOW - days(14));
    let verdict = judge(NOW, &policy(), &volume);
    assert_eq!(pruned(&verdict), ["b", "c"]);
    assert_eq!(*fate(&verdict, "a"), Fate::Keep(Keep::Newest));
    for prune in wanted_prunes(&verdict) {
        assert_eq!((prune.reason, prune.early), (Spent::SandboxGone, false));
        assert!(matches!(prune.safety, Safety::Gone(_)), "that it is gone is read anew each time");
    }
    let mut leaving = volume.clone();
    leaving.points[1].deleting_since = Some(NOW);
    assert_eq!(pruned(&judge(NOW, &policy(), &leaving)), ["c"]);
    let verdict = judge(NOW, &policy(), &without(leaving, &["c"]));
    assert_eq!(pruned(&verdict), [""; 0], "one that is leaving is there still");

    let verdict = judge(NOW, &policy(), &without(volume, &["b", "c"]));
    let [prune] = wanted_prunes(&verdict)[..] else { panic!("{verdict:?}") };
    let user = FormerUser { sandbox: Some("s1".into()), sandbox_uid: Some("u-1".into()) };
    assert_eq!((prune.name.as_str(), &prune.safety), ("a", &Safety::Gone(user)));
    assert!(!prune.early, "nobody promised that it stays for ever");
    assert!(matches!(fate(&verdict, "a"), Fate::Prune { reason: Spent::SandboxGone, keeper: None }));
}

#[test]
fn what_was_never_good_goes_too() {
    let volume = gone();
    let mut points = [1, 2].map(|n| unready(&volume, &format!("failed-{n}"), NOW - FAILED_AFTER - hours(n)));
    points[0].gone_since = Some(NOW - days(14));
    let verdict = judge(NOW, &policy(), &with(volume, points));
    assert_eq!(pruned(&verdict), ["failed-1", "failed-2"]);
    assert!(wanted_prunes(&verdict).iter().all(|prune| matches!(prune.safety, Safety::Gone(_))));
}

type Spare = fn(&mut RecoveryPoint);

#[test]
fn what_is_pinned_read_retained_under_way_or_not_its_own_stays() {
    let spares: [(Spare, Keep); 6] = [
        (|point| point.pinned = true, Keep::Pinned),
        (
            |point| point.readers = ["claim/x".to_owned()].into(),
            Keep::ReadBy { readers: ["claim/x".to_owned()].into() },
        ),
        (|point| point.class_retains = true, Keep::ClassRetains),
        (|point| (point.ready, point.created) = (false, NOW - hours(2)), Keep::NotReady),
        (|point| point.ownership = Ownership::Ours { volume: VolumeUid::new("another") }, Keep::OtherVolume),
        (|point| point.ownership = Ownership::AgentTier, Keep::OtherVolume),
    ];
    for (spare, keep) in spares {
        let mut volume = gone_since(NOW - days(14));
        spare(&mut volume.points[1]);
        let verdict = judge(NOW, &policy(), &volume);
        assert_eq!((pruned(&verdict), fate(&verdict, "b")), (vec!["c"], &Fate::Keep(keep.clone())));
        assert_eq!(*fate(&verdict, "a"), Fate::Keep(Keep::Newest));
        // What stays for other reasons is no reason to keep the newest: nothing is left to wait for.
        assert_eq!(pruned(&judge(NOW, &policy(), &without(volume, &["c"]))), ["a"], "{keep:?}");
    }
    let mut pinned_newest = gone_since(NOW - days(14));
    pinned_newest.points[0].pinned = true;
    let verdict = judge(NOW, &policy(), &pinned_newest);
    assert_eq!((pruned(&verdict), fate(&verdict, "a")), (vec!["b", "c"], &Fate::Keep(Keep::Pinned)));
}

/// The mistake may be found with the change of the policy; both have their day.
#[test]
fn the_longest_retention_that_was_lately_in_force_counts() {
    let carrying = |max_age| {
        let mut volume = gone_since(NOW - days(5));
        volume.points[0].retention = Some(Retention::for_at_least(max_age));
        judge(NOW, &Policy { retention: Retention::for_at_least(days(3)), ..policy() }, &volume)
    };
    let verdict = carrying(days(9));
    assert_eq!((pruned(&verdict).len(), verdict.wake), (0, Some(NOW + days(4))));
    assert_eq!(*fate(&verdict, "a"), Fate::Keep(Keep::SandboxGone { until: NOW + days(4) }));
    assert_eq!(pruned(&carrying(days(4))), ["b", "c"]);
    assert_eq!(pruned(&carrying(days(1))), ["b", "c"], "the policy's own, if that is longer, was over too");
}

#[test]
fn what_was_promised_for_longer_is_early() {
    let mut volume = gone_since(NOW - days(14));
    volume.points[0].retention = Some(Retention::for_at_least(days(14)));
    volume.points[1].retention = Some(Retention::for_at_least(days(14) + seconds(1)));
    volume.points[2].retention = Some(Retention { keep_last: 99, ..Retention::for_at_least(days(14)) });
    let early = |now| {
        let verdict = judge(now, &policy(), &volume);
        let early =
            wanted_prunes(&verdict).iter().map(|prune| (prune.name.clone(), prune.early)).collect::<Vec<_>>();
        (early, verdict.wake)
    };
    let pair = |b, c| vec![("b".to_owned(), b), ("c".to_owned(), c)];
    assert_eq!(early(NOW), (pair(true, false), Some(NOW + seconds(1))));
    assert_eq!(early(NOW + seconds(1)), (pair(false, false), None));
}

/// Promise 7: neither the absence of a policy nor that of a claim alone is a reason.
#[test]
fn without_a_policy_in_force_or_with_its_sandbox_alive_nothing_happens() {
    let volume = gone_since(NOW - days(100));
    let held = |reason| Governance::Held { policy: "default".into(), reason };
    for governance in [
        Governance::Nobody,
        Governance::Unknown,
        held(Reason::PolicySuspended),
        held(Reason::SnapshotsDisabled),
        held(Reason::PolicyInvalid),
    ] {
        let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
        assert_eq!(
            (verdict.wants.len(), fate(&verdict, "c")),
            (0, &Fate::Keep(Keep::VolumeGone)),
            "{governance:?}"
        );
        assert_eq!(verdict.wake, None);
    }
    let alive = Volume { sandbox: Some(sandbox("s1", "Stopped")), ..volume.clone() };
    assert_eq!(judge(NOW, &policy(), &alive).wants, [], "it may come back to it");
    let there = Volume { phase: ClaimPhase::Abandoned, ..volume };
    assert_eq!(judge(NOW, &policy(), &there).wants, [], "its claim is there");
}

/// Of two notes the later one counts: the first may have been a mistake.
#[test]
fn the_later_note_counts() {
    let mut volume = gone_since(NOW - days(100));
    volume.points[1].gone_since = Some(NOW - days(1));
    assert_eq!(
        *fate(&judge(NOW, &policy(), &volume), "c"),
        Fate::Keep(Keep::SandboxGone { until: NOW + days(13) })
    );
}
