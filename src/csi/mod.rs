//! What the CSI snapshotter owns: the VolumeSnapshot kind.
//!
//! Source: kubernetes-csi/external-snapshotter, API `snapshot.storage.k8s.io/v1`.

mod volume_snapshot;

pub use volume_snapshot::{
    GROUP, SnapshotError, SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec, VolumeSnapshotStatus,
};
