use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::Body;
use velero::{Schedule, ScheduleSpec};

use super::*;
use crate::api::{BackupPolicy, BackupPolicySpec};
use crate::observe::Holding;

/// A hundred Schedules to delete where each answer takes so long: how many are tried, and for how long.
async fn tried_where_answers_take(each: Duration) -> (usize, Duration) {
    let server = tower::service_fn(move |_: Request<Body>| async move {
        tokio::time::sleep(each).await;
        Ok::<_, Infallible>(Response::new(Body::from(br#"{"kind": "Status"}"#.to_vec())))
    });
    let schedule = |n: i32| Schedule::new(&format!("east-{n}"), ScheduleSpec::default());
    let due = (0..100).map(|n| Order::Remove(Arc::new(schedule(n)))).collect();
    let mut keeper = Keeper::new(Client::new(server, "velero"), Leadership::alone(), 4, None, None);
    let begun = Instant::now();
    let tried = keeper.carry_out(Timestamp::UNIX_EPOCH, "velero", due, &CancellationToken::new()).await;
    (tried, begun.elapsed())
}

fn keeper() -> Keeper {
    let server = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from(br#"{"kind": "Status"}"#.to_vec())))
    });
    Keeper::new(Client::new(server, "velero"), Leadership::alone(), 4, Some("east".into()), None)
}

/// Why nothing is done, as one pass tells it, where the one policy is suspended or not.
async fn told(sight: &VeleroSight, suspend: bool) -> Option<&'static str> {
    let mut spec = BackupPolicySpec { suspend, ..BackupPolicySpec::default() };
    spec.velero.enabled = true;
    let mut lasting = Namespace::default();
    lasting.metadata.name = Some("kube-system".into());
    lasting.metadata.uid = Some("1234abcd".into());
    let observed = Observed {
        policies: vec![Arc::new(BackupPolicy::new("gold", spec))],
        namespaces: vec![Arc::new(lasting)],
        ..Observed::default()
    };
    let stop = CancellationToken::new();
    let (findings, _) = keeper().pass(Timestamp::UNIX_EPOCH, &observed, Some(sight), true, &stop).await;
    findings.obstacle.map(|obstacle| obstacle.reason())
}

/// A policy that is suspended wants no backups, but its Schedules have to be paused for that.
#[tokio::test]
async fn what_cannot_be_seen_is_told_also_where_all_is_suspended() {
    let mut sight = VeleroSight::of_schedules("velero", vec![]);
    sight.servers = Holding::Seen(vec![]);
    assert_eq!(told(&sight, false).await, Some("VeleroServerMissing"));
    assert_eq!(told(&sight, true).await, None, "nobody wants one");
    sight.schedules = Holding::Refused;
    assert_eq!(told(&sight, true).await, Some("VeleroForbidden"));
    sight.schedules = Holding::Unseen;
    assert_eq!(told(&sight, true).await, Some("VeleroUnseen"));
    sight.absent = true;
    assert_eq!(told(&sight, true).await, None);
}

/// Woken for one of the two alone, a pass would find nothing to do, and be woken again at once.
#[tokio::test]
async fn what_fails_and_is_contested_waits_for_both() {
    let mut keeper = keeper();
    let at = |second| Timestamp::from_second(second).expect("a time");
    let made = Order::Keep { live: None, wanted: Schedule::new("east-a", ScheduleSpec::default()) };
    for second in 0..50 {
        keeper.note(at(second), &made, Ok(()));
    }
    assert_eq!(keeper.held_back("east-a"), Some(at(109)));
    keeper.note(at(109), &made, Err(Failure::Refused("no".into())));
    let until = keeper.held_back("east-a").expect("it failed");
    assert_eq!(until, keeper.failing["east-a"].until);
    assert!(until > at(109), "{until}");
    keeper.forget();
    assert_eq!(keeper.held_back("east-a"), None);
}

#[tokio::test]
async fn that_somebody_else_is_quicker_again_and_again_is_told() {
    let mut keeper = keeper();
    let kept = Order::Keep { live: None, wanted: Schedule::new("east-a", ScheduleSpec::default()) };
    for _ in 0..5 {
        keeper.note(Timestamp::UNIX_EPOCH, &kept, Err(Failure::Changed));
        assert!(!keeper.failing["east-a"].told, "it comes right by itself");
    }
    keeper.note(Timestamp::UNIX_EPOCH, &kept, Err(Failure::Changed));
    assert!(keeper.failing["east-a"].told);
}

#[tokio::test(start_paused = true)]
async fn a_velero_that_hangs_is_left_for_the_next_pass() {
    let (tried, took) = tried_where_answers_take(Duration::ZERO).await;
    assert_eq!((tried, took < Duration::from_secs(1)), (100, true), "{took:?}");
    let (tried, took) = tried_where_answers_take(Duration::from_secs(1)).await;
    assert_eq!((tried, took.as_secs()), (40, 10), "four at a time");
    let (tried, took) = tried_where_answers_take(Duration::from_hours(1)).await;
    assert_eq!((tried, took.as_secs()), (4, CALL_DEADLINE.as_secs()));
}
