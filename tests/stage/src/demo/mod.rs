//! The acceptance check as a story: kill the node that hosts a sandbox, and bring its work back; then kill the cluster.

mod away;
mod belongings;
mod death;
mod first_look;
mod guest;
mod installation;
mod offsite;
mod outside;
mod own;
mod recovery;
mod screen;
mod stop;
mod story;
mod venue;
mod work;
mod workspace;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use stop::Stop;

/// A sandbox's node dies, its work comes back: on a real control plane of its own, or on yours.
///
/// AgentTier runs two sandboxes that write files, the chart is installed, recovery points appear and old ones
/// are pruned. Then the node of one sandbox dies with its volume attached, and the sandbox is restored beside
/// it. Its files are compared byte by byte.
///
/// Without --kubeconfig a cluster comes up on this machine for the time of the story: a real control plane with
/// real snapshots, on which AgentTier and the nodes are played, and a warm pool of empty volumes lies in wait for
/// the restore. Then Velero comes, with an S3 store: the controller keeps its Schedules, a backup is taken, every
/// process of the cluster is killed, and Velero brings the volumes back in another cluster. The first run builds the
/// components from their Go modules (Go 1.26 or newer), which takes some minutes, Velero while the story begins; they
/// are kept for later runs.
///
/// With --kubeconfig the story is played on that cluster, with the AgentTier that is installed there, and needs
/// the rights of an administrator. It looks first, and says what is missing. All that it makes is in the namespace
/// agenttier-backup-demo, or bears that name: it touches nobody else's sandboxes, and takes everything away at the
/// end, after a failure, and at Ctrl-C. On real machines it asks you to kill one node. Nobody is asked on nodes
/// that kwok plays. Velero plays no part there.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Play on the cluster that this file's current context leads to
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Play AgentTier there as well, where it is not installed; its CRDs come and go with the story
    #[arg(long, requires = "kubeconfig")]
    with_double: bool,
    /// Leave everything running at the end, until Ctrl-C; the cluster is not lost then, the other one comes up beside it
    #[arg(long)]
    keep: bool,
}

const EXAMPLES: &str = "Examples:
  cargo demo
  cargo demo --keep                                   # then look around with kubectl
  cargo demo --kubeconfig ~/.kube/config              # on a cluster with AgentTier

To try that on a cluster without AgentTier, such as one of the testbed's:
  cargo run -p testbed -- up --nodes 3                # says where its kubeconfig is
  cargo demo --kubeconfig FILE --with-double          # in another terminal";

impl Demo {
    pub(crate) async fn run(self) -> Result<()> {
        let mut stop = Stop::listen()?;
        match self.kubeconfig {
            None => own::play(self.keep, &mut stop).await,
            Some(kubeconfig) => guest::play(&kubeconfig, self.with_double, self.keep, &mut stop).await,
        }
    }
}
