use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::api::BackupPolicySpec;

const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// The status of a policy after a pass that found this and that deletions are suspended.
fn status_of(
    policy: &BackupPolicy,
    verdicts: &[Verdict],
    suspended: &[Suspension],
    reach: impl FnOnce() -> Reach,
) -> BackupPolicyStatus {
    let limits = Limits { snapshots_in_flight: 10, deletions_in_flight: 20, snapshots: None };
    let pace = Pace { limits, per_minute: 1.25 };
    let (mass, velero) = (BTreeMap::new(), VeleroFindings::default());
    let told = Told { now: NOW, verdicts, pace, suspended, mass: &mass, velero: &velero };
    policy_status(policy, &told, &[], reach)
}

fn verdict(claim: &str, protection: Protection) -> Verdict {
    super::super::verdict_fixture::verdict(claim, Some("default"), protection)
}

fn protected(claim: &str) -> Verdict {
    verdict(claim, Protection::Protected { newest: NOW })
}

fn awaited(claim: &str, reason: Reason) -> Verdict {
    verdict(claim, Protection::Awaited { by: NOW, reason })
}

fn overdue(claim: &str, reason: Reason) -> Verdict {
    verdict(claim, Protection::Overdue { newest: None, reason })
}

fn unprotected(claim: &str, reason: Reason) -> Verdict {
    verdict(claim, Protection::Unprotected { reason })
}

fn setback(mut verdict: Verdict, kind: ActionKind, reason: Reason, message: &str) -> Verdict {
    let setback = Setback::new(reason, message.into(), NOW, NOW);
    verdict.setbacks.insert(kind, setback);
    verdict
}

fn status(verdicts: &[Verdict]) -> BackupPolicyStatus {
    let policy = BackupPolicy::new("default", BackupPolicySpec::default());
    status_of(&policy, verdicts, &[], || panic!("volumes follow it"))
}

/// `status reason: message` of the condition.
fn told(status: &BackupPolicyStatus) -> String {
    let [ready] = &status.conditions[..] else { panic!("{status:?}") };
    format!("{} {}: {}", ready.status, ready.reason, ready.message)
}

#[test]
fn ready_only_while_every_volume_is_protected() {
    let cases = [
        (vec![protected("a"), protected("b")], "True Protected: 2 of 2 volumes protected"),
        (
            vec![protected("a"), overdue("b", Reason::SnapshotSlow)],
            "False VolumesOverdue: 1 of 2 volumes protected. overdue: 1 SnapshotSlow (n/b): is the driver still at it? If its \
             VolumeSnapshotContent is ready to use, restart the snapshot-controller",
        ),
        (
            vec![unprotected("a", Reason::NotCsi)],
            "False VolumesUnprotected: 0 of 1 volume protected. unprotected: 1 NotCsi (n/a)",
        ),
        (
            vec![protected("a"), awaited("b", Reason::SnapshotInFlight)],
            "Unknown AwaitingFirstSnapshots: 1 of 2 volumes protected. first snapshot awaited: 1 SnapshotInFlight \
             (n/b)",
        ),
        (
            vec![protected("a"), unprotected("b", Reason::ClaimPending)],
            "Unknown VolumesUnprotected: 1 of 2 volumes protected. unprotected: 1 ClaimPending (n/b)",
        ),
    ];
    for (verdicts, expected) in cases {
        assert_eq!(told(&status(&verdicts)), expected);
    }
}

/// A full quota is told from the first minute on, not after an interval, and in the API server's words.
#[test]
fn a_first_snapshot_that_cannot_be_made_is_no_awaited_one() {
    let failing = setback(
        awaited("a", Reason::QuotaExceeded),
        ActionKind::TakeSnapshot,
        Reason::QuotaExceeded,
        "exceeded quota: q",
    );
    let status = status(&[failing, protected("b")]);
    assert_eq!(
        told(&status),
        "False SnapshotsFailing: 1 of 2 volumes protected. first snapshot awaited: 1 QuotaExceeded (n/a): exceeded \
         quota: q"
    );
    let [failing] = &status.failing[..] else { panic!("{status:?}") };
    assert_eq!((failing.action.as_str(), failing.reason.as_str()), ("TakeSnapshot", "QuotaExceeded"));
    assert_eq!((failing.volume_uid.as_str(), failing.message.as_str()), ("a", "exceeded quota: q"));
}

#[test]
fn an_operators_limits_are_told_as_such() {
    let status = status(&[overdue("a", Reason::DriverBusy), awaited("b", Reason::Paced)]);
    let told = told(&status);
    assert!(told.contains("1 DriverBusy (n/a): 10 snapshots of a driver may be under way at once"), "{told}");
    assert!(told.contains("1 Paced (n/b): 1.2 snapshots are started a minute"), "{told}");
}

#[test]
fn what_is_retired_is_not_counted_as_unprotected() {
    let retired = verdict("a", Protection::Retired { newest: Some(NOW), reason: Reason::ClaimGone });
    let status = status(&[retired, protected("b")]);
    assert_eq!(told(&status), "True Protected: 1 of 1 volume protected");
    let counts = VolumeCounts { total: 1, protected: 1, ..VolumeCounts::default() };
    assert_eq!(status.volumes, Some(counts));
}

#[test]
fn prunes_that_fail_are_told_and_take_no_protection_away() {
    let failing = setback(protected("a"), ActionKind::Prune, Reason::Forbidden, "no right");
    let told = told(&status(&[failing]));
    assert_eq!(told, "True Protected: 1 of 1 volume protected. cannot prune: 1 Forbidden (n/a): no right");
}

#[test]
fn a_policy_that_nobody_follows_is_not_ready_and_says_why() {
    let policy = BackupPolicy::new("default", BackupPolicySpec::default());
    let idle = |selected, followed, others: &[&str]| {
        let outranked_by: BTreeSet<String> = others.iter().map(|name| (*name).to_owned()).collect();
        let reach = Reach { selected, followed, outranked_by };
        told(&status_of(&policy, &[], &[], || reach))
    };
    assert_eq!(idle(0, 0, &[]), "Unknown NoVolumes: no namespace matches its selector");
    assert_eq!(
        idle(2, 1, &["gold"]),
        "Unknown NoVolumes: no namespace that follows it holds a sandbox's volume"
    );
    assert_eq!(
        idle(2, 0, &["gold", "silver"]),
        "Unknown Outranked: every namespace that it selects follows another policy: gold, silver"
    );
}

#[test]
fn the_report_of_what_fails_is_bounded_and_the_longest_comes_first() {
    let verdicts: Vec<Verdict> = (0..60)
        .map(|n| {
            let mut failing = setback(
                awaited(&format!("v{n}"), Reason::Refused),
                ActionKind::TakeSnapshot,
                Reason::Refused,
                "no",
            );
            for setback in failing.setbacks.values_mut() {
                setback.since = NOW - jiff::SignedDuration::from_mins(n);
            }
            failing
        })
        .collect();
    let status = status(&verdicts);
    let named: Vec<&str> = status.failing.iter().map(|failing| failing.claim.as_str()).collect();
    assert_eq!((named.len(), named[0], named[49]), (50, "v59", "v10"));
}

#[test]
fn that_deletions_are_suspended_is_told_until_they_are_not() {
    let mut policy = BackupPolicy::new("default", BackupPolicySpec::default());
    let mut after = |suspended: &[Suspension]| {
        let status = status_of(&policy, &[protected("a")], suspended, || panic!("followed"));
        let told =
            status.conditions.iter().map(|c| format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message));
        let told: Vec<String> = told.collect();
        policy.status = Some(status);
        told
    };
    let ready = "Ready True Protected: 1 of 1 volume protected";
    assert_eq!(after(&[]), [ready], "nothing to tell of yet");
    let unreadable = Suspension::UnreadablePolicy { name: "gold".into() };
    assert_eq!(
        after(&[unreadable, Suspension::StaleCache { kind: "namespaces".into(), cause: "forbidden".into() }]),
        [
            ready,
            "DeletionsSuspended True PolicyUnreadable: BackupPolicy gold cannot be read; it may keep more than the \
             others. what is known of namespaces may be out of date: forbidden"
        ]
    );
    assert_eq!(after(&[]), [ready, "DeletionsSuspended False Over: "]);
}

/// Its owner wants it so: that is no reason to keep a policy from being Ready for good.
#[test]
fn a_sandbox_that_opted_out_does_not_count() {
    let status = status(&[protected("a"), unprotected("scratch", Reason::OptedOut)]);
    assert_eq!(status.volumes.map(|counts| (counts.total, counts.unprotected)), Some((1, 0)));
    let ready = &status.conditions[0];
    assert_eq!((ready.status.as_str(), ready.message.as_str()), ("True", "1 of 1 volume protected"));
}

/// With Velero alone something is made all the same.
#[test]
fn a_policy_without_snapshots_says_who_makes_backups() {
    let told = |velero: bool, suspend: bool| {
        let mut policy =
            BackupPolicy::new("default", BackupPolicySpec { suspend, ..BackupPolicySpec::default() });
        policy.spec.snapshots.enabled = false;
        policy.spec.velero.enabled = velero;
        let status = status_of(&policy, &[], &[], || panic!("it keeps nothing"));
        let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types.contains(&"VeleroReady"), velero, "{types:?}");
        let ready = &status.conditions[0];
        format!("{} {}: {}", ready.status, ready.reason, ready.message)
    };
    assert_eq!(told(false, false), "False Disabled: nothing is made and nothing is deleted");
    assert_eq!(
        told(true, false),
        "False Disabled: no snapshots are taken or pruned; how the backups by Velero stand is told by VeleroReady"
    );
    assert_eq!(told(true, true), "False Suspended: nothing is made and nothing is deleted");
}
