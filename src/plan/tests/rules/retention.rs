//! What is kept, why, and what makes a deletion safe.

use std::collections::BTreeSet;

use agenttier_backup_plan::{
    Action, FAILED_AFTER, Fate, Foreign, Keep, Ownership, Policy, RecoveryPoint, Retention, Spent, Volume,
    VolumeUid,
};

use crate::world::{
    NOW, fate, hours, judge, keeper, minutes, policy, ready, seconds, unready, volume, wanted_prunes, with,
};

fn keeping(max_age_hours: i64, keep_last: u32) -> Policy {
    Policy { retention: Retention { keep_last, ..Retention::for_at_least(hours(max_age_hours)) }, ..policy() }
}

/// Ready points, `a` the newest, one an hour, the newest `age` hours old.
fn hourly(volume: &Volume, names: &str, age: i64) -> Volume {
    let points =
        names.chars().zip(age..).map(|(name, age)| ready(volume, &name.to_string(), NOW - hours(age)));
    with(volume.clone(), points)
}

fn pruned(policy: &Policy, volume: &Volume) -> Vec<String> {
    let verdict = judge(NOW, policy, volume);
    let mut names: Vec<_> = wanted_prunes(&verdict).iter().map(|prune| prune.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn the_newest_ready_point_stays_whatever_its_age_and_keep_last() {
    let volume = volume("s1");
    for (keep_last, goes) in
        [(0, vec!["b", "c", "d"]), (1, vec!["b", "c", "d"]), (2, vec!["c", "d"]), (4, vec![]), (9, vec![])]
    {
        let volume = hourly(&volume, "abcd", 1000);
        assert_eq!(pruned(&keeping(24, keep_last), &volume), goes, "keepLast {keep_last}");
        let verdict = judge(NOW, &keeping(24, keep_last), &volume);
        assert_eq!(*fate(&verdict, "a"), Fate::Keep(Keep::Newest));
        if keep_last > 1 {
            assert_eq!(*fate(&verdict, "b"), Fate::Keep(Keep::KeepLast));
        }
    }
    assert_eq!(pruned(&keeping(0, 0), &hourly(&volume, "ab", 0)), ["b"], "maxAge zero");
}

#[test]
fn what_is_younger_than_max_age_stays_until_it_is_not() {
    let volume = volume("s1");
    let points = [
        ready(&volume, "a", NOW),
        ready(&volume, "b", NOW - hours(24) + seconds(1)),
        ready(&volume, "c", NOW - hours(24)),
    ];
    let volume = with(volume.clone(), points);
    assert_eq!(pruned(&keeping(24, 1), &volume), ["c"]);
    let verdict = judge(NOW, &keeping(24, 1), &volume);
    let until = NOW + seconds(1);
    assert_eq!(*fate(&verdict, "b"), Fate::Keep(Keep::Young { until }));
    assert_eq!(verdict.wake, Some(until), "and then it is looked at again");
}

#[test]
fn age_counts_from_the_cut_where_that_can_be_believed() {
    let volume = volume("s1");
    let mut cut_later = ready(&volume, "b", NOW - hours(24));
    cut_later.cut = Some(NOW - hours(24) + minutes(1));
    let mut cut_before_the_order = ready(&volume, "c", NOW - hours(23));
    cut_before_the_order.cut = Some(NOW - hours(900));
    let mut cut_in_the_future = ready(&volume, "d", NOW - hours(25));
    cut_in_the_future.cut = Some(NOW + hours(900));
    let points = [ready(&volume, "a", NOW), cut_later, cut_before_the_order, cut_in_the_future];
    assert_eq!(pruned(&keeping(24, 1), &with(volume.clone(), points)), ["d"]);
}

/// Otherwise a storage whose clock is wrong would decide which is the last good copy.
#[test]
fn which_is_the_newest_is_for_the_api_servers_clock_to_say() {
    let volume = volume("s1");
    for ahead in [minutes(11), hours(23), hours(48)] {
        let mut old = ready(&volume, "old", NOW - hours(49));
        old.cut = Some(old.created + ahead);
        let new = ready(&volume, "new", NOW - hours(49) + minutes(10));
        let volume = with(volume.clone(), [old, new]);
        assert_eq!(pruned(&keeping(24, 1), &volume), ["old"], "its data is said to be {ahead:#} younger");
        assert_eq!(*fate(&judge(NOW, &keeping(24, 1), &volume), "new"), Fate::Keep(Keep::Newest));
    }
}

#[test]
fn a_newer_one_that_is_not_ready_keeps_nothing() {
    let volume = volume("s1");
    let unready_ones = [
        unready(&volume, "in-flight", NOW - minutes(1)),
        unready(&volume, "slow", NOW - hours(2)),
        unready(&volume, "failed", NOW - FAILED_AFTER),
    ];
    let alone = with(hourly(&volume, "a", 1000), unready_ones.clone());
    assert_eq!(pruned(&keeping(1, 1), &alone), [""; 0], "it would be the last good copy");
    let verdict = judge(NOW, &keeping(1, 1), &alone);
    for name in ["in-flight", "slow", "failed"] {
        assert_eq!(*fate(&verdict, name), Fate::Keep(Keep::NotReady));
    }
    assert_eq!(*fate(&verdict, "a"), Fate::Keep(Keep::Newest));
    let two = with(hourly(&volume, "ab", 1000), unready_ones);
    let verdict = judge(NOW, &keeping(1, 1), &two);
    assert_eq!(keeper(wanted_prunes(&verdict)[0]).name, "a", "of the Ready ones");
    assert_eq!(pruned(&keeping(1, 2), &two), [""; 0], "only Ready ones count for keepLast");
}

/// What failed is cleared away as soon as it cannot be missed, whatever its age: it would be in the way otherwise.
#[test]
fn a_failed_one_goes_once_a_newer_one_is_ready() {
    let volume = volume("s1");
    let mut erring = unready(&volume, "erring", NOW - hours(2));
    erring.error = Some("no such class".into());
    let given_up = unready(&volume, "given-up", NOW - FAILED_AFTER);
    let slow = unready(&volume, "slow", NOW - hours(2));
    let points = [erring.clone(), given_up.clone(), slow];
    let newer = ready(&volume, "newer", NOW - hours(1));
    let older = ready(&volume, "older", NOW - hours(40));
    let keeping = keeping(1000, 1);
    let with = |point: &RecoveryPoint| with(volume.clone(), points.iter().chain([point]).cloned());
    assert_eq!(pruned(&keeping, &with(&older)), [""; 0], "they may still become the newest");
    assert_eq!(pruned(&keeping, &with(&newer)), ["erring", "given-up"]);
    let verdict = judge(NOW, &keeping, &with(&newer));
    assert!(
        matches!(fate(&verdict, "erring"), Fate::Prune { reason: Spent::Failed, keeper: Some(keeper) } if keeper.name == "newer")
    );
    assert_eq!(*fate(&verdict, "slow"), Fate::Keep(Keep::NotReady));

    for spare in [
        (|point| point.pinned = true) as fn(&mut RecoveryPoint),
        |point| point.readers = ["claim/x".to_owned()].into(),
        |point| point.deleting_since = Some(NOW),
        |point| point.ownership = Ownership::AgentTier,
        |point| point.ownership = Ownership::Ours { volume: VolumeUid::new("its-earlier-namesake") },
    ] {
        let mut spared = given_up.clone();
        spare(&mut spared);
        let volume = crate::world::with(volume.clone(), [spared.clone(), newer.clone()]);
        assert_eq!(pruned(&keeping, &volume), [""; 0], "{spared:?}");
    }
}

/// Every way in which a point is none of retention's business, with the reason that is shown.
fn untouchables(volume: &Volume) -> Vec<(RecoveryPoint, Keep)> {
    let point = |name: &str| ready(volume, name, NOW - hours(2000));
    let foreign = |name: &str, why| {
        (RecoveryPoint { ownership: Ownership::Foreign(why), ..point(name) }, Keep::Foreign { mark: why })
    };
    let namesake = Ownership::Ours { volume: VolumeUid::new("an-earlier-sandbox-of-that-name") };
    let readers: BTreeSet<String> = ["claim/x".to_owned(), "restore/y".to_owned()].into();
    vec![
        (RecoveryPoint { pinned: true, ..point("pinned") }, Keep::Pinned),
        (RecoveryPoint { readers: readers.clone(), ..point("read") }, Keep::ReadBy { readers }),
        (RecoveryPoint { ownership: namesake, ..point("namesake") }, Keep::OtherVolume),
        (RecoveryPoint { ownership: Ownership::AgentTier, ..point("agenttier") }, Keep::AgentTiers),
        (RecoveryPoint { deleting_since: Some(NOW), ..point("leaving") }, Keep::Leaving),
        foreign("velero", Foreign::Velero),
        foreign("clone", Foreign::Clone),
        foreign("on-stop", Foreign::OtherKind),
        foreign("misfit", Foreign::MarksDoNotFit),
        foreign("unmarked", Foreign::Unmarked),
    ]
}

#[test]
fn pinned_read_foreign_and_leaving_points_stay() {
    let volume = volume("s1");
    let untouchables = untouchables(&volume);
    let points = untouchables.iter().map(|(point, _)| point.clone());
    let volume = with(hourly(&volume, "ab", 1000), points);
    assert_eq!(pruned(&keeping(1, 1), &volume), ["b"]);
    let verdict = judge(NOW, &keeping(1, 1), &volume);
    for (point, why) in untouchables {
        assert_eq!(*fate(&verdict, &point.name), Fate::Keep(why));
    }
}

/// What may vanish without us, or is not this volume, must not stand for it.
#[test]
fn only_a_point_that_stays_for_certain_is_a_keeper() {
    let volume = volume("s1");
    for (mut point, why) in untouchables(&volume) {
        point.created = NOW - minutes(1);
        point.cut = Some(point.created);
        let holds_this_volume = matches!(why, Keep::Pinned | Keep::ReadBy { .. });
        let one = with(hourly(&volume, "a", 1000), [point.clone()]);
        let expected: &[&str] = if holds_this_volume { &["a"] } else { &[] };
        assert_eq!(pruned(&keeping(1, 1), &one), expected, "{why:?} beside the last good one");
    }
}

#[test]
fn the_order_names_its_preconditions_and_its_keeper() {
    let volume = hourly(&volume("s1"), "ab", 1000);
    let verdict = judge(NOW, &keeping(1, 1), &volume);
    let [prune] = wanted_prunes(&verdict)[..] else { panic!("{verdict:?}") };
    assert_eq!((prune.name.as_str(), prune.uid.as_str(), prune.version.as_str()), ("b", "uid-of-b", "7"));
    assert_eq!((keeper(prune).name.as_str(), keeper(prune).uid.as_str()), ("a", "uid-of-a"));
    assert_eq!(*prune.volume.uid.as_str(), *volume.uid.as_str());
    assert_eq!(Action::Prune(prune.clone()).snapshot(), "b");
}

#[test]
fn points_of_one_moment_are_told_apart_by_name() {
    let volume = volume("s1");
    let points = ["a", "c", "b"].map(|name| ready(&volume, name, NOW - hours(99)));
    let mut reversed = points.clone();
    reversed.reverse();
    for points in [points, reversed] {
        assert_eq!(pruned(&keeping(1, 1), &with(volume.clone(), points)), ["a", "b"]);
    }
}

#[test]
fn pins_count_for_keep_last() {
    let volume = volume("s1");
    let mut volume = hourly(&volume, "abc", 1000);
    volume.points[1].pinned = true;
    assert_eq!(pruned(&keeping(1, 2), &volume), ["c"]);
}
