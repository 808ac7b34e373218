//! `pin`: a recovery point that stays.

use clap::{ArgGroup, Args};

use super::Cluster;
use super::output::Output;
use crate::pin::{Pin as Pinned, newest_of, pin};

/// Pins a recovery point: whatever its age, it is never pruned until it is unpinned.
///
/// The pin is the annotation backup.agenttier.io/pinned on the VolumeSnapshot. What agenttier-backup
/// did not make cannot be pinned: it is never pruned anyway, and whoever made it knows of no pins.
/// Deleting a pinned one by hand is still possible.
///
/// Examples:
///   agenttier-backup pin s1-workspace-backup-1760000000 -n team-a --reason before-upgrade
///   agenttier-backup pin --sandbox s1 -n team-a        # its newest ready one
///   agenttier-backup list s1 -n team-a                 # shows what is pinned, and why
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, group(ArgGroup::new("point").required(true).args(["snapshot", "sandbox"])))]
pub(super) struct Pin {
    /// The recovery point (a VolumeSnapshot)
    snapshot: Option<String>,
    /// The newest ready recovery point of this sandbox
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Why, for whoever wonders later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Pin {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = cluster.client().await?;
        let namespace = self.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let name = match (self.snapshot, self.sandbox) {
            (Some(name), _) => name,
            (None, sandbox) => newest_of(&client, &namespace, &sandbox.unwrap_or_default()).await?,
        };
        let pinned = pin(&client, &namespace, &name, self.reason.as_deref()).await?;
        self.output.print(&pinned, print)
    }
}

fn print(pin: &Pinned) {
    let Pinned { namespace, snapshot, reason, changed, .. } = pin;
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let already = if *changed { "" } else { " already" };
    println!("{namespace}/{snapshot} is pinned{already}{reason}: it is never pruned");
}
