//! One moment's sight of the cluster.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::runtime::watcher;

use super::library::Library;
use crate::agenttier::Sandbox;
use crate::api::BackupPolicy;
use crate::csi::{VolumeSnapshot, VolumeSnapshotClass};

/// Everything that planning looks at. The order of the lists has no meaning.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// All claims.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// All volumes: they know their CSI driver.
    pub persistent_volumes: Vec<Arc<PersistentVolume>>,
    /// All Sandboxes.
    pub sandboxes: Vec<Arc<Sandbox>>,
    /// All VolumeSnapshots, ours and others.
    pub snapshots: Vec<Arc<VolumeSnapshot>>,
    /// All policies.
    pub policies: Vec<Arc<BackupPolicy>>,
    /// All namespaces: policies select them by label.
    pub namespaces: Vec<Arc<Namespace>>,
    /// All VolumeSnapshotClasses; `None` where whoever asks may not read them.
    pub classes: Option<Vec<Arc<VolumeSnapshotClass>>>,
    /// All VolumeAttachments: what is on a volume; `None` where they could not be read, or may be out of date. Then
    /// any volume may be attached, and nothing counts as unchanged.
    pub attachments: Option<Vec<Arc<VolumeAttachment>>>,
    /// The Deployments that may be AgentTier's controller.
    pub deployments: Vec<Arc<Deployment>>,
    /// Records of Sandboxes, and the templates that Sandboxes are made from.
    pub library: Library,
}

/// The kind of VolumeAttachments.
pub(super) const ATTACHMENTS: &str = "volumeattachments.storage.k8s.io";
/// The kind of namespaces.
pub const NAMESPACES: &str = "namespaces";
/// The kind of policies.
pub const POLICIES: &str = "backuppolicies.backup.agenttier.io";
/// The kind of Sandboxes.
pub(super) const SANDBOXES: &str = "sandboxes.agenttier.io";

impl Observed {
    /// Takes back what must not be concluded while these kinds may be out of date: that a volume is at rest. A Sandbox
    /// may have been started since, and its volume attached.
    pub fn doubt<'k>(&mut self, stale: impl IntoIterator<Item = &'k str>) {
        if stale.into_iter().any(|kind| kind == ATTACHMENTS || kind == SANDBOXES) {
            self.attachments = None;
        }
    }
}

/// How watches read: pages of 500, so that a large cluster does not come in one piece.
pub(super) fn watch_config() -> watcher::Config {
    watcher::Config::default().page_size(500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_at_rest_while_sandboxes_or_attachments_may_be_out_of_date() {
        let is_told_after = |stale: &[&str]| {
            let mut observed = Observed { attachments: Some(vec![]), ..Observed::default() };
            observed.doubt(stale.iter().copied());
            observed.attachments.is_some()
        };
        assert!(is_told_after(&[]));
        assert!(is_told_after(&["namespaces", "deployments.apps"]));
        assert!(!is_told_after(&["namespaces", "sandboxes.agenttier.io"]));
        assert!(!is_told_after(&["volumeattachments.storage.k8s.io"]));
    }
}
