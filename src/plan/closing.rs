//! What becomes of the recovery points of a claim that is being deleted.
//!
//! The snapshot controller puts a finalizer on a claim and takes it off when no snapshot of the claim is under way any
//! more: one that never gets ready keeps the claim, and whoever deletes it waiting for ever.

use crate::retain::{counted, held};
use crate::{Fate, Keep, Keeper, Readiness, RecoveryPoint, Spent, VolumeUid};

/// Decides over all points; the answer has their order. What failed goes. What is only slow may hold the last work, and
/// stays until it is ready or has failed; and nothing else is touched.
pub(crate) fn close(volume: &VolumeUid, points: &[RecoveryPoint], readiness: &[Readiness]) -> Vec<Fate> {
    let newest = counted(volume, points, readiness).first().map(|&i| &points[i]);
    let keeper = newest.map(|point| Keeper { name: point.name.clone(), uid: point.uid.clone() });
    let fate = |(point, readiness): (&RecoveryPoint, &Readiness)| {
        let free = point.is_ours_of(volume) && !point.terminating() && held(point).is_none();
        if free && *readiness == Readiness::Failed {
            Fate::Prune { reason: Spent::HoldsClaim, keeper: keeper.clone() }
        } else {
            Fate::Keep(Keep::PruningHeld)
        }
    };
    points.iter().zip(readiness).map(fate).collect()
}
