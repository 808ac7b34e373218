//! The status of a policy.

use std::collections::BTreeMap;

use agenttier_backup_plan::{Governance, Protection, Readiness, Reason, Verdict};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::set_condition;
use crate::api::{BackupPolicy, BackupPolicyStatus, FIELD_MANAGER, VolumeCounts};
use crate::observe::in_force;

/// A policy's status is written at most once in this time.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Computes the status of a policy from the verdicts over its volumes.
#[must_use]
pub fn policy_status(now: Timestamp, policy: &BackupPolicy, verdicts: &[Verdict]) -> BackupPolicyStatus {
    let name = policy.name_any();
    let mut counts = VolumeCounts::default();
    let mut points = 0;
    let mut overdue: BTreeMap<Reason, u32> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.policy.as_ref() == Some(&name)) {
        counts.total += 1;
        match verdict.protection {
            Protection::Protected { .. } => counts.protected += 1,
            Protection::Awaited { .. } => counts.awaited += 1,
            Protection::Unprotected { .. } => counts.unprotected += 1,
            Protection::Overdue { reason, .. } => {
                counts.overdue += 1;
                *overdue.entry(reason).or_default() += 1;
            }
        }
        let good = |point: &&agenttier_backup_plan::Judged| {
            point.ours && !point.terminating && point.readiness == Readiness::Ready
        };
        points += verdict.points.iter().filter(good).count();
    }
    let (status, reason, message) = match in_force(policy) {
        Err(invalid) => ("False", "InvalidSpec", invalid.to_string()),
        Ok(Governance::Held { reason, .. }) => {
            ("False", if reason == Reason::PolicySuspended { "Suspended" } else { "Disabled" }, {
                "nothing is made and nothing is deleted".to_owned()
            })
        }
        Ok(_) if counts.overdue > 0 => {
            let why: Vec<String> =
                overdue.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            ("False", "VolumesOverdue", format!("{} overdue: {}", volumes(counts.overdue), why.join(", ")))
        }
        Ok(_) => {
            ("True", "Protected", format!("{} of {} protected", counts.protected, volumes(counts.total)))
        }
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
    BackupPolicyStatus {
        conditions,
        observed_generation: policy.meta().generation,
        volumes: Some(counts),
        recovery_points: Some(u32::try_from(points).unwrap_or(u32::MAX)),
    }
}

fn volumes(count: u32) -> String {
    if count == 1 { "1 volume".to_owned() } else { format!("{count} volumes") }
}

/// Writes statuses that changed, each policy's at most once a minute.
pub struct StatusWriter {
    client: Client,
    written: BTreeMap<String, (Timestamp, Option<i64>)>,
}

impl StatusWriter {
    /// Writes through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, written: BTreeMap::new() }
    }

    /// Writes what is due; returns when the first write that had to wait is due.
    pub async fn write(
        &mut self,
        now: Timestamp,
        policies: &[std::sync::Arc<BackupPolicy>],
        verdicts: &[Verdict],
    ) -> Option<Timestamp> {
        let mut wake: Option<Timestamp> = None;
        self.written.retain(|name, _| policies.iter().any(|policy| policy.name_any() == *name));
        for policy in policies {
            let name = policy.name_any();
            let status = policy_status(now, policy, verdicts);
            if policy.status.as_ref() == Some(&status) {
                continue;
            }
            let generation = policy.meta().generation;
            if let Some((at, of)) = self.written.get(&name) {
                let due = at.checked_add(AT_MOST_EVERY).unwrap_or(Timestamp::MAX);
                // A person who has just edited the policy waits for the answer.
                if due > now && *of == generation {
                    wake = Some(wake.map_or(due, |wake| wake.min(due)));
                    continue;
                }
            }
            self.written.insert(name.clone(), (now, generation));
            let patch = json!({
                "apiVersion": BackupPolicy::api_version(&()),
                "kind": BackupPolicy::kind(&()),
                "status": status,
            });
            let api: Api<BackupPolicy> = Api::all(self.client.clone());
            let params = PatchParams::apply(FIELD_MANAGER).force();
            let patch = Patch::Apply(&patch);
            let write = api.patch_status(&name, &params, &patch);
            match tokio::time::timeout(crate::client::CALL_DEADLINE, write).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(policy = name, %error, "cannot write the policy's status"),
                Err(_) => tracing::warn!(policy = name, "cannot write the policy's status: no answer"),
            }
        }
        wake
    }
}
