//! How a namespace's backups stand, in a word; and what is wrong with them.

use serde::Serialize;
use velero::BackupPhase;

use super::read_back::{Course, FailedBackup};

/// How a namespace's backups by Velero stand. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// There is a complete backup from within the time between two.
    BackedUp,
    /// Its Schedule is new, or was changed after the last backup had grown old; one is to come.
    Awaited,
    /// It is paused on purpose.
    Paused,
    /// Its backups, or what is wanted of them, cannot be seen for the moment.
    Unknown,
    /// Something is wrong.
    Failing,
}

/// How backups stand whose Schedule is as it is to be; and what is wrong, as its stable name and at length.
pub(super) fn state_of(course: &Course) -> (State, Option<(String, String)>) {
    let failing = |reason: &str, message: String| (State::Failing, Some((reason.to_owned(), message)));
    if let Some(errors) = &course.rejected {
        return failing("ScheduleRejected", format!("Velero does not accept it: {errors}"));
    }
    if course.unheeded {
        let message =
            "Velero has not looked at its Schedule: is its server running, and does it watch this namespace?";
        return failing("VeleroSilent", message.into());
    }
    let missed = course.missed.map(|missed| {
        failing(
            "BackupMissed",
            format!("one is due since {missed}, and was not begun: is Velero's server running?"),
        )
    });
    let is_newer = |failed: &FailedBackup| course.missed_since.is_none_or(|since| failed.at >= since);
    if let Some(failed) = course.failed.as_ref().filter(|failed| is_newer(failed)) {
        let phase = match &failed.phase {
            BackupPhase::PartiallyFailed => "BackupPartiallyFailed",
            _ => "BackupFailed",
        };
        return failing(phase, format!("{}: {}", failed.name, failed.message));
    }
    if let Some(missed) = missed {
        return missed;
    }
    if let Some(due) = course.overdue {
        let since = course.last_success.map_or_else(
            || "no complete backup yet".to_owned(),
            |success| format!("no complete backup since that of {success}"),
        );
        let why = "is Velero's queue too long, a backup stuck, or its Schedule changed by others? velero backup get";
        return failing(
            "BackupOverdue",
            format!("{since}; the one due at {due} should be complete by now: {why}"),
        );
    }
    if let Some(missing) = &course.volumes_missing {
        return failing("VolumesMissing", format!("{} is complete, but {missing}", missing.backup));
    }
    let is_fresh = course.last_success.is_some() && !course.stale;
    (if is_fresh { State::BackedUp } else { State::Awaited }, None)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::read_back::VolumesMissing;
    use super::*;

    /// The names are alerted on.
    #[test]
    fn whatever_is_wrong_has_its_reason_and_its_words() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let good = || Course { last_success: Some(at(1)), ..Course::default() };
        let failed = |phase| {
            let (name, message) = ("b1".to_owned(), "2 errors".to_owned());
            let failed = FailedBackup { name, phase, message, at: at(2), errors: None, to_come: false };
            Course { failed: Some(failed), ..good() }
        };
        let missing = VolumesMissing { backup: "b1".into(), saved: 1, bound: 2 };
        for (course, reason, words) in [
            (Course { rejected: Some("no cron".into()), ..good() }, "ScheduleRejected", "no cron"),
            (Course { unheeded: true, ..Course::default() }, "VeleroSilent", "is its server running"),
            (failed(BackupPhase::PartiallyFailed), "BackupPartiallyFailed", "b1: 2 errors"),
            (failed(BackupPhase::Failed), "BackupFailed", "b1: 2 errors"),
            (failed(BackupPhase::FailedValidation), "BackupFailed", "b1: 2 errors"),
            (Course { missed: Some(at(3)), ..good() }, "BackupMissed", "1970-01-01T00:00:03Z"),
            (
                Course { overdue: Some(at(4)), ..good() },
                "BackupOverdue",
                "since that of 1970-01-01T00:00:01Z",
            ),
            (Course { overdue: Some(at(4)), ..Course::default() }, "BackupOverdue", "no complete backup yet"),
            (
                Course { volumes_missing: Some(missing), ..good() },
                "VolumesMissing",
                "of 2 bound volumes it holds 1",
            ),
        ] {
            let (state, trouble) = state_of(&course);
            let (told, message) = trouble.expect(reason);
            assert_eq!((state, told.as_str()), (State::Failing, reason));
            assert!(message.contains(words), "{reason}: {message}");
        }
        assert_eq!(state_of(&good()), (State::BackedUp, None));
        assert_eq!(state_of(&Course { stale: true, ..good() }), (State::Awaited, None));
        assert_eq!(state_of(&Course::default()), (State::Awaited, None));
    }

    #[test]
    fn the_newest_of_what_went_wrong_is_told() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let failed = FailedBackup {
            name: "b1".into(),
            phase: BackupPhase::Failed,
            message: "no".into(),
            at: at(100),
            errors: None,
            to_come: false,
        };
        let course = |missed_since: Option<i64>| Course {
            failed: Some(failed.clone()),
            missed: missed_since.map(at),
            missed_since: missed_since.map(at),
            overdue: Some(at(1)),
            ..Course::default()
        };
        let told = |missed_since| state_of(&course(missed_since)).1.expect("something is wrong").0;
        assert_eq!((told(None).as_str(), told(Some(99)).as_str()), ("BackupFailed", "BackupFailed"));
        assert_eq!(told(Some(101)), "BackupMissed");
    }
}
