//! What there is to count of Layer 2.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use prometheus_client::encoding::DescriptorEncoder;

use super::gauge::{as_float, gauge, value};
use super::velero_told::{INVALID_SPEC, TEMPLATE_INVALID, VELERO_WITHOUT_CSI, VOLUME_POLICY_REFUSED};
use crate::schedules::{Findings, LocationTrouble, Obstacle, State};

/// Figures of one pass: no namespace has a name in them.
#[derive(Debug, Clone, Default)]
pub(super) struct VeleroFigures {
    /// By policy, state and reason.
    namespaces: BTreeMap<(String, String, String), usize>,
    /// By policy, of each namespace's newest complete backup the oldest.
    oldest: BTreeMap<String, Timestamp>,
    /// Policy and reason, where its backups cannot be counted on.
    troubles: BTreeSet<(String, &'static str)>,
    load: Option<f64>,
    /// Why Layer 2 does nothing.
    obstacle: Option<&'static str>,
}

impl VeleroFigures {
    pub(super) fn of(findings: &Findings) -> Self {
        let mut figures = Self {
            load: findings.load(),
            troubles: troubles(findings),
            obstacle: findings.obstacle.as_ref().map(crate::schedules::Obstacle::reason),
            ..Self::default()
        };
        for found in &findings.namespaces {
            let reason = found.trouble.as_ref().map(|(reason, _)| reason.clone()).unwrap_or_default();
            let key = (found.policy.clone(), format!("{:?}", found.state), reason);
            *figures.namespaces.entry(key).or_default() += 1;
            // Of one that is paused on purpose no newer one is to come.
            let newest = found.last_success.filter(|_| found.state != State::Paused);
            if let Some(success) = newest {
                let oldest = figures.oldest.entry(found.policy.clone()).or_insert(success);
                *oldest = success.min(*oldest);
            }
        }
        figures
    }

    pub(super) fn encode(&self, now: Timestamp, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let namespaces = self.namespaces.iter().map(|((policy, state, reason), count)| {
            (
                [("policy", policy.clone()), ("state", state.clone()), ("reason", reason.clone())],
                as_float(*count),
            )
        });
        let help = "Namespaces with a Velero Schedule of ours, by how their backups stand and why not better";
        gauge(encoder, "velero_namespaces", help, namespaces)?;
        let oldest = self.oldest.iter().map(|(policy, oldest)| {
            ([("policy", policy.clone())], now.duration_since(*oldest).as_secs_f64())
        });
        let help = "Age of the newest complete Velero backup of the namespace that is worst off";
        gauge(encoder, "oldest_newest_velero_backup_age_seconds", help, oldest)?;
        let troubles = self
            .troubles
            .iter()
            .map(|(policy, reason)| ([("policy", policy.clone()), ("reason", (*reason).to_owned())], 1.0));
        let help = "Why a policy's backups by Velero cannot be counted on";
        gauge(encoder, "velero_policy_trouble", help, troubles)?;
        let obstacle = self.obstacle.iter().map(|reason| ([("reason", (*reason).to_owned())], 1.0));
        gauge(encoder, "velero_unusable", "Why no Velero Schedule is made or kept", obstacle)?;
        let help = "Share of the time that Velero is at work with backups of these namespaces";
        value(encoder, "velero_queue_load_ratio", help, self.load)
    }
}

/// What is wrong with policies as such, by the reasons that their condition has. Under one that is suspended nothing is to
/// be done, and so nothing can be wrong.
fn troubles(findings: &Findings) -> BTreeSet<(String, &'static str)> {
    let locations =
        findings.locations.iter().map(|(policy, trouble)| (policy, LocationTrouble::reason(trouble)));
    let templates = findings.unrenderable.keys().map(|policy| (policy, TEMPLATE_INVALID));
    // All Schedules name the one ConfigMap, and there is one server.
    let of_all = [
        findings.volume_policy.as_ref().map(|_| VOLUME_POLICY_REFUSED),
        findings.without_csi.then_some(VELERO_WITHOUT_CSI),
        findings.unread.as_ref().map(Obstacle::reason),
    ];
    let of_all = of_all.into_iter().flatten().flat_map(|reason| {
        let policies =
            findings.namespaces.iter().map(|found| &found.policy).filter(|policy| !policy.is_empty());
        policies.map(move |policy| (policy, reason))
    });
    let invalid = findings.invalid.keys().map(|policy| (policy, INVALID_SPEC));
    let all = invalid.chain(locations).chain(templates).chain(of_all);
    all.filter(|(policy, _)| !findings.suspended.contains(*policy))
        .map(|(policy, reason)| (policy.clone(), reason))
        .collect()
}
