//! One pass: observe → plan → act → publish.

use std::sync::Arc;

use agenttier_backup_plan::{Action, Limits, Pacer, VolumeId, admit};
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::backoff::Backoff;
use crate::act::{Done, Executor, Outcome};
use crate::agenttier::Sandbox;
use crate::leader::Leadership;
use crate::observe::{Caches, Observed, Unconfirmed, judge};
use crate::publish::{Announcer, Occasion, Pace, Repetition, StatusWriter};

/// What a pass leaves for the next one. All of it may be lost: it is won again from the objects.
pub(super) struct Passes {
    executor: Executor,
    limits: Limits,
    pacer: Pacer,
    unconfirmed: Unconfirmed,
    backoff: Backoff,
    statuses: StatusWriter,
    announcer: Announcer,
    announced: Repetition,
}

impl Passes {
    pub(super) fn new(client: &Client, settings: &Settings, leadership: Leadership) -> Self {
        Self {
            executor: Executor::new(client.clone(), leadership.clone(), settings.calls_at_once),
            limits: settings.limits,
            pacer: Pacer::with_floor(settings.floor_per_minute),
            unconfirmed: Unconfirmed::default(),
            backoff: Backoff::default(),
            statuses: StatusWriter::new(client.clone(), leadership.clone()),
            announcer: Announcer::start(client.clone(), leadership),
            announced: Repetition::default(),
        }
    }

    /// Makes one pass; returns when the next one is due although nothing changes.
    pub(super) async fn pass(&mut self, caches: &Caches, stop: &CancellationToken) -> Option<Timestamp> {
        let now = Timestamp::now();
        let mut observed = caches.observed();
        self.unconfirmed.lay_over(now, &mut observed.snapshots);
        let mut verdicts = judge(now, &observed, self.backoff.held());
        self.backoff.keep_only(&verdicts.iter().map(|verdict| &verdict.volume.uid).collect());
        self.announced.forget(now);
        let admission = admit(now, self.pacer, &self.limits, self.backoff.held(), &verdicts);
        self.pacer = admission.pacer;
        let (volumes, actions, waiting) = (verdicts.len(), admission.actions.len(), admission.waiting.len());
        if actions > 0 {
            tracing::info!(volumes, actions, waiting, "pass");
        } else {
            tracing::debug!(volumes, waiting, "pass");
        }

        let outcomes = self.executor.run(admission.actions.clone(), stop).await;
        let busy = !outcomes.is_empty();
        let failed = outcomes.iter().any(|outcome| outcome.result.is_err());
        for outcome in outcomes {
            self.digest(now, &observed, outcome);
        }
        if failed {
            // What has just failed is to be told at once: a status is written but once a minute.
            verdicts = judge(now, &observed, self.backoff.held());
        }
        if stop.is_cancelled() {
            return None;
        }
        admission.name_waits(&mut verdicts);
        let pace = Pace { limits: self.limits, per_minute: admission.per_minute };
        let status_due = self.statuses.write(now, &observed, &verdicts, &pace).await;

        let wakes = verdicts.iter().filter_map(|verdict| verdict.wake);
        let soon = busy.then(Timestamp::now);
        wakes.chain(admission.wake).chain(status_due).chain(soon).min()
    }

    /// Remembers what was done in the pass that began at `pass`, and says it where people look.
    fn digest(&mut self, pass: Timestamp, observed: &Observed, outcome: Outcome) {
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
                self.backoff.failed(now, pass, &outcome.action, &failure);
                return;
            }
            (action, Err(failure)) => {
                let doing = if matches!(action, Action::Prune(_)) { "prune" } else { "snapshot" };
                tracing::warn!(%namespace, %claim, %snapshot, reason = failure.reason(), %failure, "cannot {doing}");
                self.backoff.failed(now, pass, action, &failure);
                if !self.announced.is_news(now, &volume.uid, failure.reason()) {
                    return;
                }
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
