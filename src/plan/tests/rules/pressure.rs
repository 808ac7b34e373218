//! Near the limit of snapshots older points are thinned out, at it intervals are doubled.

use agenttier_backup_plan::{
    ActionKind, Fate, Governance, HeldBack, Keep, Limits, Pacer, Policy, Pressure, Reason, Retention,
    SandboxRef, Spent, Surroundings, Thinning, Verdict, Volume, admit,
};
use jiff::{SignedDuration, Timestamp};

use crate::world::{
    NOW, every, fate, hours, policy, ready, sandbox, slot_start, volume, wanted_prunes, wanted_snapshot, with,
};

fn under(pressure: Pressure, now: Timestamp, policy: &Policy, volume: &Volume) -> Verdict {
    let held = HeldBack::new();
    let around = Surroundings { held: &held, classes: None, pressure, rest_in_doubt: false };
    agenttier_backup_plan::decide(now, &Governance::By(policy.clone()), volume, &around)
}

#[test]
fn from_ninety_percent_on_it_is_near_and_from_a_hundred_at_the_limit() {
    for (ours, allowed, pressure) in [
        (0, 15_000, Pressure::None),
        (13_499, 15_000, Pressure::None),
        (13_500, 15_000, Pressure::NearLimit),
        (14_999, 15_000, Pressure::NearLimit),
        (15_000, 15_000, Pressure::AtLimit),
        (40_000, 15_000, Pressure::AtLimit),
        (8, 9, Pressure::None),
        (0, 1, Pressure::None),
        (1, 1, Pressure::AtLimit),
        (0, 0, Pressure::AtLimit),
        (usize::MAX, u32::MAX, Pressure::AtLimit),
    ] {
        assert_eq!(Pressure::of(ours, allowed), pressure, "{ours} of {allowed}");
    }
}

/// Two a day for six days, the newest of just now; `n` counts from it.
fn two_a_day() -> Volume {
    let volume = volume("s1");
    let noon: Timestamp = "2023-11-14T12:00:00Z".parse().unwrap();
    let points =
        (0..12).map(|n| ready(&volume, &format!("{n:02}"), noon - hours(8 * (n % 2) + 24 * (n / 2))));
    let points: Vec<_> = points.collect();
    with(volume, points)
}

#[test]
fn near_it_one_a_day_stays_of_what_is_older_than_two_days() {
    let pruned = |pressure, policy: &Policy, volume: &Volume| {
        let verdict = under(pressure, NOW, policy, volume);
        let prunes = wanted_prunes(&verdict);
        assert!(prunes.iter().all(|prune| [Spent::ThinnedOut, Spent::NearLimit].contains(&prune.reason)));
        let mut names: Vec<_> = prunes.iter().map(|prune| prune.name.clone()).collect();
        names.sort();
        names.join(" ")
    };
    let volume = two_a_day();
    assert_eq!(pruned(Pressure::None, &policy(), &volume), "");
    for pressure in [Pressure::NearLimit, Pressure::AtLimit] {
        assert_eq!(pruned(pressure, &policy(), &volume), "05 07 09 11");
        // A policy's own thinning is not put off by it.
        let thin = |days: i64| Thinning { daily: Some(hours(24 * days)), ..Thinning::default() };
        let thinning =
            |days| Policy { retention: Retention { thin: thin(days), ..policy().retention }, ..policy() };
        assert_eq!(pruned(pressure, &thinning(1), &volume), "03 05 07 09 11");
        assert_eq!(pruned(pressure, &thinning(5), &volume), "05 07 09 11");
        // Neither are pins, readers and keepLast touched.
        let retention = Retention { keep_last: 6, ..policy().retention };
        let mut held = volume.clone();
        held.points[7].pinned = true;
        held.points[9].readers = ["claim/x".to_owned()].into();
        assert_eq!(pruned(pressure, &Policy { retention, ..policy() }, &held), "11");
    }
}

#[test]
fn the_last_good_point_stays_under_any_pressure() {
    let volume = volume("s1");
    let volume = with(volume.clone(), [ready(&volume, "last", NOW - hours(24 * 400))]);
    let verdict = under(Pressure::AtLimit, NOW, &policy(), &volume);
    assert_eq!((wanted_prunes(&verdict).len(), fate(&verdict, "last")), (0, &Fate::Keep(Keep::Newest)));
}

#[test]
fn at_it_intervals_are_doubled_and_what_has_no_point_gets_one_all_the_same() {
    let interval = |pressure| under(pressure, NOW, &policy(), &volume("s1")).interval;
    assert_eq!(interval(Pressure::None), Some(every(hours(6))));
    assert_eq!(interval(Pressure::NearLimit), Some(every(hours(6))));
    assert_eq!(interval(Pressure::AtLimit), Some(every(hours(12))));
    assert!(wanted_snapshot(&under(Pressure::AtLimit, NOW, &policy(), &volume("s1"))).is_some());

    let doubled = Policy { interval: every(hours(12)), ..policy() };
    let start = slot_start(&doubled, &volume("s1"), NOW);
    let volume = with(volume("s1"), [ready(&volume("s1"), "a", start)]);
    let is_due = |pressure, later| {
        wanted_snapshot(&under(pressure, start + hours(later), &policy(), &volume)).is_some()
    };
    assert_eq!((is_due(Pressure::NearLimit, 11), is_due(Pressure::AtLimit, 11)), (true, false));
    assert!(is_due(Pressure::AtLimit, 12));

    // What a Sandbox asked for is doubled as well.
    let mut asking = volume.clone();
    let overrides = agenttier_backup_plan::Overrides {
        interval: Some("1h".into()),
        ..agenttier_backup_plan::Overrides::default()
    };
    asking.sandbox = Some(SandboxRef { overrides, ..sandbox("s1", "Running") });
    assert_eq!(under(Pressure::AtLimit, NOW, &policy(), &asking).interval, Some(every(hours(2))));
}

#[test]
fn an_interval_without_end_is_not_doubled() {
    let longest = every(SignedDuration::from_secs(i64::MAX));
    let policy = Policy { interval: longest, ..policy() };
    assert_eq!(under(Pressure::AtLimit, NOW, &policy, &volume("s1")).interval, Some(longest));
}

/// It is no shortening of the retention, which would have to wait for a day: snapshots pile up meanwhile.
#[test]
fn it_counts_at_once_and_is_no_promise() {
    let promised = Retention::for_at_least(hours(14 * 24));
    let mut volume = two_a_day();
    volume.points.iter_mut().for_each(|point| point.retention = Some(promised));
    let verdict = under(Pressure::NearLimit, NOW, &policy(), &volume);
    let prunes = wanted_prunes(&verdict);
    assert_eq!(prunes.len(), 4);
    assert!(prunes.iter().all(|prune| prune.reason == Spent::NearLimit && prune.early));
    let taken = under(Pressure::NearLimit, NOW, &policy(), &self::volume("s1"));
    assert_eq!(wanted_snapshot(&taken).map(|take| take.retention), Some(promised));

    // What was in force until lately is thinned out as well, and otherwise keeps what it keeps.
    let shorter = Policy { retention: Retention::for_at_least(hours(72)), ..policy() };
    let names = |pressure| {
        let verdict = under(pressure, NOW, &shorter, &volume);
        let mut names: Vec<_> = wanted_prunes(&verdict).iter().map(|prune| prune.name.clone()).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(
        (names(Pressure::None), names(Pressure::NearLimit)),
        (String::new(), "05 07 09 11".to_owned())
    );
}

/// No more of them than the limit needs: otherwise each time that it comes near, all volumes would be thinned at once.
#[test]
fn only_so_many_go_as_there_are_too_many() {
    let volumes = [two_a_day(), two_a_day()];
    let verdicts: Vec<_> =
        volumes.iter().map(|volume| under(Pressure::NearLimit, NOW, &policy(), volume)).collect();
    for (allowed, excess) in
        [(None, 0), (Some(28), 0), (Some(27), 0), (Some(26), 1), (Some(24), 3), (Some(1), 24)]
    {
        assert_eq!(agenttier_backup_plan::excess(allowed, &verdicts), excess, "{allowed:?}");
        let near = allowed.is_some_and(|allowed| Pressure::of(24, allowed) > Pressure::None);
        assert_eq!(near, excess > 0, "{allowed:?}");
        let limits = Limits { snapshots: allowed, ..Limits::default() };
        let admission = admit(NOW, Pacer::new(), &limits, &[], &HeldBack::new(), &verdicts);
        let gone: Vec<_> =
            admission.actions.iter().filter(|action| action.kind() == ActionKind::Prune).collect();
        assert_eq!(gone.len(), excess.min(8), "{allowed:?}");
        let oldest = gone
            .iter()
            .all(|action| ["11", "09", "07", "05"][..=(gone.len() - 1) / 2].contains(&action.snapshot()));
        assert!(oldest, "{gone:?}");
        let waits = admission.waiting.iter().filter(|waiting| waiting.reason == Reason::NearLimit);
        assert_eq!(waits.count(), 8 - gone.len());
    }
}

/// What goes by age makes room as well.
#[test]
fn what_has_outlived_its_time_goes_first_and_counts() {
    let mut volume = two_a_day();
    let last = ready(&volume, "ancient", NOW - hours(24 * 20));
    volume = with(volume, [last]);
    let verdicts = [under(Pressure::NearLimit, NOW, &policy(), &volume)];
    let limits = Limits { snapshots: Some(13), ..Limits::default() };
    assert_eq!(agenttier_backup_plan::excess(limits.snapshots, &verdicts), 1, "besides what goes anyway");
    let admission = admit(NOW, Pacer::new(), &limits, &[], &HeldBack::new(), &verdicts);
    let names: Vec<_> = admission.actions.iter().map(agenttier_backup_plan::Action::snapshot).collect();
    assert_eq!(names[..2], ["ancient", "11"], "{names:?}");
    assert_eq!(names.len(), 3, "and a snapshot is due: {names:?}");
    assert_eq!(agenttier_backup_plan::excess(Some(1), &[]), 0);
}
