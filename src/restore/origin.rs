//! Where a restore's data and spec come from, and how the objects that it makes say so.
//!
//! Whoever runs the same command again finds there all that is needed to go on, also when the recovery point or the
//! source is gone by then.

use std::collections::BTreeMap;

use agenttier_backup_plan::marks;
use jiff::Timestamp;

/// The source of one restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The VolumeSnapshot.
    pub point: String,
    /// Its UID: another one of the same name is another recovery point.
    pub point_uid: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// The Sandbox whose spec is taken over.
    pub sandbox: String,
    /// Its UID; empty where the recovery point does not tell.
    pub sandbox_uid: String,
    /// The record of it that the recovery point names.
    pub record: Option<String>,
}

impl Origin {
    /// The annotations that say it.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        [
            (marks::RESTORED_FROM, self.point.clone()),
            (marks::RESTORED_FROM_UID, self.point_uid.clone()),
            (marks::RESTORED_DATA_OF, self.taken_at.to_string()),
            (marks::RESTORED_SANDBOX, self.sandbox.clone()),
            (marks::RESTORED_SANDBOX_UID, self.sandbox_uid.clone()),
        ]
        .into_iter()
        .chain(self.record.clone().map(|record| (marks::RECORD, record)))
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// Reads them. None for an object that no restore made.
    #[must_use]
    pub fn read(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let get = |key: &str| annotations.get(key).cloned();
        Some(Self {
            point: get(marks::RESTORED_FROM)?,
            point_uid: get(marks::RESTORED_FROM_UID)?,
            taken_at: get(marks::RESTORED_DATA_OF)?.parse().ok()?,
            sandbox: get(marks::RESTORED_SANDBOX)?,
            sandbox_uid: get(marks::RESTORED_SANDBOX_UID)?,
            record: get(marks::RECORD),
        })
    }

    /// Whether an object with these annotations was made by a restore of this very origin.
    #[must_use]
    pub fn made(&self, annotations: &BTreeMap<String, String>) -> bool {
        Self::read(annotations).as_ref() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            point: "s1-workspace-backup-7".into(),
            point_uid: "u7".into(),
            taken_at: "2026-01-02T03:04:05.678Z".parse().expect("a moment"),
            sandbox: "s1".into(),
            sandbox_uid: "u1".into(),
            record: Some("s1-4b1d".into()),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let origin = origin();
        assert_eq!(Origin::read(&origin.annotations()), Some(origin.clone()));
        assert!(origin.made(&origin.annotations()));
        let unrecorded = Origin { record: None, ..origin };
        assert_eq!(Origin::read(&unrecorded.annotations()), Some(unrecorded));
    }

    #[test]
    fn another_point_or_another_sandbox_is_another_origin() {
        let theirs = [
            Origin { point_uid: "u8".into(), ..origin() },
            Origin { sandbox: "s2".into(), sandbox_uid: "u2".into(), ..origin() },
            Origin { sandbox_uid: "u3".into(), ..origin() },
        ];
        for other in theirs {
            assert!(!origin().made(&other.annotations()), "{other:?}");
        }
    }

    #[test]
    fn what_does_not_say_all_of_it_was_not_made_by_a_restore() {
        for key in origin().annotations().keys().filter(|key| *key != marks::RECORD) {
            let mut annotations = origin().annotations();
            annotations.remove(key);
            assert_eq!(Origin::read(&annotations), None, "without {key}");
        }
    }
}
