#![doc = include_str!("../README.md")]

mod backup;
mod backup_phase;
mod backup_results;
mod backup_storage_location;
mod cron;
mod data_download;
mod data_move;
mod data_upload;
mod delete_backup_request;
mod download_request;
mod go_duration;
mod hooks;
mod item_operation;
pub mod labels;
mod location_phase;
mod names;
mod request_phase;
mod restore;
mod restore_phase;
mod schedule;
mod server_status_request;
mod volume_snapshot_location;

pub use backup::{Backup, BackupProgress, BackupSpec, BackupStatus, TemplateMetadata, UploaderConfig};
pub use backup_phase::BackupPhase;
pub use backup_results::{BackupResults, Messages};
pub use backup_storage_location::{
    BackupStorageLocation, BackupStorageLocationSpec, BackupStorageLocationStatus, ObjectStorageLocation,
    StorageAccessMode,
};
pub use cron::{Cron, CronError, CronField};
pub use data_download::{DataDownload, DataDownloadSpec, DataDownloadStatus, TargetVolumeSpec};
pub use data_move::{DataMovePhase, DataMoveProgress, NodeOs};
pub use data_upload::{CsiSnapshotSpec, DataUpload, DataUploadSpec, DataUploadStatus};
pub use delete_backup_request::{
    DeleteBackupRequest, DeleteBackupRequestPhase, DeleteBackupRequestSpec, DeleteBackupRequestStatus,
};
pub use download_request::{
    DownloadRequest, DownloadRequestSpec, DownloadRequestStatus, DownloadTarget, DownloadTargetKind,
};
pub use go_duration::{GoDuration, GoDurationError};
pub use hooks::{
    BackupHook, BackupHooks, BackupResourceHooks, ExecHook, ExecRestoreHook, HookErrorMode, HookStatus,
    InitRestoreHook, RestoreHook, RestoreHooks, RestoreResourceHooks,
};
pub use item_operation::{ItemOperation, ItemOperationSpec, ItemOperationStatus};
pub use location_phase::LocationPhase;
pub use names::{label_value, read_scheduled_backup_name, scheduled_backup_name};
pub use request_phase::RequestPhase;
pub use restore::{
    ExistingResourcePolicy, Restore, RestoreProgress, RestoreSpec, RestoreStatus, RestoreStatusSpec,
    RestoreUploaderConfig,
};
pub use restore_phase::RestorePhase;
pub use schedule::{Schedule, SchedulePhase, ScheduleSpec, ScheduleStatus};
pub use server_status_request::{
    PluginInfo, ServerStatusRequest, ServerStatusRequestSpec, ServerStatusRequestStatus,
};
pub use volume_snapshot_location::{
    VolumeSnapshotLocation, VolumeSnapshotLocationSpec, VolumeSnapshotLocationStatus,
};
