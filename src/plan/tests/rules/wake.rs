//! Between now and `wake` nothing changes but by an object: a controller that sleeps until then misses nothing. Over
//! everything that a verdict can hang on.

use jiff::SignedDuration;
use proptest::prelude::*;

use crate::world::{NOW, hours, judge, policy, ready, seconds, volume, with};
use crate::worlds::worlds;
use agenttier_backup_plan::RecoveryPoint;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_changes_before_wake(
        world in worlds(), fractions in prop::array::uniform3(0.0_f64..1.0), later in 1_i64..10_000_000,
        ahead in 0_i64..40 * 24,
    ) {
        let now = NOW + hours(ahead);
        let verdict = world.judge(now);
        let Some(wake) = verdict.wake else {
            prop_assert_eq!(world.judge(now + seconds(later)), verdict);
            return Ok(());
        };
        prop_assert!(wake > now);
        let left = wake.duration_since(now).as_secs_f64();
        // The very last moment is the likeliest to be wrong.
        let last = wake - SignedDuration::from_nanos(1);
        prop_assert_eq!(&world.judge(last), &verdict, "in the last moment before {}", wake);
        for fraction in fractions {
            let then = (now + SignedDuration::from_secs_f64(left * fraction)).min(last);
            prop_assert_eq!(&world.judge(then), &verdict, "at {}", then);
        }
    }
}

/// The storage's clock is a little ahead of the API server's, and a slot may be named before it has begun.
#[test]
fn a_date_that_is_still_to_come_wakes() {
    let volume = volume("v");
    let soon = Some(NOW + seconds(60));
    let plain = ready(&volume, "p", NOW);
    for point in [RecoveryPoint { cut: soon, ..plain.clone() }, RecoveryPoint { slot: soon, ..plain }] {
        assert_eq!(judge(NOW, &policy(), &with(volume.clone(), [point])).wake, soon);
    }
}

#[test]
fn of_two_rules_that_begin_to_hold_the_one_to_come_wakes() {
    let volume = volume("v");
    let keeps = policy().retention.max_age;
    let soon = NOW + seconds(10);
    let points =
        [NOW, soon].map(|until| ready(&volume, &format!("until-{}", until.as_second()), until - keeps));
    let newest = ready(&volume, "newest", NOW);
    assert_eq!(judge(NOW, &policy(), &with(volume, points.into_iter().chain([newest]))).wake, Some(soon));
}
