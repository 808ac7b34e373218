//! What is known of first errors, in what is told of backups.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use velero::BackupStorageLocation;

use super::{FirstErrors, Said, Wanted};
use crate::schedules::read_back::{Course, FailedBackup, ListedErrors};

/// So long the word that a backup failed waits for the first error; then it goes without.
const WORTH_WAITING: SignedDuration = SignedDuration::from_mins(2);

/// Adds them where they are known, and asks for them where they are not. `locations` say which authorities a store has.
pub(in super::super) fn tell_first_errors(
    errors: &FirstErrors,
    now: Timestamp,
    locations: &[impl AsRef<BackupStorageLocation>],
    courses: &mut BTreeMap<String, Course>,
) {
    let mut wanted = Vec::new();
    for course in courses.values_mut() {
        let Some(failed) = &mut course.failed else { continue };
        let Some(listed) = &failed.errors else { continue };
        wanted.push(Wanted {
            backup: failed.name.clone(),
            operations_failed: listed.of_operations,
            certificates: authorities(listed, locations),
        });
        let until = tell(failed, errors.said(&failed.name), now);
        course.wake = course.wake.into_iter().chain(until).min();
    }
    errors.want(wanted);
}

/// Returns until when something better may be told.
fn tell(failed: &mut FailedBackup, said: Option<Said>, now: Timestamp) -> Option<Timestamp> {
    let more = match said {
        Some(Said::FirstError(error)) => format!("; the first error: {error}"),
        Some(Said::Unreadable(why)) => format!(" (its errors cannot be read: {why})"),
        Some(Said::Nothing) => return None,
        None => {
            let until = failed.at.saturating_add(WORTH_WAITING).unwrap_or(Timestamp::MAX);
            failed.to_come = now < until;
            return failed.to_come.then_some(until);
        }
    };
    failed.message.push_str(&more);
    None
}

fn authorities(listed: &ListedErrors, locations: &[impl AsRef<BackupStorageLocation>]) -> Option<Vec<u8>> {
    let of_it = |location: &&BackupStorageLocation| location.metadata.name == listed.location;
    let location = locations.iter().map(AsRef::as_ref).find(of_it)?;
    Some(location.spec.object_storage.ca_cert.as_ref()?.0.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velero::BackupPhase;

    use super::*;

    fn failed() -> FailedBackup {
        FailedBackup {
            name: "b1".into(),
            phase: BackupPhase::PartiallyFailed,
            message: "2 errors".into(),
            at: Timestamp::UNIX_EPOCH,
            errors: Some(ListedErrors { location: Some("east".into()), of_operations: false }),
            to_come: false,
        }
    }

    fn told(said: Option<Said>, after: i64) -> (String, bool, Option<i64>) {
        let mut failed = failed();
        let until = tell(&mut failed, said, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after));
        (failed.message, failed.to_come, until.map(Timestamp::as_second))
    }

    #[test]
    fn what_is_known_is_told_and_what_is_not_is_waited_for_a_while() {
        let is = |message: &str, to_come, until| (message.to_owned(), to_come, until);
        let error = || Some(Said::FirstError("no space left".into()));
        assert_eq!(told(error(), 0), is("2 errors; the first error: no space left", false, None));
        let unreadable = Some(Said::Unreadable("a right is missing".into()));
        assert_eq!(
            told(unreadable, 0),
            is("2 errors (its errors cannot be read: a right is missing)", false, None)
        );
        assert_eq!(told(Some(Said::Nothing), 0), is("2 errors", false, None));
        assert_eq!(told(None, 119), is("2 errors", true, Some(120)));
        assert_eq!(told(None, 120), is("2 errors", false, None));
    }

    #[test]
    fn the_authorities_are_those_of_the_backups_own_location() {
        let location = |name: &str| {
            let location = json!({
                "metadata": { "name": name },
                "spec": { "provider": "aws", "objectStorage": { "bucket": "b", "caCert": "cGVt" } },
            });
            std::sync::Arc::new(
                serde_json::from_value::<BackupStorageLocation>(location).expect("a location"),
            )
        };
        let listed = failed().errors.expect("they are listed");
        assert_eq!(authorities(&listed, &[location("west"), location("east")]), Some(b"pem".to_vec()));
        assert_eq!(authorities(&listed, &[location("west")]), None);
    }
}
