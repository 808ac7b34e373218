//! What becomes of the recovery points of a claim that is being deleted.
//!
//! The snapshot controller puts a finalizer on a claim and takes it off when no snapshot of the claim is under way any
//! more: one that does not get ready keeps the claim, and whoever deletes it waiting for ever.

use crate::retain::{counted, held};
use crate::{Fate, Keep, Keeper, Readiness, RecoveryPoint, Spent, VolumeUid};

/// Decides over all points; the answer has their order. What failed goes; what is slow goes too, where a Ready point is
/// left. Nothing else is touched: the claim may be held by something else, and come to stay for long.
pub(crate) fn close(volume: &VolumeUid, points: &[RecoveryPoint], readiness: &[Readiness]) -> Vec<Fate> {
    let newest = counted(volume, points, readiness).first().map(|&i| &points[i]);
    let keeper = newest.map(|point| Keeper { name: point.name.clone(), uid: point.uid.clone() });
    let fate = |(point, readiness): (&RecoveryPoint, &Readiness)| {
        let hopeless = match readiness {
            Readiness::Failed => true,
            Readiness::Slow => keeper.is_some(),
            Readiness::Ready | Readiness::InFlight => false,
        };
        if hopeless && point.is_ours_of(volume) && !point.terminating && held(point).is_none() {
            Fate::Prune { reason: Spent::HoldsClaim, keeper: keeper.clone() }
        } else {
            Fate::Keep(Keep::PruningHeld)
        }
    };
    points.iter().zip(readiness).map(fate).collect()
}
