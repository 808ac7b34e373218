//! What the planner knows of one volume.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Amendments, FAILED_AFTER, Overrides, Ownership, Retention};

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

/// Where a volume's claim stands: as `status.phase` has it, or why that no longer matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ClaimPhase {
    /// Not bound yet (also before Kubernetes has written any phase).
    Pending,
    /// Bound to a volume.
    Bound,
    /// Its volume is gone.
    Lost,
    /// There is no claim of this UID: the volume is known from recovery points of ours alone.
    Gone,
    /// The claim is there, but it is no Sandbox's workspace any more.
    Abandoned,
}

/// What AgentTier's own backup loop does with a volume. It works in one namespace, takes snapshots of every claim that is
/// labelled `agenttier.io/managed=true`, and deletes by age whatever carries its label, ours too (AgentTier 0.8, its
/// backup controller).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum AgentTierLoop {
    /// It is not turned on, or works elsewhere.
    #[default]
    Off,
    /// It takes none of this volume, but sweeps through its namespace.
    Sweeps,
    /// It takes snapshots of this volume, and sweeps.
    Covers,
}

impl AgentTierLoop {
    /// Whether what carries AgentTier's label is deleted by age.
    #[must_use]
    pub fn sweeps(self) -> bool {
        self != Self::Off
    }
}

/// The Sandbox that a volume belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxRef {
    /// Its name, in the volume's namespace.
    pub name: String,
    /// Its UID: one that is made again under its name is another one.
    pub uid: String,
    /// Its `status.phase`; empty before AgentTier's first word.
    pub phase: String,
    /// Its `status.lastActivityTimestamp`. AgentTier sets it on entering Running alone: the same value, and Stopped,
    /// at two times means that it did not run in between.
    pub last_activity: Option<Timestamp>,
    /// The record of what it is now, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What its annotations ask for.
    #[serde(skip)]
    pub overrides: Overrides,
}

/// One workspace volume with every VolumeSnapshot that was taken of its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts read off objects, each by itself")]
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
    /// When the claim was created; of one that is gone, when its oldest recovery point was.
    pub created: Timestamp,
    /// CSI driver of the bound volume; `None` while unbound or when it is not a CSI volume.
    pub driver: Option<String>,
    /// Several nodes can write to it at once (ReadWriteMany).
    pub shared: bool,
    /// A VolumeAttachment is on it.
    pub attached: bool,
    /// What AgentTier's own backup loop does there.
    pub agenttier_loop: AgentTierLoop,
    /// The Sandbox that uses it, or that did and lives.
    pub sandbox: Option<SandboxRef>,
    /// A Sandbox owns it that cannot be seen: it may ask for something by its annotations.
    pub owner_unseen: bool,
    /// The claim that its Sandbox uses by now in place of this one. A warm pool can do that on a resume, and leaves
    /// the work behind.
    pub switched_to: Option<String>,
    /// Every VolumeSnapshot whose source is a claim of this name in this namespace, whoever made it; but of a
    /// volume whose claim is gone or abandoned, those that we made of it.
    pub points: Vec<RecoveryPoint>,
    /// The names of all VolumeSnapshots in the namespace, whosoever they are: none of them can be
    /// given again.
    pub taken_names: Arc<BTreeSet<String>>,
}

/// One VolumeSnapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts read off an object, each by itself")]
pub struct RecoveryPoint {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as last seen.
    pub version: String,
    /// Who made it, and of which volume.
    pub ownership: Ownership,
    /// Name of the Sandbox that used the volume then, where it says so.
    pub sandbox: Option<String>,
    /// UID of that Sandbox, where it says so.
    pub sandbox_uid: Option<String>,
    /// It was taken at rest: the Sandbox had last been active at that time, and neither a pod nor an attachment was on
    /// the volume.
    pub at_rest_since: Option<Timestamp>,
    /// It was taken after the Sandbox had been switched to another volume.
    pub after_switch: bool,
    /// When the Sandbox was found gone, where it says so.
    pub gone_since: Option<Timestamp>,
    /// The policy that it was taken under, where it says so.
    pub policy: Option<String>,
    /// The retention that was in force when it was taken, where it says so.
    pub retention: Option<Retention>,
    /// Those that came into force while no newer one was taken, where it says so.
    pub amendments: Amendments,
    /// Its class keeps the storage's snapshot when the object is deleted.
    pub class_retains: bool,
    /// It carries the label by which AgentTier's sweep would take it for one of its own.
    pub looks_like_agenttiers: bool,
    /// Start of the slot that it was taken for, where it says so.
    pub slot: Option<Timestamp>,
    /// When the object was created, by the API server's clock.
    pub created: Timestamp,
    /// When the storage cut the data (`status.creationTime`), by the storage's clock.
    pub cut: Option<Timestamp>,
    /// `status.readyToUse`.
    pub ready: bool,
    /// The message of `status.error`, where set.
    pub error: Option<String>,
    /// Its deletionTimestamp: since when it is being deleted.
    pub deleting_since: Option<Timestamp>,
    /// Somebody pinned it.
    pub pinned: bool,
    /// What still reads from it, for example a claim that is being filled.
    pub readers: BTreeSet<String>,
}

impl RecoveryPoint {
    /// The moment that its data is from.
    ///
    /// The storage's clock is believed only where it can be right: the cut cannot come before
    /// the order for it, nor lie in the future, nor so late that the snapshot had failed before.
    #[must_use]
    pub fn taken_at(&self, now: Timestamp) -> Timestamp {
        self.believable(self.cut).filter(|cut| *cut <= now).unwrap_or(self.created)
    }

    /// The latest moment whose slot it covers: its data's, or the start of the slot that it was taken for,
    /// which counts even where the storage's or the API server's clock says that it was cut before.
    ///
    /// A slot that has not begun is not covered: a clock was wrong when it was written.
    pub(crate) fn covers(&self, now: Timestamp) -> Timestamp {
        let taken_at = self.taken_at(now);
        self.believable(self.slot).filter(|slot| *slot <= now).map_or(taken_at, |slot| slot.max(taken_at))
    }

    /// When [`taken_at`](Self::taken_at) or [`covers`](Self::covers) change by time alone.
    pub(crate) fn dates_change_at(&self, now: Timestamp) -> Option<Timestamp> {
        [self.cut, self.slot].into_iter().filter_map(|at| self.believable(at)).filter(|at| *at > now).min()
    }

    /// A moment that the point was given by another clock than the API server's, where that can be right.
    fn believable(&self, at: Option<Timestamp>) -> Option<Timestamp> {
        let latest = self.created.checked_add(FAILED_AFTER).unwrap_or(Timestamp::MAX);
        at.filter(|at| (self.created..=latest).contains(at))
    }

    /// It is being deleted.
    #[must_use]
    pub fn terminating(&self) -> bool {
        self.deleting_since.is_some()
    }

    /// Made by us, of the volume with this UID.
    #[must_use]
    pub fn is_ours_of(&self, volume: &VolumeUid) -> bool {
        matches!(&self.ownership, Ownership::Ours { volume: held } if held == volume)
    }
}
