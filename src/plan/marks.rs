//! The labels and annotations by which a recovery point is known.
//!
//! They are a contract with every object that an earlier release wrote: a key is
//! never renamed, only added to.

/// Who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on what we made.
pub const US: &str = "agenttier-backup";

/// AgentTier's own label on every snapshot that its backup loop or API makes, and on ours.
pub const SNAPSHOT_KIND: &str = "agenttier.io/snapshot-kind";
/// The value of [`SNAPSHOT_KIND`] for scheduled (and AgentTier's on-demand) backups.
pub const SCHEDULED_BACKUP: &str = "scheduled-backup";
/// The claim that a snapshot was taken of; a label value, so at most 63 characters.
pub const SOURCE_PVC: &str = "agenttier.io/source-pvc";
/// AgentTier's label on claims and snapshots that it manages, value `true`.
pub const MANAGED: &str = "agenttier.io/managed";
/// AgentTier's label on claims that wait in a warm pool, value `true`.
pub const POOLED: &str = "agenttier.io/pooled";
/// AgentTier's label on a clone's snapshot: the Sandbox that was cloned.
pub const SOURCE_SANDBOX: &str = "agenttier.io/source-sandbox";
/// AgentTier's label on a clone's snapshot: the Sandbox that it was made for.
pub const CLONE_TARGET: &str = "agenttier.io/clone-target";

/// The prefix of every label of Velero's.
pub const VELERO_PREFIX: &str = "velero.io/";
/// Velero leaves objects with this label (value `true`) out of its backups. Ours carry it:
/// before 1.17 Velero backed up every VolumeSnapshot that it found.
pub const VELERO_EXCLUDE: &str = "velero.io/exclude-from-backup";

/// UID of the claim whose data a recovery point holds.
pub const VOLUME_UID: &str = "backup.agenttier.io/volume-uid";
/// Full name of that claim, however long.
pub const CLAIM: &str = "backup.agenttier.io/claim";
/// Start of the slot that a recovery point was taken for (RFC 3339).
pub const SLOT: &str = "backup.agenttier.io/slot";
/// Name of the Sandbox that used the volume when the recovery point was taken.
pub const SANDBOX: &str = "backup.agenttier.io/sandbox";
/// UID of that Sandbox.
pub const SANDBOX_UID: &str = "backup.agenttier.io/sandbox-uid";
/// Name of the SandboxRecord, in the same namespace, of what that Sandbox was.
pub const RECORD: &str = "backup.agenttier.io/record";
/// Phase of that Sandbox at that moment.
pub const SANDBOX_PHASE: &str = "backup.agenttier.io/sandbox-phase";
/// A recovery point with this annotation, whatever its value, is never deleted.
pub const PINNED: &str = "backup.agenttier.io/pinned";
/// On what a restore made: the VolumeSnapshot that it was made from.
pub const RESTORED_FROM: &str = "backup.agenttier.io/restored-from";
/// On what a restore made: UID of that VolumeSnapshot.
pub const RESTORED_FROM_UID: &str = "backup.agenttier.io/restored-from-uid";
/// On what a restore made: the moment that the data is from (RFC 3339).
pub const RESTORED_DATA_OF: &str = "backup.agenttier.io/restored-data-of";
/// On what a restore made: the Sandbox whose spec was taken over.
pub const RESTORED_SANDBOX: &str = "backup.agenttier.io/restored-sandbox";
/// On what a restore made: UID of that Sandbox.
pub const RESTORED_SANDBOX_UID: &str = "backup.agenttier.io/restored-sandbox-uid";
