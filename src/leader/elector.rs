//! Getting, keeping and giving back the Lease.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use agenttier_backup_plan::{LeaseStep, LeaseTimes, Record, Seen, lease_step};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::Leadership;
use crate::api_error::sentence;

/// A read or write of the Lease that takes longer has failed: the next one still fits before the deadline.
const CALL: Duration = Duration::from_secs(5);
/// After a failed call, or when another one was quicker.
const SOON: Duration = Duration::from_secs(2);

/// Which Lease: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Not `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a Lease is named as NAMESPACE/NAME")]
pub struct LeaseNameError;

impl FromStr for LeaseName {
    type Err = LeaseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.into(), name: name.into() })
            }
            _ => Err(LeaseNameError),
        }
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A candidate for the Lease.
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    /// Unique to this process.
    identity: String,
    times: LeaseTimes,
    leadership: Leadership,
}

impl Elector {
    /// A candidate called `identity`, which no other process may be called.
    #[must_use]
    pub fn new(client: &Client, lease: &LeaseName, identity: String, times: LeaseTimes) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), &lease.namespace),
            name: lease.name.clone(),
            identity,
            leadership: Leadership::candidate(&times),
            times,
        }
    }

    /// The guard that follows this candidate's fortune.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stands for election until `stop` is cancelled, then gives the Lease back, so that another one need not wait
    /// for it to run out.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = Seen { record: None, since: self.leadership.now() };
        while !stop.is_cancelled() {
            let pause = self.round(&mut seen).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.give_back().await;
    }

    /// Looks once and does what follows; says when to look again.
    async fn round(&self, seen: &mut Seen) -> Duration {
        let lease = match tokio::time::timeout(CALL, self.leases.get_opt(&self.name)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(error)) => return self.trouble("read", &sentence(&error)),
            Err(_) => return self.trouble("read", "no answer"),
        };
        let now = self.leadership.now();
        *seen = seen.clone().and_now(lease.as_ref().map(record), now);
        match lease_step(&self.times, &self.identity, seen, self.leadership.renewed(), now) {
            LeaseStep::Wait(until) => until.saturating_sub(now),
            LeaseStep::StepDown => {
                tracing::warn!("no longer the leader");
                self.leadership.set(None);
                SOON
            }
            LeaseStep::Acquire | LeaseStep::Renew => self.write(lease).await,
        }
    }

    /// Writes the Lease as its holder. The resourceVersion lets only one of several win.
    async fn write(&self, old: Option<Lease>) -> Duration {
        // Leadership counts from before the write: its answer may have been on its way for long.
        let begun = self.leadership.now();
        let params = PostParams::default();
        let lease = self.held(old);
        let creates = lease.resource_version().is_none();
        let call = async {
            if creates {
                self.leases.create(&params, &lease).await
            } else {
                self.leases.replace(&self.name, &params, &lease).await
            }
        };
        match tokio::time::timeout(CALL, call).await {
            Ok(Ok(_)) => {
                if self.leadership.renewed().is_none() {
                    tracing::info!(identity = self.identity, "leading");
                }
                self.leadership.set(Some(begun));
                self.times.retry
            }
            // Another one was quicker; the next look says who.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => SOON,
            Ok(Err(error)) => self.trouble("write", &sentence(&error)),
            Err(_) => self.trouble("write", "no answer"),
        }
    }

    fn held(&self, old: Option<Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = old.unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |transitions| transitions + 1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(i32::try_from(self.times.duration.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        lease
    }

    /// Leaves the Lease without a holder, if it is still ours.
    async fn give_back(&self) {
        if self.leadership.renewed().is_none() {
            return;
        }
        self.leadership.set(None);
        let give_back = async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_ref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = None;
            self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        };
        match tokio::time::timeout(CALL, give_back).await {
            Ok(Ok(())) => tracing::info!("gave the Lease back"),
            Ok(Err(error)) => {
                let error = sentence(&error);
                tracing::warn!(error, "cannot give the Lease back; it runs out by itself");
            }
            Err(_) => tracing::warn!("cannot give the Lease back: no answer; it runs out by itself"),
        }
    }

    fn trouble(&self, what: &str, error: &str) -> Duration {
        tracing::warn!(error, "cannot {what} the Lease");
        if self.leadership.renewed().is_some() && self.leadership.check().is_err() {
            tracing::warn!("no longer the leader: the Lease could not be renewed in time");
            self.leadership.set(None);
        }
        SOON
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        version: lease.resource_version().unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
    }
}
