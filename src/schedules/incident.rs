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

    /// Those of a Schedule that have not come right since; not one of which the better part is still to be told.
    #[must_use]
    pub fn all_of(schedule: &Schedule, course: &Course) -> Vec<Self> {
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
        let failed = course.failed.as_ref().filter(|failed| !failed.to_come).map(|failed| {
            let message = format!("Backup {}: {}", failed.name, failed.message);
            incident("VeleroBackupFailed", failed.name.clone(), message, failed.at)
        });
        let missed = course.missed.zip(course.missed_since).map(|(missed, since)| {
            let about = format!("{}.{}", schedule.name_any(), missed.as_second());
            let message = format!("a backup is due since {missed}, and was not begun");
            incident("VeleroBackupMissed", about, message, since)
        });
        failed.into_iter().chain(missed).collect()
    }
}
