//! What comes of asking for a snapshot of a sandbox.

use agenttier_backup_plan::{ClaimPhase, Governance, HeldBack, Response, Surroundings, Volume, on_request};
use jiff::Timestamp;

use super::snapshot_classes::snapshot_classes;
use super::{Regime, Survey, volumes};

impl Survey {
    /// Answers whoever asks for a snapshot of the volume that a sandbox uses now; `None` where it uses none.
    #[must_use]
    pub fn on_request(
        &self,
        now: Timestamp,
        regime: &Regime,
        namespace: &str,
        sandbox: &str,
    ) -> Option<Response> {
        let uses = |volume: &&Volume| {
            let is_its = volume.sandbox.as_ref().is_some_and(|user| user.name == sandbox);
            let is_there = !matches!(volume.phase, ClaimPhase::Gone | ClaimPhase::Abandoned);
            volume.namespace == namespace && is_its && is_there && volume.switched_to.is_none()
        };
        let all = volumes(&self.observed);
        let volume = all.iter().find(uses)?;
        let classes = snapshot_classes(&self.observed);
        let held = HeldBack::new();
        let around = Surroundings {
            held: &held,
            classes: classes.as_deref(),
            pressure: regime.pressure(),
            rest_in_doubt: self.observed.attachments.is_none(),
        };
        let governance =
            if self.hidden.is_empty() { regime.of_namespace(namespace) } else { &Governance::Unknown };
        Some(on_request(now, governance, volume, &around))
    }
}
