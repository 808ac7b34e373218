//! What is outside the story's cluster and outlives it: an object store, and another cluster.

use std::path::Path;

use anyhow::{Context as _, Result};
use testbed::progress::Progress;
use testbed::{Cluster, ObjectStore, Testbed, Velero, VeleroPlan};

/// The bucket of Velero's backups.
const BUCKET: &str = "backups";

/// The store and the other cluster, once the story has come to them.
pub(super) struct Outside {
    testbed: Testbed,
    /// Whether a person will look at the first cluster at the end of the story: then it is not to be lost.
    pub(super) spares_the_first: bool,
    store: Option<ObjectStore>,
    refuge: Option<Cluster>,
}

impl Outside {
    pub(super) fn new(testbed: Testbed, spares_the_first: bool) -> Self {
        Self { testbed, spares_the_first, store: None, refuge: None }
    }

    /// Waits until Velero is built.
    pub(super) async fn build_velero(&self, progress: &dyn Progress) -> Result<()> {
        self.testbed.build_velero(progress).await
    }

    /// Starts the store.
    pub(super) async fn open_store(&mut self) -> Result<()> {
        let store = self.store.insert(self.testbed.object_store().await?);
        store.make_bucket(BUCKET)?;
        Ok(())
    }

    pub(super) fn store(&self) -> Result<&ObjectStore> {
        self.store.as_ref().context("the object store is started before anybody asks for it")
    }

    /// A cluster's Velero, with the store that all share.
    pub(super) fn velero<'a>(&self, cluster: &'a Cluster) -> Result<Velero<'a>> {
        Ok(cluster.velero(VeleroPlan::new(self.store()?, BUCKET)))
    }

    /// The objects of a backup in the store: keys, and sizes in bytes.
    pub(super) fn objects_of(&self, backup: &str) -> Result<Vec<(String, u64)>> {
        let store = self.store()?;
        let keys = store.objects(BUCKET)?.into_iter().filter(|key| key.starts_with(&folder_of(backup)));
        let sized = keys.map(|key| {
            let size = std::fs::metadata(store.bucket(BUCKET).join(&key))?.len();
            Ok((key, size))
        });
        sized.collect()
    }

    /// An object of a backup, by the end of its key.
    pub(super) fn read(&self, backup: &str, object: &str) -> Result<Vec<u8>> {
        let path = self.store()?.bucket(BUCKET).join(folder_of(backup)).join(format!("{backup}{object}"));
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Starts the other cluster, on the storage of the first one.
    pub(super) async fn start_refuge(&mut self, storage: &Path) -> Result<()> {
        let refuge = self.testbed.cluster("refuge").driver_root(storage).start().await?;
        self.refuge = Some(refuge);
        Ok(())
    }

    pub(super) fn refuge(&self) -> Result<&Cluster> {
        self.refuge.as_ref().context("the other cluster is started before anybody asks for it")
    }

    /// Takes it all down, and waits until it is gone.
    pub(super) async fn end(self) -> Result<()> {
        let gone = match self.refuge {
            Some(refuge) => refuge.stop().await,
            None => Ok(()),
        };
        if let Some(store) = self.store {
            store.stop().await?;
        }
        gone
    }
}

/// Where a backup lies in the bucket.
fn folder_of(backup: &str) -> String {
    format!("backups/{backup}/")
}
