//! The acceptance check as a story: kill the node that hosts a sandbox, and bring its work back.

mod program;
mod screen;
mod story;
mod work;

use anyhow::Result;
use clap::Args;
use tokio::signal::ctrl_c;

/// Plays the product's main job on a real local control plane.
///
/// A cluster comes up, AgentTier's double runs two sandboxes that write files, the chart is installed, recovery
/// points appear and old ones are pruned. Then the node of one sandbox dies with its volume attached, and the
/// sandbox is restored beside it, with a warm pool of empty volumes lying in wait. Its files are compared byte
/// by byte.
///
/// The first run builds the control plane's components from their Go modules (Go 1.26 or newer), which takes
/// some minutes; they are kept for later runs.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Demo {
    /// Leave the cluster running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<()> {
        tokio::select! {
            told = story::tell(self.keep) => told,
            // Everything that was started ends with this process.
            stop = ctrl_c(), if !self.keep => stop.map_err(Into::into),
        }
    }
}
