//! What Velero has made of a namespace's Schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use velero::{Backup, BackupPhase, Cron, Schedule, SchedulePhase, labels};

use crate::observe::owns_spec;

/// Velero looks for due Schedules once a minute; so long after the time a backup that is not there counts as missed.
const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// So much longer while the backup before is under way: Velero begins no other then. No longer, for a server that has died in
/// the midst of one leaves it so; and with the ten minutes less than the hour within which an Event is told.
const OVERRUN: SignedDuration = SignedDuration::from_mins(45);
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
    /// Since when a backup is due that was not begun, where that has not come right since: its time, or when the Schedule was
    /// last changed, by which the time may have gone by already.
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
    let mut way = Way::Free(None);
    for backup in backups {
        way = way.beside(schedule, backup);
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
            // One that was paused for long, or has a shorter interval now, is due at once, and not since a time that had no
            // meaning when it came.
            let since = written(schedule).map_or(due, |written| written.max(due));
            let seen = match way {
                Way::Blocked => since.saturating_add(OVERRUN).unwrap_or(Timestamp::MAX),
                Way::Free(ended) => ended.map_or(since, |ended| ended.max(since)),
            };
            let until = seen.saturating_add(MISSED_AFTER).unwrap_or(Timestamp::MAX);
            course.missed = (now >= until).then_some(since);
            course.period = cron.next(due, &TimeZone::UTC).map(|next| next.duration_since(due));
            wakes.push(until);
        }
    }
    course.wake = wakes.into_iter().filter(|wake| *wake > now).min();
    course
}

/// Whether the backups of a Schedule let Velero begin another.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// One is under way.
    Blocked,
    /// None is; when the last one ended.
    Free(Option<Timestamp>),
}

impl Way {
    /// The same, with one more backup, which may be another Schedule's or a person's.
    fn beside(self, schedule: &Schedule, backup: &Backup) -> Self {
        let Self::Free(ended) = self else { return self };
        if backup.labels().get(labels::SCHEDULE_NAME) != schedule.metadata.name.as_ref() {
            return self;
        }
        let status = backup.status.as_ref();
        match status.and_then(|status| status.phase.as_ref()) {
            // It has yet to take its place in the queue, or to read its objects; or it has just done that, at a time that
            // nothing tells, and Velero looks again within a minute. Those in the queue are in nobody's way.
            Some(BackupPhase::Queued | BackupPhase::ReadyToStart | BackupPhase::Deleting) => self,
            Some(phase) if phase.is_finished() => {
                let end = status.and_then(|status| status.completion_timestamp.as_ref()).map(|end| end.0);
                Self::Free(end.max(ended))
            }
            _ => Self::Blocked,
        }
    }
}

/// When its spec was last changed, by whomever.
fn written(schedule: &Schedule) -> Option<Timestamp> {
    let writers = schedule.metadata.managed_fields.iter().flatten();
    writers.filter(|entry| owns_spec(entry)).filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
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
        format!("{errors} errors, {warnings} warnings: velero backup logs {name}")
    });
    let at = status.completion_timestamp.as_ref().map_or(at, |ended| ended.0);
    Some(FailedBackup { name, phase, message, at, errors, to_come: false })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schedules::Incident;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn schedule(status: &Value) -> Schedule {
        let schedule = json!({
            "metadata": { "name": "east-team-a", "namespace": "velero", "creationTimestamp": "2026-06-01T00:00:00Z" },
            "spec": { "schedule": "CRON_TZ=UTC 0 4 * * *", "template": {}, "paused": false },
            "status": status,
        });
        serde_json::from_value(with_kind(schedule, "Schedule")).expect("a Schedule")
    }

    fn with_kind(mut object: Value, kind: &str) -> Value {
        object["apiVersion"] = "velero.io/v1".into();
        object["kind"] = kind.into();
        object
    }

    fn backup(day: u8, phase: &str, more: &Value) -> Backup {
        let mut status = json!({
            "phase": phase,
            "startTimestamp": format!("2026-06-{day:02}T04:00:00Z"),
            "completionTimestamp": format!("2026-06-{day:02}T04:01:30Z"),
        });
        status.as_object_mut().expect("one").extend(more.as_object().expect("an object").clone());
        let backup = json!({
            "metadata": { "name": format!("east-team-a-202606{day:02}040000") }, "spec": {}, "status": status,
        });
        serde_json::from_value(with_kind(backup, "Backup")).expect("a Backup")
    }

    fn stands(now: &str, status: &Value, backups: &[Backup]) -> (Course, Option<Incident>) {
        let schedule = schedule(status);
        let cron = schedule.spec.schedule.parse().expect("cron");
        let course = course(at(now), &schedule, Some(&cron), backups);
        let incident = Incident::of(&schedule, &course);
        (course, incident)
    }

    fn enabled(last: &str) -> Value {
        json!({ "phase": "Enabled", "lastBackup": last })
    }

    #[test]
    fn the_newest_complete_one_counts() {
        let backups = [
            backup(2, "Completed", &json!({})),
            backup(4, "InProgress", &json!({})),
            backup(3, "Completed", &json!({ "completionTimestamp": "2026-06-03T04:02:00Z" })),
        ];
        let (course, incident) = stands("2026-06-04T04:00:10Z", &enabled("2026-06-04T04:00:00Z"), &backups);
        assert_eq!(course.last_success, Some(at("2026-06-03T04:00:00Z")));
        assert_eq!(course.took, Some(SignedDuration::from_mins(2)));
        assert_eq!(course.period, Some(SignedDuration::from_hours(24)));
        assert_eq!((course.failed, course.missed, incident), (None, None, None));
        assert_eq!(course.wake, Some(at("2026-06-05T04:10:00Z")), "the next one is missed then");
    }

    #[test]
    fn a_failure_lasts_until_one_goes_well() {
        let failed = [
            backup(2, "Completed", &json!({})),
            backup(3, "PartiallyFailed", &json!({ "errors": 2, "warnings": 1 })),
        ];
        let (course, incident) = stands("2026-06-03T05:00:00Z", &enabled("2026-06-03T04:00:00Z"), &failed);
        assert_eq!(course.last_success, Some(at("2026-06-02T04:00:00Z")));
        let incident = incident.expect("it is told of");
        assert_eq!(incident.name(), "east-team-a-20260603040000.VeleroBackupFailed");
        assert!(
            incident.message.contains("2 errors, 1 warnings: velero backup logs east-team-a-20260603040000")
        );
        assert_eq!(incident.at, at("2026-06-03T04:01:30Z"));

        let mended = [failed.to_vec(), vec![backup(4, "Completed", &json!({}))]].concat();
        let (course, incident) = stands("2026-06-04T05:00:00Z", &enabled("2026-06-04T04:00:00Z"), &mended);
        assert_eq!((course.failed, incident), (None, None));

        let refused = json!({ "validationErrors": ["backup storage location is unavailable"] });
        let (course, _) = stands(
            "2026-06-03T05:00:00Z",
            &enabled("2026-06-03T04:00:00Z"),
            &[backup(3, "FailedValidation", &refused)],
        );
        assert_eq!(course.failed.expect("it failed").message, "backup storage location is unavailable");
    }

    #[test]
    fn one_that_was_not_begun_is_missed() {
        let backups = [backup(2, "Completed", &json!({}))];
        let status = || enabled("2026-06-02T04:00:00Z");
        assert_eq!(stands("2026-06-03T04:09:59Z", &status(), &backups).0.missed, None);
        let (course, incident) = stands("2026-06-03T04:10:00Z", &status(), &backups);
        assert_eq!(course.missed, Some(at("2026-06-03T04:00:00Z")));
        assert_eq!(incident.expect("it is told of").reason, "VeleroBackupMissed");
        let paused = |mut schedule: Schedule| {
            schedule.spec.paused = Some(true);
            schedule
        };
        let schedule = paused(schedule(&status()));
        let cron = schedule.spec.schedule.parse().expect("cron");
        assert_eq!(course_of(&schedule, &cron).missed, None, "it is not due");
    }

    fn course_of(schedule: &Schedule, cron: &Cron) -> Course {
        course(at("2026-06-09T00:00:00Z"), schedule, Some(cron), [])
    }

    #[test]
    fn a_schedule_that_velero_does_not_take_is_named() {
        let errors = json!({ "phase": "FailedValidation", "validationErrors": ["invalid schedule: a", "b"] });
        let (course, _) = stands("2026-06-01T00:00:10Z", &errors, &[]);
        assert_eq!(course.rejected.as_deref(), Some("invalid schedule: a; b"));
        let new = || json!({});
        assert!(!stands("2026-06-01T00:01:59Z", &new(), &[]).0.unheeded);
        assert!(stands("2026-06-01T00:02:00Z", &new(), &[]).0.unheeded, "is there a server?");
    }

    /// Hourly, last backed up at noon, and written by us at some time.
    fn missed_when_written(now: &str, written: &str) -> Option<Timestamp> {
        let schedule: Schedule = serde_json::from_value(json!({
            "metadata": {
                "name": "east-team-a",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [
                    { "manager": "somebody", "operation": "Update", "time": written, "fieldsV1": { "f:spec": {} } },
                    { "manager": "labeller", "operation": "Update", "time": now, "fieldsV1": { "f:metadata": {} } },
                ],
            },
            "spec": { "schedule": "0 * * * *", "template": {}, "paused": false },
            "status": { "phase": "Enabled", "lastBackup": "2026-01-01T12:00:30Z" },
        }))
        .expect("a Schedule");
        let cron: Cron = schedule.spec.schedule.parse().expect("cron");
        course(at(now), &schedule, Some(&cron), []).missed
    }

    #[test]
    fn a_backup_that_is_not_begun_ten_minutes_after_its_time_is_missed() {
        let written = "2026-01-01T00:00:00Z";
        assert_eq!(missed_when_written("2026-01-01T13:09:59Z", written), None);
        assert_eq!(missed_when_written("2026-01-01T13:10:00Z", written), Some(at("2026-01-01T13:00:00Z")));
    }

    /// The time has come and gone while it was paused.
    #[test]
    fn one_that_has_just_been_unpaused_has_not_missed_its_time() {
        let unpaused = "2026-01-01T17:30:00Z";
        assert_eq!(missed_when_written("2026-01-01T17:30:01Z", unpaused), None);
        assert_eq!(
            missed_when_written("2026-01-01T17:40:00Z", unpaused),
            Some(at(unpaused)),
            "due since then"
        );
    }

    /// Six-hourly until then: at one o'clock nothing was due.
    #[test]
    fn an_interval_that_got_shorter_makes_one_due_since_that_edit() {
        let edited = "2026-01-01T16:20:00Z";
        assert_eq!(missed_when_written("2026-01-01T16:29:59Z", edited), None);
        assert_eq!(missed_when_written("2026-01-01T16:30:00Z", edited), Some(at(edited)));
    }

    /// The backup of 3 June as Velero's own Schedule has it, and the next day's time is over.
    fn missed_beside(now: &str, phase: &str, more: &Value) -> Option<Timestamp> {
        let mut before = backup(3, phase, more);
        let of_it = (labels::SCHEDULE_NAME.to_owned(), "east-team-a".to_owned());
        before.metadata.labels.get_or_insert_default().extend([of_it]);
        stands(now, &enabled("2026-06-03T04:00:00Z"), &[before]).0.missed
    }

    #[test]
    fn while_the_one_before_is_under_way_the_next_one_may_come_later() {
        let due = Some(at("2026-06-04T04:00:00Z"));
        let under_way = json!({ "completionTimestamp": null });
        for phase in ["New", "InProgress", "WaitingForPluginOperations", "Finalizing"] {
            assert_eq!(missed_beside("2026-06-04T04:54:59Z", phase, &under_way), None, "{phase}");
            assert_eq!(
                missed_beside("2026-06-04T04:55:00Z", phase, &under_way),
                due,
                "is there a server? {phase}"
            );
        }
        assert_eq!(missed_beside("2026-06-04T04:10:00Z", "Queued", &under_way), due, "it is in nobody's way");
        let ended = json!({ "completionTimestamp": "2026-06-04T04:30:00Z" });
        assert_eq!(missed_beside("2026-06-04T04:39:59Z", "Completed", &ended), None, "it had just ended");
        assert_eq!(missed_beside("2026-06-04T04:40:00Z", "Completed", &ended), due);
    }
}
