//! Whose turn it is: when the next snapshot of a volume is due.

use jiff::{SignedDuration, Timestamp};

use crate::sight::Sight;
use crate::{FAILED_AFTER, Policy, Readiness, Slot, Slots, TakeSnapshot, Volume, VolumeId, snapshot_name};

/// The slot that it is, and when it may be tried in.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) slot: Slot,
    /// Attempts in this slot failed: until then no further one is made. `None` before the first.
    pub(crate) not_before: Option<Timestamp>,
}

impl Turn {
    /// After a failed attempt the next one is made when the first was given up; then the pauses double. A failure
    /// that lasts would otherwise pile up snapshots; the next slot begins anew.
    pub(crate) fn of(now: Timestamp, policy: &Policy, volume: &Volume, readiness: &[Readiness]) -> Self {
        let slot = Slots::of(&volume.uid, policy.interval).at(now);
        let points = volume.points.iter().zip(readiness);
        let failed: Vec<Timestamp> = points
            .filter(|(point, readiness)| {
                **readiness == Readiness::Failed
                    && point.is_ours_of(&volume.uid)
                    && !point.terminating()
                    && point.covers(now) >= slot.start()
            })
            .map(|(point, _)| point.created)
            .collect();
        let not_before = failed.iter().max().map(|last| {
            let doublings = u32::try_from(failed.len() - 1).unwrap_or(u32::MAX).min(16);
            let pause: SignedDuration = policy.ready_timeout.saturating_mul(1 << doublings).min(FAILED_AFTER);
            last.checked_add(pause).unwrap_or(Timestamp::MAX)
        });
        Self { slot, not_before }
    }

    /// Whether a snapshot is due now: the current slot is not covered, nothing is under way, and no attempt has
    /// failed just before.
    ///
    /// What a Sandbox was switched away from changes no more: one snapshot after the switch is enough. Should the Sandbox
    /// come back to it, that is the time for another one.
    pub(crate) fn is_due(self, now: Timestamp, volume: &Volume, sight: &Sight) -> bool {
        let in_slot = sight.covered.is_some_and(|covered| covered >= self.slot.start());
        let covered = match &volume.switched_to {
            Some(_) => sight.covered_after_switch,
            None => in_slot && !sight.covered_after_switch,
        };
        sight.in_flight.is_none() && !covered && self.not_before.is_none_or(|at| at <= now)
    }

    /// The order. None when no name is left, which four billion attempts in one slot would take.
    pub(crate) fn order(
        self,
        id: &VolumeId,
        volume: &Volume,
        sight: &Sight,
        class: Option<String>,
        policy: &Policy,
    ) -> Option<TakeSnapshot> {
        let name = (0..=u32::MAX)
            .map(|attempt| snapshot_name(&volume.claim, self.slot, attempt))
            .find(|name| !volume.taken_names.contains(name))?;
        Some(TakeSnapshot {
            volume: id.clone(),
            name,
            slot: self.slot,
            class,
            sandbox: volume.sandbox.clone(),
            policy: policy.name.clone(),
            retention: policy.retention,
            at_rest_since: resting_since(volume),
            after_switch: volume.switched_to.is_some(),
            hidden_from_agenttier: volume.agenttier_loop.sweeps(),
            exposed_since: sight.newest_ready.unwrap_or(volume.created),
        })
    }
}

/// Nothing can have changed since the newest Ready point: it was taken at rest, and the Sandbox has not run since.
///
/// AgentTier says Stopped before the pod has stopped writing, so that alone proves nothing: when the point was taken
/// neither a pod nor an attachment was on the volume.
pub(crate) fn is_unchanged(policy: &Policy, volume: &Volume, sight: &Sight) -> bool {
    policy.skip_unchanged && sight.at_rest_since.is_some() && sight.at_rest_since == resting_since(volume)
}

/// Since when the Sandbox has been at rest, as far as AgentTier knows. Of a volume that several nodes can write to, that
/// says nothing, nor of one that is attached to a node: whoever wrote there may do so still.
fn resting_since(volume: &Volume) -> Option<Timestamp> {
    let sandbox = volume.sandbox.as_ref().filter(|sandbox| sandbox.phase == "Stopped")?;
    sandbox.last_activity.filter(|_| !volume.shared && !volume.attached && volume.switched_to.is_none())
}
