//! The one builder of Kubernetes clients.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::deadline::CALL_DEADLINE;
use crate::server_clock::ServerClock;

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Calls that are answered: one that hears nothing for 30 s fails.
    Calls,
    /// Watches too, which may be silent for long: calls are given their deadline where they are made.
    Watches,
}

/// A client, and what its answers tell of the API server's clock.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The clock.
    pub clock: ServerClock,
}

/// Connects as the given kubeconfig says, else as `KUBECONFIG`, `~/.kube/config` or the pod's
/// ServiceAccount say.
///
/// # Errors
/// When no configuration is found or it cannot be read.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    purpose: Purpose,
) -> anyhow::Result<Connection> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = if let Some(path) = kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path)
            .with_context(|| format!("cannot read kubeconfig {}", path.display()))?;
        Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("cannot use kubeconfig {}", path.display()))?
    } else if context.is_some() {
        Config::from_kubeconfig(&options).await.context("cannot use the kubeconfig")?
    } else {
        Config::infer()
            .await
            .context("no cluster to talk to: give --kubeconfig, set KUBECONFIG, or run in a pod")?
    };
    // The transport must not send a write twice: what to do after a failure is decided above it, by the next
    // pass, which looks at what exists first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = (purpose == Purpose::Calls).then_some(CALL_DEADLINE);
    // A connection that has been idle for a while has not been silent for that while.
    config.reset_reader_on_write = true;
    let clock = ServerClock::default();
    let builder = ClientBuilder::try_from(config).context("cannot build a Kubernetes client")?;
    Ok(Connection { client: builder.with_layer(&clock).build(), clock })
}
