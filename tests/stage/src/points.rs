//! The recovery points that there are, read from the API server and not from the product.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup::csi::VolumeSnapshot;
use anyhow::{Result, ensure};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::Stage;

/// All VolumeSnapshots of a namespace.
#[derive(Debug, Clone)]
pub struct Points(pub Vec<VolumeSnapshot>);

impl Stage {
    /// Lists them.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn points(&self, namespace: &str) -> Result<Points> {
        let api: Api<VolumeSnapshot> = Api::namespaced(self.client.clone(), namespace);
        Ok(Points(api.list(&ListParams::default()).await?.items))
    }
}

impl Points {
    /// Those that say they are the product's. The marks are written out: the product's own word for what is
    /// its own proves nothing here.
    #[must_use]
    pub fn ours(&self) -> Self {
        let ours = |point: &&VolumeSnapshot| {
            point.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "agenttier-backup")
                && point.annotations().contains_key("backup.agenttier.io/volume-uid")
        };
        Self(self.0.iter().filter(ours).cloned().collect())
    }

    /// Those of one claim.
    #[must_use]
    pub fn of(&self, claim: &str) -> Self {
        let of = |point: &&VolumeSnapshot| {
            point.spec.source.persistent_volume_claim_name.as_deref() == Some(claim)
        };
        Self(self.0.iter().filter(of).cloned().collect())
    }

    /// Those that can be restored from.
    #[must_use]
    pub fn ready(&self) -> Self {
        let ready = |point: &&VolumeSnapshot| point.is_ready() && point.metadata.deletion_timestamp.is_none();
        Self(self.0.iter().filter(ready).cloned().collect())
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.0.iter().map(ResourceExt::name_any).collect()
    }

    /// When the storage cut the newest.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let cut = |point: &VolumeSnapshot| Some(point.status.as_ref()?.creation_time.as_ref()?.0);
        self.0.iter().filter_map(cut).max()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Checks that no slot of a volume was served twice.
    ///
    /// # Errors
    /// Names the first slot that was.
    pub fn one_per_slot(&self) -> Result<()> {
        let mut seen: BTreeMap<(String, String), String> = BTreeMap::new();
        for point in &self.0 {
            let mark = |key: &str| point.annotations().get(key).cloned().unwrap_or_default();
            let slot = (mark("backup.agenttier.io/volume-uid"), mark("backup.agenttier.io/slot"));
            if let Some(other) = seen.insert(slot, point.name_any()) {
                ensure!(false, "{other} and {} are of one volume and one slot", point.name_any());
            }
        }
        Ok(())
    }
}
