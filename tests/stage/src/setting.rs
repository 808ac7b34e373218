//! A cluster with AgentTier's double and the product's chart in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use anyhow::{Context as _, Result};
use double::{Double, Options};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use testbed::{Cluster, Testbed};

/// The namespace that the chart is installed in, and the name of the release and of its ServiceAccount.
pub const NAMESPACE: &str = "agenttier-backup";

/// What a stage is made of.
#[derive(Debug)]
pub struct Cast {
    /// The `agenttier-backup` program.
    pub program: PathBuf,
    /// Fake nodes to begin with; they are called `node-0`, `node-1`, …
    pub nodes: u32,
    /// How AgentTier's double is set up.
    pub agenttier: Options,
}

/// A cluster, AgentTier's double, and the product as its chart installs it. Everything ends when it is dropped.
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// A client with all rights.
    pub client: Client,
    pub(crate) program: PathBuf,
    pub(crate) commands: AtomicU32,
    agenttier: Option<Double>,
}

impl Stage {
    /// Starts the cluster, AgentTier's double and installs the chart with its default values.
    ///
    /// # Errors
    /// When something does not come up; the error says what.
    pub async fn set(testbed: &Testbed, name: &str, cast: Cast) -> Result<Self> {
        let cluster = testbed.cluster(name).nodes(cast.nodes).start().await?;
        let client = cluster.client();
        double::install_crds(&client).await?;
        let agenttier = Double::start(client.clone(), cast.agenttier);
        let stage = Self {
            cluster,
            client,
            program: cast.program,
            commands: AtomicU32::new(0),
            agenttier: Some(agenttier),
        };
        stage.install(&[]).await?;
        Ok(stage)
    }

    /// Installs or upgrades the chart, with `--set` values on top of its defaults.
    ///
    /// # Errors
    /// When helm fails.
    pub async fn install(&self, values: &[&str]) -> Result<String> {
        let chart = chart().display().to_string();
        let mut args = vec!["upgrade", "--install", NAMESPACE, &chart];
        args.extend(["--namespace", NAMESPACE, "--create-namespace"]);
        for value in values {
            args.extend(["--set", value]);
        }
        self.cluster.helm(&args).await
    }

    /// Replaces AgentTier's double, as a restart of AgentTier with other settings does.
    pub async fn restart_agenttier(&mut self, options: Options) {
        if let Some(agenttier) = self.agenttier.take() {
            agenttier.shutdown().await;
        }
        self.agenttier = Some(Double::start(self.client.clone(), options));
    }

    /// Takes everything down and waits until it is gone.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn end(mut self) -> Result<()> {
        if let Some(agenttier) = self.agenttier.take() {
            agenttier.shutdown().await;
        }
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
