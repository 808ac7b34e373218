//! `crds`: the definitions of our kinds.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Cluster;
use super::output::{Format, Output};
use crate::api::crds;
use crate::crds::{Applied, Outcome, apply, manifest};

/// So many changes of one definition are told to a person.
const CHANGES: usize = 20;

/// Prints the CustomResourceDefinitions of this release, or brings a cluster's up to them.
///
/// Helm installs them once and never changes them: an upgrade of the chart runs `crds --apply` as
/// a Job before anything else. By hand it does the same. Fields and rules are brought up to this
/// release, no BackupPolicy is touched, and a definition of a newer release is never replaced.
///
/// Examples:
///   agenttier-backup crds                      # as YAML, without asking any cluster
///   agenttier-backup crds | kubectl apply --server-side --force-conflicts -f -
///   agenttier-backup crds --apply              # and says what changed
///   agenttier-backup crds --apply -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Crds {
    /// Apply them to the cluster (server-side), wait until it serves their kinds, and say what changed
    #[arg(long)]
    apply: bool,
    /// Give up after so many seconds; the same command goes on later
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "apply")]
    timeout: u64,
    #[command(flatten)]
    output: Output,
}

impl Crds {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        if !self.apply {
            return self.print();
        }
        let client = cluster.client().await?;
        let applied = apply(&client, Duration::from_secs(self.timeout)).await?;
        self.output.print(&applied, |applied| applied.iter().for_each(tell))
    }

    fn print(&self) -> anyhow::Result<()> {
        let manifests: Vec<_> = crds().iter().map(manifest).collect();
        if self.output.output == Format::Json {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
            println!("{}", serde_json::to_string_pretty(&list)?);
            return Ok(());
        }
        for manifest in &manifests {
            print!("---\n{}", serde_saphyr::to_string(manifest)?);
        }
        Ok(())
    }
}

fn tell(applied: &Applied) {
    let Applied { name, release, outcome } = applied;
    match outcome {
        Outcome::Created => println!("{name} created, of release {release}"),
        Outcome::Unchanged => println!("{name} is of release {release} already"),
        Outcome::Updated { from, changes } => {
            let from = from.as_ref().map(|from| format!(" from release {from}")).unwrap_or_default();
            println!("{name} updated{from} to release {release}");
            for change in changes.iter().take(CHANGES) {
                println!("  {change}");
            }
            let more = changes.len().saturating_sub(CHANGES);
            if more > 0 {
                println!("  and {more} more; -o json has them all");
            }
        }
    }
}
