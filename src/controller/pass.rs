//! One pass: observe → plan → act → publish.

use std::sync::Arc;

use agenttier_backup_plan::{Action, Admission, HeldBack, Limits, Pacer, Verdict, VolumeId, admit};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::backoff::Backoff;
use crate::act::{Done, Executor, Outcome};
use crate::agenttier::Sandbox;
use crate::observe::{Caches, Observed, Unconfirmed, judge};
use crate::publish::{Announcer, Occasion, StatusWriter};

/// What a pass leaves for the next one. All of it may be lost: it is won again from the objects.
pub(super) struct Passes {
    executor: Executor,
    limits: Limits,
    pacer: Pacer,
    unconfirmed: Unconfirmed,
    backoff: Backoff,
    statuses: StatusWriter,
    announcer: Announcer,
}

impl Passes {
    pub(super) fn new(client: &Client, settings: &Settings) -> Self {
        Self {
            executor: Executor::new(client.clone(), settings.calls_at_once),
            limits: settings.limits,
            pacer: Pacer::with_floor(settings.floor_per_minute),
            unconfirmed: Unconfirmed::default(),
            backoff: Backoff::default(),
            statuses: StatusWriter::new(client.clone()),
            announcer: Announcer::start(client.clone()),
        }
    }

    /// Makes one pass; returns when the next one is due although nothing changes.
    pub(super) async fn pass(&mut self, caches: &Caches, stop: &CancellationToken) -> Option<Timestamp> {
        let now = Timestamp::now();
        let mut observed = caches.observed();
        self.unconfirmed.lay_over(now, &mut observed.snapshots);
        let verdicts = judge(now, &observed);
        self.backoff.keep_only(|uid| verdicts.iter().any(|verdict| verdict.volume.uid == *uid));
        let admission = self.admit(now, self.backoff.held(), &verdicts);
        self.pacer = admission.pacer;
        if !admission.actions.is_empty() || admission.waiting > 0 {
            tracing::info!(
                volumes = verdicts.len(),
                actions = admission.actions.len(),
                waiting = admission.waiting,
                "pass"
            );
        }

        let outcomes = self.executor.run(admission.actions, stop).await;
        let busy = !outcomes.is_empty();
        for outcome in outcomes {
            self.digest(&observed, outcome);
        }
        let status_due = self.statuses.write(now, &observed.policies, &verdicts).await;

        let wakes = verdicts.iter().filter_map(|verdict| verdict.wake);
        let soon = busy.then(Timestamp::now);
        wakes.chain(admission.wake).chain(status_due).chain(soon).min()
    }

    fn admit(&self, now: Timestamp, held: &HeldBack, verdicts: &[Verdict]) -> Admission {
        admit(now, self.pacer, &self.limits, held, verdicts)
    }

    /// Remembers what was done and says it where people look.
    fn digest(&mut self, observed: &Observed, outcome: Outcome) {
        let now = Timestamp::now();
        let volume = outcome.action.volume().clone();
        let snapshot = outcome.action.snapshot().to_owned();
        let (namespace, claim) = (&volume.namespace, &volume.claim);
        let (reason, kind, message) = match (&outcome.action, outcome.result) {
            (_, Ok(Done::Taken(taken))) => {
                tracing::info!(%namespace, %claim, %snapshot, "snapshot taken");
                self.backoff.succeeded(&outcome.action);
                self.unconfirmed.created(now, *taken);
                ("BackupCreated", "Normal", format!("Backup snapshot {snapshot} of volume {claim} created"))
            }
            (Action::Prune(prune), Ok(Done::Pruned)) => {
                tracing::info!(%namespace, %claim, %snapshot, keeper = prune.keeper.name, "snapshot pruned");
                self.backoff.succeeded(&outcome.action);
                self.unconfirmed.deleted(now, &prune.uid);
                ("BackupPruned", "Normal", format!("Backup snapshot {snapshot} of volume {claim} pruned"))
            }
            (_, Err(failure)) if failure.is_stale_plan() => {
                tracing::debug!(%namespace, %claim, %snapshot, %failure, "planned from an older state");
                self.backoff.failed(now, &outcome.action);
                return;
            }
            (action, Err(failure)) => {
                let doing = if matches!(action, Action::Prune(_)) { "prune" } else { "snapshot" };
                tracing::warn!(%namespace, %claim, %snapshot, reason = failure.reason(), %failure, "cannot {doing}");
                self.backoff.failed(now, &outcome.action);
                ("BackupFailed", "Warning", format!("Cannot {doing} {snapshot}: {failure}"))
            }
            // An order and its result are of one kind.
            (Action::TakeSnapshot(_), Ok(Done::Pruned)) => return,
        };
        if let Some(sandbox) = sandbox_of(observed, &volume) {
            self.announcer.announce(&sandbox, Occasion { reason, kind, message, snapshot, at: now });
        }
    }

    /// Ends what runs beside the passes.
    pub(super) async fn finish(self) {
        self.announcer.finish().await;
    }
}

fn sandbox_of(observed: &Observed, volume: &VolumeId) -> Option<Arc<Sandbox>> {
    let named = observed.sandboxes.iter().find(|sandbox| {
        sandbox.namespace().as_ref() == Some(&volume.namespace) && sandbox.claim() == Some(&volume.claim)
    });
    named.cloned()
}
