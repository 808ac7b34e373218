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

/// Where nothing stands in the way of the next one.
const FREE: Way = Way::Free(None);

fn stands(now: &str, status: &Value, backups: &[Backup]) -> (Course, Option<Incident>) {
    let schedule = schedule(status);
    let cron = schedule.spec.schedule.parse().expect("cron");
    let course = course(at(now), Patience::with(0), &schedule, Some(&cron), FREE, backups);
    let incident = Incident::all_of(&schedule, &course).pop();
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
    assert_eq!(course.wake, Some(at("2026-06-04T16:00:00Z")), "the one under way should be complete by then");
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
    assert!(incident.message.contains("2 errors, 1 warnings: velero backup logs east-team-a-20260603040000"));
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

/// It is in the queue, or stuck, and times that Velero keeps say that all is well.
#[test]
fn one_that_was_begun_and_is_never_complete_is_overdue() {
    let queued = backup(3, "Queued", &json!({ "completionTimestamp": null }));
    let backups = [backup(2, "Completed", &json!({})), queued];
    let overdue = |now: &str, last: &str, backups: &[Backup]| {
        let (course, incident) = stands(now, &enabled(last), backups);
        assert_eq!((course.missed, course.failed, incident), (None, None, None));
        course.overdue
    };
    let last = "2026-06-03T04:00:05Z";
    assert_eq!(overdue("2026-06-03T15:59:59Z", last, &backups), None);
    assert_eq!(overdue("2026-06-03T16:00:00Z", last, &backups), Some(at("2026-06-03T04:00:00Z")));
    // None ever was, or somebody has deleted them all.
    assert_eq!(overdue("2026-06-03T05:00:00Z", last, &[]), Some(at("2026-06-01T04:00:00Z")));
}

/// Hours of copying are no reason to wake anybody.
#[test]
fn one_that_moves_its_data_may_take_as_long_as_it_does() {
    let moved =
        |day, phase: &str| backup(day, phase, &json!({ "completionTimestamp": "2026-06-02T20:00:00Z" }));
    let backups = [moved(2, "Completed"), backup(3, "WaitingForPluginOperations", &json!({}))];
    let overdue = |now: &str| stands(now, &enabled("2026-06-03T04:00:05Z"), &backups).0.overdue;
    assert_eq!(overdue("2026-06-04T03:59:59Z"), None, "the last one took 16 hours");
    assert_eq!(overdue("2026-06-04T04:00:00Z"), Some(at("2026-06-03T04:00:00Z")));
}

#[test]
fn velero_is_given_more_time_where_it_has_more_to_look_at() {
    assert_eq!(Patience::with(0).begun, MISSED_AFTER);
    assert_eq!(Patience::with(10_000).begun, SignedDuration::from_secs(600 + 1000));
    assert_eq!(Patience::with(10_000).accepted, SignedDuration::from_secs(120 + 1000));
}

fn course_of(schedule: &Schedule, cron: &Cron) -> Course {
    course(at("2026-06-09T00:00:00Z"), Patience::with(0), schedule, Some(cron), FREE, [])
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
    course(at(now), Patience::with(0), &schedule, Some(&cron), FREE, []).missed
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
    assert_eq!(missed_when_written("2026-01-01T17:40:00Z", unpaused), Some(at(unpaused)), "due since then");
}

/// Six-hourly until then: at one o'clock nothing was due.
#[test]
fn an_interval_that_got_shorter_makes_one_due_since_that_edit() {
    let edited = "2026-01-01T16:20:00Z";
    assert_eq!(missed_when_written("2026-01-01T16:29:59Z", edited), None);
    assert_eq!(missed_when_written("2026-01-01T16:30:00Z", edited), Some(at(edited)));
}

/// The backup of 3 June is there, and the next day's time is over.
fn missed_beside(now: &str, phase: &str, more: &Value) -> Option<Timestamp> {
    let schedule = schedule(&enabled("2026-06-03T04:00:00Z"));
    let cron: Cron = schedule.spec.schedule.parse().expect("cron");
    let way = Way::beside(&[backup(3, phase, more)]);
    course(at(now), Patience::with(0), &schedule, Some(&cron), way, []).missed
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

/// An edit gives it new time to make one, and makes no old one new.
#[test]
fn an_old_backup_is_stale_whatever_was_written_since() {
    let mut schedule = schedule(&enabled("2026-06-03T04:00:00Z"));
    schedule.metadata.managed_fields = serde_json::from_value(json!([
        { "manager": "somebody", "operation": "Update", "time": "2026-06-04T15:00:00Z", "fieldsV1": { "f:spec": {} } },
    ]))
    .expect("managed fields");
    let cron: Cron = schedule.spec.schedule.parse().expect("cron");
    let backups = [backup(3, "Completed", &json!({}))];
    let course = |now| course(at(now), Patience::with(0), &schedule, Some(&cron), FREE, &backups);
    let before = course("2026-06-04T15:59:59Z");
    assert_eq!((before.stale, before.overdue), (false, None));
    assert_eq!(before.wake, Some(at("2026-06-04T16:00:00Z")), "daily: half a day after its time");
    let after = course("2026-06-04T16:00:00Z");
    assert_eq!((after.stale, after.overdue), (true, None));
    assert_eq!(course("2026-06-05T16:00:00Z").overdue, Some(at("2026-06-05T04:00:00Z")));

    // Also beside a Schedule that was made anew, or is paused for another moment.
    for status in [json!({}), enabled("2026-06-03T04:00:00Z")] {
        let mut schedule = self::schedule(&status);
        schedule.spec.paused = Some(true);
        let course = super::course(
            at("2026-06-20T00:00:00Z"),
            Patience::with(0),
            &schedule,
            Some(&cron),
            FREE,
            &backups,
        );
        assert!(course.stale, "{status}");
    }
}
