//! What the planner knows of one volume.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::Ownership;

/// UID of a PersistentVolumeClaim. A re-created sandbox has another one: it is another volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VolumeUid(String);

impl VolumeUid {
    /// Takes the UID as Kubernetes gives it.
    pub fn new(uid: impl Into<String>) -> Self {
        Self(uid.into())
    }

    /// The UID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a claim stands, as `status.phase` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ClaimPhase {
    /// Not bound yet (also before Kubernetes has written any phase).
    Pending,
    /// Bound to a volume.
    Bound,
    /// Its volume is gone.
    Lost,
}

/// The Sandbox that a volume belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SandboxRef {
    /// Its name, in the volume's namespace.
    pub name: String,
    /// Its `status.phase`; empty before AgentTier's first word.
    pub phase: String,
}

/// One workspace volume with every VolumeSnapshot that was taken of its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// UID of the claim.
    pub uid: VolumeUid,
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// Where the claim stands.
    pub phase: ClaimPhase,
    /// The claim has a deletionTimestamp.
    pub terminating: bool,
    /// When the claim was created.
    pub created: Timestamp,
    /// CSI driver of the bound volume; `None` while unbound or when it is not a CSI volume.
    pub driver: Option<String>,
    /// The Sandbox that uses it, if one does.
    pub sandbox: Option<SandboxRef>,
    /// Every VolumeSnapshot whose source is a claim of this name in this namespace, whoever
    /// made it and whichever volume (UID) it holds.
    pub points: Vec<RecoveryPoint>,
    /// The names of all VolumeSnapshots in the namespace, whosoever they are: none of them can be
    /// given again.
    pub taken_names: Arc<BTreeSet<String>>,
}

/// One VolumeSnapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as last seen.
    pub version: String,
    /// Who made it, and of which volume.
    pub ownership: Ownership,
    /// Start of the slot that it was taken for, where it says so.
    pub slot: Option<Timestamp>,
    /// When the object was created, by the API server's clock.
    pub created: Timestamp,
    /// When the storage cut the data (`status.creationTime`), by the storage's clock.
    pub cut: Option<Timestamp>,
    /// `status.readyToUse`.
    pub ready: bool,
    /// `status.error`, where set.
    pub error: Option<String>,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// Somebody pinned it.
    pub pinned: bool,
    /// What still reads from it, for example a claim that is being filled.
    pub readers: BTreeSet<String>,
}

impl RecoveryPoint {
    /// The moment that its data is from.
    ///
    /// The storage's clock is believed only where it can be right: the cut cannot come before
    /// the order for it, nor lie in the future.
    #[must_use]
    pub fn taken_at(&self, now: Timestamp) -> Timestamp {
        self.cut.filter(|cut| (self.created..=now).contains(cut)).unwrap_or(self.created)
    }

    /// Made by us, of the volume with this UID.
    #[must_use]
    pub fn is_ours_of(&self, volume: &VolumeUid) -> bool {
        matches!(&self.ownership, Ownership::Ours { volume: held } if held == volume)
    }
}
