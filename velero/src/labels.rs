//! Keys of labels and annotations that Velero reads and writes.
//!
//! Where a value is a name, it is [`label_value`](crate::label_value) of it, but for [`SCHEDULE_NAME`].

/// Label of a Backup: its Schedule. Velero does not shorten the name: a longer one than 63 characters makes no backups.
pub const SCHEDULE_NAME: &str = "velero.io/schedule-name";

/// Label of a Backup: its BackupStorageLocation.
pub const STORAGE_LOCATION: &str = "velero.io/storage-location";

/// Label of what belongs to a backup, and of every object that was restored: the Backup.
pub const BACKUP_NAME: &str = "velero.io/backup-name";

/// Label of what belongs to a backup: the Backup's UID.
pub const BACKUP_UID: &str = "velero.io/backup-uid";

/// Label of what belongs to a restore, and of every object that was restored: the Restore.
pub const RESTORE_NAME: &str = "velero.io/restore-name";

/// Label of what belongs to a restore: the Restore's UID.
pub const RESTORE_UID: &str = "velero.io/restore-uid";

/// Label of a DataUpload: the UID of its claim.
pub const CLAIM_UID: &str = "velero.io/pvc-uid";

/// Label of a DataDownload and of results of DataUploads: `<namespace>.<name>` of the claim.
pub const CLAIM_NAMESPACE_NAME: &str = "velero.io/pvc-namespace-name";

/// Label of a DataUpload and a DataDownload: the operation that the server waits for.
pub const ASYNC_OPERATION_ID: &str = "velero.io/async-operation-id";

/// Label with the value `true`: the object is in no backup, whatever else chooses it.
pub const EXCLUDE_FROM_BACKUP: &str = "velero.io/exclude-from-backup";

/// Label with the value `true`: this VolumeSnapshotClass is taken for its driver. On a claim it is an annotation, with
/// the name of the class.
pub const VOLUME_SNAPSHOT_CLASS: &str = "velero.io/csi-volumesnapshot-class";

/// Annotation of a claim in a backup: its VolumeSnapshot.
pub const VOLUME_SNAPSHOT_NAME: &str = "velero.io/volume-snapshot-name";

/// Annotation of an object in a backup: whether its status is restored, whatever the Restore says.
pub const RESTORE_STATUS: &str = "velero.io/restore-status";
