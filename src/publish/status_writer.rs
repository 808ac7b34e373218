//! Writing the status of policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use agenttier_backup_plan::{Suspension, Verdict};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::{Pace, notices_of, policy_status};
use crate::api::{BackupPolicy, BackupPolicyStatus, FIELD_MANAGER};
use crate::leader::Leadership;
use crate::observe::{Observed, Reach, governance, reach};

/// A policy's status is written at most once in this time.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Writes statuses that changed, each policy's at most once a minute.
pub struct StatusWriter {
    client: Client,
    leadership: Leadership,
    written: BTreeMap<String, (Timestamp, Option<i64>)>,
}

impl StatusWriter {
    /// Writes through this client, while it leads.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership, written: BTreeMap::new() }
    }

    /// Forgets when statuses were written: the time has leapt.
    pub fn forget(&mut self) {
        self.written.clear();
    }

    /// Writes what is due; returns when the first write that had to wait is due.
    pub async fn write(
        &mut self,
        now: Timestamp,
        observed: &Observed,
        verdicts: &[Verdict],
        pace: &Pace,
        suspended: &[Suspension],
    ) -> Option<Timestamp> {
        let mut wake: Option<Timestamp> = None;
        let policies = &observed.policies;
        self.written.retain(|name, _| policies.iter().any(|policy| policy.name_any() == *name));
        for policy in policies {
            let name = policy.name_any();
            let of_policy = notices_of(policy, observed);
            let status = policy_status(now, policy, verdicts, pace, suspended, &of_policy, || {
                reach_of(policy, observed)
            });
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
            self.send(&name, &status).await;
        }
        wake
    }

    async fn send(&self, name: &str, status: &BackupPolicyStatus) {
        let patch = json!({
            "apiVersion": BackupPolicy::api_version(&()),
            "kind": BackupPolicy::kind(&()),
            "status": status,
        });
        let api: Api<BackupPolicy> = Api::all(self.client.clone());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&patch);
        if self.leadership.check().is_err() {
            return;
        }
        let write = api.patch_status(name, &params, &patch);
        match tokio::time::timeout(crate::deadline::CALL_DEADLINE, write).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = crate::api_error::sentence(&error);
                tracing::warn!(policy = name, %error, "cannot write the policy's status");
            }
            Err(_) => tracing::warn!(policy = name, "cannot write the policy's status: no answer"),
        }
    }
}

fn reach_of(policy: &Arc<BackupPolicy>, observed: &Observed) -> Reach {
    let policies = observed.policies.iter().map(AsRef::as_ref);
    let namespaces = || observed.namespaces.iter().map(AsRef::as_ref);
    reach(policy, namespaces(), &governance(policies, namespaces()))
}
