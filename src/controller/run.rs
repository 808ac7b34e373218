//! The loop around the passes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agenttier_backup_plan::{LeaseTimes, Limits};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::exposition;
use super::health::Health;
use super::pass::Passes;
use crate::client::Connection;
use crate::leader::{Elector, Leadership, LeaseName};
use crate::observe::Caches;
use crate::publish::Metrics;

/// Changes that come together are planned together.
const GATHER: Duration = Duration::from_millis(250);
/// Even when nothing is due: clocks get set, and timers sleep with the machine.
const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// So long a start waits for what snapshots can do without.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// What an operator may turn.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the health probes are served.
    pub health_address: SocketAddr,
    /// Where the metrics are served.
    pub metrics_address: SocketAddr,
    /// How much may be under way at once.
    pub limits: Limits,
    /// However few volumes there are, so many snapshots a minute may be started.
    pub floor_per_minute: u16,
    /// API calls under way at once.
    pub calls_at_once: usize,
    /// The Lease that says which of several replicas works; without one this process runs alone.
    pub lease: Option<LeaseName>,
    /// Velero, where there is one to work with.
    pub velero: Option<VeleroSettings>,
    /// What this process is called in the Lease; no other process may be called that.
    pub identity: String,
}

/// Which Velero to work with.
#[derive(Debug, Clone)]
pub struct VeleroSettings {
    /// The namespace of its server, and of its Schedules.
    pub namespace: String,
    /// What this cluster is called among those that share a store; without it, by what no other has.
    pub cluster_name: Option<String>,
    /// Whether the first error of a backup that failed in part is read from the object store.
    pub read_errors: bool,
}

/// Runs the controller until `stop` is cancelled; then it begins nothing new, ends what is under way and
/// returns.
///
/// # Errors
/// When the health probes or the metrics cannot be served. Trouble with the API server is never fatal: it is waited out.
pub async fn run(connection: Connection, settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let client = &connection.client;
    let health = Health::new(Instant::now());
    // The probes go on answering while what is under way is brought to its end.
    let probes = health.clone().serve(settings.health_address);
    let metrics = Metrics::new(connection.clock.clone());
    let exposition = exposition::serve(metrics.clone(), settings.metrics_address);
    let velero = settings.velero.as_ref().map(|velero| velero.namespace.as_str());
    let (caches, mut watches) = Caches::start(client, velero);
    let elector = settings
        .lease
        .as_ref()
        .map(|lease| Elector::new(client, lease, settings.identity.clone(), LeaseTimes::default()));
    let leadership = elector.as_ref().map_or_else(Leadership::alone, Elector::leadership);
    // It goes on through a stop: the Lease is given back when the last write has ended, not before.
    let end_election = CancellationToken::new();
    let election = elector.map(|elector| tokio::spawn(elector.run(end_election.clone())));
    tokio::select! {
        biased;
        ended = probes => {
            ended?;
            anyhow::bail!("the health probes' server ended by itself");
        }
        ended = exposition => {
            ended?;
            anyhow::bail!("the metrics' server ended by itself");
        }
        () = watches.one_ended() => anyhow::bail!("a watch ended by itself"),
        worked = work(&connection, &caches, &settings, &health, &metrics, &leadership, &stop) => worked?,
    }
    end_election.cancel();
    if let Some(election) = election {
        election.await?;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn work(
    connection: &Connection,
    caches: &Caches,
    settings: &Settings,
    health: &Health,
    metrics: &Metrics,
    leadership: &Leadership,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!("filling the caches");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            filled = caches.filled() => break filled?,
            () = tokio::time::sleep(Duration::from_secs(30)) => {
                let missing = caches.unfilled().join(", ");
                tracing::warn!(missing, "still filling the caches; are the CRDs installed, and may they be read?");
                health.beat(Instant::now());
            }
        }
    }
    // The first snapshots are to name records, and classes. Whoever may not read those takes snapshots without.
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        () = caches.settled() => {}
        () = tokio::time::sleep(SETTLED_WITHIN) => {
            let missing = caches.unsettled().join(", ");
            tracing::warn!(missing, "cannot be seen yet; snapshots are taken without");
        }
    }
    health.set_ready();
    tracing::info!("ready");

    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = leadership.gained() => {
                // What a term has learned is not taken into the next one: another leader was at work in between.
                let passes = Passes::new(connection, settings, metrics, caches, leadership.clone());
                metrics.term_begins();
                lead(passes, caches, health, leadership, stop).await;
                metrics.term_ends();
            }
            () = tokio::time::sleep(Duration::from_mins(1)) => health.beat(Instant::now()),
        }
    }
    Ok(())
}

/// Makes passes until it is told to stop or leads no longer. Then nothing further is begun, and what is under way
/// is brought to its end.
async fn lead(
    mut passes: Passes,
    caches: &Caches,
    health: &Health,
    leadership: &Leadership,
    stop: &CancellationToken,
) {
    let term = stop.child_token();
    let end_of_term = async {
        tokio::select! {
            () = leadership.lost() => term.cancel(),
            () = term.cancelled() => {}
        }
    };
    let work = async {
        while !term.is_cancelled() {
            health.beat(Instant::now());
            let due = passes.pass(caches, &term).await;
            tokio::select! {
                biased;
                () = term.cancelled() => {}
                () = caches.changed() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(pause(passes.now(), due)) => {}
            }
        }
    };
    tokio::join!(end_of_term, work);
    passes.finish().await;
}

/// How long to sleep when nothing changes.
fn pause(now: Timestamp, due: Option<Timestamp>) -> Duration {
    let until = due.map_or(AT_LEAST_EVERY, |due| due.duration_since(now).min(AT_LEAST_EVERY));
    Duration::try_from(until).unwrap_or_default().max(GATHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_until_due_but_neither_spins_nor_oversleeps() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| Some(now + SignedDuration::from_secs(seconds));
        assert_eq!(pause(now, at(40)), Duration::from_secs(40));
        assert_eq!(pause(now, at(-40)), GATHER);
        assert_eq!(pause(now, at(4000)), Duration::from_mins(5));
        assert_eq!(pause(now, None), Duration::from_mins(5));
    }
}
