//! What a volume's own recovery points say, all in one.

use jiff::Timestamp;

use crate::{Ownership, Readiness, RecoveryPoint, Volume};

/// What the volume's own points say.
pub(crate) struct Sight {
    /// When the data of the newest Ready point is from.
    pub(crate) newest_ready: Option<Timestamp>,
    /// The same of those that AgentTier made of its claim.
    pub(crate) newest_of_agenttier: Option<Timestamp>,
    /// The most recent moment that a good or in-flight point covers.
    pub(crate) covered: Option<Timestamp>,
    /// The last good or in-flight point was taken after the Sandbox had been switched to another volume.
    pub(crate) covered_after_switch: bool,
    /// The Ready point that was made last says that it was taken at rest, the Sandbox last active then.
    pub(crate) at_rest_since: Option<Timestamp>,
    /// The worst of what is under way.
    pub(crate) in_flight: Option<Readiness>,
    /// The last point that we tried failed.
    pub(crate) failed: bool,
    /// Points that failed and were made after the newest Ready one.
    pub(crate) failed_since_ready: usize,
}

impl Sight {
    pub(crate) fn of(now: Timestamp, volume: &Volume, readiness: &[Readiness]) -> Self {
        let ours = || own(volume, readiness);
        let ready = || ours().filter(|(_, readiness)| *readiness == Readiness::Ready);
        let good = || ours().filter(|(_, readiness)| *readiness != Readiness::Failed);
        let last_good = ready().map(|(point, _)| point.created).max();
        let mut in_flight = None;
        for (_, readiness) in ours().filter(|(_, readiness)| readiness.is_in_flight()) {
            in_flight = if readiness == Readiness::Slow {
                Some(Readiness::Slow)
            } else {
                in_flight.or(Some(readiness))
            };
        }
        let of_agenttier = volume.points.iter().filter(|point| {
            // It knows claims by name alone: an older one is of an earlier claim.
            let of_this = point.ownership == Ownership::AgentTier && point.created >= volume.created;
            of_this && point.ready && !point.terminating()
        });
        Self {
            newest_ready: ready().map(|(point, _)| point.taken_at(now)).max(),
            newest_of_agenttier: of_agenttier.map(|point| point.taken_at(now)).max(),
            covered: good().map(|(point, _)| point.covers(now)).max(),
            covered_after_switch: last(good()).is_some_and(|point| point.after_switch),
            // Times are told in whole seconds: in the very second, it may have run once more.
            at_rest_since: last(ready())
                .and_then(|point| point.at_rest_since.filter(|since| *since < point.created)),
            in_flight,
            failed: ours()
                .max_by_key(|(point, _)| point.created)
                .is_some_and(|(_, readiness)| readiness == Readiness::Failed),
            failed_since_ready: ours()
                .filter(|(point, readiness)| {
                    *readiness == Readiness::Failed && last_good.is_none_or(|good| point.created > good)
                })
                .count(),
        }
    }
}

/// The one that was made last; the name settles a tie.
fn last<'v>(points: impl Iterator<Item = (&'v RecoveryPoint, Readiness)>) -> Option<&'v RecoveryPoint> {
    points.map(|(point, _)| point).max_by_key(|point| (point.created, &point.name))
}

/// The points of ours of this very volume that nobody deletes.
fn own<'v>(
    volume: &'v Volume,
    readiness: &'v [Readiness],
) -> impl Iterator<Item = (&'v RecoveryPoint, Readiness)> {
    let points = volume.points.iter().zip(readiness.iter().copied());
    points.filter(|(point, _)| point.is_ours_of(&volume.uid) && !point.terminating())
}
