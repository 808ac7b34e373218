//! `unpin`: a recovery point that may go again.

use clap::Args;

use super::Cluster;
use super::output::Output;
use crate::pin::{Pin, unpin};

/// Takes the pin off a recovery point: from then on retention decides again, and may prune it at once.
///
/// Examples:
///   agenttier-backup unpin s1-workspace-backup-1760000000 -n team-a
///   agenttier-backup plan -n team-a                    # what becomes of it now
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Unpin {
    /// The recovery point (a VolumeSnapshot)
    snapshot: String,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Unpin {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = cluster.client().await?;
        let namespace = self.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let pin = unpin(&client, &namespace, &self.snapshot).await?;
        self.output.print(&pin, print)
    }
}

fn print(pin: &Pin) {
    let Pin { namespace, snapshot, changed, .. } = pin;
    if *changed {
        println!("{namespace}/{snapshot} is not pinned any more: retention decides");
    } else {
        println!("{namespace}/{snapshot} was not pinned");
    }
}
