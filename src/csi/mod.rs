//! What the CSI snapshotter owns: the VolumeSnapshot and VolumeSnapshotClass kinds.
//!
//! Source: kubernetes-csi/external-snapshotter, API `snapshot.storage.k8s.io/v1`.

mod volume_snapshot;
mod volume_snapshot_class;

pub use volume_snapshot::{
    GROUP, SnapshotError, SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec, VolumeSnapshotStatus,
};
pub use volume_snapshot_class::{IS_DEFAULT_CLASS, VolumeSnapshotClass};
