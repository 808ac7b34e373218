//! Writing the status of policies.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::velero_told::velero_notices;
use super::{Told, notices_of, policy_status};
use crate::api::{BackupPolicy, BackupPolicyStatus, FIELD_MANAGER};
use crate::leader::Leadership;
use crate::observe::{Observed, Regime, ties};

/// A policy's status is written at most once in this time.
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Writes statuses that changed, each policy's at most once a minute.
pub struct StatusWriter {
    client: Client,
    leadership: Leadership,
    written: BTreeMap<String, Written>,
}

/// A write of a status: when it was, and of which generation of the policy.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: Timestamp,
    generation: Option<i64>,
}

impl Written {
    /// When the next one may be made, where that is yet to come. A person who has just edited the policy waits for the
    /// answer.
    fn holds_until(self, now: Timestamp, generation: Option<i64>) -> Option<Timestamp> {
        let until = self.at.checked_add(AT_MOST_EVERY).unwrap_or(Timestamp::MAX);
        (until > now && self.generation == generation).then_some(until)
    }
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

    /// Writes what is due; returns when the first policy that had to wait is to be looked at again. Nothing is worked out
    /// for one that has to wait.
    pub async fn write(
        &mut self,
        observed: &Observed,
        regime: &Regime,
        told: &Told<'_>,
    ) -> Option<Timestamp> {
        let now = told.now;
        let mut wake: Option<Timestamp> = None;
        let policies = &observed.policies;
        self.written.retain(|name, _| policies.iter().any(|policy| policy.name_any() == *name));
        let ties = LazyCell::new(|| {
            ties(policies.iter().map(AsRef::as_ref), observed.namespaces.iter().map(AsRef::as_ref))
        });
        for policy in policies {
            let name = policy.name_any();
            let generation = policy.meta().generation;
            let written = self.written.get(&name);
            if let Some(until) = written.and_then(|written| written.holds_until(now, generation)) {
                wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            let mut of_policy = notices_of(&name, &ties, regime.limit);
            of_policy.extend(velero_notices(policy, told.velero));
            let status = policy_status(policy, told, &of_policy, || regime.reach(policy, observed));
            if policy.status.as_ref() != Some(&status) {
                self.written.insert(name.clone(), Written { at: now, generation });
                self.send(&name, &status).await;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_passes_between_two_writes_unless_the_policy_was_edited() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let written = Written { at: at(100), generation: Some(1) };
        assert_eq!(written.holds_until(at(100), Some(1)), Some(at(160)));
        assert_eq!(written.holds_until(at(159), Some(1)), Some(at(160)));
        assert_eq!(written.holds_until(at(160), Some(1)), None);
        assert_eq!(written.holds_until(at(101), Some(2)), None, "somebody waits for the answer");
    }
}
