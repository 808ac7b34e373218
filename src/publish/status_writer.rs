//! Writing the status of policies.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::velero_told::velero_notices;
use super::{Told, notices_of, policy_status};
use crate::api::{BackupPolicy, BackupPolicyStatus, FIELD_MANAGER};
use crate::leader::Leadership;
use crate::observe::{Observed, Regime, ties};

/// How often a policy's status is written where it changes all the time.
const EVERY: SignedDuration = SignedDuration::from_secs(60);
/// How many writes may follow one another at once after a time without any: what has just gone wrong is told now.
const AT_ONCE: i32 = 5;

/// Writes statuses that changed, each policy's at most once a minute in the long run.
pub struct StatusWriter {
    client: Client,
    leadership: Leadership,
    written: BTreeMap<String, Written>,
    sent: BTreeMap<String, Sent>,
}

/// A status that the API server has taken.
struct Sent {
    status: BackupPolicyStatus,
    /// What the policy was before, by its resourceVersions: as long as one of these is seen, the status is on its way.
    over: BTreeSet<String>,
    /// The resourceVersion that the policy has with it.
    version: String,
    /// When. It is not believed for ever: a restored etcd, for one, counts anew.
    at: Timestamp,
}

impl Sent {
    fn is_on_its_way(&self, policy: &BackupPolicy, now: Timestamp) -> bool {
        let is_before = policy.resource_version().is_some_and(|seen| self.over.contains(&seen));
        is_before && now.duration_since(self.at) < EVERY
    }

    /// The policy as it will be seen.
    fn onto(&self, policy: &BackupPolicy) -> BackupPolicy {
        BackupPolicy { status: Some(self.status.clone()), ..policy.clone() }
    }
}

/// The writes of a status until now.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// When they would all have been made by a writer that makes one [`EVERY`] minute.
    paced: Timestamp,
    /// The policy's generation at the last one.
    generation: Option<i64>,
}

impl Written {
    /// With one more, made now. Those that answered edits hold the next one back by no more than a minute.
    fn once_more(before: Option<Self>, now: Timestamp, generation: Option<i64>) -> Self {
        let latest = now.checked_add(EVERY * (AT_ONCE - 1)).unwrap_or(Timestamp::MAX);
        let begun = before.map_or(now, |before| before.paced.clamp(now, latest));
        Self { paced: begun.checked_add(EVERY).unwrap_or(Timestamp::MAX), generation }
    }

    /// When the next one may be made, where that is yet to come. A person who has just edited the policy waits for the
    /// answer.
    fn holds_until(self, now: Timestamp, generation: Option<i64>) -> Option<Timestamp> {
        let until = self.paced.checked_sub(EVERY * (AT_ONCE - 1)).unwrap_or(Timestamp::MIN);
        (until > now && self.generation == generation).then_some(until)
    }
}

impl StatusWriter {
    /// Writes through this client, while it leads.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership, written: BTreeMap::new(), sent: BTreeMap::new() }
    }

    /// Forgets when statuses were written: the time has leapt.
    pub fn forget(&mut self) {
        self.written.clear();
        self.sent.clear();
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
        let is_there = |name: &String| policies.iter().any(|policy| policy.name_any() == *name);
        self.written.retain(|name, _| is_there(name));
        self.sent.retain(|name, _| is_there(name));
        let ties = LazyCell::new(|| {
            ties(policies.iter().map(AsRef::as_ref), observed.namespaces.iter().map(AsRef::as_ref))
        });
        for policy in policies {
            let name = policy.name_any();
            let generation = policy.meta().generation;
            let written = self.written.get(&name).copied();
            let once_more = Written::once_more(written, now, generation);
            if let Some(until) = written.and_then(|written| written.holds_until(now, generation)) {
                wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            let mut of_policy = notices_of(&name, &ties, regime.limit);
            of_policy.extend(velero_notices(policy, told.velero));
            // What is on its way is built upon: its conditions have changed when it says.
            let mut sent = self.sent.remove(&name).filter(|sent| sent.is_on_its_way(policy, now));
            let to_come = sent.as_ref().map(|sent| sent.onto(policy));
            let seen = to_come.as_ref().unwrap_or(policy);
            let status = policy_status(seen, told, &of_policy, || regime.reach(policy, observed));
            if seen.status.as_ref() != Some(&status) {
                self.written.insert(name.clone(), once_more);
                if let Some(version) = self.send(&name, &status).await {
                    let earlier =
                        sent.into_iter().flat_map(|sent| sent.over.into_iter().chain([sent.version]));
                    let over = earlier.chain(policy.resource_version()).collect();
                    sent = Some(Sent { status, over, version, at: now });
                }
            }
            if let Some(sent) = sent {
                self.sent.insert(name, sent);
            }
        }
        wake
    }

    /// The resourceVersion of the policy with it, where the API server has taken it.
    async fn send(&self, name: &str, status: &BackupPolicyStatus) -> Option<String> {
        let patch = json!({
            "apiVersion": BackupPolicy::api_version(&()),
            "kind": BackupPolicy::kind(&()),
            "status": status,
        });
        let api: Api<BackupPolicy> = Api::all(self.client.clone());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&patch);
        if self.leadership.check().is_err() {
            return None;
        }
        let write = api.patch_status(name, &params, &patch);
        match tokio::time::timeout(crate::deadline::CALL_DEADLINE, write).await {
            Ok(Ok(taken)) => return taken.resource_version(),
            Ok(Err(error)) => {
                let error = crate::api_error::sentence(&error);
                tracing::warn!(policy = name, %error, "cannot write the policy's status");
            }
            Err(_) => tracing::warn!(policy = name, "cannot write the policy's status: no answer"),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

    use agenttier_backup_plan::{Limits, Suspension};
    use http::{Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::publish::Pace;
    use crate::schedules::Findings;

    /// An API server that answers each write with this code.
    #[derive(Clone, Default)]
    struct Server {
        code: Arc<AtomicU16>,
        writes: Arc<AtomicUsize>,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |_: Request<Body>| {
                // The first one is refused, and makes no version.
                let version = 7 + server.writes.fetch_add(1, Ordering::Relaxed);
                let code = server.code.load(Ordering::Relaxed);
                let metadata = json!({ "name": "p", "resourceVersion": version.to_string() });
                let body = json!({ "metadata": metadata, "spec": {}, "code": code });
                let body = Body::from(body.to_string().into_bytes());
                let answer = Response::builder().status(code).body(body).expect("an answer");
                async move { Ok::<_, Infallible>(answer) }
            });
            Client::new(service, "default")
        }
    }

    /// A policy, as it is seen at that version, and what a pass makes of it.
    async fn pass(writer: &mut StatusWriter, version: u16, now: Timestamp, suspended: &[Suspension]) {
        let policy = json!({
            "apiVersion": BackupPolicy::api_version(&()), "kind": BackupPolicy::kind(&()),
            "metadata": { "name": "p", "resourceVersion": version.to_string(), "generation": 1 }, "spec": {},
        });
        let policy = serde_json::from_value(policy).expect("a policy");
        let observed = Observed { policies: vec![Arc::new(policy)], ..Observed::default() };
        let limits = Limits { snapshots_in_flight: 10, deletions_in_flight: 20, snapshots: None };
        let (mass, velero) = (BTreeMap::new(), Findings::default());
        let pace = Pace { limits, per_minute: 1.0 };
        let told = Told { now, verdicts: &[], pace, suspended, mass: &mass, velero: &velero };
        writer.write(&observed, &Regime::default(), &told).await;
    }

    #[tokio::test]
    async fn what_is_on_its_way_is_not_sent_again() {
        let server = Server::default();
        let mut writer = StatusWriter::new(server.client(), Leadership::alone());
        let calls = || server.writes.load(Ordering::Relaxed);
        server.code.store(500, Ordering::Relaxed);
        pass(&mut writer, 7, at(100), &[]).await;
        assert_eq!(calls(), 1);
        server.code.store(200, Ordering::Relaxed);
        pass(&mut writer, 7, at(101), &[]).await;
        assert_eq!(calls(), 2, "what failed is tried again");
        pass(&mut writer, 7, at(103), &[]).await;
        assert_eq!(calls(), 2, "the watch is still to show it");
        let doubt = [Suspension::ClockUnknown];
        pass(&mut writer, 7, at(104), &doubt).await;
        assert_eq!(calls(), 3, "it has changed");
        for version in [7, 8] {
            pass(&mut writer, version, at(105), &doubt).await;
            assert_eq!(calls(), 3, "the last of two is still to be shown: {version}");
        }
        pass(&mut writer, 10, at(106), &doubt).await;
        assert_eq!(calls(), 4, "somebody has taken it away");
        pass(&mut writer, 10, at(165), &doubt).await;
        assert_eq!(calls(), 4);
        pass(&mut writer, 10, at(166), &doubt).await;
        assert_eq!(calls(), 5, "nothing is on its way for so long");
        writer.forget();
        pass(&mut writer, 10, at(166), &doubt).await;
        assert_eq!(calls(), 6);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// When writes are made by somebody who always has something new to say.
    fn writes(from: i64, to: i64, mut written: Option<Written>) -> (Vec<i64>, Option<Written>) {
        let mut made = Vec::new();
        for second in from..to {
            if written.and_then(|written| written.holds_until(at(second), Some(1))).is_none() {
                written = Some(Written::once_more(written, at(second), Some(1)));
                made.push(second);
            }
        }
        (made, written)
    }

    #[test]
    fn some_at_once_and_then_one_a_minute() {
        let (made, written) = writes(100, 300, None);
        assert_eq!(made, [100, 101, 102, 103, 104, 160, 220, 280]);
        let (made, _) = writes(1000, 1070, written);
        assert_eq!(made, [1000, 1001, 1002, 1003, 1004, 1060], "after a time without any");
    }

    #[test]
    fn whoever_waits_is_told_when_and_does_not_wait_after_an_edit() {
        let (_, written) = writes(100, 105, None);
        let written = written.expect("five");
        assert_eq!(written.holds_until(at(105), Some(1)), Some(at(160)));
        assert_eq!(written.holds_until(at(105), Some(2)), None, "somebody waits for the answer");
    }

    #[test]
    fn many_edits_do_not_hold_back_what_comes_later_for_long() {
        let edited = (0..100)
            .fold(None, |written: Option<Written>, n| Some(Written::once_more(written, at(100), Some(n))));
        assert!(edited.and_then(|written| written.holds_until(at(161), Some(99))).is_none());
    }
}
