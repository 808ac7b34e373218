//! What we own: the kinds of `backup.agenttier.io/v1alpha1`.

mod backup_policy;
mod crd;
mod namespace_selector;
mod period;
mod sandbox_record;
mod velero_spec;

pub use backup_policy::{
    BackupPolicy, BackupPolicySpec, BackupPolicyStatus, FailingOrder, OverrideBounds, RetentionSpec,
    SnapshotSpec, ThinSpec, VolumeCounts,
};
pub use crd::{RELEASE, RELEASE_LABEL, crds};
pub use period::{Period, PeriodError};
pub use sandbox_record::{RecordedSandbox, RecordedTemplate, SandboxRecord, SandboxRecordSpec};
pub use velero_spec::{LaggingNamespace, VeleroSpec, VeleroStatus};

/// Label, annotation and field-manager prefix of everything of ours.
pub const GROUP: &str = "backup.agenttier.io";
/// The field manager of our writes.
pub const FIELD_MANAGER: &str = "agenttier-backup";
/// The ConfigMap with the volume policy of Velero's backups, in Velero's namespace.
pub const VOLUME_POLICY: &str = "agenttier-backup-volumes";
/// Name of the DownloadRequest, in Velero's namespace, by which lists of errors are asked for, one after the other.
pub const BACKUP_ERRORS: &str = "agenttier-backup-errors";
