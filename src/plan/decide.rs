//! `decide`: one volume in, one verdict out.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Action, ClaimPhase, Fate, Governance, Judged, Keep, Policy, Protection, Prune, Readiness, Reason, Slots,
    TakeSnapshot, Verdict, Volume, VolumeId, retain, snapshot_name,
};

/// Judges one volume under the policy of its namespace.
#[must_use]
pub fn decide(now: Timestamp, governance: &Governance, volume: &Volume) -> Verdict {
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

    let sight = Sight::of(now, volume, &readiness);
    let mut wants = Vec::new();
    let fates = match active {
        Some(policy) => retain(now, &policy.retention, &volume.uid, &volume.points, &readiness),
        // Nothing is deleted without a policy in force: absence is no reason to delete.
        None => vec![Fate::Keep(Keep::PruningHeld); volume.points.len()],
    };
    for (point, fate) in volume.points.iter().zip(&fates) {
        if let Fate::Prune { keeper } = fate {
            wants.push(Action::Prune(Prune {
                volume: id.clone(),
                name: point.name.clone(),
                uid: point.uid.clone(),
                version: point.version.clone(),
                keeper: keeper.clone(),
            }));
        }
    }
    if let Some(policy) = active
        && let Some(take) = due_snapshot(now, policy, volume, &id, &sight)
    {
        wants.push(Action::TakeSnapshot(take));
    }

    Verdict {
        sandbox: volume.sandbox.as_ref().map(|sandbox| sandbox.name.clone()),
        policy: governance.policy_name().map(str::to_owned),
        driver: volume.driver.clone(),
        interval: active.map(|policy| policy.interval),
        protection: match (active, obstacle) {
            (Some(policy), _) => protection(now, policy, volume, &sight),
            (None, reason) => Protection::Unprotected { reason: reason.unwrap_or(Reason::NoPolicy) },
        },
        wake: wake(now, active, ready_timeout, volume, &readiness, &fates, &sight),
        points: judged(now, volume, &readiness, fates),
        volume: id,
        wants,
    }
}

/// Why no snapshot of the volume can be taken at all.
fn obstacle(governance: &Governance, volume: &Volume) -> Option<Reason> {
    match governance {
        Governance::Nobody => return Some(Reason::NoPolicy),
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
        Self { newest_ready, covered, in_flight, failed }
    }
}

/// The snapshot that is due now, if one is: the current slot is not covered, and nothing is under way.
fn due_snapshot(
    now: Timestamp,
    policy: &Policy,
    volume: &Volume,
    id: &VolumeId,
    sight: &Sight,
) -> Option<TakeSnapshot> {
    let slot = Slots::of(&volume.uid, policy.interval).at(now);
    if sight.in_flight.is_some() || sight.covered.is_some_and(|covered| covered >= slot.start()) {
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

fn protection(now: Timestamp, policy: &Policy, volume: &Volume, sight: &Sight) -> Protection {
    let objective = policy.objective();
    let since = sight.newest_ready.unwrap_or(volume.created);
    let by = since.checked_add(objective).unwrap_or(Timestamp::MAX);
    match sight.newest_ready {
        Some(newest) if now < by => Protection::Protected { newest },
        None if now < by => Protection::Awaited { by },
        newest => {
            let reason = match sight.in_flight {
                Some(Readiness::Slow) => Reason::SnapshotSlow,
                Some(_) => Reason::SnapshotInFlight,
                None if sight.failed => Reason::SnapshotFailed,
                None => Reason::WaitingForTurn,
            };
            Protection::Overdue { newest, reason }
        }
    }
}

/// The next moment at which this verdict may differ although no object changed; before it, none does.
fn wake(
    now: Timestamp,
    active: Option<&Policy>,
    ready_timeout: SignedDuration,
    volume: &Volume,
    readiness: &[Readiness],
    fates: &[Fate],
    sight: &Sight,
) -> Option<Timestamp> {
    let turns = active.into_iter().flat_map(|policy| {
        let since = sight.newest_ready.unwrap_or(volume.created);
        let overdue = since.checked_add(policy.objective()).ok();
        [Some(Slots::of(&volume.uid, policy.interval).next_start(now)), overdue].into_iter().flatten()
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
            ours: point.is_ours_of(&volume.uid),
            terminating: point.terminating,
            fate,
        })
        .collect();
    judged.sort_by(|a, b| (b.taken_at, &b.name).cmp(&(a.taken_at, &a.name)));
    judged
}
