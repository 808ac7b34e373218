//! The command line: one file per subcommand.

mod controller;
mod list;
mod output;
mod plan;
mod restore;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use kube::Client;

use crate::client::connect;

/// Makes every AgentTier sandbox workspace recoverable.
///
/// The controller takes CSI snapshots of all workspace volumes on an interval and prunes them by
/// retention, as BackupPolicy objects say. The other commands look and restore; they need no more than your
/// own rights in the cluster.
#[derive(Debug, Parser)]
#[command(name = "agenttier-backup", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller (what the chart's Deployment does)
    Controller(controller::Controller),
    /// Show what the controller would do now, what is kept, and why
    Plan(plan::Plan),
    /// List the recovery points
    List(list::List),
    /// Restore a sandbox's workspace from a recovery point into a new sandbox
    Restore(restore::Restore),
}

/// Which cluster to talk to.
#[derive(Debug, Args)]
struct Cluster {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
}

/// Which namespaces to look at.
#[derive(Debug, Args)]
struct Scope {
    /// Only this namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
}

impl Scope {
    fn includes(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|only| only == namespace)
    }
}

impl Cluster {
    async fn client(&self) -> anyhow::Result<Client> {
        connect(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}

/// Parses the arguments, runs the command, reports an error with its causes.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Controller(command) => command.run(&cli.cluster).await,
        Command::Plan(command) => command.run(&cli.cluster).await,
        Command::List(command) => command.run(&cli.cluster).await,
        Command::Restore(command) => command.run(&cli.cluster).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
