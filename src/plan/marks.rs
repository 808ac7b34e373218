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
/// The retention that was in force when a recovery point was taken.
pub const RETENTION: &str = "backup.agenttier.io/retention";
/// Name of the BackupPolicy that a recovery point was taken under.
pub const POLICY: &str = "backup.agenttier.io/policy";
/// On a recovery point: retentions that came into force while no newer one was taken.
pub const RETENTION_CHANGES: &str = "backup.agenttier.io/retention-changes";
/// On a recovery point that was taken at rest: when its Sandbox had last been active (RFC 3339).
pub const AT_REST_SINCE: &str = "backup.agenttier.io/at-rest-since";
/// On a recovery point of a volume that its Sandbox had been switched away from, value `true`.
pub const AFTER_SWITCH: &str = "backup.agenttier.io/after-switch";
/// On a recovery point whose Sandbox is gone: when that was found (RFC 3339).
pub const GONE_SINCE: &str = "backup.agenttier.io/gone-since";
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

/// On a Sandbox: `false` takes its workspace out of backup.
pub const OVERRIDE_ENABLED: &str = "backup.agenttier.io/enabled";
/// On a Sandbox: the time between two recovery points, such as `1h`.
pub const OVERRIDE_INTERVAL: &str = "backup.agenttier.io/interval";
/// On a Sandbox: how long recovery points are kept, such as `30d`. On a recovery point it is [`RETENTION`].
pub const OVERRIDE_RETENTION: &str = "backup.agenttier.io/retention";
/// On a Sandbox: so many of the newest recovery points stay.
pub const OVERRIDE_KEEP_LAST: &str = "backup.agenttier.io/keep-last";

/// On a BackupPolicy: when somebody confirmed that a mass deletion is meant (RFC 3339). It holds for 24 h.
pub const DELETIONS_CONFIRMED: &str = "backup.agenttier.io/deletions-confirmed";
