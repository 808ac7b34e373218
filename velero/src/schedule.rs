//! Schedules: backups at regular times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::BackupSpec;

/// When backups are made, and of what.
///
/// Velero sees only those in its own namespace. It names the backups `<schedule>-YYYYMMDDhhmmss`, and puts the
/// schedule's name into a label value without cutting it: it may have 63 characters. Deleting a schedule leaves its
/// backups.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[kube(
    group = "velero.io",
    version = "v1",
    kind = "Schedule",
    namespaced,
    status = "ScheduleStatus",
    derive = "Default",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleSpec {
    /// Cron, in the server's time zone unless it begins with `CRON_TZ=`. A missed time is not made up for.
    pub schedule: String,
    /// What the backups hold.
    pub template: BackupSpec,
    /// While true no backup is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Wait for the next time where one is due at once. The server sets it back to false when it has done so:
    /// whoever applies it again and again stops all backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_immediately: Option<bool>,
    /// Whether the schedule owns its backups, so that they are deleted with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_owner_references_in_backup: Option<bool>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What became of a schedule.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// Where it is; absent before Velero has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SchedulePhase>,
    /// When a backup was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<Time>,
    /// When a due one was last left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_skipped: Option<Time>,
    /// Why it is not enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_errors: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where a schedule is.
///
/// It has no end: the server reads the cron expression again each time that it looks, once a minute, and sets this anew
/// (its schedule controller).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum SchedulePhase {
    /// Velero has not looked at it yet.
    New,
    /// Backups are made.
    Enabled,
    /// It makes no sense, and no backups are made.
    FailedValidation,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl SchedulePhase {
    /// Whether backups are made. A paused schedule keeps the phase that it had.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Enabled
    }
}
