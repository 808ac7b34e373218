//! One pass: observe → plan → act → publish.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttier_backup_plan::{
    Action, ActionKind, Limits, Pacer, Reason, Signals, Suspension, Verdict, VolumeId, VolumeUid, admit,
    suspensions,
};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::backoff::Backoff;
use super::lately_saved::lately_saved;
use super::notice::Notice;
use super::records::{Recorded, Records, Sighting};
use super::unproved::Unproved;
use crate::act::{Done, Executor, Failure, Outcome, prove_switched};
use crate::agenttier::Sandbox;
use crate::client::Connection;
use crate::leader::Leadership;
use crate::observe::{Caches, Observed, Regime, Unconfirmed, judge};
use crate::publish::{Announcer, Figures, Metrics, Occasion, Pace, Repetition, StatusWriter, Told};
use crate::server_clock::ServerClock;

/// The time may go on by so much more or less than it should before what was noted by it is of no use.
const LARGEST_LEAP: Duration = Duration::from_mins(1);
/// So many Sandboxes are read at once before it is said that they were switched.
const PROOFS_AT_ONCE: usize = 8;
/// A pass spends so long on that.
const PROOFS_WITHIN: Duration = Duration::from_secs(10);

/// What a pass leaves for the next one. All of it may be lost: it is won again from the objects.
pub(super) struct Passes {
    client: Client,
    clock: ServerClock,
    executor: Executor,
    limits: Limits,
    floor_per_minute: u16,
    announcer: Announcer,
    statuses: StatusWriter,
    metrics: Metrics,
    notice: Notice,
    noted: Noted,
}

/// What passes have noted, by the time that it was.
struct Noted {
    last: Option<(Instant, Timestamp)>,
    pacer: Pacer,
    unconfirmed: Unconfirmed,
    backoff: Backoff,
    announced: Repetition,
    unproved: Unproved,
    records: Records,
}

impl Noted {
    fn nothing(floor_per_minute: u16) -> Self {
        Self {
            last: None,
            pacer: Pacer::with_floor(floor_per_minute),
            unconfirmed: Unconfirmed::default(),
            backoff: Backoff::default(),
            announced: Repetition::default(),
            unproved: Unproved::default(),
            records: Records::default(),
        }
    }
}

impl Passes {
    pub(super) fn new(
        connection: &Connection,
        settings: &Settings,
        metrics: &Metrics,
        leadership: Leadership,
    ) -> Self {
        let client = &connection.client;
        Self {
            client: client.clone(),
            clock: connection.clock.clone(),
            executor: Executor::new(client.clone(), leadership.clone(), settings.calls_at_once),
            limits: settings.limits,
            floor_per_minute: settings.floor_per_minute,
            statuses: StatusWriter::new(client.clone(), leadership.clone()),
            announcer: Announcer::start(client.clone(), leadership),
            metrics: metrics.clone(),
            notice: Notice::default(),
            noted: Noted::nothing(settings.floor_per_minute),
        }
    }

    /// The time that passes go by: the API server's.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time that this pass goes by. When it has leapt since the last one, a wrong clock was put right, or the other
    /// way round: what was noted by the old time would hold things up for as long as it leapt, and is forgotten.
    fn begin(&mut self) -> Timestamp {
        let (at, now) = (Instant::now(), self.now());
        if let Some((last_at, last)) = self.noted.last {
            let passed = SignedDuration::try_from(at.saturating_duration_since(last_at))
                .unwrap_or(SignedDuration::MAX);
            let leap = now.duration_since(last).saturating_sub(passed);
            if leap.unsigned_abs() > LARGEST_LEAP {
                tracing::warn!(%leap, "the time has leapt");
                self.noted = Noted::nothing(self.floor_per_minute);
                self.statuses.forget();
            }
        }
        self.noted.last = Some((at, now));
        now
    }

    /// Why nothing may be deleted for the moment. `stale` are the caches that may be out of date, and why.
    fn suspensions(&mut self, caches: &Caches, stale: &[(&'static str, String)]) -> Vec<Suspension> {
        let stale = stale.iter();
        let signals = Signals {
            skew: self.clock.skew(),
            stale: stale.map(|(kind, cause)| ((*kind).to_owned(), cause.clone())).collect(),
            unreadable_policies: caches.unreadable_policies(),
        };
        let suspensions = suspensions(&signals);
        self.notice.take(Instant::now(), &suspensions);
        suspensions
    }

    /// Makes one pass; returns when the next one is due although nothing changes.
    pub(super) async fn pass(&mut self, caches: &Caches, stop: &CancellationToken) -> Option<Timestamp> {
        self.clock.refresh(&self.client).await;
        let begun = Instant::now();
        let now = self.begin();
        // Asked before the look: what comes right in between is doubted once more, and nothing the other way round.
        let stale = caches.distrusted();
        let suspended = self.suspensions(caches, &stale);
        let mut observed = caches.observed();
        observed.doubt(stale.iter().map(|(kind, _)| *kind));
        self.noted.unconfirmed.lay_over(now, &mut observed.snapshots);
        let regime = Regime::of(&observed);
        let mut verdicts = judge(now, &observed, &regime, self.noted.backoff.held());
        self.noted.backoff.keep_only(&verdicts.iter().map(|verdict| &verdict.volume.uid).collect());
        self.noted.announced.forget(now);
        self.noted.unproved.keep_only(&verdicts.iter().map(|verdict| &verdict.volume.uid).collect());
        let Noted { pacer, backoff, .. } = &self.noted;
        let limits = Limits { snapshots: regime.allowed(), ..self.limits };
        let admission = admit(now, *pacer, &limits, &suspended, backoff.held(), &verdicts);
        self.noted.pacer = admission.pacer;
        let (volumes, actions, waiting) = (verdicts.len(), admission.actions.len(), admission.waiting.len());
        if actions > 0 {
            tracing::info!(volumes, actions, waiting, "pass");
        } else {
            tracing::debug!(volumes, waiting, "pass");
        }

        let mut sighting = self.noted.records.see(now, &observed, &verdicts);
        let (prunes, mut others): (Vec<_>, Vec<_>) =
            admission.actions.iter().cloned().partition(|action| matches!(action, Action::Prune(_)));
        let by = (&self.executor, stop);
        let mut outcomes = self.executor.run(now, prunes, stop).await;
        let recorded =
            self.noted.records.make_for(now, &mut sighting, &mut others, self.noted.backoff.held(), by).await;
        outcomes.extend(self.executor.run(now, others, stop).await);
        let mut news = self.digest_records(now, &observed, &mut sighting, recorded);
        let by = (&self.executor, stop);
        let recorded =
            self.noted.records.make_others(now, &mut sighting, self.noted.backoff.held(), by).await;
        if suspended.is_empty() {
            self.noted.records.collect(now, &sighting, by).await;
        }
        news |= self.digest_records(now, &observed, &mut sighting, recorded);

        let busy = !outcomes.is_empty();
        // By the verdicts before the orders: what one of them has saved is told of too.
        self.tell_of_switches(now, &observed, &verdicts, stop).await;
        news |= outcomes.iter().any(|outcome| outcome.result.is_err());
        for outcome in outcomes {
            self.digest(now, &observed, outcome);
        }
        if news {
            // What has just failed is to be told at once: a status is written but once a minute.
            verdicts = judge(now, &observed, &regime, self.noted.backoff.held());
        }
        if stop.is_cancelled() {
            return None;
        }
        admission.name_waits(&mut verdicts);
        let figures = Figures::of(&verdicts, &admission, &suspended);
        let told = Told {
            now,
            verdicts: &verdicts,
            pace: Pace { limits, per_minute: admission.per_minute },
            suspended: self.notice.told(),
            mass: &admission.mass,
        };
        let status_due = self.statuses.write(&observed, &regime, &told).await;

        self.metrics.passed(self.now(), begun.elapsed(), figures);

        let wakes = verdicts.iter().filter_map(|verdict| verdict.wake);
        let soon = busy.then(|| self.now());
        let records_due = self.noted.records.wake(now, &sighting, self.noted.backoff.held());
        let telling = self.notice.next(Instant::now()).and_then(|left| self.now().checked_add(left).ok());
        let proofs = self.noted.unproved.wake(now);
        wakes
            .chain(proofs)
            .chain(admission.wake)
            .chain(status_due)
            .chain(telling)
            .chain(soon)
            .chain(records_due)
            .min()
    }

    /// The same for records; whether the verdicts are to tell of something else by now.
    fn digest_records(
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

    /// Says on a Sandbox that it was switched to another volume, until what it left behind is saved, and for a while
    /// after: what was saved may still be to be told of.
    ///
    /// Read live before: caches of two kinds do not show the same moment.
    async fn tell_of_switches(
        &mut self,
        now: Timestamp,
        observed: &Observed,
        verdicts: &[Verdict],
        stop: &CancellationToken,
    ) {
        const REASON: &str = "WorkspaceSwitched";
        let mut untold = Vec::new();
        let lately_saved = lately_saved(now, &observed.snapshots);
        for verdict in verdicts {
            let volume = &verdict.volume;
            let notice = verdict.notices.iter().find(|notice| notice.reason == Reason::WorkspaceSwitched);
            let Some(notice) = notice else {
                // Should it be left once more, that is news.
                self.noted.announced.is_over(&volume.uid, REASON);
                self.noted.unproved.is_over(&volume.uid);
                continue;
            };
            // What takes part in snapshots is yet to be saved.
            let is_told_of = verdict.interval.is_some() || lately_saved.contains(&volume.uid);
            let (true, Some(name)) = (is_told_of, &verdict.sandbox) else { continue };
            let sandbox = sandbox_named(observed, &volume.namespace, name);
            let may = !self.noted.announced.was_said(now, &volume.uid, REASON)
                && !self.noted.unproved.waits(now, &volume.uid);
            if let Some(sandbox) = sandbox.filter(|_| may) {
                untold.push((volume, sandbox, notice.message.clone()));
            }
        }
        let mut untried: BTreeSet<&VolumeUid> = untold.iter().map(|(volume, ..)| &volume.uid).collect();
        let client = self.client.clone();
        let end = tokio::time::Instant::now() + PROOFS_WITHIN;
        let goes_on = || !stop.is_cancelled() && tokio::time::Instant::now() < end;
        let proofs = futures::stream::iter(untold).take_while(|_| std::future::ready(goes_on()));
        let proofs = proofs.map(|(volume, sandbox, message)| {
            let client = client.clone();
            async move {
                let uid = sandbox.metadata.uid.clone().unwrap_or_default();
                let name = sandbox.name_any();
                let proof = prove_switched(&client, volume, &name, &uid);
                let proof = tokio::time::timeout_at(end, proof);
                let is_proved = tokio::select! {
                    biased;
                    () = stop.cancelled() => false,
                    proof = proof => matches!(proof, Ok(Ok(()))),
                };
                (volume, sandbox, message, is_proved)
            }
        });
        let proofs: Vec<_> = proofs.buffer_unordered(PROOFS_AT_ONCE).collect().await;
        for (volume, sandbox, message, is_proved) in proofs {
            untried.remove(&volume.uid);
            if !is_proved {
                self.noted.unproved.failed(now, &volume.uid);
                continue;
            }
            self.noted.unproved.is_over(&volume.uid);
            if self.noted.announced.is_news(now, &volume.uid, REASON) {
                let (namespace, name) = (&volume.namespace, sandbox.name_any());
                tracing::warn!(%namespace, sandbox = name, message, "workspace switched");
                // Each switch is told of once: AgentTier starts a Sandbox for it.
                let started =
                    sandbox.status.as_ref().and_then(|status| status.last_activity_timestamp.as_ref());
                let about = format!("{}.{}", volume.claim, started.map_or(0, |at| at.0.as_second()));
                self.announcer.announce(
                    &sandbox,
                    Occasion { reason: REASON, kind: "Warning", message, about, at: now },
                );
            }
        }
        // What there was no time for has its turn a little later.
        for volume in untried {
            self.noted.unproved.failed(now, volume);
        }
    }

    /// Remembers what was done in the pass that began at `pass`, and says it where people look.
    fn digest(&mut self, pass: Timestamp, observed: &Observed, outcome: Outcome) {
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

    /// Ends what runs beside the passes.
    pub(super) async fn finish(self) {
        self.announcer.finish().await;
    }
}

fn sandbox_named(observed: &Observed, namespace: &str, name: &str) -> Option<Arc<Sandbox>> {
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
