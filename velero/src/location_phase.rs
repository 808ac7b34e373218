//! Whether a location can be used.

use serde::{Deserialize, Serialize};

/// Whether a location can be used.
///
/// It has no end: the server tries a BackupStorageLocation again and again, and sets this each time (its
/// backup-storage-location controller). Nothing in Velero 1.18 sets it on a VolumeSnapshotLocation.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum LocationPhase {
    /// It answered.
    Available,
    /// It did not answer, or makes no sense.
    Unavailable,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl LocationPhase {
    /// Whether it answered when it was last tried.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Available
    }
}
