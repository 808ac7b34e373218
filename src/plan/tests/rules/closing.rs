//! A claim that is being deleted is not held up by snapshots that never get ready.

use agenttier_backup_plan::{FAILED_AFTER, Fate, Protection, Reason, RecoveryPoint, Safety, Spent, Volume};

use crate::world::{NOW, hours, judge, minutes, policy, ready, unready, volume, wanted_prunes, with};

/// The points that go, and whether a newer one makes that safe.
fn going(points: &[RecoveryPoint]) -> Vec<(String, bool)> {
    let volume = with(Volume { terminating: true, ..volume("s1") }, points.iter().cloned());
    let verdict = judge(NOW, &policy(), &volume);
    assert_eq!(verdict.protection, Protection::Unprotected { reason: Reason::ClaimTerminating });
    let prunes = wanted_prunes(&verdict);
    assert_eq!(verdict.wants.len(), prunes.len(), "nothing else is done");
    for point in &verdict.points {
        let goes = prunes.iter().any(|prune| prune.name == point.name);
        assert_eq!(matches!(point.fate, Fate::Prune { .. }), goes, "{point:?}");
    }
    let going = prunes.into_iter().map(|prune| {
        assert_eq!(prune.reason, Spent::HoldsClaim);
        assert!(matches!(prune.safety, Safety::Keeper(_) | Safety::Unready), "{prune:?}");
        (prune.name.clone(), matches!(prune.safety, Safety::Keeper(_)))
    });
    going.collect()
}

#[test]
fn what_failed_goes_and_what_is_slow_may_hold_the_last_work() {
    let volume = volume("s1");
    let failed = unready(&volume, "failed", NOW - FAILED_AFTER);
    let slow = unready(&volume, "slow", NOW - hours(2));
    let in_flight = unready(&volume, "in-flight", NOW - minutes(5));
    let erring = RecoveryPoint { error: Some("full".into()), ..unready(&volume, "erring", NOW - hours(2)) };
    let good = ready(&volume, "good", NOW - hours(900));
    let waiting = [failed, slow, in_flight, erring];
    let name = |name: &str, safe| (name.to_owned(), safe);
    assert_eq!(going(&waiting), [name("failed", false), name("erring", false)]);
    let with_good = [waiting.to_vec(), vec![good]].concat();
    assert_eq!(going(&with_good), [name("failed", true), name("erring", true)]);
}

#[test]
fn what_is_pinned_read_or_anothers_stays() {
    let volume = volume("s1");
    let failed = unready(&volume, "failed", NOW - FAILED_AFTER);
    for spare in [
        (|point| point.pinned = true) as fn(&mut RecoveryPoint),
        |point| point.readers = ["claim/x".to_owned()].into(),
        |point| point.deleting_since = Some(NOW),
        |point| point.ownership = agenttier_backup_plan::Ownership::AgentTier,
    ] {
        let mut spared = failed.clone();
        spare(&mut spared);
        assert_eq!(going(&[spared.clone()]), [], "{spared:?}");
    }
}
