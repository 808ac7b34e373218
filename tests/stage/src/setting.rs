//! A cluster with AgentTier's double and the product's chart in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use agenttier_backup::api::BackupPolicy;
use anyhow::{Context as _, Result};
use double::{Double, Options};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use testbed::{Cluster, Testbed, until};

/// Where [`Stage::set`] installs the chart: the name of the release, of its namespace and its ServiceAccount.
pub const NAMESPACE: &str = "agenttier-backup";

/// How long the API server may take to serve a kind that the chart has brought.
const SERVED: Duration = Duration::from_mins(5);

/// What a stage is made of.
#[derive(Debug)]
pub struct Cast {
    /// The `agenttier-backup` program.
    pub program: PathBuf,
    /// Fake nodes to begin with; they are called `node-1`, `node-2`, …
    pub nodes: u32,
    /// How AgentTier's double is set up.
    pub agenttier: Options,
}

/// A cluster, AgentTier or its double, and the product as its chart installs it. What is ours ends when it is
/// dropped.
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// A client with all rights.
    pub client: Client,
    pub(crate) program: PathBuf,
    pub(crate) commands: AtomicU32,
    release: &'static str,
    agenttier: Option<Double>,
}

impl Stage {
    /// Starts the cluster, AgentTier's double and installs the chart with its default values.
    ///
    /// # Errors
    /// When something does not come up; the error says what.
    pub async fn set(testbed: &Testbed, name: &str, cast: Cast) -> Result<Self> {
        let cluster = Box::pin(testbed.cluster(name).nodes(cast.nodes).start()).await?;
        Box::pin(Self::set_on(cluster, cast)).await
    }

    /// The same on a cluster that runs and has nothing of it yet; its nodes are as they are.
    ///
    /// # Errors
    /// When something does not come up; the error says what.
    pub async fn set_on(cluster: Cluster, cast: Cast) -> Result<Self> {
        let mut stage = Self::on(cluster, cast.program, NAMESPACE);
        double::install_crds(&stage.client).await?;
        stage.restart_agenttier(cast.agenttier).await;
        stage.install(&[]).await?;
        let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
        // The first to ask for a new kind are put off.
        until("the API server lists policies", SERVED, || async {
            Ok(policies.list(&ListParams::default()).await.ok().map(drop))
        })
        .await?;
        Ok(stage)
    }

    /// A cluster as it is, with nothing installed yet. `release` is the name that the chart's release will have,
    /// and of its namespace and its ServiceAccount.
    #[must_use]
    pub fn on(cluster: Cluster, program: PathBuf, release: &'static str) -> Self {
        let client = cluster.client();
        Self { cluster, client, program, commands: AtomicU32::new(0), release, agenttier: None }
    }

    /// The name of the chart's release, its namespace and its ServiceAccount.
    #[must_use]
    pub fn release(&self) -> &'static str {
        self.release
    }

    /// Installs or upgrades the chart, with `--set` values on top of its defaults.
    ///
    /// # Errors
    /// When helm fails.
    pub async fn install(&self, values: &[&str]) -> Result<String> {
        let chart = chart().display().to_string();
        let mut args = vec!["upgrade", "--install", self.release, &chart];
        args.extend(["--namespace", self.release, "--create-namespace"]);
        // No kubelet would run the Job that upgrades the CRDs; they are of this chart anyway.
        args.extend(["--set", "crds.upgrade=false"]);
        for value in values {
            args.extend(["--set", value]);
        }
        self.cluster.helm(&args).await
    }

    /// Starts AgentTier's double, in place of the one that there may be: as a restart of AgentTier with other
    /// settings does.
    pub async fn restart_agenttier(&mut self, options: Options) {
        self.stop_agenttier().await;
        self.agenttier = Some(Double::start(self.client.clone(), options));
    }

    /// Stops AgentTier's double, if it runs.
    pub async fn stop_agenttier(&mut self) {
        if let Some(agenttier) = self.agenttier.take() {
            agenttier.shutdown().await;
        }
    }

    /// Takes everything that is ours down and waits until it is gone: of a cluster that was joined, our processes.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn end(mut self) -> Result<()> {
        self.stop_agenttier().await;
        self.cluster.stop().await
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("create {name}"))?;
        Ok(())
    }
}

/// The chart's folder.
fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chart")
}
