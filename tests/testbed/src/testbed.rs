//! The entry: everything built, ready to start clusters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::cluster::ClusterPlan;
use crate::forge::Toolbox;
use crate::object_store::ObjectStore;
use crate::progress::Progress;

/// Everything that clusters are made of, found or built; Velero and rclone when
/// they are asked for.
#[derive(Debug, Clone)]
pub struct Testbed {
    toolbox: Arc<Toolbox>,
}

impl Testbed {
    /// Finds or builds all components but Velero's and rclone. The first time on a machine this takes
    /// minutes, later a fraction of a second; within a process it happens once.
    ///
    /// # Errors
    /// When the Go toolchain is missing (it says what to install) or a build
    /// fails (with the end of its output).
    pub async fn prepare(progress: &dyn Progress) -> Result<Self> {
        static TOOLBOX: OnceCell<Arc<Toolbox>> = OnceCell::const_new();
        let toolbox =
            TOOLBOX.get_or_try_init(|| async { Toolbox::fill(progress).await.map(Arc::new) }).await?;
        Ok(Self { toolbox: Arc::clone(toolbox) })
    }

    /// The same for [`ClusterPlan::join`] alone: helm and our supervisor, and
    /// not the components of a control plane.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub async fn prepare_to_join(progress: &dyn Progress) -> Result<Self> {
        Ok(Self { toolbox: Arc::new(Toolbox::fill_for_joining(progress).await?) })
    }

    /// A cluster to be started or joined. The name is for people: folders and logs of
    /// clusters do not mix, whatever they are called.
    #[must_use]
    pub fn cluster(&self, name: &str) -> ClusterPlan {
        ClusterPlan::new(Arc::clone(&self.toolbox), name)
    }

    /// Finds or builds Velero's server and its plugin. The first time on a
    /// machine this takes minutes. [`Velero::start_server`] does it as well, so
    /// this is for those who want to have it under way early.
    ///
    /// [`Velero::start_server`]: crate::Velero::start_server
    ///
    /// # Errors
    /// When a build fails (with the end of its output).
    pub async fn build_velero(&self, progress: &dyn Progress) -> Result<()> {
        self.toolbox.on_demand.velero(progress).await.map(drop)
    }

    /// The folder with the CRDs that Velero publishes, a file each. They come
    /// without a build, at most with a download.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn velero_crds(&self) -> Result<PathBuf> {
        self.toolbox.on_demand.velero_crds().await.map(Path::to_owned)
    }

    /// Finds or builds rclone with its local and its S3 backend, and the commands
    /// `sync` and `copy`. The first time on a machine this takes a minute or two.
    ///
    /// # Errors
    /// When the build fails (with the end of its output).
    pub async fn rclone(&self, progress: &dyn Progress) -> Result<PathBuf> {
        self.toolbox.on_demand.rclone(progress).await.map(Path::to_owned)
    }

    /// Starts an S3 server on loopback, for any number of clusters.
    ///
    /// # Errors
    /// When it does not come up, with the end of its log.
    ///
    /// # Panics
    /// Where only joining was prepared.
    pub async fn object_store(&self) -> Result<ObjectStore> {
        ObjectStore::start(&self.toolbox).await
    }

    /// The binary of a component, such as `kube-apiserver` or `dircsi-sanity`.
    ///
    /// # Panics
    /// When no component has that name.
    #[must_use]
    pub fn binary(&self, component: &str) -> &Path {
        self.toolbox.binary(component)
    }
}
