//! What a Sandbox's annotations may ask for, and what is made of those that make no sense.

use agenttier_backup_plan::{
    Bounds, Fate, Governance, HeldBack, Keep, Notice, Overrides, Policy, Protection, Reason, SandboxRef,
    Verdict, Volume,
};
use jiff::SignedDuration;

use crate::world::{
    NOW, decide, every, fate, hours, judge, minutes, policy, ready, sandbox, volume, wanted_prunes,
    wanted_snapshot, with,
};

/// Ready points of 1, 8 and 400 hours ago; the last one is past the policy's 14 days.
fn asking(overrides: Overrides) -> Volume {
    let mut volume = volume("s1");
    volume.sandbox = Some(SandboxRef { overrides, ..sandbox("s1", "Running") });
    let points = [1, 8, 400].map(|age| ready(&volume, &age.to_string(), NOW - hours(age)));
    with(volume, points)
}

#[expect(clippy::unnecessary_wraps, reason = "an annotation may be absent")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn pruned(verdict: &Verdict) -> Vec<&str> {
    wanted_prunes(verdict).iter().map(|prune| prune.name.as_str()).collect()
}

fn problem(verdict: &Verdict) -> Option<&str> {
    let mut notices = verdict.notices.iter().filter(|notice| notice.reason == Reason::OverrideInvalid);
    notices.next().map(|Notice { message, .. }| message.as_str())
}

#[test]
fn without_any_the_policy_applies() {
    let verdict = judge(NOW, &policy(), &asking(Overrides::default()));
    assert_eq!(
        (verdict.interval, pruned(&verdict), problem(&verdict)),
        (Some(every(hours(6))), vec!["400"], None)
    );
}

#[test]
fn an_interval_of_its_own() {
    for (asked, interval) in
        [("1h", hours(1)), ("15m", minutes(15)), ("1d", hours(24)), ("1h30m", minutes(90))]
    {
        let volume = asking(Overrides { interval: text(asked), ..Overrides::default() });
        let verdict = judge(NOW, &policy(), &volume);
        assert_eq!((verdict.interval, problem(&verdict)), (Some(every(interval)), None), "{asked}");
        let objective = interval + policy().ready_timeout;
        let newest = NOW - hours(1);
        assert!(
            matches!(verdict.protection, Protection::Protected { newest: at } if at == newest),
            "{asked}"
        );
        let late = judge(newest + objective, &policy(), &volume);
        assert!(matches!(late.protection, Protection::Overdue { .. }), "{asked}");
    }
}

#[test]
fn a_retention_and_a_keep_last_of_its_own() {
    let longer = judge(NOW, &policy(), &asking(Overrides { retention: text("30d"), ..Overrides::default() }));
    assert_eq!(pruned(&longer), [""; 0]);
    let shorter = judge(NOW, &policy(), &asking(Overrides { retention: text("7h"), ..Overrides::default() }));
    assert_eq!(pruned(&shorter), ["8", "400"]);
    let more = judge(NOW, &policy(), &asking(Overrides { keep_last: text("3"), ..Overrides::default() }));
    assert_eq!((pruned(&more), fate(&more, "400")), (vec![], &Fate::Keep(Keep::KeepLast)));
    // What a snapshot carries is what is in force for it.
    let volume = asking(Overrides { retention: text("30d"), keep_last: text("3"), ..Overrides::default() });
    let due = judge(NOW + hours(6), &policy(), &volume);
    let retention = wanted_snapshot(&due).unwrap().retention;
    assert_eq!((retention.max_age, retention.keep_last), (hours(30 * 24), 3));
}

#[test]
fn what_is_asked_for_stays_within_the_bounds() {
    let bounds = Bounds { min_interval: minutes(30), max_retention: hours(20 * 24), max_points: 1500 };
    let bounded = Policy { bounds, ..policy() };
    let interval = |asked| Overrides { interval: text(asked), ..Overrides::default() };
    let retention = |asked| Overrides { retention: text(asked), ..Overrides::default() };
    let told = |overrides| problem(&judge(NOW, &bounded, &asking(overrides))).map(str::to_owned);
    assert_eq!(told(interval("30m")), None);
    assert_eq!(
        told(interval("29m59s")).as_deref(),
        Some(
            "annotation backup.agenttier.io/interval=\"29m59s\" of its Sandbox is below the policy's \
             overrides.minInterval of 30m"
        )
    );
    assert_eq!(told(retention("20d")), None);
    assert_eq!(
        told(retention("480h1s")).as_deref(),
        Some(
            "annotation backup.agenttier.io/retention=\"480h1s\" of its Sandbox is above the policy's \
             overrides.maxRetention of 20d"
        )
    );
    let hours_and_a_half = Bounds { max_retention: minutes(150), ..bounds };
    let verdict = judge(NOW, &Policy { bounds: hours_and_a_half, ..policy() }, &asking(retention("3h")));
    assert!(problem(&verdict).unwrap().ends_with("overrides.maxRetention of 2h 30m"), "{verdict:?}");
}

/// Each within its bounds, they may still come to more than any storage bears.
#[test]
fn what_they_come_to_together_is_bounded_as_well() {
    let told = |max_points, overrides| {
        let bounds = Bounds { max_points, ..Bounds::default() };
        problem(&judge(NOW, &Policy { bounds, ..policy() }, &asking(overrides))).map(str::to_owned)
    };
    // Four a day for 14 days are the policy's own 56.
    let half_hourly = || Overrides { interval: text("30m"), ..Overrides::default() };
    assert_eq!(told(672, half_hourly()), None);
    assert!(told(671, half_hourly()).unwrap().starts_with(
        "what annotations of its Sandbox ask for comes to 672 recovery points of one volume, and more than 671 "
    ));
    assert_eq!(told(57, Overrides { keep_last: text("57"), ..Overrides::default() }), None);
    assert!(told(57, Overrides { keep_last: text("58"), ..Overrides::default() }).is_some());
    let out = Overrides { enabled: text("false"), keep_last: text("58"), ..Overrides::default() };
    assert_eq!(told(57, out), None, "it asks for nothing");
    let as_before = Overrides { interval: text("6h"), retention: text("14d"), ..Overrides::default() };
    assert_eq!(told(1, as_before), None, "what the policy says is no more than it says");
    assert!(
        told(1, Overrides { interval: text("5h"), ..Overrides::default() })
            .unwrap()
            .contains("more than 56 ")
    );
}

/// It may have asked for more: until somebody corrects it nothing of this volume is pruned, and the policy applies.
#[test]
fn what_makes_no_sense_is_told_holds_this_volumes_pruning_and_no_snapshot() {
    let none = Overrides::default;
    let long = "x".repeat(500);
    for (overrides, what) in [
        (
            Overrides { enabled: text("False"), ..none() },
            "enabled=\"False\" of its Sandbox is neither true nor false",
        ),
        (Overrides { enabled: text(""), ..none() }, "is neither true nor false"),
        (Overrides { interval: text("often"), ..none() }, "is not a length of time such as 1h"),
        (Overrides { interval: text("0s"), ..none() }, "is not a length of time"),
        (Overrides { interval: text("-1h"), ..none() }, "is not a length of time"),
        (Overrides { interval: text(&long), ..none() }, "is not a length of time"),
        (
            Overrides { interval: text("1h0.5s"), ..none() },
            "is too short: an interval is a whole number of seconds",
        ),
        (Overrides { retention: text("14"), ..none() }, "is not a length of time such as 30d"),
        (Overrides { retention: text("1y"), ..none() }, "is not a length of time such as 30d"),
        (Overrides { retention: text("1h"), ..none() }, "its retention is shorter than its interval"),
        (Overrides { interval: text("15d"), ..none() }, "its retention is shorter than its interval"),
        (Overrides { keep_last: text("0"), ..none() }, "is not a number from 1 to 1000"),
        (Overrides { keep_last: text("1001"), ..none() }, "is not a number from 1 to 1000"),
        (Overrides { keep_last: text("many"), ..none() }, "is not a number from 1 to 1000"),
        // Also beside one that would be fine, and beside an opt-out.
        (Overrides { interval: text("1h"), retention: text("?"), ..none() }, "retention=\"?\""),
        (Overrides { enabled: text("false"), interval: text("?"), ..none() }, "interval=\"?\""),
    ] {
        let volume = asking(overrides.clone());
        let verdict = judge(NOW, &policy(), &volume);
        let told = problem(&verdict).unwrap_or_else(|| panic!("{overrides:?}"));
        assert!(told.contains(what) && told.len() < 250, "{told}");
        assert_eq!(verdict.interval, Some(every(hours(6))), "{overrides:?}");
        assert_eq!(pruned(&verdict), [""; 0], "{overrides:?}");
        assert_eq!(*fate(&verdict, "400"), Fate::Keep(Keep::PruningHeld));
        assert!(matches!(fate(&verdict, "8"), Fate::Keep(Keep::Young { .. })), "{verdict:?}");
        assert!(wanted_snapshot(&judge(NOW + hours(6), &policy(), &volume)).is_some(), "{overrides:?}");
    }
    assert_eq!(pruned(&judge(NOW, &policy(), &asking(none()))), ["400"], "that of others is not held");
}

#[test]
fn the_ends_of_what_makes_sense() {
    for keep_last in ["1", "1000"] {
        let verdict =
            judge(NOW, &policy(), &asking(Overrides { keep_last: text(keep_last), ..Overrides::default() }));
        assert_eq!(problem(&verdict), None, "{keep_last}");
    }
    let as_long = Overrides { interval: text("14d"), retention: text("14d"), ..Overrides::default() };
    assert_eq!(
        problem(&judge(NOW, &policy(), &asking(as_long))),
        None,
        "its retention is as long as its interval"
    );
    let verdict = judge(NOW, &policy(), &asking(Overrides { enabled: text("true"), ..Overrides::default() }));
    assert_eq!((problem(&verdict), verdict.interval), (None, Some(every(hours(6)))));
}

#[test]
fn an_opt_out_ends_snapshots_and_pruning() {
    let volume = asking(Overrides { enabled: text("false"), ..Overrides::default() });
    let verdict = judge(NOW + hours(6), &policy(), &volume);
    assert_eq!(verdict.protection, Protection::Unprotected { reason: Reason::OptedOut });
    assert_eq!((verdict.wants.len(), verdict.interval, problem(&verdict)), (0, None, None));
    assert_eq!(*fate(&verdict, "400"), Fate::Keep(Keep::PruningHeld));
    assert_eq!(verdict.policy.as_deref(), Some("default"));
}

/// What a Sandbox asks for cannot put in force what its administrator has suspended.
#[test]
fn no_annotation_outweighs_a_policy_that_is_not_in_force() {
    let volume = asking(Overrides { enabled: text("true"), interval: text("often"), ..Overrides::default() });
    let reason = Reason::PolicySuspended;
    let held = Governance::Held { policy: "default".into(), reason };
    let verdict = decide(NOW, &held, &volume, &HeldBack::new());
    assert_eq!(verdict.protection, Protection::Unprotected { reason });
    assert_eq!((verdict.wants.len(), problem(&verdict)), (0, None));
}

#[test]
fn periods_are_read_as_people_write_them() {
    use agenttier_backup_plan::read_period;
    let day = hours(24);
    for (text, period) in [
        ("15m", Some(minutes(15))),
        ("14d", Some(day * 14)),
        ("2w", Some(day * 14)),
        ("1d12h", Some(hours(36))),
        ("1ns", Some(SignedDuration::from_nanos(1))),
        ("0d", None),
        ("-1d", None),
        ("1mo", None),
        ("", None),
        ("soon", None),
    ] {
        assert_eq!(read_period(text), period, "{text}");
    }
}
