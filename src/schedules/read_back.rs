//! What Velero has made of a namespace's Schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use velero::{Backup, BackupPhase, Cron, Schedule, SchedulePhase};

/// Velero looks for due Schedules once a minute; so long after the time a backup that is not there counts as missed.
const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// So long Velero may take to look at a new Schedule.
const ACCEPTED_WITHIN: SignedDuration = SignedDuration::from_mins(2);

/// How a namespace's backups stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// When its newest complete backup was begun.
    pub last_success: Option<Timestamp>,
    /// How long that one took.
    pub took: Option<SignedDuration>,
    /// The time between two, while it is not paused.
    pub period: Option<SignedDuration>,
    /// The newest backup that has ended, if it did not end well.
    pub failed: Option<FailedBackup>,
    /// The time of a backup that was never begun, where that has not come right since.
    pub missed: Option<Timestamp>,
    /// Why Velero does not accept the Schedule.
    pub rejected: Option<String>,
    /// Velero has not looked at it, and has had time to.
    pub unheeded: bool,
    /// Velero has accepted it.
    pub accepted: bool,
    /// When this changes by time alone.
    pub wake: Option<Timestamp>,
}

/// A backup that did not end well.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedBackup {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub phase: BackupPhase,
    /// What there is to say.
    pub message: String,
    /// When it ended, or began.
    pub at: Timestamp,
}

/// How a namespace's backups stand, given its Schedule and its backups.
#[must_use]
pub fn course<'a>(
    now: Timestamp,
    schedule: &Schedule,
    cron: Option<&Cron>,
    backups: impl IntoIterator<Item = &'a Backup>,
) -> Course {
    let mut course = Course::default();
    let mut newest_ended: Option<(Timestamp, &Backup)> = None;
    for backup in backups {
        let Some(status) = &backup.status else { continue };
        let Some(phase) = status.phase.as_ref().filter(|phase| phase.is_finished()) else { continue };
        let begun = begun(backup);
        if newest_ended.is_none_or(|(newest, _)| begun > newest) {
            newest_ended = Some((begun, backup));
        }
        if phase.is_success() && course.last_success.is_none_or(|newest| begun > newest) {
            course.last_success = Some(begun);
            course.took = status.completion_timestamp.as_ref().map(|ended| ended.0.duration_since(begun));
        }
    }
    course.failed = newest_ended.and_then(|(at, backup)| failure(at, backup));

    let status = schedule.status.as_ref();
    let created = schedule.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
    let mut wakes = Vec::new();
    match status.and_then(|status| status.phase.as_ref()) {
        Some(SchedulePhase::Enabled) => course.accepted = true,
        Some(SchedulePhase::FailedValidation) => {
            let errors = status.and_then(|status| status.validation_errors.clone()).unwrap_or_default();
            course.rejected = Some(errors.join("; "));
        }
        _ => {
            let until = created.saturating_add(ACCEPTED_WITHIN).unwrap_or(Timestamp::MAX);
            course.unheeded = now >= until;
            wakes.push(until);
        }
    }
    if let (true, Some(cron)) = (course.accepted && schedule.spec.paused != Some(true), cron) {
        let last =
            status.and_then(|status| status.last_backup.as_ref()).map_or(created, |last| last.0.max(created));
        let skipped = status.and_then(|status| status.last_skipped.as_ref());
        let after = skipped.map_or(last, |skipped| skipped.0.max(last));
        if let Some(due) = cron.next(after, &TimeZone::UTC) {
            let until = due.saturating_add(MISSED_AFTER).unwrap_or(Timestamp::MAX);
            course.missed = (now >= until).then_some(due);
            course.period = cron.next(due, &TimeZone::UTC).map(|next| next.duration_since(due));
            wakes.push(until);
        }
    }
    course.wake = wakes.into_iter().filter(|wake| *wake > now).min();
    course
}

fn begun(backup: &Backup) -> Timestamp {
    let started = backup.status.as_ref().and_then(|status| status.start_timestamp.as_ref());
    let begun = started.or(backup.metadata.creation_timestamp.as_ref());
    begun.map_or(Timestamp::UNIX_EPOCH, |begun| begun.0)
}

fn failure(at: Timestamp, backup: &Backup) -> Option<FailedBackup> {
    let status = backup.status.as_ref()?;
    let phase = status.phase.clone().filter(|phase| !phase.is_success())?;
    let name = backup.metadata.name.clone().unwrap_or_default();
    let told =
        [status.failure_reason.clone(), status.validation_errors.as_ref().map(|errors| errors.join("; "))];
    let told = told.into_iter().flatten().find(|told| !told.is_empty());
    let message = told.unwrap_or_else(|| {
        let (errors, warnings) = (status.errors.unwrap_or_default(), status.warnings.unwrap_or_default());
        format!("{errors} errors, {warnings} warnings: velero backup logs {name}")
    });
    let at = status.completion_timestamp.as_ref().map_or(at, |ended| ended.0);
    Some(FailedBackup { name, phase, message, at })
}
