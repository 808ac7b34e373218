//! Deletions in such numbers that somebody has to say that they are meant.

use std::collections::BTreeMap;

use agenttier_backup_plan::{
    Admission, ClaimPhase, Governance, HeldBack, Limits, MassDeletion, Pacer, Policy, Pressure, Reason,
    RecoveryPoint, Retention, Surroundings, Suspension, Verdict, Volume, admit, mass_deletions,
};
use jiff::{SignedDuration, Timestamp};

use crate::world::{NOW, decide, hours, judge, policy, ready, seconds, volume, with};

const PLENTY: Limits = Limits { snapshots_in_flight: 1000, deletions_in_flight: 1000, snapshots: None };

fn three_days() -> Policy {
    Policy { retention: Retention::for_at_least(hours(72)), ..policy() }
}

/// A volume with a new point of three days' retention, and older ones past that, promised to stay for so long.
fn laden(uid: &str, old: i64, promised: SignedDuration) -> Volume {
    let volume = volume(uid);
    let under = |name: String, age, max_age| RecoveryPoint {
        retention: Some(Retention::for_at_least(max_age)),
        ..ready(&volume, &name, NOW - age)
    };
    let newest = under(format!("{uid}-new"), hours(25), hours(72));
    let points: Vec<_> =
        (0..old).map(|n| under(format!("{uid}-{n:02}"), hours(100 + n), promised)).chain([newest]).collect();
    with(volume, points)
}

/// `volumes` of them with one old point each, all of which is shown.
fn verdicts(policy: &Policy, volumes: &[Volume]) -> Vec<Verdict> {
    volumes.iter().map(|volume| judge(NOW, policy, volume)).collect()
}

fn admitted(verdicts: &[Verdict], suspended: &[Suspension]) -> Admission {
    admit(NOW, Pacer::new(), &PLENTY, suspended, &HeldBack::new(), verdicts)
}

fn deletions(admission: &Admission) -> usize {
    let kinds = admission.actions.iter().map(agenttier_backup_plan::Action::kind);
    kinds.filter(|kind| *kind == agenttier_backup_plan::ActionKind::Prune).count()
}

#[test]
fn more_than_a_tenth_before_its_time_waits_for_a_word() {
    for (early, others, is_mass) in [(11, 98, false), (11, 97, true), (12, 98, true), (50, 0, true)] {
        let volumes = [laden("early", early, hours(14 * 24)), laden("other", others - 1, hours(72))];
        let mut volumes = volumes.to_vec();
        if others == 0 {
            volumes.pop();
        }
        // Points in all: the early ones and theirs that stays, the others and theirs that stays.
        let of_points = usize::try_from(early + 1 + others).unwrap();
        let verdicts = verdicts(&three_days(), &volumes);
        let found = mass_deletions(NOW, None, &verdicts);
        assert_eq!(!found.is_empty(), is_mass, "{early} of {of_points}: {found:?}");
        let admission = admitted(&verdicts, &[]);
        // What has outlived its own retention goes all the same.
        let unhindered = usize::try_from((others - 1).max(0)).unwrap();
        let early = usize::try_from(early).unwrap();
        assert_eq!(deletions(&admission), unhindered + if is_mass { 0 } else { early });
        if is_mass {
            let mass = MassDeletion {
                points: early,
                of_points,
                gone: 0,
                of_volumes: volumes.len(),
                taken_under: vec![],
            };
            assert_eq!(found, BTreeMap::from([("default".to_owned(), mass)]));
            assert_eq!(admission.mass, found);
            let waits = admission.waiting.iter().filter(|waiting| waiting.reason == Reason::MassDeletion);
            assert_eq!(waits.count(), early);
        }
    }
}

#[test]
fn ten_at_once_are_no_mass_however_few_there_are() {
    let of =
        |early| mass_deletions(NOW, None, &verdicts(&three_days(), &[laden("s1", early, hours(14 * 24))]));
    assert!(of(10).is_empty());
    assert_eq!(of(11).len(), 1);
}

/// After an outage that is a backlog, and may be all that fills a quota.
#[test]
fn what_has_outlived_its_promise_is_no_mass() {
    let verdicts = verdicts(&three_days(), &[laden("s1", 50, hours(99))]);
    assert!(mass_deletions(NOW, None, &verdicts).is_empty());
    assert_eq!(deletions(&admitted(&verdicts, &[])), 50);
}

/// Volumes lose what an earlier retention keeps one by one. By single passes nothing would ever be a mass.
#[test]
fn what_waits_for_its_day_counts_once_the_first_is_due() {
    let due = laden("due", 3, hours(14 * 24));
    let mut waiting = laden("waiting", 30, hours(14 * 24));
    // Its new point is of an hour ago: until it is a day old, the one before keeps all.
    for point in waiting.points.iter_mut().filter(|point| point.name == "waiting-new") {
        (point.created, point.cut) = (NOW - hours(1), None);
    }
    let policy = three_days();
    assert!(mass_deletions(NOW, None, &verdicts(&policy, &[waiting.clone()])).is_empty(), "nothing is due");
    let found = mass_deletions(NOW, None, &verdicts(&policy, &[due.clone(), waiting.clone()]));
    let mass = MassDeletion { points: 33, of_points: 35, gone: 0, of_volumes: 2, taken_under: vec![] };
    assert_eq!(found.get("default"), Some(&mass), "{found:?}");
    assert!(mass_deletions(NOW, None, &verdicts(&policy, &[due])).is_empty(), "3 alone are none");
}

#[test]
fn a_confirmation_holds_for_a_day_from_when_it_was_given() {
    let held = |confirmed: Option<Timestamp>| {
        let policy = Policy { deletions_confirmed: confirmed, ..three_days() };
        let verdicts = verdicts(&policy, &[laden("s1", 50, hours(14 * 24))]);
        assert_eq!(
            deletions(&admitted(&verdicts, &[])) == 0,
            !mass_deletions(NOW, None, &verdicts).is_empty()
        );
        !mass_deletions(NOW, None, &verdicts).is_empty()
    };
    assert!(held(None));
    assert!(!held(Some(NOW)));
    assert!(!held(Some(NOW - hours(24) + seconds(1))));
    assert!(held(Some(NOW - hours(24))));
    assert!(held(Some(NOW + seconds(1))), "nobody confirms ahead");
}

#[test]
fn each_policy_is_counted_on_its_own() {
    let gold = Policy { name: "gold".into(), ..three_days() };
    let mut all = verdicts(&gold, &[laden("s1", 11, hours(14 * 24))]);
    all.extend(verdicts(&three_days(), &[laden("s2", 300, hours(72))]));
    let found = mass_deletions(NOW, None, &all);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["gold"], "the many of another policy hide nothing");
    let admission = admitted(&all, &[]);
    assert_eq!(deletions(&admission), 300, "and are not held with it");
    // A confirmation of another policy says nothing.
    let confirmed = Policy { deletions_confirmed: Some(NOW), ..three_days() };
    let mut all = verdicts(&gold, &[laden("s1", 11, hours(14 * 24))]);
    all.extend(verdicts(&confirmed, &[laden("s2", 1, hours(72))]));
    assert_eq!(mass_deletions(NOW, None, &all).len(), 1);
}

fn left_over(uid: &str) -> Volume {
    let volume = Volume { phase: ClaimPhase::Gone, ..volume(uid) };
    let point = ready(&volume, &format!("{uid}-last"), NOW - hours(30));
    with(volume, [point])
}

/// A mark that a sandbox is gone is the first step to deleting all of it: so many at once look like a cache that is
/// half filled.
#[test]
fn many_sandboxes_gone_at_once_wait_for_a_word() {
    let marks = |gone: usize, alive: usize, policy: &Policy| {
        let gone = (0..gone).map(|n| left_over(&format!("g{n}")));
        let alive = (0..alive).map(|n| {
            let volume = volume(&format!("a{n}"));
            with(volume.clone(), [ready(&volume, &format!("a{n}-new"), NOW - hours(25))])
        });
        let volumes: Vec<_> = gone.chain(alive).collect();
        let verdicts = verdicts(policy, &volumes);
        let admission = admitted(&verdicts, &[]);
        let marks = admission
            .actions
            .iter()
            .filter(|action| action.kind() == agenttier_backup_plan::ActionKind::Mark);
        (
            marks.count(),
            mass_deletions(NOW, None, &verdicts).get("default").map(|mass| (mass.gone, mass.of_volumes)),
        )
    };
    assert_eq!(marks(10, 0, &policy()), (10, None));
    assert_eq!(marks(11, 0, &policy()), (0, Some((11, 11))));
    assert_eq!(marks(11, 11, &policy()), (11, None), "half of them");
    assert_eq!(marks(12, 11, &policy()), (0, Some((12, 23))));
    assert_eq!(marks(11, 0, &Policy { deletions_confirmed: Some(NOW), ..policy() }), (11, None));
}

/// Promise 7: what rests on absence waits while absence proves nothing.
#[test]
fn while_deletions_are_suspended_no_sandbox_is_marked_as_gone() {
    let verdicts = verdicts(&policy(), &[left_over("g1")]);
    let kinds = |suspended: &[Suspension]| {
        let admission = admitted(&verdicts, suspended);
        (admission.actions.len(), admission.waiting.iter().map(|waiting| waiting.reason).collect::<Vec<_>>())
    };
    assert_eq!(kinds(&[]), (1, vec![]));
    assert_eq!(kinds(&[Suspension::ClockUnknown]), (0, vec![Reason::ClockUnknown]));
}

/// To hide a point from AgentTier's sweep rests on nothing that is absent, and saves it.
#[test]
fn while_deletions_are_suspended_or_of_a_mass_points_are_hidden_all_the_same() {
    let mut volume = laden("s1", 50, hours(14 * 24));
    volume.agenttier_loop = agenttier_backup_plan::AgentTierLoop::Sweeps;
    let verdicts = verdicts(&three_days(), &[volume]);
    for suspended in [&[][..], &[Suspension::ClockUnknown]] {
        let admission = admitted(&verdicts, suspended);
        let marks: Vec<_> = admission.actions.iter().map(agenttier_backup_plan::Action::kind).collect();
        assert!(marks.contains(&agenttier_backup_plan::ActionKind::Mark), "{marks:?}");
        assert_eq!(deletions(&admission), 0);
    }
}

/// Nobody's volumes are nobody's mass.
#[test]
fn without_a_policy_there_is_nothing_to_hold() {
    let verdict = decide(NOW, &Governance::Nobody, &laden("s1", 50, hours(14 * 24)), &HeldBack::new());
    assert!(mass_deletions(NOW, None, &[verdict]).is_empty());
}

fn taken_under(policy: &str, mut volume: Volume) -> Volume {
    volume.points.iter_mut().for_each(|point| point.policy = Some(policy.to_owned()));
    volume
}

/// A policy is deleted, and the next one has so many volumes that the few of the first would not show among them.
#[test]
fn what_was_taken_under_another_policy_is_counted_by_itself() {
    let many = || taken_under("default", laden("many", 300, hours(72)));
    for (few, is_mass) in [(1, false), (2, true), (8, true)] {
        let lost = taken_under("gold", laden("few", few, hours(14 * 24)));
        let verdicts = verdicts(&three_days(), &[many(), lost]);
        let found = mass_deletions(NOW, None, &verdicts);
        let few = usize::try_from(few).unwrap();
        let mass = MassDeletion {
            points: few,
            of_points: few + 1,
            gone: 0,
            of_volumes: 2,
            taken_under: vec!["gold".into()],
        };
        assert_eq!(found.get("default"), is_mass.then_some(&mass), "{few}");
        // What had its time goes, and a few of a policy's own would.
        assert_eq!(deletions(&admitted(&verdicts, &[])), 300 + if is_mass { 0 } else { few });
    }
    // Under the policy's own name, and under none, they are its own.
    for same in [taken_under("default", laden("few", 8, hours(14 * 24))), laden("few", 8, hours(14 * 24))] {
        assert!(mass_deletions(NOW, None, &verdicts(&three_days(), &[many(), same])).is_empty());
    }
    let confirmed = Policy { deletions_confirmed: Some(NOW), ..three_days() };
    let lost = taken_under("gold", laden("few", 8, hours(14 * 24)));
    assert!(mass_deletions(NOW, None, &verdicts(&confirmed, &[many(), lost])).is_empty());
    // Whoever confirms it confirms all of it, and is told of all of it.
    let own = taken_under("default", laden("own", 40, hours(14 * 24)));
    let lost = taken_under("gold", laden("few", 8, hours(14 * 24)));
    let volumes: Vec<_> =
        [own, lost].into_iter().chain((0..11).map(|n| left_over(&format!("g{n}")))).collect();
    let found = mass_deletions(NOW, None, &verdicts(&three_days(), &volumes));
    let all = MassDeletion {
        points: 48,
        of_points: 50 + 11,
        gone: 11,
        of_volumes: 13,
        taken_under: vec!["gold".into()],
    };
    assert_eq!(found.get("default"), Some(&all));
}

/// AgentTier's own carry no promise; that a policy adopts them is nothing that was meant for hundreds by itself.
#[test]
fn what_agenttier_made_counts_where_it_is_adopted() {
    let adopting = Policy { adopt_agenttier: true, ..three_days() };
    let of_agenttier = |count: i64| {
        let volume = laden("s1", 0, hours(72));
        let its = (0..count).map(|n| RecoveryPoint {
            ownership: agenttier_backup_plan::Ownership::AgentTier,
            ..ready(&volume, &format!("its-{n:02}"), NOW - hours(100 + n))
        });
        let its: Vec<_> = its.collect();
        verdicts(&adopting, &[with(volume, its)])
    };
    assert!(mass_deletions(NOW, None, &of_agenttier(10)).is_empty());
    let found = mass_deletions(NOW, None, &of_agenttier(11));
    assert_eq!(found.get("default").map(|mass| (mass.points, mass.of_points)), Some((11, 12)));
    assert_eq!(deletions(&admitted(&of_agenttier(11), &[])), 0);
}

fn near_limit(policy: Policy, volume: &Volume) -> Verdict {
    let held = HeldBack::new();
    let around = Surroundings { pressure: Pressure::NearLimit, ..Surroundings::of(&held) };
    agenttier_backup_plan::decide(NOW, &Governance::By(policy), volume, &around)
}

/// For the limit of the cluster a few go at a time; where it was mistyped, it would be a mass.
#[test]
fn of_what_goes_for_the_limit_only_what_it_needs_counts() {
    let two_a_day = |uid: &str| {
        let volume = volume(uid);
        let points = (0..60).map(|n| RecoveryPoint {
            retention: Some(Retention::for_at_least(hours(60 * 24))),
            ..ready(&volume, &format!("{uid}-{n:02}"), NOW - hours(25 + 12 * n))
        });
        with(volume.clone(), points.collect::<Vec<_>>())
    };
    let policy = Policy { retention: Retention::for_at_least(hours(60 * 24)), ..policy() };
    let verdicts = ["a", "b"].map(|uid| near_limit(policy.clone(), &two_a_day(uid)));
    let points =
        |allowed| mass_deletions(NOW, Some(allowed), &verdicts).get("default").map(|mass| mass.points);
    // 120 points: at 109 the limit of 121 is near, at 108 that of 120.
    assert_eq!((points(133), points(121), points(120)), (None, None, Some(13)));
    let all = verdicts.iter().map(|verdict| crate::world::wanted_prunes(verdict).len()).sum::<usize>();
    assert!(all > 40, "{all}");
    assert_eq!(points(15), Some(all));
}

/// Of each of many policies few enough would go for none of them to be one by itself.
#[test]
fn what_goes_for_the_limit_is_a_mass_over_all_policies() {
    let promised = Retention::for_at_least(hours(60 * 24));
    let verdicts: Vec<_> = (0..10)
        .map(|n| {
            let policy = Policy { name: format!("team-{n}"), retention: promised, ..policy() };
            let volume = volume(&format!("v{n}"));
            let points = (0..10).map(|k| RecoveryPoint {
                retention: Some(promised),
                ..ready(&volume, &format!("v{n}-{k}"), NOW - hours(60 + 8 * k))
            });
            let points: Vec<_> = points.collect();
            near_limit(policy, &with(volume, points))
        })
        .collect();
    let going = verdicts.iter().map(|verdict| crate::world::wanted_prunes(verdict).len()).collect::<Vec<_>>();
    assert!(going.iter().all(|going| (3..=10).contains(going)), "{going:?}");
    // 100 points: near a limit of 111 one has to go, of 100 eleven.
    assert_eq!(mass_deletions(NOW, Some(111), &verdicts).len(), 0);
    assert_eq!(mass_deletions(NOW, Some(101), &verdicts).len(), 0);
    assert_eq!(mass_deletions(NOW, Some(100), &verdicts).len(), 10, "each waits");
}

#[test]
fn what_is_going_already_makes_no_tenth_larger() {
    let early = laden("early", 11, hours(14 * 24));
    let mut going = laden("going", 50, hours(14 * 24));
    for point in &mut going.points {
        point.deleting_since = Some(NOW);
    }
    let found =
        mass_deletions(NOW, None, &verdicts(&three_days(), &[early, laden("other", 96, hours(72)), going]));
    assert_eq!(found.len(), 1, "{found:?}");
}
