//! A snapshot that a person asks for, beside those that are due.

use jiff::Timestamp;

use crate::course::{Course, Tailored};
use crate::obstacle::obstacle;
use crate::sight::Sight;
use crate::turn::Turn;
use crate::{
    AgentTierLoop, FAILED_AFTER, Governance, Notice, Readiness, Reason, RecoveryPoint, Slot, Surroundings,
    TakeSnapshot, Volume, VolumeId, snapshot_name,
};

/// What comes of asking for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// It can be taken: so.
    Take(Box<TakeSnapshot>),
    /// One is on its way, or was taken in this very second: that one has to do.
    There {
        /// Name of the VolumeSnapshot.
        name: String,
    },
    /// None can be taken, or nobody could say how long it is kept.
    Refuse(Notice),
}

/// Answers somebody who asks for a snapshot of a volume now, due or not.
///
/// It is one of ours in everything: retention prunes it like the others, and it covers the slot that it falls into, so that no
/// second one is taken for that. Where the slot is not covered yet, it is the slot's own, by the name that the controller would
/// give it: when both ask at once, one is made. Where it is covered, the point begins a slot of its own, whose start is
/// this moment: there is never more than one good or in-flight point of a volume and slot, nor more than one of a volume
/// in flight.
#[must_use]
pub fn on_request(
    now: Timestamp,
    governance: &Governance,
    volume: &Volume,
    around: &Surroundings<'_>,
) -> Response {
    let tailored = Tailored::of(governance, volume, around.pressure);
    let policy = match Course::of(&tailored, volume) {
        Course::BackUp(policy) => policy,
        Course::LeftBehind(_) => return refuse(Reason::WorkspaceSwitched, volume),
        Course::Gone(_) => return refuse(Reason::ClaimGone, volume),
        Course::Closing => return refuse(Reason::ClaimTerminating, volume),
        Course::Nothing(reason, _) => return refuse(reason, volume),
    };
    let ready_timeout = policy.ready_timeout.min(FAILED_AFTER);
    let readiness: Vec<Readiness> =
        volume.points.iter().map(|point| Readiness::of(point, now, ready_timeout)).collect();
    let ours = || {
        let points = volume.points.iter().zip(&readiness);
        points.filter(|(point, _)| point.is_ours_of(&volume.uid) && !point.terminating())
    };
    let under_way = ours().filter(|(_, readiness)| readiness.is_in_flight());
    if let Some((point, _)) = under_way.max_by_key(|(point, _)| (point.created, &point.name)) {
        return Response::There { name: point.name.clone() };
    }
    let sight = Sight::of(now, volume, &readiness);
    // AgentTier's own loop keeps ours from being due, and not from being taken.
    let alone = Volume { agenttier_loop: AgentTierLoop::Off, ..volume.clone() };
    let (class, in_the_way) = obstacle(now, policy, &alone, &sight, around.classes);
    if let Some(notice) = in_the_way {
        return Response::Refuse(notice);
    }
    let turn = Turn::of(now, policy, volume, &readiness);
    let covered = sight.covered.is_some_and(|covered| covered >= turn.slot.start());
    let id = VolumeId {
        namespace: volume.namespace.clone(),
        claim: volume.claim.clone(),
        uid: volume.uid.clone(),
    };
    let Some(order) = turn.order(&id, volume, &sight, class.name, policy) else {
        return refuse(Reason::NameTaken, volume);
    };
    let order =
        TakeSnapshot { at_rest_since: order.at_rest_since.filter(|_| !around.rest_in_doubt), ..order };
    if !covered {
        return Response::Take(Box::new(order));
    }
    let slot = Slot::beginning(now);
    let is_of_it = |(point, readiness): &(&RecoveryPoint, &Readiness)| {
        point.slot == Some(slot.start()) && **readiness != Readiness::Failed
    };
    if let Some((point, _)) = ours().find(is_of_it) {
        return Response::There { name: point.name.clone() };
    }
    let name = (0..=u32::MAX)
        .map(|attempt| snapshot_name(&volume.claim, slot, attempt))
        .find(|name| !volume.taken_names.contains(name));
    match name {
        Some(name) => Response::Take(Box::new(TakeSnapshot { name, slot, ..order })),
        None => refuse(Reason::NameTaken, volume),
    }
}

fn refuse(reason: Reason, volume: &Volume) -> Response {
    let Volume { namespace, claim, .. } = volume;
    let message = match reason {
        Reason::NoPolicy => {
            format!(
                "no BackupPolicy selects the namespace {namespace}: nothing would say how long it is kept"
            )
        }
        Reason::PolicyUnknown => "you have no right to read what says how long it is kept".to_owned(),
        Reason::PolicySuspended => {
            format!("the BackupPolicy of {namespace} is suspended: nothing is made and nothing is pruned")
        }
        Reason::SnapshotsDisabled => {
            format!("the BackupPolicy of {namespace} has spec.snapshots.enabled: false")
        }
        Reason::PolicyInvalid => {
            format!("the BackupPolicy of {namespace} makes no sense; its status says what is wrong")
        }
        Reason::OptedOut => "its Sandbox is annotated backup.agenttier.io/enabled=false".to_owned(),
        Reason::NotCsi => format!("the volume of {claim} is of no CSI driver: there are no snapshots of it"),
        Reason::ClaimPending => format!("{claim} has no volume yet"),
        Reason::ClaimLost => format!("the volume of {claim} is lost"),
        Reason::ClaimTerminating => format!("{claim} is being deleted"),
        Reason::ClaimGone | Reason::ClaimAbandoned => format!("{claim} is gone"),
        Reason::WorkspaceSwitched => format!("its Sandbox has left {claim} behind and uses another volume"),
        _ => format!("no snapshot can be taken of {claim}"),
    };
    Response::Refuse(Notice { reason, message })
}
