//! `controller`: runs until told to stop.

use std::net::SocketAddr;

use agenttier_backup_plan::Limits;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::Cluster;
use crate::client::Purpose;
use crate::controller::{Settings, VeleroSettings, run};
use crate::leader::LeaseName;
use crate::schedules::cluster_name;

/// Runs the controller, as the chart's Deployment does.
///
/// It takes snapshots of workspace volumes and prunes them, as BackupPolicy objects say, until it is told to stop.
#[derive(Debug, Args)]
pub(super) struct Controller {
    /// Where /healthz and /readyz are served
    #[arg(long, env = "HEALTH_ADDRESS", default_value = "0.0.0.0:8082", value_name = "ADDRESS")]
    health_address: SocketAddr,
    /// Where /metrics is served
    #[arg(long, env = "METRICS_ADDRESS", default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    metrics_address: SocketAddr,
    /// Snapshots of one CSI driver that may be under way at once
    #[arg(long, env = "SNAPSHOTS_IN_FLIGHT", default_value_t = 10, value_name = "N")]
    snapshots_in_flight: u16,
    /// Snapshots of one CSI driver that may be in deletion at once
    #[arg(long, env = "DELETIONS_IN_FLIGHT", default_value_t = 20, value_name = "N")]
    deletions_in_flight: u16,
    /// Snapshots that may be started per minute however few volumes there are; with many, 1.25 times what
    /// their intervals need is allowed
    #[arg(long, env = "SNAPSHOTS_PER_MINUTE_AT_LEAST", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    snapshots_per_minute_at_least: u16,
    /// API calls that may be under way at once
    #[arg(long, env = "CALLS_AT_ONCE", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    calls_at_once: u16,
    /// The Lease by which several replicas choose the one that works; without it this one runs alone
    #[arg(long, env = "LEASE", value_name = "NAMESPACE/NAME")]
    lease: Option<LeaseName>,
    /// The namespace of Velero's server; without it no backups by Velero are kept
    #[arg(long, env = "VELERO_NAMESPACE", value_name = "NAMESPACE")]
    velero_namespace: Option<String>,
    /// What this cluster is called among those whose Velero shares a store; without it, `k-` and the head of the UID of its
    /// namespace kube-system
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME", value_parser = cluster_name)]
    cluster_name: Option<String>,
    /// Read the first error of a backup that failed in part from the object store, by a DownloadRequest of Velero's
    #[arg(long, env = "READ_BACKUP_ERRORS", requires = "velero_namespace")]
    read_backup_errors: bool,
    /// What to log: a level, or levels per module
    #[arg(long, env = "LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to log
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

impl Controller {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        self.start_log()?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        let settings = Settings {
            health_address: self.health_address,
            metrics_address: self.metrics_address,
            limits: Limits {
                snapshots_in_flight: self.snapshots_in_flight.into(),
                deletions_in_flight: self.deletions_in_flight.into(),
                ..Limits::default()
            },
            floor_per_minute: self.snapshots_per_minute_at_least,
            calls_at_once: self.calls_at_once.into(),
            lease: self.lease,
            velero: self.velero_namespace.map(|namespace| VeleroSettings {
                namespace,
                cluster_name: self.cluster_name,
                read_errors: self.read_backup_errors,
            }),
            identity: identity(),
        };
        run(cluster.connect(Purpose::Watches).await?, settings, stop).await
    }

    fn start_log(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log)
            .with_context(|| format!("--log {:?} is no level or filter such as info or debug", self.log))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => {
                log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_target(false).init();
            }
            LogFormat::Json => log.json().init(),
        }
        Ok(())
    }
}

/// The pod's name for people, and something that no other process has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "agenttier-backup".to_owned());
    format!("{host}_{}", uuid::Uuid::new_v4())
}

/// Cancels on SIGTERM (Kubernetes) or SIGINT (Ctrl-C).
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen for signals; stopping");
        stop.cancel();
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("told to stop: ending what is under way");
    stop.cancel();
}
