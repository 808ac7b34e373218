//! A volume at rest needs no other snapshot: when it is believed to be at rest.

use agenttier_backup_plan::{Fate, Keep, Policy, Protection, RecoveryPoint, Volume};
use jiff::Timestamp;

use crate::world::{
    NOW, fate, hours, judge, policy, ready, sandbox, seconds, unready, volume, wanted_snapshot, with,
};

/// When the Sandbox was last active: 40 days ago.
const ACTIVE: Timestamp = Timestamp::constant(1_700_000_000 - 40 * 86_400, 0);

/// Its Sandbox has been Stopped since the newest Ready point, which was taken at rest 30 days ago.
fn resting() -> Volume {
    let mut user = sandbox("s1", "Stopped");
    user.last_activity = Some(ACTIVE);
    let volume = Volume { sandbox: Some(user), ..volume("s1") };
    let mut point = ready(&volume, "quiet", NOW - hours(30 * 24));
    point.at_rest_since = Some(ACTIVE);
    let older = ready(&volume, "older", NOW - hours(31 * 24));
    with(volume, [older, point])
}

fn is_due(policy: &Policy, volume: &Volume) -> bool {
    let verdict = judge(NOW, policy, volume);
    assert_eq!(verdict.unchanged, wanted_snapshot(&verdict).is_none());
    !verdict.unchanged
}

#[test]
fn at_rest_it_is_protected_by_a_point_of_any_age_which_stays() {
    let volume = resting();
    let verdict = judge(NOW, &policy(), &volume);
    assert!(!is_due(&policy(), &volume));
    assert_eq!(verdict.protection, Protection::Protected { newest: NOW - hours(30 * 24) });
    assert_eq!(*fate(&verdict, "quiet"), Fate::Keep(Keep::Newest));
    let much_later = judge(NOW + hours(24 * 3650), &policy(), &volume);
    assert!(much_later.unchanged && matches!(much_later.protection, Protection::Protected { .. }));
}

type Doubt = fn(&mut Volume);

/// Any one of these may mean that something was written, or that nobody can tell.
#[test]
fn each_condition_alone_is_needed() {
    assert!(is_due(&Policy { skip_unchanged: false, ..policy() }, &resting()), "nobody asked for it");
    let doubts: [(&str, Doubt); 13] = [
        ("a VolumeAttachment is on it", |volume| volume.attached = true),
        ("several nodes may write", |volume| volume.shared = true),
        ("no Sandbox is seen", |volume| volume.sandbox = None),
        ("it runs", |volume| volume.sandbox.as_mut().unwrap().phase = "Running".into()),
        ("it is being made", |volume| volume.sandbox.as_mut().unwrap().phase = "Creating".into()),
        ("it has no phase", |volume| volume.sandbox.as_mut().unwrap().phase.clear()),
        ("it has run since", |volume| {
            volume.sandbox.as_mut().unwrap().last_activity = Some(ACTIVE + hours(1));
        }),
        ("it was active before that", |volume| {
            volume.sandbox.as_mut().unwrap().last_activity = Some(ACTIVE - seconds(1));
        }),
        ("nobody knows when it was active", |volume| volume.sandbox.as_mut().unwrap().last_activity = None),
        ("the point was not taken at rest", |volume| volume.points[1].at_rest_since = None),
        ("it may have run again within the second", |volume| {
            (volume.points[0].created, volume.points[1].created) = (ACTIVE - hours(1), ACTIVE);
        }),
        ("the point is not Ready", |volume| {
            (volume.points[1].ready, volume.points[1].created) = (false, NOW - hours(25));
        }),
        ("the point is being deleted", |volume| volume.points[1].deleting_since = Some(NOW)),
    ];
    for (why, doubt) in doubts {
        let mut volume = resting();
        doubt(&mut volume);
        assert!(is_due(&policy(), &volume), "{why}");
    }
}

/// The newest Ready one is the one that a restore would take.
#[test]
fn an_older_point_at_rest_proves_nothing() {
    let volume = resting();
    let newer = ready(&volume, "newer", NOW - hours(20));
    assert!(is_due(&policy(), &with(volume.clone(), [newer.clone()])));
    // The storage's clock may be wrong; the order of making counts.
    let misdated = RecoveryPoint { cut: Some(NOW - hours(24 * 40)), ..newer };
    assert!(is_due(&policy(), &with(volume.clone(), [misdated])));
    let failed = unready(&volume, "failed", NOW - hours(30));
    assert!(!is_due(&policy(), &with(volume.clone(), [failed])), "what failed holds nothing newer");
    // Of one moment, the name decides, as it does for retention.
    let twin = ready(&volume, "zzz", NOW - hours(30 * 24));
    assert!(is_due(&policy(), &with(volume, [twin])));
}

/// The order says since when, so that the one who takes it can see for himself that nothing is on the volume.
#[test]
fn the_order_says_since_when_the_sandbox_rests() {
    let mut volume = Volume { sandbox: Some(sandbox("s1", "Stopped")), ..volume("s1") };
    let since = |volume: &Volume| wanted_snapshot(&judge(NOW, &policy(), volume)).unwrap().at_rest_since;
    assert_eq!(since(&volume), Some(NOW - hours(48)));
    assert_eq!(since(&Volume { shared: true, ..volume.clone() }), None);
    volume.sandbox = Some(sandbox("s1", "Running"));
    assert_eq!(since(&volume), None);
}
