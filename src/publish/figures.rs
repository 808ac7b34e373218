//! What there is to count after a pass, from the same verdicts as the status of policies.

use std::collections::BTreeMap;
use std::fmt;

use agenttier_backup_plan::{
    ActionKind, Admission, Protection, Readiness, Reason, SUSPENDING, Suspension, Verdict,
};
use jiff::Timestamp;
use prometheus_client::encoding::DescriptorEncoder;

use super::gauge::{as_float, gauge, value};
use super::velero_figures::VeleroFigures;
use crate::schedules::Findings;

/// Figures of one pass: no volume has a name in them, so that ten thousand make no more series than ten.
#[derive(Debug, Clone)]
pub struct Figures {
    /// By policy, protection and reason.
    volumes: BTreeMap<(String, &'static str, Option<Reason>), usize>,
    /// By policy and readiness.
    points: BTreeMap<(String, Readiness), usize>,
    /// By policy, of each volume's newest Ready point the oldest.
    oldest: BTreeMap<String, Timestamp>,
    wanted: BTreeMap<ActionKind, usize>,
    waiting: BTreeMap<(ActionKind, Reason), usize>,
    suspended: BTreeMap<Reason, bool>,
    per_minute: f64,
    velero: VeleroFigures,
}

impl Figures {
    /// Counts.
    #[must_use]
    pub fn of(
        verdicts: &[Verdict],
        admission: &Admission,
        suspended: &[Suspension],
        velero: &Findings,
    ) -> Self {
        let mut figures = Self {
            volumes: BTreeMap::new(),
            points: BTreeMap::new(),
            oldest: BTreeMap::new(),
            wanted: ActionKind::ALL.map(|kind| (kind, 0)).into(),
            waiting: BTreeMap::new(),
            suspended: SUSPENDING.map(|reason| (reason, false)).into(),
            per_minute: admission.per_minute,
            velero: VeleroFigures::of(velero),
        };
        for verdict in verdicts {
            figures.add(verdict);
        }
        for waiting in &admission.waiting {
            *figures.waiting.entry((waiting.kind, waiting.reason)).or_default() += 1;
        }
        figures.suspended.extend(suspended.iter().map(|suspension| (suspension.reason(), true)));
        figures
    }

    fn add(&mut self, verdict: &Verdict) {
        let policy = verdict.policy.clone().unwrap_or_default();
        let protection = &verdict.protection;
        let volume = (policy.clone(), protection.state(), protection.reason());
        *self.volumes.entry(volume).or_default() += 1;
        for point in verdict.points.iter().filter(|point| point.ours && !point.terminating) {
            *self.points.entry((policy.clone(), point.readiness)).or_default() += 1;
        }
        // Of what is retired there is nothing new to come.
        if let (Some(newest), false) = (protection.newest(), matches!(protection, Protection::Retired { .. }))
        {
            self.oldest.entry(policy).and_modify(|oldest| *oldest = newest.min(*oldest)).or_insert(newest);
        }
        for action in &verdict.wants {
            *self.wanted.entry(action.kind()).or_default() += 1;
        }
    }

    /// Writes them as they are at `now`, by the API server's clock.
    pub(super) fn encode(&self, now: Timestamp, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let volumes = self.volumes.iter().map(|((policy, protection, reason), count)| {
            let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
            let labels =
                [("policy", policy.clone()), ("protection", (*protection).to_owned()), ("reason", reason)];
            (labels, as_float(*count))
        });
        gauge(
            encoder,
            "volumes",
            "Workspace volumes, by how well they are protected and why not better",
            volumes,
        )?;
        let points = self.points.iter().map(|((policy, readiness), count)| {
            ([("policy", policy.clone()), ("readiness", format!("{readiness:?}"))], as_float(*count))
        });
        gauge(encoder, "recovery_points", "Recovery points of ours that are not being deleted", points)?;
        let oldest = self.oldest.iter().map(|(policy, oldest)| {
            ([("policy", policy.clone())], now.duration_since(*oldest).as_secs_f64())
        });
        gauge(
            encoder,
            "oldest_newest_recovery_point_age_seconds",
            "Age of the newest Ready recovery point of the volume that is worst off",
            oldest,
        )?;
        let wanted =
            self.wanted.iter().map(|(kind, count)| ([("action", kind.to_string())], as_float(*count)));
        gauge(encoder, "orders_wanted", "Orders that were due in the last pass", wanted)?;
        let waiting = self.waiting.iter().map(|((kind, reason), count)| {
            ([("action", kind.to_string()), ("reason", reason.to_string())], as_float(*count))
        });
        gauge(encoder, "orders_waiting", "Those of them that had to wait, and what for", waiting)?;
        let suspended = self.suspended.iter().map(|(reason, suspended)| {
            ([("reason", reason.to_string())], if *suspended { 1.0 } else { 0.0 })
        });
        gauge(
            encoder,
            "deletions_suspended",
            "Whether nothing is deleted, whatever the policies say",
            suspended,
        )?;
        let allowed = Some(self.per_minute);
        value(encoder, "snapshots_per_minute_allowed", "Snapshots that may be started a minute", allowed)?;
        self.velero.encode(now, encoder)
    }
}
