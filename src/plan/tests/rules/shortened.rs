//! A retention that was shortened to a day or less.

use agenttier_backup_plan::{Fate, Keep, RecoveryPoint, Retention, Volume};

use crate::world::*;

const DAY: i64 = 24;

fn carrying(point: RecoveryPoint, max_age_hours: i64) -> RecoveryPoint {
    RecoveryPoint { retention: Some(Retention::for_at_least(hours(max_age_hours))), ..point }
}

/// No point of the new retention grows much older than the day that the change has to wait; what tells that it was
/// in force for so long must not go before what it lets go: an older one
/// would be the last word again.
#[test]
fn what_it_lets_go_goes_before_what_tells_how_long_it_was_in_force() {
    let mut policy = policy();
    policy.retention = Retention::for_at_least(hours(DAY));
    let empty = volume("v");
    let old = ["old-a", "old-b"].map(|name| carrying(ready(&empty, name, NOW - hours(5 * DAY)), 30 * DAY));
    let witness = carrying(ready(&empty, "witness", NOW - hours(DAY)), DAY);
    let newest = carrying(ready(&empty, "newest", NOW - hours(1)), DAY);
    let names = |volume: &Volume| {
        let verdict = judge(NOW, &policy, volume);
        wanted_prunes(&verdict).iter().map(|prune| prune.name.clone()).collect::<Vec<_>>()
    };

    let [a, b] = old;
    let whole = with(empty.clone(), [a.clone(), b, witness.clone(), newest.clone()]);
    assert_eq!(names(&whole), ["old-a", "old-b"]);
    let verdict = judge(NOW, &policy, &whole);
    let kept = Fate::Keep(Keep::RetentionShortened { until: None });
    assert_eq!(fate(&verdict, "witness"), &kept);

    let half = with(empty.clone(), [a.clone(), witness.clone(), newest.clone()]);
    assert_eq!(names(&half), ["old-a"], "cut off in the middle, it goes on");
    let pinned = RecoveryPoint { pinned: true, ..a };
    let none: [&str; 0] = [];
    assert_eq!(
        names(&with(empty.clone(), [pinned, witness.clone(), newest.clone()])),
        none,
        "one more is kept"
    );
    assert_eq!(names(&with(empty, [witness, newest])), ["witness"], "nothing is left that needs it");
}
