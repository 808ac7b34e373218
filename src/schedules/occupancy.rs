//! How long backups hold their place in Velero's queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use velero::{Backup, BackupPhase};

use super::read_back::phase;
use super::template::NAMESPACE;

/// What was seen of it, by namespace.
///
/// A backup gives its place up long before it is complete: while its snapshots get ready or its data is moved, others are
/// made (Velero 1.18, `backupTracker`). No time of its status tells when, so it has to be seen. Until it was, how long the
/// whole of a backup took is the best guess.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    at_work: BTreeSet<String>,
    held: BTreeMap<String, SignedDuration>,
}

impl Occupancy {
    /// Takes a look; what happens between two is missed.
    pub(super) fn see(&mut self, now: Timestamp, backups: &[Arc<Backup>]) {
        let mut at_work = BTreeSet::new();
        for backup in backups {
            let name = backup.name_any();
            let phase = phase(backup);
            if phase == Some(&BackupPhase::InProgress) {
                at_work.insert(name);
            } else if phase != Some(&BackupPhase::Failed) && self.at_work.contains(&name) {
                // A server that died in the midst of one calls it failed when it is back, hours later perhaps.
                let started = backup.status.as_ref().and_then(|status| status.start_timestamp.as_ref());
                if let (Some(started), Some(namespace)) = (started, backup.labels().get(NAMESPACE)) {
                    self.held.insert(namespace.clone(), now.duration_since(started.0));
                }
            }
        }
        self.at_work = at_work;
    }

    /// How long the last one of a namespace held its place.
    pub(super) fn of(&self, namespace: &str) -> Option<SignedDuration> {
        self.held.get(namespace).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backup(phase: &str) -> Vec<Arc<Backup>> {
        let backup = json!({
            "metadata": { "name": "b1", "labels": { "backup.agenttier.io/namespace": "team-a" } },
            "spec": {},
            "status": { "phase": phase, "startTimestamp": "1970-01-01T00:00:00Z" },
        });
        vec![Arc::new(serde_json::from_value(backup).expect("a Backup"))]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_place_is_held_until_the_backup_waits_for_its_snapshots() {
        let mut occupancy = Occupancy::default();
        occupancy.see(at(1), &backup("InProgress"));
        assert_eq!(occupancy.of("team-a"), None, "who knows how long");
        occupancy.see(at(3), &backup("WaitingForPluginOperations"));
        occupancy.see(at(900), &backup("Completed"));
        assert_eq!(occupancy.of("team-a"), Some(SignedDuration::from_secs(3)));
    }

    #[test]
    fn one_that_was_not_seen_at_work_tells_nothing() {
        let mut occupancy = Occupancy::default();
        occupancy.see(at(1), &backup("Queued"));
        occupancy.see(at(900), &backup("Completed"));
        assert_eq!(occupancy.of("team-a"), None);
        occupancy.see(at(1000), &backup("InProgress"));
        occupancy.see(at(30_000), &backup("Failed"));
        assert_eq!(occupancy.of("team-a"), None, "its server had died");
    }
}
