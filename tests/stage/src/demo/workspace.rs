//! The files of a sandbox, wherever its volume is.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use stage::Stage;
use testbed::{PodFolder, Tree, Volume};

use super::venue::Venue;

/// A way to the files.
pub(super) enum Workspace {
    /// The volume is a directory on this machine.
    Here(Volume),
    /// By commands in the sandbox's pod, in a folder of our own: AgentTier and the image may keep things beside it.
    InPod(Box<PodFolder>),
}

/// The folder of our own.
const FOLDER: &str = "agenttier-backup-demo";

impl Workspace {
    /// The workspace of a running sandbox.
    pub(super) async fn of(stage: &Stage, venue: &Venue, claim: &str, pod: &str) -> Result<Self> {
        let namespace = venue.namespace();
        if venue.has_files_here() {
            return Ok(Self::Here(stage.cluster.volume(namespace, claim).await?));
        }
        let folder = stage.cluster.folder_in_pod(namespace, pod, claim, FOLDER).await?;
        Ok(Self::InPod(Box::new(folder)))
    }

    pub(super) async fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        match self {
            Self::Here(volume) => volume.write(path, content),
            Self::InPod(folder) => folder.write(path, content).await,
        }
    }

    /// Makes a symbolic link at the top.
    pub(super) async fn link(&self, name: &str, target: &str) -> Result<()> {
        match self {
            Self::Here(volume) => {
                symlink(target, volume.path().join(name)).with_context(|| format!("link {name}"))
            }
            Self::InPod(folder) => folder.link(name, target).await,
        }
    }

    /// Lists everything, with hashes of all content.
    pub(super) async fn tree(&self) -> Result<Tree> {
        match self {
            Self::Here(volume) => volume.tree(),
            Self::InPod(folder) => folder.tree().await,
        }
    }
}
