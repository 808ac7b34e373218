//! A look at a person's cluster before anything is done there: what it has, and what is missing.

mod agenttier;
mod nodes;
mod occupants;
mod rights;
mod storage;

use std::fmt;

use anyhow::{Context as _, Result, bail};
use kube::Client;

pub(super) use agenttier::AgentTier;
pub(super) use occupants::others;
pub(super) use storage::Storage;

/// What a cluster has that the story needs.
#[derive(Debug)]
pub(super) struct Look {
    /// Kubernetes' version.
    pub(super) version: String,
    /// How many nodes pods can be scheduled to.
    pub(super) nodes: usize,
    /// What the sandboxes are stored on and snapshotted with.
    pub(super) storage: Storage,
    /// Who does AgentTier's part.
    pub(super) agenttier: AgentTier,
    /// An earlier demo has left things behind.
    pub(super) has_leftovers: bool,
}

/// Something that is in the way, and how a person mends it.
#[derive(Debug)]
struct Problem {
    what: String,
    mend: String,
}

impl Look {
    /// Whether the files of volumes are on this machine.
    pub(super) fn has_files_here(&self) -> bool {
        self.storage.driver == testbed::DRIVER
    }
}

/// Looks at a cluster. Nothing is changed there.
///
/// # Errors
/// Lists all that is missing, each with how to mend it.
pub(super) async fn look(client: &Client, with_double: bool) -> Result<Look> {
    let mut problems = rights::missing(client).await?;
    // What may not be looked at cannot be judged.
    refuse(&problems)?;
    let version = client.apiserver_version().await?.git_version;
    let nodes = nodes::count(client, &mut problems).await?;
    let storage = storage::look(client, &mut problems).await?;
    let agenttier = agenttier::look(client, with_double, &mut problems).await?;
    let has_leftovers = occupants::look(client, &mut problems).await?;
    refuse(&problems)?;
    let storage = storage.context("without a problem there is storage")?;
    let agenttier = agenttier.context("without a problem there is somebody to do AgentTier's part")?;
    Ok(Look { version, nodes, storage, agenttier, has_leftovers })
}

fn refuse(problems: &[Problem]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = problems.iter().map(|problem| format!("  - {problem}")).collect();
    bail!("the story cannot be played on this cluster, which has not been touched:\n{}", list.join("\n"))
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\n    {}", self.what, self.mend)
    }
}

impl Problem {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}
