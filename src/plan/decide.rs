//! `decide`: one volume in, one verdict out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Action, ActionKind, ClaimPhase, Fate, Governance, HeldBack, Judged, Keep, Policy, Protection, Prune,
    Readiness, Reason, Setback, Slot, Slots, TakeSnapshot, Verdict, Volume, VolumeId, retain, snapshot_name,
};

/// Judges one volume under the policy of its namespace, given what failed when it was last tried.
#[must_use]
pub fn decide(now: Timestamp, governance: &Governance, volume: &Volume, held: &HeldBack) -> Verdict {
    let policy = match governance {
        Governance::By(policy) => Some(policy),
        _ => None,
    };
    let id = VolumeId {
        namespace: volume.namespace.clone(),
        claim: volume.claim.clone(),
        uid: volume.uid.clone(),
    };
    let ready_timeout = policy.map_or(crate::FAILED_AFTER, |policy| policy.ready_timeout);
    let readiness: Vec<Readiness> =
        volume.points.iter().map(|point| Readiness::of(point, now, ready_timeout)).collect();
    let obstacle = obstacle(governance, volume);
    let active = policy.filter(|_| obstacle.is_none());
    let setbacks = setbacks(volume, held);

    let sight = Sight::of(now, volume, &readiness);
    let turn = active.map(|policy| Turn::of(now, policy, volume, &readiness));
    let mut wants = Vec::new();
    let fates = match active {
        Some(policy) => retain(now, &policy.retention, &volume.uid, &volume.points, &readiness),
        None => vec![undecided(governance, volume); volume.points.len()],
    };
    for (point, fate) in volume.points.iter().zip(&fates) {
        if let Fate::Prune { keeper, .. } = fate {
            wants.push(Action::Prune(Prune {
                volume: id.clone(),
                name: point.name.clone(),
                uid: point.uid.clone(),
                version: point.version.clone(),
                keeper: keeper.clone(),
            }));
        }
    }
    if let (Some(policy), Some(turn)) = (active, turn)
        && let Some(take) = due_snapshot(now, policy, volume, &id, &sight, turn)
    {
        wants.push(Action::TakeSnapshot(take));
    }

    Verdict {
        sandbox: user_of(volume),
        policy: governance.policy_name().map(str::to_owned),
        driver: volume.driver.clone(),
        interval: active.map(|policy| policy.interval),
        protection: match (active, obstacle) {
            (Some(policy), _) => protection(now, policy, volume, &sight, &setbacks),
            (None, reason) => unprotected(reason.unwrap_or(Reason::NoPolicy), &sight),
        },
        wake: wake(now, active.zip(turn), ready_timeout, volume, &readiness, &fates, &sight),
        points: judged(now, volume, &readiness, fates),
        failed_snapshots: sight.failed_since_ready,
        volume: id,
        wants,
        setbacks,
    }
}

/// The Sandbox that uses the volume, or did when the newest of our points that names one was taken.
fn user_of(volume: &Volume) -> Option<String> {
    let last = || {
        let ours =
            volume.points.iter().filter(|point| point.is_ours_of(&volume.uid) && point.sandbox.is_some());
        ours.max_by_key(|point| point.created)?.sandbox.clone()
    };
    volume.sandbox.as_ref().map(|sandbox| sandbox.name.clone()).or_else(last)
}

fn setbacks(volume: &Volume, held: &HeldBack) -> BTreeMap<ActionKind, Setback> {
    let of = |kind| Some((kind, held.get(&(volume.uid.clone(), kind))?.clone()));
    [ActionKind::Prune, ActionKind::TakeSnapshot, ActionKind::Record].into_iter().filter_map(of).collect()
}

/// What becomes of every point where nothing is done. Absence, of a policy or a claim, is no reason to delete.
fn undecided(governance: &Governance, volume: &Volume) -> Fate {
    match (volume.phase, governance) {
        (ClaimPhase::Gone, _) => Fate::Keep(Keep::VolumeGone),
        (ClaimPhase::Abandoned, _) => Fate::Keep(Keep::VolumeAbandoned),
        (_, Governance::Unknown) => Fate::Unknown,
        _ => Fate::Keep(Keep::PruningHeld),
    }
}

/// Why no snapshot of the volume can be taken at all.
fn obstacle(governance: &Governance, volume: &Volume) -> Option<Reason> {
    match volume.phase {
        ClaimPhase::Gone => return Some(Reason::ClaimGone),
        ClaimPhase::Abandoned => return Some(Reason::ClaimAbandoned),
        _ => {}
    }
    match governance {
        Governance::Nobody => return Some(Reason::NoPolicy),
        Governance::Unknown => return Some(Reason::PolicyUnknown),
        Governance::Held { reason, .. } => return Some(*reason),
        Governance::By(_) => {}
    }
    match () {
        () if volume.terminating => Some(Reason::ClaimTerminating),
        () if volume.phase == ClaimPhase::Pending => Some(Reason::ClaimPending),
        () if volume.phase == ClaimPhase::Lost => Some(Reason::ClaimLost),
        () if volume.driver.is_none() => Some(Reason::NotCsi),
        () => None,
    }
}

/// What the volume's own points say.
struct Sight {
    /// When the data of the newest Ready point is from.
    newest_ready: Option<Timestamp>,
    /// The most recent moment that a good or in-flight point covers.
    covered: Option<Timestamp>,
    /// The worst of what is under way.
    in_flight: Option<Readiness>,
    /// The last point that we tried failed.
    failed: bool,
    /// Points that failed and were made after the newest Ready one.
    failed_since_ready: usize,
}

impl Sight {
    fn of(now: Timestamp, volume: &Volume, readiness: &[Readiness]) -> Self {
        let ours = || {
            let points = volume.points.iter().zip(readiness);
            points.filter(|(point, _)| point.is_ours_of(&volume.uid) && !point.terminating)
        };
        let newest_ready = ours()
            .filter(|(_, readiness)| **readiness == Readiness::Ready)
            .map(|(point, _)| point.taken_at(now))
            .max();
        let covered = ours()
            .filter(|(_, readiness)| **readiness != Readiness::Failed)
            .map(|(point, _)| point.covers(now))
            .max();
        let mut in_flight = None;
        for (_, readiness) in ours().filter(|(_, readiness)| readiness.is_in_flight()) {
            in_flight = if *readiness == Readiness::Slow {
                Some(Readiness::Slow)
            } else {
                in_flight.or(Some(*readiness))
            };
        }
        let failed = ours()
            .max_by_key(|(point, _)| point.created)
            .is_some_and(|(_, readiness)| *readiness == Readiness::Failed);
        let created_of = |wanted: Readiness| {
            let points = ours().filter(move |(_, readiness)| **readiness == wanted);
            points.map(|(point, _)| point.created)
        };
        let last_good = created_of(Readiness::Ready).max();
        let failed_since_ready = created_of(Readiness::Failed)
            .filter(|created| last_good.is_none_or(|good| *created > good))
            .count();
        Self { newest_ready, covered, in_flight, failed, failed_since_ready }
    }
}

/// The slot that it is, and when it may be tried in.
#[derive(Clone, Copy)]
struct Turn {
    slot: Slot,
    /// Attempts in this slot failed: until then no further one is made. `None` before the first.
    not_before: Option<Timestamp>,
}

impl Turn {
    /// After a failed attempt the next one is made when the first was given up; then the pauses double. A failure
    /// that lasts would otherwise pile up snapshots; the next slot begins anew.
    fn of(now: Timestamp, policy: &Policy, volume: &Volume, readiness: &[Readiness]) -> Self {
        let slot = Slots::of(&volume.uid, policy.interval).at(now);
        let points = volume.points.iter().zip(readiness);
        let failed: Vec<Timestamp> = points
            .filter(|(point, readiness)| {
                **readiness == Readiness::Failed
                    && point.is_ours_of(&volume.uid)
                    && !point.terminating
                    && point.covers(now) >= slot.start()
            })
            .map(|(point, _)| point.created)
            .collect();
        let not_before = failed.iter().max().map(|last| {
            let doublings = u32::try_from(failed.len() - 1).unwrap_or(u32::MAX).min(16);
            let pause = policy.ready_timeout.saturating_mul(1 << doublings).min(crate::FAILED_AFTER);
            last.checked_add(pause).unwrap_or(Timestamp::MAX)
        });
        Self { slot, not_before }
    }
}

/// The snapshot that is due now, if one is: the current slot is not covered, nothing is under way, and no attempt has
/// failed just before.
fn due_snapshot(
    now: Timestamp,
    policy: &Policy,
    volume: &Volume,
    id: &VolumeId,
    sight: &Sight,
    turn: Turn,
) -> Option<TakeSnapshot> {
    let slot = turn.slot;
    if sight.in_flight.is_some()
        || sight.covered.is_some_and(|covered| covered >= slot.start())
        || turn.not_before.is_some_and(|at| now < at)
    {
        return None;
    }
    let name = (0..=u32::MAX)
        .map(|attempt| snapshot_name(&volume.claim, slot, attempt))
        .find(|name| !volume.taken_names.contains(name))?;
    Some(TakeSnapshot {
        volume: id.clone(),
        name,
        slot,
        class: policy.class.clone(),
        sandbox: volume.sandbox.clone(),
        exposed_since: sight.newest_ready.unwrap_or(volume.created),
    })
}

fn unprotected(reason: Reason, sight: &Sight) -> Protection {
    let newest = sight.newest_ready;
    match reason {
        Reason::ClaimGone | Reason::ClaimAbandoned => Protection::Retired { newest, reason },
        Reason::PolicyUnknown => Protection::Unknown { newest, reason },
        _ => Protection::Unprotected { reason },
    }
}

fn protection(
    now: Timestamp,
    policy: &Policy,
    volume: &Volume,
    sight: &Sight,
    setbacks: &BTreeMap<ActionKind, Setback>,
) -> Protection {
    let objective = policy.objective();
    let since = sight.newest_ready.unwrap_or(volume.created);
    let by = since.checked_add(objective).unwrap_or(Timestamp::MAX);
    let reason = match (sight.in_flight, setbacks.get(&ActionKind::TakeSnapshot)) {
        (Some(Readiness::Slow), _) => Reason::SnapshotSlow,
        (Some(_), _) => Reason::SnapshotInFlight,
        // What keeps the next one from being made comes after what befell the last one.
        (None, Some(setback)) => setback.reason,
        (None, None) if sight.failed => Reason::SnapshotFailed,
        (None, None) => Reason::WaitingForTurn,
    };
    match sight.newest_ready {
        Some(newest) if now < by => Protection::Protected { newest },
        None if now < by => Protection::Awaited { by, reason },
        newest => Protection::Overdue { newest, reason },
    }
}

/// The next moment at which this verdict may differ although no object changed; before it, none does.
fn wake(
    now: Timestamp,
    active: Option<(&Policy, Turn)>,
    ready_timeout: SignedDuration,
    volume: &Volume,
    readiness: &[Readiness],
    fates: &[Fate],
    sight: &Sight,
) -> Option<Timestamp> {
    let turns = active.into_iter().flat_map(|(policy, turn)| {
        let since = sight.newest_ready.unwrap_or(volume.created);
        let overdue = since.checked_add(policy.objective()).ok();
        let next_slot = Slots::of(&volume.uid, policy.interval).next_start(now);
        [Some(next_slot), overdue, turn.not_before].into_iter().flatten()
    });
    // Foreign points too: they are shown as well.
    let judgements = volume.points.iter().zip(readiness).flat_map(|(point, readiness)| {
        [readiness.changes_at(point, ready_timeout), point.dates_change_at(now)].into_iter().flatten()
    });
    let expiries = fates.iter().filter_map(|fate| match fate {
        Fate::Keep(Keep::Young { until }) => Some(*until),
        _ => None,
    });
    turns.chain(judgements).chain(expiries).filter(|at| *at > now).min()
}

fn judged(now: Timestamp, volume: &Volume, readiness: &[Readiness], fates: Vec<Fate>) -> Vec<Judged> {
    let mut judged: Vec<Judged> = volume
        .points
        .iter()
        .zip(readiness)
        .zip(fates)
        .map(|((point, readiness), fate)| Judged {
            name: point.name.clone(),
            taken_at: point.taken_at(now),
            readiness: *readiness,
            error: point.error.clone(),
            ours: point.is_ours_of(&volume.uid),
            terminating: point.terminating,
            fate,
        })
        .collect();
    judged.sort_by(|a, b| (b.taken_at, &b.name).cmp(&(a.taken_at, &a.name)));
    judged
}
