//! A retention that was shortened takes effect a day later, and only when a newer recovery point says so.

use agenttier_backup_plan::{Fate, Keep, Policy, RecoveryPoint, Retention, SHORTENING_DELAY, Spent, Volume};
use jiff::{SignedDuration, Timestamp};

use crate::world::{NOW, fate, hours, judge, policy, ready, seconds, unready, volume, wanted_prunes, with};

fn keeping(max_age: SignedDuration) -> Policy {
    Policy { retention: Retention::for_at_least(max_age), ..policy() }
}

fn days(days: i64) -> SignedDuration {
    hours(24 * days)
}

/// A point that was taken under this retention.
fn under(volume: &Volume, name: &str, created: Timestamp, max_age: SignedDuration) -> RecoveryPoint {
    RecoveryPoint { retention: Some(Retention::for_at_least(max_age)), ..ready(volume, name, created) }
}

/// Points of 8, 2 and 1 days ago, taken while 14 days were promised; then the retention is cut to 3 days.
fn cut_short() -> Volume {
    let volume = volume("s1");
    let points = [8, 2, 1].map(|age| under(&volume, &format!("{age}d"), NOW - days(age), days(14)));
    with(volume, points)
}

fn pruned(now: Timestamp, policy: &Policy, volume: &Volume) -> Vec<String> {
    wanted_prunes(&judge(now, policy, volume)).iter().map(|prune| prune.name.clone()).collect()
}

#[test]
fn it_waits_until_a_newer_point_is_a_day_old() {
    let short = keeping(days(3));
    let volume = cut_short();
    let verdict = judge(NOW, &short, &volume);
    assert_eq!(*fate(&verdict, "8d"), Fate::Keep(Keep::RetentionShortened { until: Some(NOW + days(6)) }));
    // However long nobody looks: there is no newer point to tell since when.
    assert_eq!(pruned(NOW + days(5), &short, &volume), [""; 0]);

    let newer = with(volume.clone(), [under(&volume, "new", NOW + hours(1), days(3))]);
    let turn = NOW + hours(1) + SHORTENING_DELAY;
    let verdict = judge(turn - seconds(1), &short, &newer);
    assert_eq!(wanted_prunes(&verdict).len(), 0);
    assert!(verdict.wake.unwrap() <= turn, "{:?}", verdict.wake);
    let verdict = judge(turn, &short, &newer);
    let gone: Vec<_> =
        wanted_prunes(&verdict).iter().map(|prune| (prune.name.as_str(), prune.reason)).collect();
    assert_eq!(gone, [("8d", Spent::PastRetention), ("2d", Spent::PastRetention)]);
}

/// What was taken under the old one in the last day speaks for it, although the last one before says otherwise.
#[test]
fn every_point_of_the_last_day_has_a_say() {
    let volume = volume("s1");
    let points = [
        under(&volume, "old", NOW - days(8), days(3)),
        under(&volume, "before", NOW - days(2), days(3)),
        under(&volume, "within", NOW - hours(23), days(14)),
        under(&volume, "new", NOW - hours(1), days(3)),
    ];
    let volume = with(volume, points);
    let short = keeping(days(3));
    assert!(matches!(fate(&judge(NOW, &short, &volume), "old"), Fate::Keep(Keep::RetentionShortened { .. })));
    assert_eq!(pruned(NOW + hours(1), &short, &volume), [""; 0], "it is the last one before by now");
    assert_eq!(pruned(NOW + hours(23), &short, &volume), ["old"], "until `new` is");
}

/// The clock of a point is when it was made, not what its storage says.
#[test]
fn of_the_older_ones_the_last_alone_has_a_say() {
    let volume = volume("s1");
    let points = [
        under(&volume, "old", NOW - days(8), days(14)),
        under(&volume, "b", NOW - days(2), days(3)),
        under(&volume, "a", NOW - days(2), days(14)),
    ];
    let volume = with(volume, points);
    assert_eq!(pruned(NOW, &keeping(days(3)), &volume), ["old"], "a tie is settled by name");
}

#[test]
fn a_longer_retention_applies_at_once() {
    let volume = volume("s1");
    let points = [8, 1].map(|age| under(&volume, &format!("{age}d"), NOW - days(age), days(3)));
    let volume = with(volume, points);
    let verdict = judge(NOW, &keeping(days(14)), &volume);
    assert_eq!(*fate(&verdict, "8d"), Fate::Keep(Keep::Young { until: NOW + days(6) }));
}

/// Each retention speaks in full: what any of them keeps stays, also by `keepLast` or by thinning less.
#[test]
fn what_any_of_them_keeps_stays() {
    let volume = volume("s1");
    let lavish = Retention { keep_last: 3, ..Retention::for_at_least(days(1)) };
    let points = [9, 8, 7, 6].map(|age| RecoveryPoint {
        retention: Some(lavish),
        ..ready(&volume, &format!("{age}d"), NOW - days(age))
    });
    let volume = with(volume, points);
    let verdict = judge(NOW, &keeping(days(1)), &volume);
    assert_eq!(*fate(&verdict, "6d"), Fate::Keep(Keep::Newest));
    for second_and_third in ["7d", "8d"] {
        assert_eq!(*fate(&verdict, second_and_third), Fate::Keep(Keep::RetentionShortened { until: None }));
    }
    assert!(matches!(fate(&verdict, "9d"), Fate::Prune { .. }));
}

#[test]
fn only_points_of_this_very_volume_have_a_say() {
    use agenttier_backup_plan::{Ownership, VolumeUid};
    let volume = volume("s1");
    let mut namesakes = under(&volume, "namesakes", NOW - hours(1), days(14));
    namesakes.ownership = Ownership::Ours { volume: VolumeUid::new("an-earlier-one") };
    let points =
        [under(&volume, "old", NOW - days(8), days(3)), ready(&volume, "new", NOW - hours(1)), namesakes];
    assert_eq!(pruned(NOW, &keeping(days(3)), &with(volume, points)), ["old"]);
}

/// Also one that is not Ready tells what was in force.
#[test]
fn one_under_way_has_a_say() {
    let volume = volume("s1");
    let retention = Some(Retention::for_at_least(days(14)));
    let under_way = RecoveryPoint { retention, ..unready(&volume, "under-way", NOW - hours(1)) };
    let points = [ready(&volume, "old", NOW - days(8)), ready(&volume, "new", NOW - days(2)), under_way];
    let verdict = judge(NOW, &keeping(days(3)), &with(volume, points));
    assert!(matches!(fate(&verdict, "old"), Fate::Keep(Keep::RetentionShortened { .. })), "{verdict:?}");
}

/// `early` is what counts towards a mass deletion.
#[test]
fn what_goes_sooner_than_it_was_promised_is_early() {
    let volume = volume("s1");
    let points = [
        under(&volume, "promised-14", NOW - days(8), days(14)),
        under(&volume, "promised-5", NOW - days(7), days(5)),
        ready(&volume, "promised-nothing", NOW - days(6)),
        under(&volume, "new", NOW - days(2), days(3)),
    ];
    let volume = with(volume, points);
    let verdict = judge(NOW, &keeping(days(3)), &volume);
    let early: Vec<_> =
        wanted_prunes(&verdict).iter().map(|prune| (prune.name.as_str(), prune.early)).collect();
    assert_eq!(early, [("promised-14", true), ("promised-5", false), ("promised-nothing", false)]);
    // By itself it is over on the fourteenth day.
    let last = judge(NOW + days(6) - seconds(1), &keeping(days(3)), &volume);
    assert!(wanted_prunes(&last)[0].early && last.wake == Some(NOW + days(6)), "{last:?}");
    assert!(!wanted_prunes(&judge(NOW + days(6), &keeping(days(3)), &volume))[0].early);
}

#[test]
fn what_failed_is_never_early() {
    let volume = volume("s1");
    let mut failed = under(&volume, "failed", NOW - days(2), days(14));
    (failed.ready, failed.cut) = (false, None);
    let volume = with(volume.clone(), [failed, ready(&volume, "new", NOW - hours(1))]);
    let verdict = judge(NOW, &keeping(days(3)), &volume);
    let [prune] = wanted_prunes(&verdict)[..] else { panic!("{verdict:?}") };
    assert_eq!((prune.reason, prune.early), (Spent::Failed, false));
}
