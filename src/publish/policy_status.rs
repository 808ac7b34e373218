//! The status of a policy, computed from the verdicts over its volumes.

use std::collections::BTreeMap;

use agenttier_backup_plan::{
    ActionKind, Governance, Limits, MassDeletion, Notice, Protection, Readiness, Reason, Setback, Suspension,
    Verdict, VolumeId,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource, ResourceExt};

use super::set_condition;
use super::tally::Tally;
use super::velero_told::{VELERO_READY, velero_told};
use super::warnings::{deletions_await_confirmation, deletions_suspended, warnings};
use crate::api::{BackupPolicy, BackupPolicyStatus, FailingOrder, VolumeCounts};
use crate::observe::{Reach, in_force};
use crate::schedules::Findings as VeleroFindings;

/// So many failing orders are reported, those that have failed for longest.
const FAILING: usize = 50;

/// How fast the controller goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How much may be under way at once.
    pub limits: Limits,
    /// Snapshots that may be started a minute.
    pub per_minute: f64,
}

/// What a pass has to tell, of all policies.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// When.
    pub now: Timestamp,
    /// What there is to say of each volume.
    pub verdicts: &'a [Verdict],
    /// How fast it goes.
    pub pace: Pace,
    /// What has kept deletions from being made for some time.
    pub suspended: &'a [Suspension],
    /// Deletions that wait for somebody's word, by policy.
    pub mass: &'a BTreeMap<String, MassDeletion>,
    /// What there is to say of Layer 2.
    pub velero: &'a VeleroFindings,
}

/// Computes the status of a policy. `of_policy` is what is to be said of the policy as such; `reach` is asked only
/// where no volume follows it.
#[must_use]
pub fn policy_status(
    policy: &BackupPolicy,
    told: &Told<'_>,
    of_policy: &[Notice],
    reach: impl FnOnce() -> Reach,
) -> BackupPolicyStatus {
    let Told { now, verdicts, pace, suspended, mass, velero } = *told;
    let findings = Findings::of(policy, verdicts, &pace);
    let (status, reason, message) = match in_force(policy) {
        Err(invalid) => ("False", "InvalidSpec", invalid.to_string()),
        Ok(Governance::Held { reason, .. }) => held(policy, reason),
        Ok(_) if findings.counts.total == 0 => idle(&reach()),
        Ok(_) => findings.told(),
    };
    let mut conditions = policy.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    set_condition(
        now,
        &mut conditions,
        Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: reason.into(),
            message,
            observed_generation: policy.meta().generation,
            last_transition_time: Time(now),
        },
    );
    let mass = mass.get(&policy.name_any());
    let mut told: Vec<Condition> = deletions_suspended(policy, &conditions, suspended).into_iter().collect();
    told.extend(deletions_await_confirmation(policy, &conditions, mass));
    told.extend(warnings(policy, &conditions, verdicts, of_policy));
    let velero = velero_told(policy, velero);
    match &velero {
        Some((condition, _)) => told.push(condition.clone()),
        None => conditions.retain(|condition| condition.type_ != VELERO_READY),
    }
    for condition in told {
        set_condition(now, &mut conditions, condition);
    }
    BackupPolicyStatus {
        conditions,
        observed_generation: policy.meta().generation,
        volumes: Some(findings.counts),
        recovery_points: Some(u32::try_from(findings.points).unwrap_or(u32::MAX)),
        failing: findings.failing,
        velero: velero.map(|(_, status)| status),
    }
}

/// Of a policy that keeps no snapshots. Velero may be at work all the same, unless all of it is suspended.
fn held(policy: &BackupPolicy, reason: Reason) -> (&'static str, &'static str, String) {
    let nothing = "nothing is made and nothing is deleted";
    let (reason, message) = match reason {
        Reason::PolicySuspended => ("Suspended", nothing),
        _ if policy.spec.velero.enabled => (
            "Disabled",
            "no snapshots are taken or pruned; how the backups by Velero stand is told by VeleroReady",
        ),
        _ => ("Disabled", nothing),
    };
    ("False", reason, message.to_owned())
}

/// Of a policy that no volume follows.
fn idle(reach: &Reach) -> (&'static str, &'static str, String) {
    if reach.selected > 0 && reach.followed == 0 && !reach.outranked_by.is_empty() {
        let others: Vec<&str> = reach.outranked_by.iter().map(String::as_str).collect();
        let message =
            format!("every namespace that it selects follows another policy: {}", others.join(", "));
        return ("Unknown", "Outranked", message);
    }
    let message = match reach.selected {
        0 => "no namespace matches its selector".to_owned(),
        _ => "no namespace that follows it holds a sandbox's volume".to_owned(),
    };
    ("Unknown", "NoVolumes", message)
}

/// What there is to say of the volumes that follow a policy.
#[derive(Default)]
struct Findings {
    counts: VolumeCounts,
    points: usize,
    awaited: Tally,
    overdue: Tally,
    unprotected: Tally,
    unpruned: Tally,
    unrecorded: Tally,
    failing: Vec<FailingOrder>,
}

impl Findings {
    fn of(policy: &BackupPolicy, verdicts: &[Verdict], pace: &Pace) -> Self {
        let name = policy.name_any();
        let mut findings = Self::default();
        for verdict in verdicts.iter().filter(|verdict| verdict.policy.as_ref() == Some(&name)) {
            findings.add(verdict, pace);
        }
        let order =
            |failing: &FailingOrder| (failing.since.0, failing.volume_uid.clone(), failing.action.clone());
        findings.failing.sort_by_cached_key(order);
        findings.failing.truncate(FAILING);
        findings
    }

    fn add(&mut self, verdict: &Verdict, pace: &Pace) {
        let counts = &mut self.counts;
        let tally = match verdict.protection {
            // Nothing is left there to protect, or nobody wants it protected.
            Protection::Retired { .. } | Protection::Unprotected { reason: Reason::OptedOut } => return,
            Protection::Protected { .. } => {
                counts.protected += 1;
                None
            }
            Protection::Awaited { .. } => {
                counts.awaited += 1;
                Some(&mut self.awaited)
            }
            Protection::Overdue { .. } => {
                counts.overdue += 1;
                Some(&mut self.overdue)
            }
            Protection::Unprotected { .. } | Protection::Unknown { .. } => {
                counts.unprotected += 1;
                Some(&mut self.unprotected)
            }
        };
        counts.total += 1;
        if let (Some(tally), Some(reason)) = (tally, verdict.protection.reason()) {
            tally.add(reason, &verdict.volume, words(reason, verdict, pace).as_deref());
        }
        if let Some(setback) = verdict.setbacks.get(&ActionKind::Prune) {
            self.unpruned.add(setback.reason, &verdict.volume, Some(&setback.message));
        }
        if let Some(setback) = verdict.setbacks.get(&ActionKind::Record) {
            self.unrecorded.add(setback.reason, &verdict.volume, Some(&setback.message));
        }
        self.failing
            .extend(verdict.setbacks.iter().map(|(kind, setback)| failing(&verdict.volume, *kind, setback)));
        let good = |point: &&agenttier_backup_plan::Judged| {
            point.ours && !point.terminating && point.readiness == Readiness::Ready
        };
        self.points += verdict.points.iter().filter(good).count();
    }

    /// Status, reason and message of a policy in force that volumes follow.
    fn told(&self) -> (&'static str, &'static str, String) {
        let counts = &self.counts;
        let (status, reason) = match () {
            () if counts.overdue > 0 => ("False", "VolumesOverdue"),
            () if self.unprotected.needs_attention() => ("False", "VolumesUnprotected"),
            () if self.awaited.needs_attention() => ("False", "SnapshotsFailing"),
            () if counts.awaited > 0 => ("Unknown", "AwaitingFirstSnapshots"),
            () if counts.unprotected > 0 => ("Unknown", "VolumesUnprotected"),
            () => ("True", "Protected"),
        };
        let mut told = vec![match counts.total {
            1 => format!("{} of 1 volume protected", counts.protected),
            total => format!("{} of {total} volumes protected", counts.protected),
        }];
        let tallies = [
            ("overdue", &self.overdue),
            ("unprotected", &self.unprotected),
            ("first snapshot awaited", &self.awaited),
            ("cannot prune", &self.unpruned),
            ("cannot record the sandbox", &self.unrecorded),
        ];
        let told_of = tallies.into_iter().filter(|(_, tally)| !tally.is_empty());
        told.extend(told_of.map(|(what, tally)| format!("{what}: {tally}")));
        (status, reason, told.join(". "))
    }
}

/// What to do where nobody says why a snapshot takes so long.
const RESTART_HINT: &str = "is the driver still at it? If its VolumeSnapshotContent is ready to use, restart the snapshot-controller";

/// What there is to add to a reason.
fn words(reason: Reason, verdict: &Verdict, pace: &Pace) -> Option<String> {
    match reason {
        Reason::DriverBusy => Some(format!(
            "{} snapshots of a driver may be under way at once",
            pace.limits.snapshots_in_flight
        )),
        Reason::Paced => Some(format!("{:.1} snapshots are started a minute", pace.per_minute)),
        Reason::SnapshotFailed | Reason::SnapshotSlow | Reason::SnapshotInFlight => {
            let error =
                verdict.points.iter().filter(|point| point.ours).find_map(|point| point.error.clone());
            // After a short outage of the API server it may hold an old state of a content against all that comes later
            // (external-snapshotter 8.7, "error parsing old ResourceVersion").
            let hint = || (reason == Reason::SnapshotSlow).then(|| RESTART_HINT.to_owned());
            error.or_else(hint)
        }
        _ => {
            let setback = verdict.setbacks.get(&ActionKind::TakeSnapshot)?;
            (setback.reason == reason).then(|| setback.message.clone())
        }
    }
}

fn failing(volume: &VolumeId, kind: ActionKind, setback: &Setback) -> FailingOrder {
    // Kubernetes keeps whole seconds.
    let since = Timestamp::from_second(setback.since.as_second()).unwrap_or(setback.since);
    FailingOrder {
        namespace: volume.namespace.clone(),
        claim: volume.claim.clone(),
        volume_uid: volume.uid.to_string(),
        action: kind.to_string(),
        reason: setback.reason.to_string(),
        message: setback.message.clone(),
        since: Time(since),
    }
}

#[cfg(test)]
mod tests;
