//! What each phase means. The names are those of Velero's CRDs.

#![allow(clippy::unwrap_used)]

use serde::de::DeserializeOwned;
use velero::{
    BackupPhase, DataMovePhase, DeleteBackupRequestPhase, DeleteBackupRequestStatus, LocationPhase,
    RequestPhase, RestorePhase, SchedulePhase,
};

fn read<T: DeserializeOwned>(phase: &str) -> T {
    serde_json::from_value(phase.into()).unwrap()
}

/// (finished, success, may change)
type Meaning = (bool, bool, bool);

const RUNNING: Meaning = (false, false, true);
const GOOD: Meaning = (true, true, false);
const BAD: Meaning = (true, false, false);

#[test]
fn phases_of_backups() {
    for (phase, meaning) in [
        ("New", RUNNING),
        ("Queued", RUNNING),
        ("ReadyToStart", RUNNING),
        ("FailedValidation", BAD),
        ("InProgress", RUNNING),
        ("WaitingForPluginOperations", RUNNING),
        ("WaitingForPluginOperationsPartiallyFailed", RUNNING),
        ("Finalizing", RUNNING),
        ("FinalizingPartiallyFailed", RUNNING),
        ("Completed", GOOD),
        ("PartiallyFailed", BAD),
        ("Failed", BAD),
        ("Deleting", (false, false, false)),
        ("SomethingNew", RUNNING),
    ] {
        let read: BackupPhase = read(phase);
        assert_eq!((read.is_finished(), read.is_success(), read.may_change()), meaning, "{phase}");
    }
}

#[test]
fn phases_of_restores() {
    for (phase, meaning) in [
        ("New", RUNNING),
        ("FailedValidation", BAD),
        ("InProgress", RUNNING),
        ("WaitingForPluginOperations", RUNNING),
        ("WaitingForPluginOperationsPartiallyFailed", RUNNING),
        ("Finalizing", RUNNING),
        ("FinalizingPartiallyFailed", RUNNING),
        ("Completed", GOOD),
        ("PartiallyFailed", BAD),
        ("Failed", BAD),
        ("SomethingNew", RUNNING),
    ] {
        let read: RestorePhase = read(phase);
        assert_eq!((read.is_finished(), read.is_success(), read.may_change()), meaning, "{phase}");
    }
}

#[test]
fn phases_of_copies() {
    for (phase, meaning) in [
        ("New", RUNNING),
        ("Accepted", RUNNING),
        ("Prepared", RUNNING),
        ("InProgress", RUNNING),
        ("Canceling", RUNNING),
        ("Canceled", BAD),
        ("Completed", GOOD),
        ("Failed", BAD),
        ("SomethingNew", RUNNING),
    ] {
        let read: DataMovePhase = read(phase);
        assert_eq!((read.is_finished(), read.is_success(), read.may_change()), meaning, "{phase}");
    }
}

#[test]
fn phases_of_requests() {
    for (phase, meaning) in [("New", RUNNING), ("Processed", GOOD), ("SomethingNew", RUNNING)] {
        let read: RequestPhase = read(phase);
        assert_eq!((read.is_finished(), read.is_success(), read.may_change()), meaning, "{phase}");
    }
    for (phase, finished) in
        [("New", false), ("InProgress", false), ("Processed", true), ("SomethingNew", false)]
    {
        let read: DeleteBackupRequestPhase = read(phase);
        assert_eq!((read.is_finished(), read.may_change()), (finished, !finished), "{phase}");
    }
}

/// A deletion that is done may have failed.
#[test]
fn a_deletion_went_well_when_it_is_done_without_errors() {
    for (status, success) in [
        ("{}", false),
        (r#"{"phase": "InProgress"}"#, false),
        (r#"{"phase": "Processed"}"#, true),
        (r#"{"phase": "Processed", "errors": null}"#, true),
        (r#"{"phase": "Processed", "errors": []}"#, true),
        (r#"{"phase": "Processed", "errors": ["no such bucket"]}"#, false),
    ] {
        let read: DeleteBackupRequestStatus = serde_json::from_str(status).unwrap();
        assert_eq!(read.is_success(), success, "{status}");
    }
}

#[test]
fn phases_without_an_end() {
    for (phase, success) in
        [("New", false), ("Enabled", true), ("FailedValidation", false), ("SomethingNew", false)]
    {
        assert_eq!(read::<SchedulePhase>(phase).is_success(), success, "{phase}");
    }
    for (phase, success) in [("Available", true), ("Unavailable", false), ("SomethingNew", false)] {
        assert_eq!(read::<LocationPhase>(phase).is_success(), success, "{phase}");
    }
}
