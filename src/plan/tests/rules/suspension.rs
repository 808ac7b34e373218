//! What suspends deletions, and what does not.

use agenttier_backup_plan::{
    ActionKind, HeldBack, Limits, Pacer, Reason, Signals, Suspension, admit, suspensions,
};
use jiff::SignedDuration;

use crate::world::{NOW, hours, judge, minutes, policy, ready, seconds, volume, with};

fn synced() -> Signals {
    Signals { skew: Some(SignedDuration::ZERO), ..Signals::default() }
}

fn reasons(signals: &Signals) -> Vec<Reason> {
    suspensions(signals).iter().map(Suspension::reason).collect()
}

#[test]
fn a_minute_of_skew_is_borne_either_way_and_no_second_more() {
    for (skew, expected) in [
        (seconds(0), vec![]),
        (seconds(60), vec![]),
        (seconds(-60), vec![]),
        (seconds(61), vec![Reason::ClockSkew]),
        (seconds(-61), vec![Reason::ClockSkew]),
        (hours(15 * 24), vec![Reason::ClockSkew]),
        (SignedDuration::MAX, vec![Reason::ClockSkew]),
        (SignedDuration::MIN, vec![Reason::ClockSkew]),
    ] {
        assert_eq!(reasons(&Signals { skew: Some(skew), ..synced() }), expected, "{skew:?}");
    }
}

#[test]
fn what_is_not_known_suspends_and_every_cause_is_named() {
    assert_eq!(reasons(&synced()), []);
    assert_eq!(reasons(&Signals::default()), [Reason::ClockUnknown], "a clock that nobody has measured");
    let signals = Signals {
        skew: Some(hours(-3)),
        stale: vec![
            ("namespaces".into(), "forbidden".into()),
            ("sandboxes.agenttier.io".into(), "no answer".into()),
        ],
        unreadable_policies: vec!["gold".into()],
    };
    let told: Vec<String> = suspensions(&signals).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the controller's clock is 3 hours behind the API server's",
            "what is known of namespaces may be out of date: forbidden",
            "what is known of sandboxes.agenttier.io may be out of date: no answer",
            "BackupPolicy gold cannot be read; it may keep more than the others",
        ]
    );
}

#[test]
fn a_skew_reads_the_same_while_it_wavers() {
    let told = |skew| Suspension::ClockSkew { skew }.to_string();
    assert_eq!(told(seconds(61)), told(seconds(89)));
    assert_eq!(told(hours(24 * 15)), told(hours(24 * 15) - seconds(1)));
    assert_eq!(told(seconds(61)), "the controller's clock is more than a minute ahead of the API server's");
    assert_eq!(told(minutes(119)), "the controller's clock is 119 minutes ahead of the API server's");
    assert_eq!(told(hours(47)), "the controller's clock is 47 hours ahead of the API server's");
    assert_eq!(told(hours(-15 * 24)), "the controller's clock is 15 days behind the API server's");
}

#[test]
fn the_same_cause_is_known_again() {
    let stale = |kind: &str, cause: &str| Suspension::StaleCache { kind: kind.into(), cause: cause.into() };
    let policy = |name: &str| Suspension::UnreadablePolicy { name: name.into() };
    let skew = |by| Suspension::ClockSkew { skew: by };
    assert!(stale("a", "forbidden").is_of_same_cause(&stale("a", "no answer")));
    assert!(!stale("a", "forbidden").is_of_same_cause(&stale("b", "forbidden")));
    assert!(policy("a").is_of_same_cause(&policy("a")) && !policy("a").is_of_same_cause(&policy("b")));
    assert!(skew(hours(2)).is_of_same_cause(&skew(hours(-2))));
    assert!(!skew(hours(2)).is_of_same_cause(&Suspension::ClockUnknown));
}

/// Promise 7.
#[test]
fn while_suspended_nothing_is_deleted_and_snapshots_go_on() {
    let volume = volume("v");
    let points = [ready(&volume, "new", NOW - hours(7)), ready(&volume, "old", NOW - hours(24 * 30))];
    let verdicts = [judge(NOW, &policy(), &with(volume, points))];
    let kinds = |suspended: &[Suspension]| {
        let admission = admit(NOW, Pacer::new(), &Limits::default(), suspended, &HeldBack::new(), &verdicts);
        let waiting: Vec<_> =
            admission.waiting.iter().map(|waiting| (waiting.kind, waiting.reason)).collect();
        (admission.actions.iter().map(agenttier_backup_plan::Action::kind).collect::<Vec<_>>(), waiting)
    };
    assert_eq!(kinds(&[]), (vec![ActionKind::Prune, ActionKind::TakeSnapshot], vec![]));
    let suspended = [Suspension::ClockUnknown, Suspension::UnreadablePolicy { name: "gold".into() }];
    assert_eq!(
        kinds(&suspended),
        (vec![ActionKind::TakeSnapshot], vec![(ActionKind::Prune, Reason::ClockUnknown)]),
        "named by the first of them"
    );
}
