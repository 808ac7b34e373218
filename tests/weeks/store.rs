//! What the API server holds, and what it makes of writes: versions, and who owns what since when.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use agenttier_backup::agenttier::Sandbox;
use agenttier_backup::api::{BackupPolicy, FIELD_MANAGER};
use agenttier_backup::schedules::{Drift, drift};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use kube::{Resource, ResourceExt};
use velero::{Backup, Schedule};

/// The field of a Schedule's spec that is Velero's.
pub(crate) const SERVERS: [&str; 1] = ["skipImmediately"];

/// All objects. A copy of it is what a cache may still show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) version: u64,
    pub(crate) namespaces: BTreeMap<String, Arc<Namespace>>,
    /// By namespace: whether there is one is all that counts.
    pub(crate) sandboxes: BTreeMap<String, Arc<Sandbox>>,
    pub(crate) policies: BTreeMap<String, Arc<BackupPolicy>>,
    pub(crate) schedules: Rc<BTreeMap<String, Arc<Schedule>>>,
    pub(crate) backups: Rc<BTreeMap<String, Arc<Backup>>>,
    pub(crate) map: Option<Arc<ConfigMap>>,
}

/// Why a write of ours was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The object is not the one that was seen.
    Changed,
    /// Somebody else has made one of that name.
    Taken,
}

impl Store {
    /// The next version, and a UID with it.
    pub(crate) fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(crate) fn put_namespace(&mut self, namespace: Namespace) {
        self.version += 1;
        self.namespaces.insert(namespace.name_any(), Arc::new(namespace));
    }

    pub(crate) fn put_policy(&mut self, policy: BackupPolicy) {
        self.version += 1;
        self.policies.insert(policy.name_any(), Arc::new(policy));
    }

    pub(crate) fn put_backup(&mut self, backup: Backup) {
        self.version += 1;
        Rc::make_mut(&mut self.backups).insert(backup.name_any(), Arc::new(backup));
    }

    /// A write by somebody other than us: to the spec, or to the metadata and status alone.
    pub(crate) fn put_schedule(&mut self, now: Timestamp, writer: &str, mut schedule: Schedule) {
        let before = self.schedules.get(&schedule.name_any()).cloned();
        if before.is_none() {
            self.create(now, &mut schedule.metadata);
        }
        let is_spec = before.is_none_or(|before| before.spec != schedule.spec);
        // Velero writes but one field of the spec, which is its own; the caches leave it out of account.
        if is_spec && writer != "velero-server" {
            note_writer(now, writer, "Update", &mut schedule.metadata);
        }
        schedule.metadata.resource_version = Some(self.next());
        Rc::make_mut(&mut self.schedules).insert(schedule.name_any(), Arc::new(schedule));
    }

    fn create(&mut self, now: Timestamp, meta: &mut ObjectMeta) {
        meta.uid = Some(format!("uid-{}", self.next()));
        meta.creation_timestamp = Some(Time(now));
    }

    /// Our server-side apply of a Schedule, and our taking away of what others have added.
    pub(crate) fn apply(
        &mut self,
        now: Timestamp,
        seen: Option<&Schedule>,
        wanted: &Schedule,
    ) -> Result<(), Refusal> {
        let live = self.schedules.get(&wanted.name_any()).cloned();
        let (mut next, drift) = match (live, seen) {
            (None, None) => {
                let mut made = wanted.clone();
                self.create(now, &mut made.metadata);
                (made, Drift { changed: true, added: None })
            }
            (Some(live), None) if !is_written_by_us(live.as_ref()) => return Err(Refusal::Taken),
            (Some(live), Some(seen)) if !is_same(live.as_ref(), seen) => return Err(Refusal::Changed),
            (None, Some(_)) => return Err(Refusal::Changed),
            (Some(live), _) => {
                let drift = drift(live.as_ref(), wanted, &SERVERS);
                let mut next = live.as_ref().clone();
                merge(&mut next.metadata, &wanted.metadata);
                next.spec = wanted.spec.clone();
                next.spec.skip_immediately = live.spec.skip_immediately;
                (next, drift)
            }
        };
        if drift.is_none() {
            return Ok(());
        }
        if drift.changed {
            note_writer(now, FIELD_MANAGER, "Apply", &mut next.metadata);
        }
        next.metadata.resource_version = Some(self.next());
        Rc::make_mut(&mut self.schedules).insert(next.name_any(), Arc::new(next));
        Ok(())
    }

    /// Our deletion of a Schedule; what it has made stays.
    pub(crate) fn remove(&mut self, seen: &Schedule) -> Result<(), Refusal> {
        match self.schedules.get(&seen.name_any()) {
            None => Ok(()),
            Some(live) if is_same(live.as_ref(), seen) => {
                self.version += 1;
                Rc::make_mut(&mut self.schedules).remove(&seen.name_any());
                Ok(())
            }
            Some(_) => Err(Refusal::Changed),
        }
    }

    /// Our apply of the ConfigMap; `None` is somebody's deletion of it.
    pub(crate) fn apply_map(
        &mut self,
        seen: Option<&ConfigMap>,
        wanted: Option<ConfigMap>,
    ) -> Result<(), Refusal> {
        if let (Some(live), Some(seen)) = (&self.map, seen)
            && live.metadata.resource_version != seen.metadata.resource_version
        {
            return Err(Refusal::Changed);
        }
        let version = self.next();
        self.map = wanted.map(|mut map| {
            map.metadata.resource_version = Some(version);
            Arc::new(map)
        });
        Ok(())
    }
}

fn is_same<K: Resource>(live: &K, seen: &K) -> bool {
    live.uid() == seen.uid() && live.resource_version() == seen.resource_version()
}

pub(crate) fn is_written_by_us<K: Resource>(object: &K) -> bool {
    let mut writers = object.meta().managed_fields.iter().flatten();
    writers.any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}

fn merge(meta: &mut ObjectMeta, wanted: &ObjectMeta) {
    let pairs = [(&mut meta.labels, &wanted.labels), (&mut meta.annotations, &wanted.annotations)];
    for (marks, wanted) in pairs {
        let wanted = wanted.iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
        marks.get_or_insert_default().extend(wanted);
    }
}

fn note_writer(now: Timestamp, writer: &str, operation: &str, meta: &mut ObjectMeta) {
    let entries = meta.managed_fields.get_or_insert_default();
    entries.retain(|entry| entry.manager.as_deref() != Some(writer));
    entries.push(ManagedFieldsEntry {
        manager: Some(writer.to_owned()),
        operation: Some(operation.to_owned()),
        time: Some(Time(now)),
        ..ManagedFieldsEntry::default()
    });
}
