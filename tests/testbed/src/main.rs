//! A cluster for a person to look at.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use testbed::progress::Console;
use testbed::{Cluster, ObjectStore, Testbed, VeleroPlan};
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane with CSI snapshots, without containers.
///
/// etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
/// snapshot-controller and the CSI sidecars run as plain processes on loopback
/// ports. Volumes are directories; nodes are played by kwok, so pods "run"
/// without running anything. Velero and an S3 store join them with --velero.
/// The first start builds the components with Go (1.26 or newer), which takes
/// minutes; they are kept in ~/.cache/testbed.
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
    Up(Up),
    /// Only build the components, Velero's too, for instance while preparing a machine
    Build,
}

#[derive(Args)]
struct Up {
    /// A name for people; several clusters can be up at once
    #[arg(long, default_value = "testbed")]
    name: String,
    /// How many nodes pods can be scheduled to
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// Keep the volumes in this folder, which another cluster may share
    #[arg(long, value_name = "FOLDER")]
    storage: Option<PathBuf>,
    /// Install Velero, with an S3 store of its own
    #[arg(long)]
    velero: bool,
}

/// The bucket of `up --velero`.
const BUCKET: &str = "backups";

const UP_EXAMPLES: &str = "Examples:
  cargo run -p testbed -- up
  cargo run -p testbed -- up --name east --nodes 3
  cargo run -p testbed -- up --name west --storage /tmp/region   # and east with the same folder
  cargo run -p testbed -- up --velero

In another terminal, with the KUBECONFIG that is printed:
  kubectl get nodes,storageclasses,volumesnapshotclasses
  kubectl label node node-1 alive-     # kills a node; `alive=true` revives it";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let testbed = Testbed::prepare(&Console::default()).await?;
    match arguments.command {
        Command::Build => {
            testbed.build_velero(&Console::default()).await?;
            testbed.rclone(&Console::default()).await?;
            println!("All components are ready.");
            Ok(())
        }
        Command::Up(wanted) => up(&testbed, wanted).await,
    }
}

async fn up(testbed: &Testbed, wanted: Up) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (cluster, store) = tokio::select! {
        started = start(testbed, &wanted) => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!("The cluster {} is up at {}. In another terminal:\n", wanted.name, cluster.url());
    println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("  kubectl get nodes,storageclasses,volumesnapshotclasses\n");
    println!("Logs are in {}.", cluster.dir().join("log").display());
    println!("Volumes are in {}.", cluster.driver_root().display());
    if let Some(store) = &store {
        println!("Velero's backups are in {}.", store.bucket(BUCKET).display());
    }
    println!("Ctrl-C takes it all down.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("Taking the cluster {} down.", wanted.name);
    cluster.stop().await?;
    match store {
        Some(store) => store.stop().await,
        None => Ok(()),
    }
}

async fn start(testbed: &Testbed, wanted: &Up) -> Result<(Cluster, Option<ObjectStore>)> {
    if wanted.velero {
        // Before anything is up: it may take minutes.
        testbed.build_velero(&Console::default()).await?;
    }
    let mut plan = testbed.cluster(&wanted.name).nodes(wanted.nodes);
    if let Some(storage) = &wanted.storage {
        plan = plan.driver_root(std::path::absolute(storage).context("find the storage folder")?);
    }
    let cluster = plan.start().await?;
    if !wanted.velero {
        return Ok((cluster, None));
    }
    let store = testbed.object_store().await?;
    store.make_bucket(BUCKET)?;
    cluster.velero(VeleroPlan::new(&store, BUCKET)).install().await?;
    Ok((cluster, Some(store)))
}
