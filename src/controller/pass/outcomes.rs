//! What came of orders: remembered for the next pass, and said where people look.

use std::sync::Arc;

use agenttier_backup_plan::{Action, ActionKind, VolumeId};
use jiff::Timestamp;
use kube::ResourceExt;

use super::super::records::{Recorded, Sighting};
use super::Passes;
use crate::act::{Done, Failure, Outcome};
use crate::agenttier::Sandbox;
use crate::observe::Observed;
use crate::publish::Occasion;

impl Passes {
    /// Remembers what was done in the pass that began at `pass`, and says it where people look.
    pub(super) fn digest(&mut self, pass: Timestamp, observed: &Observed, outcome: Outcome) {
        let now = self.now();
        let volume = outcome.action.volume().clone();
        let snapshot = outcome.action.snapshot().to_owned();
        let (namespace, claim) = (&volume.namespace, &volume.claim);
        let (reason, kind, message) = match (&outcome.action, outcome.result) {
            (_, Ok(Done::Taken(taken))) => {
                tracing::info!(%namespace, %claim, %snapshot, "snapshot taken");
                self.metrics.created();
                self.noted.backoff.succeeded(&outcome.action);
                self.noted.unconfirmed.created(now, *taken);
                ("BackupCreated", "Normal", format!("Backup snapshot {snapshot} of volume {claim} created"))
            }
            (Action::Prune(prune), Ok(Done::Pruned)) => {
                let (reason, safety) = (prune.reason, &prune.safety);
                tracing::info!(%namespace, %claim, %snapshot, %reason, ?safety, "snapshot pruned");
                self.metrics.pruned();
                self.noted.backoff.succeeded(&outcome.action);
                self.noted.unconfirmed.deleted(now, &prune.uid);
                ("BackupPruned", "Normal", format!("Backup snapshot {snapshot} of volume {claim} pruned"))
            }
            (action, Ok(Done::Marked)) => {
                tracing::info!(%namespace, %claim, %snapshot, ?action, "noted on the snapshot");
                self.noted.backoff.succeeded(action);
                return;
            }
            // The one that leads now sees to it; nothing is wrong with the volume.
            (_, Err(failure @ Failure::NotLeading(_))) => {
                tracing::debug!(%namespace, %claim, %snapshot, %failure, "left to the leader");
                return;
            }
            (_, Err(failure)) if failure.is_stale_plan() => {
                tracing::debug!(%namespace, %claim, %snapshot, %failure, "planned from an older state");
                self.noted.backoff.failed(now, pass, &outcome.action, &failure);
                return;
            }
            (action, Err(failure)) => {
                let doing = match action {
                    Action::Prune(_) => "prune",
                    Action::TakeSnapshot(_) => "snapshot",
                    Action::Mark(_) => "note something on",
                };
                tracing::warn!(%namespace, %claim, %snapshot, reason = failure.reason(), %failure, "cannot {doing}");
                self.metrics.failed(action.kind(), failure.reason());
                self.noted.backoff.failed(now, pass, action, &failure);
                if !self.noted.announced.is_news(now, &volume.uid, failure.reason()) {
                    return;
                }
                ("BackupFailed", "Warning", format!("Cannot {doing} {snapshot}: {failure}"))
            }
            // An order and its result are of one kind.
            (Action::TakeSnapshot(_) | Action::Mark(_), Ok(Done::Pruned)) => return,
        };
        let user = || match &outcome.action {
            Action::TakeSnapshot(take) => sandbox_named(observed, namespace, &take.sandbox.as_ref()?.name),
            _ => None,
        };
        if let Some(sandbox) = sandbox_of(observed, &volume).or_else(user) {
            self.announcer.announce(&sandbox, Occasion { reason, kind, message, about: snapshot, at: now });
        }
    }

    /// The same of records; whether the verdicts are to tell of something else by now.
    pub(super) fn digest_records(
        &mut self,
        pass: Timestamp,
        observed: &Observed,
        sighting: &mut Sighting,
        recorded: Vec<Recorded>,
    ) -> bool {
        let now = self.now();
        let mut news = false;
        for volume in sighting.well.drain(..) {
            news |= self.noted.backoff.succeeded_with(&(volume, ActionKind::Record));
        }
        let too_large = sighting.too_large.drain(..);
        let too_large = too_large.map(|(subject, size)| (subject, Err(Failure::RecordTooLarge { size })));
        for (subject, made) in too_large.chain(recorded).collect::<Vec<_>>() {
            let (volume, sandbox) = (&subject.volume, &subject.contents.sandbox);
            let (namespace, record) = (&volume.namespace, subject.contents.name());
            let key = (volume.uid.clone(), ActionKind::Record);
            let Err(failure) = made else {
                tracing::info!(%namespace, %sandbox, %record, "sandbox recorded");
                news |= self.noted.backoff.succeeded_with(&key);
                continue;
            };
            if matches!(failure, Failure::Changed | Failure::NotLeading(_)) {
                tracing::debug!(%namespace, %sandbox, %record, %failure, "left to the next pass, or to the leader");
                continue;
            }
            // One that is too large is seen to be in every pass.
            if self.noted.backoff.held().get(&key).is_some_and(|setback| setback.until > pass) {
                continue;
            }
            news = true;
            self.noted.backoff.failed_with(now, pass, key, &failure);
            let reason = failure.reason();
            // One that is too large stays so, and its data is safe: it is no failure to be woken for.
            if !matches!(failure, Failure::RecordTooLarge { .. }) {
                self.metrics.failed(ActionKind::Record, reason);
            }
            if !self.noted.announced.is_news(now, &volume.uid, reason) {
                continue;
            }
            tracing::warn!(%namespace, %sandbox, %record, reason, %failure, "cannot record the sandbox");
            // A new one does not name its volume yet.
            if let Some(sandbox) = sandbox_named(observed, namespace, sandbox) {
                let message = format!("Cannot record the sandbox: {reason}: {failure}");
                let occasion =
                    Occasion { reason: "BackupFailed", kind: "Warning", message, about: record, at: now };
                self.announcer.announce(&sandbox, occasion);
            }
        }
        news
    }
}

pub(super) fn sandbox_named(observed: &Observed, namespace: &str, name: &str) -> Option<Arc<Sandbox>> {
    let named = observed.sandboxes.iter().find(|sandbox| {
        sandbox.namespace().as_deref() == Some(namespace) && sandbox.metadata.name.as_deref() == Some(name)
    });
    named.cloned()
}

fn sandbox_of(observed: &Observed, volume: &VolumeId) -> Option<Arc<Sandbox>> {
    let named = observed.sandboxes.iter().find(|sandbox| {
        sandbox.namespace().as_ref() == Some(&volume.namespace) && sandbox.claim() == Some(&volume.claim)
    });
    named.cloned()
}
