//! A cluster for a person to look at.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use testbed::Testbed;
use testbed::progress::Console;
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane with CSI snapshots, without containers.
///
/// etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
/// snapshot-controller and the CSI sidecars run as plain processes on loopback
/// ports. Volumes are directories; nodes are played by kwok, so pods "run"
/// without running anything. The first start builds the components with Go
/// (1.26 or newer), which takes minutes; they are kept in ~/.cache/testbed.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring a cluster up, and take it all down at Ctrl-C
    ///
    /// Leaves nothing behind, however this process ends. With TESTBED_KEEP=1
    /// in the environment the folder with logs and volumes stays.
    #[command(after_help = UP_EXAMPLES)]
    Up {
        /// A name for people; several clusters can be up at once
        #[arg(long, default_value = "testbed")]
        name: String,
        /// How many nodes pods can be scheduled to
        #[arg(long, default_value_t = 1)]
        nodes: u32,
        /// Keep the volumes in this folder, which another cluster may share
        #[arg(long, value_name = "FOLDER")]
        storage: Option<PathBuf>,
    },
    /// Only build the components, for instance while preparing a machine
    Build,
}

const UP_EXAMPLES: &str = "Examples:
  cargo run -p testbed -- up
  cargo run -p testbed -- up --name east --nodes 3
  cargo run -p testbed -- up --name west --storage /tmp/region   # and east with the same folder

In another terminal, with the KUBECONFIG that is printed:
  kubectl get nodes,storageclasses,volumesnapshotclasses
  kubectl label node node-1 alive-     # kills a node; `alive=true` revives it";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let testbed = Testbed::prepare(&Console::default()).await?;
    match arguments.command {
        Command::Build => {
            println!("All components are ready.");
            Ok(())
        }
        Command::Up { name, nodes, storage } => up(&testbed, &name, nodes, storage).await,
    }
}

async fn up(testbed: &Testbed, name: &str, nodes: u32, storage: Option<PathBuf>) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut plan = testbed.cluster(name).nodes(nodes);
    if let Some(storage) = storage {
        plan = plan.driver_root(std::path::absolute(&storage).context("find the storage folder")?);
    }
    let cluster = tokio::select! {
        cluster = plan.start() => cluster?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!("The cluster {name} is up at {}. In another terminal:\n", cluster.url());
    println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("  kubectl get nodes,storageclasses,volumesnapshotclasses\n");
    println!("Logs are in {}.", cluster.dir().join("log").display());
    println!("Volumes are in {}.", cluster.driver_root().display());
    println!("Ctrl-C takes it all down.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("Taking the cluster {name} down.");
    cluster.stop().await
}
