//! One pass: observe → plan → act → publish.

mod noted;
mod outcomes;
mod switches;

use std::time::{Duration, Instant};

use agenttier_backup_plan::{Action, Limits, Signals, Suspension, admit, suspensions};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio_util::sync::CancellationToken;

use self::noted::Noted;
use super::Settings;
use super::notice::Notice;
use crate::act::Executor;
use crate::client::Connection;
use crate::leader::Leadership;
use crate::observe::{Caches, NAMESPACES, POLICIES, Regime, judge};
use crate::publish::{Announcer, Figures, IncidentAnnouncer, Metrics, Pace, StatusWriter, Told};
use crate::schedules::{FirstErrors, Keeper};
use crate::server_clock::ServerClock;

/// The time may go on by so much more or less than it should before what was noted by it is of no use.
const LARGEST_LEAP: Duration = Duration::from_mins(1);

/// What a pass leaves for the next one. All of it may be lost: it is won again from the objects.
pub(super) struct Passes {
    client: Client,
    clock: ServerClock,
    executor: Executor,
    limits: Limits,
    floor_per_minute: u16,
    announcer: Announcer,
    incidents: IncidentAnnouncer,
    statuses: StatusWriter,
    schedules: Keeper,
    metrics: Metrics,
    notice: Notice,
    noted: Noted,
}

impl Passes {
    pub(super) fn new(
        connection: &Connection,
        settings: &Settings,
        metrics: &Metrics,
        caches: &Caches,
        leadership: Leadership,
    ) -> Self {
        let client = &connection.client;
        let velero = settings.velero.as_ref();
        let errors = velero.filter(|velero| velero.read_errors).map(|velero| {
            FirstErrors::start(client.clone(), leadership.clone(), &velero.namespace, caches.news())
        });
        Self {
            client: client.clone(),
            clock: connection.clock.clone(),
            executor: Executor::new(client.clone(), leadership.clone(), settings.calls_at_once),
            limits: settings.limits,
            floor_per_minute: settings.floor_per_minute,
            statuses: StatusWriter::new(client.clone(), leadership.clone()),
            schedules: Keeper::new(
                client.clone(),
                leadership.clone(),
                settings.calls_at_once,
                velero.and_then(|velero| velero.cluster_name.clone()),
                errors,
            ),
            incidents: IncidentAnnouncer::start(client.clone(), leadership.clone()),
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
                self.schedules.forget();
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
        self.noted.backoff.keep_only(&verdicts);
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
        let certain = is_certain(&stale) && caches.unreadable_policies().is_empty();
        let velero = caches.velero();
        let (velero, velero_due) = self.schedules.pass(now, &observed, velero.as_ref(), certain, stop).await;
        self.incidents.announce(now, &velero);
        if stop.is_cancelled() {
            return None;
        }
        admission.name_waits(&mut verdicts);
        let figures = Figures::of(&verdicts, &admission, &suspended, &velero);
        let told = Told {
            now,
            verdicts: &verdicts,
            pace: Pace { limits, per_minute: admission.per_minute },
            suspended: self.notice.told(),
            mass: &admission.mass,
            velero: &velero,
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
            .chain(velero_due)
            .min()
    }

    /// Ends what runs beside the passes.
    pub(super) async fn finish(self) {
        tokio::join!(self.announcer.finish(), self.incidents.finish());
    }
}

/// Whether namespaces and policies are seen as they are: what is absent of them is gone.
fn is_certain(stale: &[(&'static str, String)]) -> bool {
    !stale.iter().any(|(kind, _)| [NAMESPACES, POLICIES].contains(kind))
}
