//! Volumes and recovery points to judge: fair ones, to be changed in the one respect that a test is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::{
    Action, ActionKind, AgentTierLoop, Amendments, Bounds, ClaimPhase, Fate, Governance, HeldBack, Interval,
    Keeper, Overrides, Ownership, Policy, Prune, Reason, RecoveryPoint, Retention, Safety, SandboxRef,
    Setback, Slots, Surroundings, TakeSnapshot, Verdict, Volume, VolumeUid,
};
use jiff::{SignedDuration, Timestamp};

/// The moment that most tests play at.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub(crate) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(crate) fn every(interval: SignedDuration) -> Interval {
    Interval::new(interval).unwrap()
}

/// Every 6 h, ready within 1 h, kept for 14 days.
pub(crate) fn policy() -> Policy {
    Policy {
        name: "default".into(),
        interval: every(hours(6)),
        ready_timeout: hours(1),
        retention: Retention::for_at_least(hours(14 * 24)),
        class: None,
        classes: BTreeMap::new(),
        skip_unchanged: true,
        adopt_agenttier: false,
        bounds: Bounds::default(),
        deletions_confirmed: None,
    }
}

/// A bound volume of a CSI driver, 60 days old, without any recovery point.
pub(crate) fn volume(uid: &str) -> Volume {
    Volume {
        uid: VolumeUid::new(uid),
        namespace: "team-a".into(),
        claim: format!("{uid}-workspace"),
        phase: ClaimPhase::Bound,
        terminating: false,
        created: NOW - hours(60 * 24),
        driver: Some("dir.csi".into()),
        shared: false,
        attached: false,
        agenttier_loop: AgentTierLoop::Off,
        sandbox: None,
        owner_unseen: false,
        switched_to: None,
        points: Vec::new(),
        taken_names: Arc::default(),
    }
}

/// A Sandbox of this name and phase, last active two days ago.
pub(crate) fn sandbox(name: &str, phase: &str) -> SandboxRef {
    SandboxRef {
        name: name.into(),
        uid: format!("uid-of-{name}"),
        phase: phase.into(),
        last_activity: Some(NOW - hours(48)),
        record: None,
        overrides: Overrides::default(),
    }
}

/// The same volume with these points, whose names are thereby taken.
pub(crate) fn with(mut volume: Volume, points: impl IntoIterator<Item = RecoveryPoint>) -> Volume {
    volume.points.extend(points);
    volume.taken_names =
        Arc::new(volume.points.iter().map(|point| point.name.clone()).collect::<BTreeSet<_>>());
    volume
}

/// A Ready point of ours of this volume.
pub(crate) fn ready(volume: &Volume, name: &str, created: Timestamp) -> RecoveryPoint {
    RecoveryPoint {
        name: name.into(),
        uid: format!("uid-of-{name}"),
        version: "7".into(),
        ownership: Ownership::Ours { volume: volume.uid.clone() },
        sandbox: None,
        sandbox_uid: None,
        at_rest_since: None,
        after_switch: false,
        gone_since: None,
        policy: None,
        retention: None,
        amendments: Amendments::default(),
        class_retains: false,
        looks_like_agenttiers: true,
        slot: None,
        created,
        cut: Some(created),
        ready: true,
        error: None,
        deleting_since: None,
        pinned: false,
        readers: BTreeSet::new(),
    }
}

/// A point of ours that is not ready yet.
pub(crate) fn unready(volume: &Volume, name: &str, created: Timestamp) -> RecoveryPoint {
    RecoveryPoint { ready: false, cut: None, ..ready(volume, name, created) }
}

/// Orders of this kind fail for this volume, and are not tried again until then.
pub(crate) fn failing(uid: &str, kind: ActionKind, reason: Reason, until: Timestamp) -> HeldBack {
    let setback = Setback::new(reason, "the API server's own words".into(), NOW, until);
    HeldBack::from([((VolumeUid::new(uid), kind), setback)])
}

/// Start of the slot of `volume` that `now` lies in, under the interval of `policy`.
pub(crate) fn slot_start(policy: &Policy, volume: &Volume, now: Timestamp) -> Timestamp {
    Slots::of(&volume.uid, policy.interval).at(now).start()
}

/// Judged where no class can be read and no limit is near.
pub(crate) fn decide(now: Timestamp, governance: &Governance, volume: &Volume, held: &HeldBack) -> Verdict {
    agenttier_backup_plan::decide(now, governance, volume, &Surroundings::of(held))
}

/// The newer point that makes a deletion safe.
pub(crate) fn keeper(prune: &Prune) -> &Keeper {
    match &prune.safety {
        Safety::Keeper(keeper) => keeper,
        Safety::Gone(_) | Safety::Unready => panic!("without a keeper: {prune:?}"),
    }
}

pub(crate) fn judge(now: Timestamp, policy: &Policy, volume: &Volume) -> Verdict {
    decide(now, &Governance::By(policy.clone()), volume, &HeldBack::new())
}

/// The snapshot that is wanted, if one is.
pub(crate) fn wanted_snapshot(verdict: &Verdict) -> Option<&TakeSnapshot> {
    let mut takes = verdict.wants.iter().filter_map(|action| match action {
        Action::TakeSnapshot(take) => Some(take),
        Action::Prune(_) | Action::Mark(_) => None,
    });
    let take = takes.next();
    assert!(takes.next().is_none(), "two snapshots of one volume are wanted: {verdict:?}");
    take
}

/// The deletions that are wanted.
pub(crate) fn wanted_prunes(verdict: &Verdict) -> Vec<&Prune> {
    let prunes = verdict.wants.iter().filter_map(|action| match action {
        Action::Prune(prune) => Some(prune),
        Action::TakeSnapshot(_) | Action::Mark(_) => None,
    });
    prunes.collect()
}

/// What becomes of the point of this name.
pub(crate) fn fate<'v>(verdict: &'v Verdict, name: &str) -> &'v Fate {
    &verdict.points.iter().find(|point| point.name == name).unwrap().fate
}
