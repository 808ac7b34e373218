//! What Velero has made of a namespace's Schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use velero::{Backup, BackupPhase, Cron, Schedule, SchedulePhase};

use crate::observe::owns_spec;

/// How long Velero may take, before that is worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To look at a new Schedule.
    accepted: SignedDuration,
    /// To begin a backup that is due. It looks once a minute.
    begun: SignedDuration,
}

/// So much longer while the backup before is under way: Velero begins no other then. No longer, for a server that has died in
/// the midst of one leaves it so.
const OVERRUN: SignedDuration = SignedDuration::from_mins(45);
const ACCEPTED_WITHIN: SignedDuration = SignedDuration::from_mins(2);
const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(10);

impl Patience {
    /// With so many Schedules: Velero looks at one after the other, with some writes for each.
    #[must_use]
    pub fn with(schedules: usize) -> Self {
        const EACH: SignedDuration = SignedDuration::from_millis(100);
        let all = EACH.saturating_mul(i32::try_from(schedules).unwrap_or(i32::MAX));
        Self { accepted: ACCEPTED_WITHIN.saturating_add(all), begun: MISSED_AFTER.saturating_add(all) }
    }
}

/// A backup that is due has to be complete within half the time to the one after it, which is taken within these bounds.
const COMPLETE_WITHIN: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(30), SignedDuration::from_hours(24));

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
    /// Since when a backup is due that was not begun, where that has not come right since: its time, or when the Schedule was
    /// last changed, by which the time may have gone by already.
    pub missed: Option<Timestamp>,
    /// Since when that is told.
    pub missed_since: Option<Timestamp>,
    /// The time of a backup that should be complete by now, and of which no complete one has come.
    pub overdue: Option<Timestamp>,
    /// The newest complete backup is so old that by now there should be another one, whatever the reason is that there is none.
    pub stale: bool,
    /// The newest complete backup holds fewer volumes than there were.
    pub volumes_missing: Option<VolumesMissing>,
    /// Why Velero does not accept the Schedule.
    pub rejected: Option<String>,
    /// Velero has not looked at it, and has had time to.
    pub unheeded: bool,
    /// Velero has accepted it.
    pub accepted: bool,
    /// When this changes by time alone.
    pub wake: Option<Timestamp>,
}

/// Volumes that a backup should hold, and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesMissing {
    /// Name of the Backup.
    pub backup: String,
    /// So many were saved.
    pub saved: i64,
    /// So many claims were bound when it began, and still are.
    pub bound: i64,
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
    /// Where its errors are, where its status has but their number.
    pub errors: Option<ListedErrors>,
    /// The first of them is still to be told.
    pub to_come: bool,
}

/// Errors that lie in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedErrors {
    /// The BackupStorageLocation; `None` where the Backup names none.
    pub location: Option<String>,
    /// Some of them are of asynchronous operations, and in another list.
    pub of_operations: bool,
}

/// How a namespace's backups stand, given its Schedule, whether the way is free for its next one, and its backups.
#[must_use]
pub fn course<'a>(
    now: Timestamp,
    patience: Patience,
    schedule: &Schedule,
    cron: Option<&Cron>,
    way: Way,
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
            let until = created.saturating_add(patience.accepted).unwrap_or(Timestamp::MAX);
            course.unheeded = now >= until;
            wakes.push(until);
        }
    }
    // Whatever becomes of the Schedule, an old backup gets no younger.
    let took = course.took.unwrap_or_default();
    let newest = cron.zip(course.last_success);
    if let Some((_, until)) = newest.and_then(|(cron, newest)| complete_until(cron, newest, took)) {
        course.stale = now >= until;
        wakes.push(until);
    }
    if let (true, Some(cron)) = (course.accepted && schedule.spec.paused != Some(true), cron) {
        let last =
            status.and_then(|status| status.last_backup.as_ref()).map_or(created, |last| last.0.max(created));
        let skipped = status.and_then(|status| status.last_skipped.as_ref());
        let after = skipped.map_or(last, |skipped| skipped.0.max(last));
        if let Some(due) = cron.next(after, &TimeZone::UTC) {
            // One that was paused for long, or has a shorter interval now, is due at once, and not since a time that had no
            // meaning when it came.
            let since = written(schedule).map_or(due, |written| written.max(due));
            let seen = match way {
                Way::Blocked => since.saturating_add(OVERRUN).unwrap_or(Timestamp::MAX),
                Way::Free(ended) => ended.map_or(since, |ended| ended.max(since)),
            };
            let until = seen.saturating_add(patience.begun).unwrap_or(Timestamp::MAX);
            course.missed = (now >= until).then_some(since);
            course.missed_since = course.missed.map(|_| until);
            course.period = cron.next(due, &TimeZone::UTC).map(|next| next.duration_since(due));
            wakes.push(until);
        }
        // What is asked of it now, it is asked of it since it was written.
        let since = written(schedule).map_or(created, |written| written.max(created));
        let since = course
            .last_success
            .into_iter()
            .chain(skipped.map(|skipped| skipped.0))
            .fold(since, Timestamp::max);
        if let Some((due, until)) = complete_until(cron, since, took) {
            course.overdue = (now >= until).then_some(due);
            wakes.push(until);
        }
    }
    course.wake = wakes.into_iter().filter(|wake| *wake > now).min();
    course
}

/// The next time after `since`, and until when its backup has to be complete. One that takes long, since its data is moved,
/// may take half as long again as the last one.
fn complete_until(cron: &Cron, since: Timestamp, took: SignedDuration) -> Option<(Timestamp, Timestamp)> {
    let due = cron.next(since, &TimeZone::UTC)?;
    let after = cron.next(due, &TimeZone::UTC)?;
    let (least, most) = COMPLETE_WITHIN;
    let within = (after.duration_since(due) / 2).clamp(least, most).max(took.saturating_mul(3) / 2);
    Some((due, due.saturating_add(within).unwrap_or(Timestamp::MAX)))
}

/// The next time after `since`, and until when the backup of the one after it has to be complete.
pub(super) fn after_the_next(
    cron: &Cron,
    since: Timestamp,
    took: SignedDuration,
) -> Option<(Timestamp, Timestamp)> {
    let due = cron.next(since, &TimeZone::UTC)?;
    Some((due, complete_until(cron, due, took)?.1))
}

/// Whether the backups that bear a Schedule's name let Velero begin another.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// One is under way.
    Blocked,
    /// None is; when the last one ended.
    Free(Option<Timestamp>),
}

impl Way {
    /// Beside these backups, which may be out of another cluster's Schedule of the same name, or a person's: Velero looks at
    /// the name alone.
    #[must_use]
    pub fn beside<'a>(backups: impl IntoIterator<Item = &'a Backup>) -> Self {
        let mut last = None;
        for backup in backups {
            match phase(backup) {
                // It has yet to take its place in the queue, or to read its objects; or it has just done that, at a time that
                // nothing tells, and Velero looks again within a minute. Those in the queue are in nobody's way.
                Some(BackupPhase::Queued | BackupPhase::ReadyToStart | BackupPhase::Deleting) => {}
                Some(phase) if phase.is_finished() => {
                    let end = backup.status.as_ref().and_then(|status| status.completion_timestamp.as_ref());
                    last = end.map(|end| end.0).max(last);
                }
                _ => return Self::Blocked,
            }
        }
        Self::Free(last)
    }
}

/// When its spec was last changed, by whomever.
fn written(schedule: &Schedule) -> Option<Timestamp> {
    let writers = schedule.metadata.managed_fields.iter().flatten();
    writers.filter(|entry| owns_spec(entry)).filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// How far a backup has come.
pub(super) fn phase(backup: &Backup) -> Option<&BackupPhase> {
    backup.status.as_ref()?.phase.as_ref()
}

/// When a backup began, or was asked for.
pub(super) fn begun(backup: &Backup) -> Timestamp {
    let started = backup.status.as_ref().and_then(|status| status.start_timestamp.as_ref());
    let begun = started.or(backup.metadata.creation_timestamp.as_ref());
    begun.map_or(Timestamp::UNIX_EPOCH, |begun| begun.0)
}

/// Why a backup that has ended did not end well, and what shows more.
#[must_use]
pub fn why_failed(backup: &Backup) -> Option<String> {
    failure(begun(backup), backup).map(|failed| failed.message)
}

/// How a backup ended that did not end well; `at` is when it began.
pub(super) fn failure(at: Timestamp, backup: &Backup) -> Option<FailedBackup> {
    let status = backup.status.as_ref()?;
    let phase = status.phase.clone().filter(|phase| phase.is_finished() && !phase.is_success())?;
    let name = backup.metadata.name.clone().unwrap_or_default();
    let told =
        [status.failure_reason.clone(), status.validation_errors.as_ref().map(|errors| errors.join("; "))];
    let told = told.into_iter().flatten().find(|told| !told.is_empty());
    let is_listed = told.is_none() && phase == BackupPhase::PartiallyFailed;
    let errors = is_listed.then(|| ListedErrors {
        location: backup.spec.storage_location.clone(),
        of_operations: status.backup_item_operations_failed.is_some_and(|failed| failed > 0),
    });
    let message = told.unwrap_or_else(|| {
        let (errors, warnings) = (status.errors.unwrap_or_default(), status.warnings.unwrap_or_default());
        let namespace = backup.metadata.namespace.as_deref().map(|namespace| format!(" -n {namespace}"));
        format!(
            "{errors} errors, {warnings} warnings: velero backup logs {name}{}",
            namespace.unwrap_or_default()
        )
    });
    let at = status.completion_timestamp.as_ref().map_or(at, |ended| ended.0);
    Some(FailedBackup { name, phase, message, at, errors, to_come: false })
}

#[cfg(test)]
mod tests;
