//! Backups by Velero that went wrong, one by one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use velero::Schedule;

use super::read_back::Course;

/// A backup that failed, or was never begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The Schedule.
    pub schedule: ObjectReference,
    /// `VeleroBackupFailed` or `VeleroBackupMissed`.
    pub reason: &'static str,
    /// The backup that failed, or the Schedule and the time that was missed.
    pub about: String,
    /// What happened, for a person.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

impl Incident {
    /// What no other incident is called.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.about, self.reason)
    }

    /// The last one of a Schedule that has not come right since; none while the better part of it is still to be told.
    #[must_use]
    pub fn of(schedule: &Schedule, course: &Course) -> Option<Self> {
        let incident = |reason, about, message, at| Self {
            schedule: ObjectReference {
                api_version: Some(Schedule::api_version(&()).into_owned()),
                kind: Some(Schedule::kind(&()).into_owned()),
                name: schedule.metadata.name.clone(),
                namespace: schedule.metadata.namespace.clone(),
                uid: schedule.metadata.uid.clone(),
                ..ObjectReference::default()
            },
            reason,
            about,
            message,
            at,
        };
        if let Some(failed) = &course.failed {
            if failed.to_come {
                return None;
            }
            let message = format!("Backup {}: {}", failed.name, failed.message);
            return Some(incident("VeleroBackupFailed", failed.name.clone(), message, failed.at));
        }
        let missed = course.missed?;
        let about = format!("{}.{}", schedule.name_any(), missed.as_second());
        let message = format!("a backup is due since {missed}, and was not begun");
        Some(incident("VeleroBackupMissed", about, message, missed))
    }
}
