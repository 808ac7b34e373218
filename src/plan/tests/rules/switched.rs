//! What a Sandbox was switched away from, and what it comes back to; what counts as rest.

use agenttier_backup_plan::{Protection, Reason, RecoveryPoint, Volume};

use crate::world::{NOW, hours, judge, policy, ready, sandbox, seconds, volume, wanted_snapshot, with};

/// In use by a Sandbox of this phase.
fn used(phase: &str) -> Volume {
    Volume { sandbox: Some(sandbox("s1", phase)), ..volume("s1") }
}

fn left() -> Volume {
    Volume { switched_to: Some("pool-1-pvc".into()), ..used("Running") }
}

fn after_switch(volume: &Volume, name: &str, age: i64) -> RecoveryPoint {
    RecoveryPoint { after_switch: true, ..ready(volume, name, NOW - hours(age)) }
}

/// The name of the second is the greater one: it settles a tie.
#[test]
fn what_was_left_is_saved_once_each_time_that_it_was() {
    let takes = |points: Vec<RecoveryPoint>| {
        let verdict = judge(NOW, &policy(), &with(left(), points));
        assert_eq!(verdict.interval.is_some(), wanted_snapshot(&verdict).is_some(), "whether it takes part");
        wanted_snapshot(&verdict).map(|take| take.after_switch)
    };
    let ordinary = |name, age| ready(&left(), name, NOW - hours(age));
    let after = |name, age| after_switch(&left(), name, age);
    assert_eq!(takes(vec![]), Some(true));
    assert_eq!(takes(vec![ordinary("a", 0)]), Some(true), "the slot is covered, the work since is not");
    assert_eq!(takes(vec![ordinary("a", 0), after("a-r1", 0)]), None);
    assert_eq!(takes(vec![after("a", 900)]), None, "however long ago: nobody works there");
    assert_eq!(
        takes(vec![after("a", 9), ordinary("b", 8)]),
        Some(true),
        "it had been put back, and was left again"
    );
    let failed = RecoveryPoint { ready: false, cut: None, error: Some("no".into()), ..after("b", 25) };
    assert_eq!(takes(vec![failed]), Some(true));
}

/// The work that is done there from now on is in no point yet.
#[test]
fn what_is_come_back_to_is_due_at_once() {
    let volume = used("Running");
    let points = [ready(&volume, "a", NOW), after_switch(&volume, "a-r1", 0)];
    let verdict = judge(NOW, &policy(), &with(volume, points));
    assert_eq!(wanted_snapshot(&verdict).map(|take| take.after_switch), Some(false));
    assert_eq!(verdict.protection, Protection::Protected { newest: NOW }, "what is there can be restored");
    assert!(verdict.notices.is_empty());
}

#[test]
fn the_notice_says_where_the_work_is() {
    let told = |to: &str| {
        let verdict = judge(NOW, &policy(), &Volume { switched_to: Some(to.into()), ..left() });
        assert_eq!(verdict.notices[0].reason, Reason::WorkspaceSwitched);
        verdict.notices[0].message.clone()
    };
    assert!(
        told("pool-1-pvc").contains("pool-1-pvc now, most likely an empty one"),
        "{}",
        told("pool-1-pvc")
    );
    assert!(told("pool-1-pvc").contains("its work is on s1-workspace"));
    assert!(told("s1-workspace").contains("s1-workspace now, its own; what it did meanwhile"));
}

/// Each of the signs that somebody may be writing is enough.
#[test]
fn only_what_nobody_can_have_written_to_is_unchanged() {
    let stopped = used("Stopped");
    let since = stopped.sandbox.as_ref().unwrap().last_activity;
    let at_rest =
        |volume: &Volume| RecoveryPoint { at_rest_since: since, ..ready(volume, "a", NOW - hours(30)) };
    let unchanged = |volume: Volume| {
        let point = at_rest(&volume);
        let verdict = judge(NOW, &policy(), &with(volume, [point]));
        let take = wanted_snapshot(&verdict).map(|take| take.at_rest_since);
        assert_eq!(verdict.unchanged, take.is_none());
        take
    };
    assert_eq!(unchanged(stopped.clone()), None);
    assert_eq!(unchanged(used("Running")), Some(None));
    assert_eq!(unchanged(Volume { shared: true, ..stopped.clone() }), Some(None));
    let attached = Volume { attached: true, ..stopped.clone() };
    assert_eq!(unchanged(attached), Some(None), "nor is the next point one at rest");
    let mut resumed = stopped.clone();
    resumed.sandbox.as_mut().unwrap().last_activity = since.map(|since| since + hours(1));
    assert_eq!(unchanged(resumed), Some(since.map(|since| since + hours(1))), "the next one is");

    // Times are whole seconds: a point of the very second may be older than the last run.
    let at = since.unwrap();
    for (created, is_rest) in [(at, false), (at + seconds(1), true)] {
        let point = RecoveryPoint { at_rest_since: since, ..ready(&stopped, "a", created) };
        assert_eq!(judge(NOW, &policy(), &with(stopped.clone(), [point])).unchanged, is_rest);
    }
}
