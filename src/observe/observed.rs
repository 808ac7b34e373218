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
    /// All VolumeAttachments: what is on a volume.
    pub attachments: Vec<Arc<VolumeAttachment>>,
    /// The Deployments that may be AgentTier's controller.
    pub deployments: Vec<Arc<Deployment>>,
    /// Records of Sandboxes, and the templates that Sandboxes are made from.
    pub library: Library,
}

/// How watches read: pages of 500, so that a large cluster does not come in one piece.
pub(super) fn watch_config() -> watcher::Config {
    watcher::Config::default().page_size(500)
}
