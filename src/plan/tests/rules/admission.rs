//! What of all that is wanted may be done now.

use agenttier_backup_plan::{
    Action, ActionKind, Admission, Governance, HeldBack, Limits, Ownership, Pacer, Policy, Protection,
    Reason, RecoveryPoint, Retention, Verdict, Volume, admit,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::world::{
    NOW, decide, every, failing, hours, judge, minutes, policy, ready, seconds, unready, volume, with,
};

const PLENTY: Limits = Limits { snapshots_in_flight: 1000, deletions_in_flight: 1000, snapshots: None };

/// So many volumes need so much that the pace of these tests is not the limit: a start every 0.8 s and less,
/// ten seconds' worth at once.
fn brisk() -> Policy {
    let retention = Retention { keep_last: 1, ..Retention::for_at_least(hours(24)) };
    Policy { interval: every(seconds(10)), retention, ..policy() }
}

fn admit_all(limits: &Limits, held: &HeldBack, verdicts: &[Verdict]) -> Admission {
    admit(NOW, Pacer::new(), limits, &[], held, verdicts)
}

/// A volume of this driver that has been exposed for so long.
fn exposed(uid: &str, driver: &str, since: SignedDuration) -> Volume {
    let mut volume = volume(uid);
    volume.driver = Some(driver.into());
    let point = ready(&volume, &format!("{uid}-old"), NOW - since);
    with(volume, [point])
}

fn verdict(volume: &Volume) -> Verdict {
    judge(NOW, &brisk(), volume)
}

/// One line an action: what, and of which volume.
fn list(admission: &Admission) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Prune(prune) => format!("prune {}", prune.name),
        Action::TakeSnapshot(take) => format!("take {}", take.volume.uid),
        Action::Mark(mark) => format!("mark {}", mark.name),
    };
    admission.actions.iter().map(line).collect()
}

fn prunes_of(uid: &str, until: Timestamp) -> HeldBack {
    failing(uid, ActionKind::Prune, Reason::Forbidden, until)
}

fn snapshots_of(uid: &str, until: Timestamp) -> HeldBack {
    failing(uid, ActionKind::TakeSnapshot, Reason::QuotaExceeded, until)
}

/// What waits for what.
fn waits(admission: &Admission) -> Vec<(&str, Reason)> {
    admission.waiting.iter().map(|waiting| (waiting.volume.as_str(), waiting.reason)).collect()
}

#[test]
fn prunes_come_before_snapshots_and_the_most_exposed_volume_first() {
    let mut with_old_ones = exposed("fresh", "d", minutes(1));
    let old = ready(&with_old_ones, "fresh-older", NOW - hours(48));
    with_old_ones.points.push(old);
    let verdicts = [
        verdict(&exposed("b", "d", hours(3))),
        verdict(&exposed("worst", "d", hours(9))),
        verdict(&with_old_ones),
        verdict(&exposed("a", "d", hours(3))),
        verdict(&Volume { created: NOW - hours(8), ..volume("never") }),
    ];
    let admission = admit_all(&PLENTY, &HeldBack::new(), &verdicts);
    assert_eq!(
        list(&admission),
        ["prune fresh-older", "take worst", "take never", "take a", "take b", "take fresh"],
        "a tie is settled by UID"
    );
    assert_eq!((waits(&admission), admission.wake), (vec![], None));
}

/// What is prunable of one volume, where the orders for the points `failed` failed so many minutes ago, and whether
/// others have succeeded since.
fn prunes_beside(failed: &[(&str, i64)], others_succeed: bool, until: Timestamp) -> (Admission, Verdict) {
    let mut with_old_ones = exposed("v", "d", minutes(1));
    for n in ["a", "b", "c"] {
        let old = ready(&with_old_ones, n, NOW - hours(48));
        with_old_ones.points.push(old);
    }
    let mut held = prunes_of("v", until);
    for setback in held.values_mut() {
        setback.others_succeed = others_succeed;
        setback.failed = failed.iter().map(|(name, ago)| ((*name).to_owned(), NOW - minutes(*ago))).collect();
    }
    let governance = Governance::By(brisk());
    let verdict = decide(NOW, &governance, &with_old_ones, &held);
    (admit_all(&PLENTY, &held, std::slice::from_ref(&verdict)), verdict)
}

#[test]
fn one_recovery_point_that_cannot_be_deleted_keeps_no_other_of_its_volume() {
    let (admission, _) = prunes_beside(&[("a", 1)], true, NOW + minutes(5));
    assert_eq!(list(&admission), ["prune b", "prune c", "take v"]);
    assert_eq!(admission.wake, Some(NOW + minutes(5)), "then it is tried again");
    let (admission, _) = prunes_beside(&[("a", 1)], true, NOW);
    assert_eq!(list(&admission), ["prune b", "prune c", "prune a", "take v"]);
    let (admission, _) = prunes_beside(&[("a", 1)], false, NOW);
    assert_eq!(
        list(&admission),
        ["prune b", "take v"],
        "one that has not failed yet shows whether any works"
    );
}

#[test]
fn of_several_that_cannot_be_deleted_each_has_its_turn() {
    let first = |failed: &[(&str, i64)]| list(&prunes_beside(failed, false, NOW).0)[0].clone();
    assert_eq!(first(&[("a", 3), ("b", 2), ("c", 1)]), "prune a");
    assert_eq!(first(&[("a", 1), ("b", 3), ("c", 2)]), "prune b");
    assert_eq!(first(&[("a", 1), ("b", 2)]), "prune c");
}

#[test]
fn what_is_not_wanted_any_more_does_not_go_on_failing() {
    let held_up = |failed, others| !prunes_beside(failed, others, NOW).1.setbacks.is_empty();
    assert!(held_up(&[("a", 1)], true));
    assert!(!held_up(&[("somebody deleted it", 1)], true));
    assert!(held_up(&[("somebody deleted it", 1)], false), "of the others nobody knows");
    let held = prunes_of("v", NOW);
    let governance = Governance::By(brisk());
    assert!(decide(NOW, &governance, &exposed("v", "d", minutes(1)), &held).setbacks.is_empty());
}

#[test]
fn a_driver_takes_no_more_than_its_cap_counting_what_is_under_way() {
    let busy = |uid| {
        let volume = exposed(uid, "full", hours(20));
        let in_flight = unready(&volume, &format!("{uid}-in-flight"), NOW - minutes(1));
        with(volume, [in_flight])
    };
    let verdicts: Vec<Verdict> = [
        busy("busy-1"),
        busy("busy-2"),
        exposed("a", "full", hours(9)),
        exposed("b", "full", hours(8)),
        exposed("c", "free", hours(1)),
    ]
    .iter()
    .map(verdict)
    .collect();
    let limits = Limits { snapshots_in_flight: 3, ..PLENTY };
    let admission = admit_all(&limits, &HeldBack::new(), &verdicts);
    assert_eq!(list(&admission), ["take a", "take c"], "a full driver is not in another's way");
    assert_eq!(waits(&admission), [("b", Reason::DriverBusy)]);
    assert_eq!(admission.wake, None, "a place is freed by an object, not by time");
}

/// Promise 4: a few snapshots that never get ready must not stop all others of their driver for a day.
#[test]
fn slow_failed_leaving_and_foreign_snapshots_hold_no_place() {
    let stuck = |uid: &str, age, change: fn(&mut RecoveryPoint)| {
        let volume = exposed(uid, "d", hours(90));
        let mut point = unready(&volume, &format!("{uid}-stuck"), NOW - age);
        change(&mut point);
        let volume = with(volume, [point]);
        let mut verdict = verdict(&volume);
        verdict.wants.clear(); // only what it holds matters here
        verdict
    };
    let verdicts = [
        stuck("slow", hours(2), |_| ()),
        stuck("failed", hours(25), |_| ()),
        stuck("leaving", minutes(1), |point| point.deleting_since = Some(NOW)),
        stuck("foreign", minutes(1), |point| {
            point.ownership = Ownership::AgentTier;
        }),
        verdict(&exposed("a", "d", hours(1))),
    ];
    let limits = Limits { snapshots_in_flight: 1, ..PLENTY };
    assert_eq!(list(&admit_all(&limits, &HeldBack::new(), &verdicts)), ["take a"]);
    let with_one_in_flight = [stuck("in-flight", minutes(59), |_| ()), verdicts[4].clone()];
    assert_eq!(list(&admit_all(&limits, &HeldBack::new(), &with_one_in_flight)), [""; 0]);
}

#[test]
fn deletions_have_a_cap_of_their_own_per_driver() {
    let laden = |uid: &str, driver: &str| {
        let mut volume = exposed(uid, driver, seconds(0));
        let points = [1, 2, 3].map(|n| ready(&volume, &format!("{uid}-{n}"), NOW - hours(48 + n)));
        volume.points.extend(points);
        volume
    };
    let mut leaving = laden("a", "x");
    leaving.points[1].deleting_since = Some(NOW);
    let verdicts = [leaving, laden("b", "y")].map(|volume| {
        let mut verdict = verdict(&volume);
        verdict.wants.retain(|action| matches!(action, Action::Prune(_)));
        verdict
    });
    let limits = Limits { deletions_in_flight: 2, snapshots_in_flight: 0, ..PLENTY };
    let admission = admit_all(&limits, &HeldBack::new(), &verdicts);
    assert_eq!(list(&admission), ["prune a-2", "prune b-1", "prune b-2"]);
    assert_eq!(waits(&admission), [("a", Reason::DriverBusy), ("b", Reason::DriverBusy)]);
}

/// A few that are never gone, for example for a finalizer that nobody serves, must not keep a driver from all other
/// deletions.
#[test]
fn a_deletion_that_takes_too_long_gives_up_its_place() {
    let mut leaving = exposed("a", "d", hours(30));
    let gone = ready(&leaving, "a-stuck", NOW - hours(90));
    leaving = with(leaving, [gone]);
    leaving.points[1].deleting_since = Some(NOW - hours(1));
    let mut other = exposed("b", "d", hours(30));
    let old = ready(&other, "b-old-2", NOW - hours(90));
    other = with(other, [old]);
    let limits = Limits { deletions_in_flight: 1, snapshots_in_flight: 0, ..PLENTY };
    let at = |now: Timestamp| {
        let verdicts = [judge(now, &brisk(), &leaving), judge(now, &brisk(), &other)];
        let admission = admit(now, Pacer::new(), &limits, &[], &HeldBack::new(), &verdicts);
        let [verdict, _] = verdicts;
        let told = verdict.notices.into_iter().find(|notice| notice.reason == Reason::DeletionSlow);
        (list(&admission), told.map(|notice| notice.message), verdict.wake)
    };
    let before = at(NOW - seconds(1));
    assert_eq!((before.0, before.1), (vec![], None));
    assert_eq!(before.2, Some(NOW), "it is looked at in time");
    let (list, told, _) = at(NOW);
    assert_eq!(list, ["prune b-old-2"]);
    assert!(told.unwrap().starts_with("a-stuck should have been deleted long ago"));
    // Of others' it is nobody's business here.
    let mut foreign = leaving.clone();
    foreign.points[1].ownership = Ownership::AgentTier;
    assert!(judge(NOW, &brisk(), &foreign).notices.is_empty());
    // Of several, one is named.
    leaving.points[0].deleting_since = Some(NOW - hours(2));
    let told = judge(NOW, &brisk(), &leaving).notices;
    assert!(told[0].message.starts_with("a-old and another should"), "{told:?}");
}

#[test]
fn pacing_lets_a_few_through_and_says_when_the_next_may_start() {
    let six_hourly = |uid: &str, since| judge(NOW, &policy(), &exposed(uid, "d", since));
    let verdicts = [six_hourly("a", hours(9)), six_hourly("b", hours(8)), six_hourly("c", hours(7))];
    let first = admit_all(&PLENTY, &HeldBack::new(), &verdicts);
    assert_eq!(list(&first), ["take a"]);
    assert_eq!(waits(&first), [("b", Reason::Paced), ("c", Reason::Paced)]);
    assert_eq!(first.wake, Some(NOW + seconds(50)), "one a minute, less the burst");
    assert!((first.per_minute - 1.0).abs() < f64::EPSILON, "{}", first.per_minute);

    let admit_at =
        |after| admit(NOW + seconds(after), first.pacer, &PLENTY, &[], &HeldBack::new(), &verdicts[1..]);
    assert_eq!(list(&admit_at(49)), [""; 0]);
    assert_eq!(admit_at(49).wake, first.wake, "asking does not push it back");
    assert_eq!(list(&admit_at(50)), ["take b"]);
}

#[test]
fn only_volumes_that_take_part_add_to_the_pace() {
    let idle = |uid: &str| {
        let volume = Volume { driver: None, ..volume(uid) };
        judge(NOW, &brisk(), &volume)
    };
    let six_hourly = |uid: &str| judge(NOW, &policy(), &exposed(uid, "d", hours(9)));
    let mut verdicts = vec![six_hourly("a"), six_hourly("b")];
    verdicts.extend((0..50).map(|n| idle(&format!("idle-{n}"))));
    assert_eq!(list(&admit_all(&PLENTY, &HeldBack::new(), &verdicts)), ["take a"]);
    // Fifty that are due all the time need five a second.
    verdicts.extend((0..50).map(|n| {
        let mut verdict = verdict(&exposed(&format!("brisk-{n}"), "d", hours(1)));
        verdict.wants.clear();
        verdict
    }));
    assert_eq!(list(&admit_all(&PLENTY, &HeldBack::new(), &verdicts)), ["take a", "take b"]);
}

#[test]
fn what_failed_is_left_alone_until_its_moment_and_then_comes_last() {
    let mut laden = exposed("a", "d", hours(30));
    let old = ready(&laden, "a-older", NOW - hours(48));
    laden.points.push(old);
    let verdicts = [verdict(&laden), verdict(&exposed("b", "d", hours(1)))];
    let admission = admit_all(&PLENTY, &snapshots_of("a", NOW + seconds(90)), &verdicts);
    assert_eq!(list(&admission), ["prune a-older", "take b"], "its prunes did not fail");
    assert_eq!(waits(&admission), [("a", Reason::QuotaExceeded)]);
    assert_eq!(admission.wake, Some(NOW + seconds(90)));
    let admission = admit_all(&PLENTY, &snapshots_of("a", NOW), &verdicts);
    assert_eq!(list(&admission), ["prune a-older", "take b", "take a"], "after those that did not fail");
    assert_eq!((waits(&admission), admission.wake), (vec![], None));
}

/// A right to delete that is missing must not keep a volume from its next recovery point.
#[test]
fn a_prune_that_fails_holds_no_snapshot_back() {
    let mut laden = exposed("a", "d", hours(30));
    laden.points.push(ready(&laden, "a-older", NOW - hours(48)));
    let verdicts = [verdict(&laden), verdict(&exposed("b", "d", hours(1)))];
    let admission = admit_all(&PLENTY, &prunes_of("a", NOW + seconds(90)), &verdicts);
    assert_eq!(list(&admission), ["take a", "take b"]);
    assert_eq!(waits(&admission), [("a", Reason::Forbidden)]);
}

#[test]
fn of_what_failed_one_is_tried_again_at_a_time() {
    let mut laden = exposed("a", "d", seconds(0));
    let points = [1, 2, 3].map(|n| ready(&laden, &format!("a-{n}"), NOW - hours(48 + n)));
    laden.points.extend(points);
    let verdicts = [verdict(&laden)];
    let takes_aside = Limits { snapshots_in_flight: 0, ..PLENTY };
    let admission = admit_all(&takes_aside, &HeldBack::new(), &verdicts);
    assert_eq!(list(&admission), ["prune a-1", "prune a-2", "prune a-3"]);
    let admission = admit_all(&takes_aside, &prunes_of("a", NOW - seconds(1)), &verdicts);
    assert_eq!(list(&admission), ["prune a-1"]);
    assert_eq!(waits(&admission)[..2], [("a", Reason::Forbidden); 2]);
}

#[test]
fn a_deletion_that_failed_before_keeps_no_other_from_its_place() {
    let verdicts = ["a", "b"].map(|uid| {
        let mut laden = exposed(uid, "d", seconds(0));
        laden.points.push(ready(&laden, &format!("{uid}-older"), NOW - hours(48)));
        verdict(&laden)
    });
    let limits = Limits { deletions_in_flight: 1, snapshots_in_flight: 0, ..PLENTY };
    assert_eq!(list(&admit_all(&limits, &HeldBack::new(), &verdicts)), ["prune a-older"]);
    assert_eq!(list(&admit_all(&limits, &prunes_of("a", NOW - seconds(1)), &verdicts)), ["prune b-older"]);
}

/// Those whose storage fails are the most exposed, and would hold all places of a driver otherwise.
#[test]
fn volumes_whose_snapshots_failed_come_after_all_others() {
    let failed = |uid: &str| {
        let volume = exposed(uid, "d", hours(80));
        let point = unready(&volume, &format!("{uid}-failed"), NOW - hours(30));
        verdict(&with(volume, [point]))
    };
    let verdicts = [failed("a"), verdict(&exposed("b", "d", hours(1)))];
    assert_eq!(list(&admit_all(&PLENTY, &HeldBack::new(), &verdicts)), ["take b", "take a"]);
}

#[test]
fn the_earliest_of_several_moments_is_the_one_to_wake_at() {
    let verdicts: Vec<Verdict> =
        ["a", "b", "c", "d"].map(|uid| judge(NOW, &policy(), &exposed(uid, "d", hours(9)))).into();
    let held = |first: i64, second: i64| {
        let mut held = snapshots_of("a", NOW + seconds(first));
        held.extend(snapshots_of("b", NOW + seconds(second)));
        held
    };
    // `c` takes what the pace allows, `d` waits 50 s for it.
    assert_eq!(admit_all(&PLENTY, &held(20, 30), &verdicts).wake, Some(NOW + seconds(20)));
    assert_eq!(admit_all(&PLENTY, &held(90, 80), &verdicts).wake, Some(NOW + seconds(50)));
}

/// Otherwise nobody can tell a pace that is too slow from a storage that is.
#[test]
fn a_volume_that_waits_is_told_for_what() {
    let overdue = |uid| judge(NOW, &policy(), &exposed(uid, "d", hours(9)));
    let fresh = |uid| {
        judge(NOW, &policy(), &Volume { created: NOW - hours(1), driver: Some("d".into()), ..volume(uid) })
    };
    let reasons = |limits: &Limits| {
        let mut verdicts = [overdue("a"), overdue("b"), fresh("c")];
        admit_all(limits, &HeldBack::new(), &verdicts).name_waits(&mut verdicts);
        verdicts.map(|verdict| verdict.protection.reason().unwrap())
    };
    assert_eq!(reasons(&PLENTY), [Reason::WaitingForTurn, Reason::Paced, Reason::Paced], "it is a's turn");
    let full = Limits { snapshots_in_flight: 0, ..PLENTY };
    assert_eq!(reasons(&full), [Reason::DriverBusy; 3]);

    // What is protected still, or hangs on something else, is not told otherwise.
    let mut slow = exposed("b", "d", hours(9));
    slow.points.push(unready(&slow, "b-slow", NOW - hours(2)));
    let mut verdicts = [judge(NOW, &policy(), &exposed("a", "d", hours(6))), judge(NOW, &policy(), &slow)];
    admit_all(&full, &HeldBack::new(), &verdicts).name_waits(&mut verdicts);
    assert!(matches!(verdicts[0].protection, Protection::Protected { .. }), "{:?}", verdicts[0]);
    assert_eq!(verdicts[1].protection.reason(), Some(Reason::SnapshotSlow));
}

proptest! {
    #[test]
    fn the_answer_hangs_neither_on_order_nor_on_more_than_is_allowed(
        exposures in prop::collection::vec((0_i64..40, 0_u8..3, 0_u8..4, any::<bool>()), 1..25),
        snapshots_in_flight in 0_usize..6,
        deletions_in_flight in 0_usize..6,
        shuffled in any::<u64>(),
    ) {
        let mut held = HeldBack::new();
        let mut verdicts: Vec<Verdict> = Vec::new();
        for (n, (since, driver, old_ones, is_held)) in exposures.iter().enumerate() {
            let uid = format!("v{n}");
            let mut volume = exposed(&uid, &format!("driver-{driver}"), hours(*since));
            let points = (0..*old_ones).map(|old| {
                let name = format!("{uid}-{old}");
                ready(&volume, &name, NOW - hours(50 + i64::from(old)))
            });
            let points: Vec<_> = points.collect();
            volume.points.extend(points);
            verdicts.push(verdict(&volume));
            if *is_held {
                held.extend(snapshots_of(&uid, NOW + seconds(1)));
                held.extend(prunes_of(&uid, NOW + seconds(1)));
            }
        }
        let limits = Limits { snapshots_in_flight, deletions_in_flight, snapshots: None };
        let admission = admit_all(&limits, &held, &verdicts);

        let wanted: usize = verdicts.iter().map(|verdict| verdict.wants.len()).sum();
        prop_assert_eq!(admission.waiting.len() + admission.actions.len(), wanted);
        for driver in 0..3 {
            let driver = format!("driver-{driver}");
            let of_driver = |action: &&Action| {
                verdicts.iter().any(|v| v.driver.as_ref() == Some(&driver) && v.wants.contains(action))
            };
            let (takes, prunes): (Vec<&Action>, Vec<&Action>) = admission
                .actions.iter().filter(of_driver).partition(|action| matches!(action, Action::TakeSnapshot(_)));
            prop_assert!(takes.len() <= snapshots_in_flight && prunes.len() <= deletions_in_flight);
        }
        for action in &admission.actions {
            prop_assert!(!held.contains_key(&(action.volume().uid.clone(), action.kind())));
        }

        let rotation = usize::try_from(shuffled % 97).unwrap() % verdicts.len();
        verdicts.rotate_left(rotation);
        if shuffled % 2 == 0 {
            verdicts.reverse();
        }
        prop_assert_eq!(admit_all(&limits, &held, &verdicts), admission);
    }
}
