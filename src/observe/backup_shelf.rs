//! The backups that are there, in little room: a namespace may have hundreds, of each of many clusters.
//!
//! Those of a kind, which differ in nothing but what became of them, share what they have in common. Of those that have
//! ended a note is kept, an eighth of what the object takes, and shown are the ones that tell how a Schedule stands: the newest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use velero::{Backup, BackupPhase, BackupSpec, BackupStatus};

use super::trim::Trim;

/// What backups of a kind have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    storage_location: Option<String>,
    snapshot_move_data: Option<bool>,
}

/// All backups.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    kinds: BTreeMap<Arc<Kind>, OfKind>,
    /// The kind of each.
    names: HashMap<Arc<str>, Arc<Kind>>,
    is_filled: bool,
    /// What a list has brought so far that is not at its end.
    listed: Option<Box<Shelf>>,
}

#[derive(Debug, Default)]
struct OfKind {
    backups: BTreeMap<Arc<str>, Kept>,
    /// Those that tell something, as they were last shown.
    telling: Option<Vec<Arc<Backup>>>,
}

#[derive(Debug, Clone)]
enum Kept {
    /// It has not ended.
    Open(Arc<Backup>),
    Ended(Note),
}

/// What is known of a backup that has ended. Times are in seconds since 1970, as Kubernetes tells them, and small: until 2106.
#[derive(Debug, Clone, PartialEq)]
struct Note {
    created: Option<u32>,
    started: Option<u32>,
    completed: Option<u32>,
    csi_volume_snapshots_attempted: Option<u32>,
    volume_snapshots_attempted: Option<u32>,
    backup_item_operations_attempted: Option<u32>,
    /// `None`: everything went well.
    failure: Option<Box<Failure>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Failure {
    phase: BackupPhase,
    uid: Option<String>,
    errors: Option<i64>,
    warnings: Option<i64>,
    backup_item_operations_failed: Option<i64>,
    /// As the status has it.
    reason: Option<String>,
    validation_errors: Option<Vec<String>>,
}

impl Shelf {
    /// Takes up what a watch says; returns whether that is anything new.
    pub(super) fn take(&mut self, event: Event<Backup>) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(Box::default());
                false
            }
            Event::InitApply(backup) => {
                self.listed.get_or_insert_default().put(backup);
                false
            }
            Event::InitDone => {
                *self = *self.listed.take().unwrap_or_default();
                self.is_filled = true;
                true
            }
            Event::Apply(backup) => self.put(backup),
            Event::Delete(backup) => self.remove(&backup.name_any()),
        }
    }

    /// Those that tell something; `None` as long as it was never filled.
    ///
    /// Of each kind: all that have not ended; and of those that have, the one that began last, the one that began last of the
    /// ones that went well, and the one that ended last.
    pub(super) fn telling(&mut self) -> Option<Vec<Arc<Backup>>> {
        let telling = self.kinds.iter_mut().flat_map(|(kind, of_kind)| {
            let OfKind { backups, telling } = of_kind;
            telling.get_or_insert_with(|| the_telling_of(kind, backups)).iter().cloned()
        });
        self.is_filled.then(|| telling.collect())
    }

    fn put(&mut self, mut backup: Backup) -> bool {
        backup.trim();
        let name: Arc<str> = backup.name_any().into();
        let kind = Kind::of(&backup);
        let kept = Kept::of(backup);
        let before = self.names.get(&name).and_then(|before| {
            (**before == kind).then(|| self.kinds.get(before)?.backups.get(&name)).flatten()
        });
        let is_news = before.is_none_or(|before| !kept.says_the_same_as(before));
        self.remove(&name);
        let kind =
            self.kinds.get_key_value(&kind).map_or_else(|| Arc::new(kind.clone()), |(kind, _)| kind.clone());
        let of_kind = self.kinds.entry(kind.clone()).or_default();
        of_kind.telling = None;
        of_kind.backups.insert(name.clone(), kept);
        self.names.insert(name, kind);
        is_news
    }

    fn remove(&mut self, name: &str) -> bool {
        let Some(kind) = self.names.remove(name) else { return false };
        let Some(of_kind) = self.kinds.get_mut(&kind) else { return false };
        of_kind.telling = None;
        of_kind.backups.remove(name);
        if of_kind.backups.is_empty() {
            self.kinds.remove(&kind);
        }
        true
    }
}

fn the_telling_of(kind: &Kind, backups: &BTreeMap<Arc<str>, Kept>) -> Vec<Arc<Backup>> {
    // From the last name to the first, of which the first counts among equals.
    let ended = || {
        backups.iter().rev().filter_map(|(name, kept)| match kept {
            Kept::Open(_) => None,
            Kept::Ended(note) => Some((name, note)),
        })
    };
    let newest = [
        ended().max_by_key(|(_, note)| note.begun()),
        ended().filter(|(_, note)| note.failure.is_none()).max_by_key(|(_, note)| note.begun()),
        ended().max_by_key(|(_, note)| note.completed),
    ];
    let newest: BTreeMap<&Arc<str>, &Note> = newest.into_iter().flatten().collect();
    let open = backups.values().filter_map(|kept| match kept {
        Kept::Open(backup) => Some(backup.clone()),
        Kept::Ended(_) => None,
    });
    open.chain(newest.into_iter().map(|(name, note)| Arc::new(note.backup(name, kind)))).collect()
}

impl Kind {
    fn of(backup: &Backup) -> Self {
        Self {
            namespace: backup.metadata.namespace.clone(),
            labels: backup.metadata.labels.clone(),
            annotations: backup.metadata.annotations.clone(),
            storage_location: backup.spec.storage_location.clone(),
            snapshot_move_data: backup.spec.snapshot_move_data,
        }
    }
}

impl Kept {
    fn of(backup: Backup) -> Self {
        let status = backup.status.as_ref();
        let phase = status.and_then(|status| status.phase.clone()).filter(BackupPhase::is_finished);
        let (Some(status), Some(phase)) = (status, phase) else { return Self::Open(Arc::new(backup)) };
        let failure = (!phase.is_success()).then(|| {
            Box::new(Failure {
                phase,
                uid: backup.metadata.uid.clone(),
                errors: status.errors,
                warnings: status.warnings,
                backup_item_operations_failed: status.backup_item_operations_failed,
                reason: status.failure_reason.clone(),
                validation_errors: status.validation_errors.clone(),
            })
        });
        let small = |number: i64| u32::try_from(number).ok();
        let seconds = |time: &Option<Time>| small(time.as_ref()?.0.as_second());
        Self::Ended(Note {
            created: seconds(&backup.metadata.creation_timestamp),
            started: seconds(&status.start_timestamp),
            completed: seconds(&status.completion_timestamp),
            csi_volume_snapshots_attempted: status.csi_volume_snapshots_attempted.and_then(small),
            volume_snapshots_attempted: status.volume_snapshots_attempted.and_then(small),
            backup_item_operations_attempted: status.backup_item_operations_attempted.and_then(small),
            failure,
        })
    }

    fn says_the_same_as(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Open(now), Self::Open(before)) => !now.is_news(before),
            (Self::Ended(now), Self::Ended(before)) => now == before,
            _ => false,
        }
    }
}

impl Note {
    fn begun(&self) -> Option<u32> {
        self.started.or(self.created)
    }

    /// The backup again, as far as it is known.
    fn backup(&self, name: &str, kind: &Kind) -> Backup {
        let time = |seconds: Option<u32>| Timestamp::from_second(seconds?.into()).ok().map(Time);
        let spec = BackupSpec {
            storage_location: kind.storage_location.clone(),
            snapshot_move_data: kind.snapshot_move_data,
            ..BackupSpec::default()
        };
        let failure = self.failure.as_deref();
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: kind.namespace.clone(),
            uid: failure.and_then(|failure| failure.uid.clone()),
            labels: kind.labels.clone(),
            annotations: kind.annotations.clone(),
            creation_timestamp: time(self.created),
            ..ObjectMeta::default()
        };
        let status = BackupStatus {
            phase: Some(failure.map_or(BackupPhase::Completed, |failure| failure.phase.clone())),
            start_timestamp: time(self.started),
            completion_timestamp: time(self.completed),
            csi_volume_snapshots_attempted: self.csi_volume_snapshots_attempted.map(i64::from),
            volume_snapshots_attempted: self.volume_snapshots_attempted.map(i64::from),
            backup_item_operations_attempted: self.backup_item_operations_attempted.map(i64::from),
            errors: failure.and_then(|failure| failure.errors),
            warnings: failure.and_then(|failure| failure.warnings),
            backup_item_operations_failed: failure.and_then(|failure| failure.backup_item_operations_failed),
            failure_reason: failure.and_then(|failure| failure.reason.clone()),
            validation_errors: failure.and_then(|failure| failure.validation_errors.clone()),
            ..BackupStatus::default()
        };
        Backup { metadata, spec, status: Some(status) }
    }
}

#[cfg(test)]
mod tests;
