//! What the caches hold of each object: the fields that planning reads, and no more.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, Namespace, PersistentVolume, PersistentVolumeClaim, PodSpec, PodTemplateSpec,
};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::core::PartialObjectMeta;
use velero::{Backup, BackupSpec, BackupStorageLocation, Schedule};

use super::library::{recorded_digest, template_digest};
use crate::agenttier::{Realm, Sandbox, SandboxSpec, SandboxStatus, Template, TemplateSpec};
use crate::api::{BackupPolicy, FIELD_MANAGER, SandboxRecord};
use crate::csi::{IS_DEFAULT_CLASS, VolumeSnapshot, VolumeSnapshotClass};

/// An object that can be cut down to what planning reads.
pub(super) trait Trim: Sized {
    fn trim(&mut self);

    /// What takes the place of an object that cannot be read; by default nothing does, as if it were not there.
    fn stand_in(_: ObjectMeta) -> Option<Self> {
        None
    }

    /// Whether this one, trimmed, says anything that the one before did not.
    fn is_news(&self, _before: &Self) -> bool {
        true
    }
}

fn bare(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.annotations = None;
    meta.finalizers = None;
}

/// Our own annotations stay: overrides, marks, confirmations.
fn bare_but_for_ours(meta: &mut ObjectMeta) {
    bare_but_for(meta, |key| key.starts_with("backup.agenttier.io/"));
}

fn bare_but_for(meta: &mut ObjectMeta, stays: impl Fn(&str) -> bool) {
    let annotations = meta.annotations.take();
    bare(meta);
    meta.annotations = annotations
        .map(|annotations| annotations.into_iter().filter(|(key, _)| stays(key)).collect::<BTreeMap<_, _>>());
}

impl Trim for PersistentVolumeClaim {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        if let Some(status) = &mut self.status {
            status.conditions = None;
            status.capacity = None;
        }
    }
}

impl Trim for PersistentVolume {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        self.metadata.labels = None;
        if let Some(spec) = self.spec.take() {
            let mut csi = spec.csi;
            if let Some(csi) = &mut csi {
                csi.volume_attributes = None;
            }
            self.spec = Some(k8s_openapi::api::core::v1::PersistentVolumeSpec { csi, ..Default::default() });
        }
        self.status = None;
    }
}

impl Trim for Sandbox {
    fn trim(&mut self) {
        self.digest = Some(recorded_digest(self));
        bare_but_for_ours(&mut self.metadata);
        self.spec = SandboxSpec { template_ref: self.spec.template_ref.take(), ..SandboxSpec::default() };
        self.status = self.status.take().map(|status| SandboxStatus {
            phase: status.phase,
            pvc_name: status.pvc_name,
            last_activity_timestamp: status.last_activity_timestamp,
            ..SandboxStatus::default()
        });
    }
}

/// The templates alone know their parents; of the rest it is enough to see whether it changed.
impl<R: Realm> Trim for Template<R> {
    fn trim(&mut self) {
        self.digest = Some(template_digest(&self.spec));
        bare(&mut self.metadata);
        self.metadata.labels = None;
        self.spec = TemplateSpec { inherits_from: self.spec.inherits_from.take(), ..TemplateSpec::default() };
    }
}

impl Trim for PartialObjectMeta<SandboxRecord> {
    fn trim(&mut self) {
        bare(&mut self.metadata);
    }
}

impl Trim for VolumeSnapshot {
    fn trim(&mut self) {
        bare_but_for_ours(&mut self.metadata);
    }
}

impl Trim for BackupPolicy {
    fn trim(&mut self) {
        bare_but_for_ours(&mut self.metadata);
    }
}

impl Trim for Namespace {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        self.spec = None;
        self.status = None;
    }
}

impl Trim for VolumeSnapshotClass {
    fn trim(&mut self) {
        bare_but_for(&mut self.metadata, |key| key == IS_DEFAULT_CLASS);
    }
}

impl Trim for VolumeAttachment {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        self.metadata.labels = None;
        self.spec.attacher = String::new();
        self.spec.node_name = String::new();
        self.status = None;
    }
}

/// Of a container, its image, command line and plain environment are read.
impl Trim for Deployment {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        self.status = None;
        let containers = self.spec.take().and_then(|spec| spec.template.spec).map(|spec| spec.containers);
        let containers = containers.into_iter().flatten().map(|container| Container {
            name: container.name,
            image: container.image,
            command: container.command,
            args: container.args,
            env: container.env,
            ..Container::default()
        });
        let pod = PodSpec { containers: containers.collect(), ..PodSpec::default() };
        let template = PodTemplateSpec { spec: Some(pod), ..PodTemplateSpec::default() };
        self.spec = Some(DeploymentSpec { template, ..DeploymentSpec::default() });
    }
}

/// Who has written it stays, and when: if that is us, for an object of ours is told apart by it also where its labels are
/// edited; and everybody else but Velero's server, who may be at odds with us. Whether that was to its spec stays too, for
/// that may change when a Schedule is due; and who holds one that was deleted.
fn bare_but_for_its_writers(meta: &mut ObjectMeta) {
    let entries = meta.managed_fields.take().into_iter().flatten();
    let is_ours = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(FIELD_MANAGER);
    // Velero's server notes each backup in the status.
    let is_servers = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        !owns_spec(entry) && fields.is_some_and(|fields| fields.0.get("f:status").is_some())
    };
    let telling = entries.filter(|entry| is_ours(entry) || !is_servers(entry)).map(|mut entry| {
        // What is left tells whether its spec is among what somebody has written.
        let is_of_spec = is_ours(&entry) || owns_spec(&entry);
        entry.fields_v1 = (!is_of_spec).then(|| FieldsV1(serde_json::Value::Object(serde_json::Map::new())));
        entry
    });
    let telling: Vec<_> = telling.collect();
    let finalizers = meta.finalizers.take();
    bare_but_for_ours(meta);
    meta.finalizers = finalizers;
    meta.managed_fields = (!telling.is_empty()).then_some(telling);
}

/// Whether somebody has written to the spec, as far as is known: what is cut down has but such entries, and ours.
///
/// Velero's server does not count. It writes `skipImmediately` there once, and from then on each of its writes to the status
/// is noted as one of an owner of both: there is no status subresource.
#[must_use]
pub(crate) fn owns_spec(entry: &ManagedFieldsEntry) -> bool {
    let Some(fields) = &entry.fields_v1 else { return true };
    let fields = fields.0.get("f:spec").and_then(serde_json::Value::as_object);
    fields.is_some_and(|fields| fields.is_empty() || fields.keys().any(|field| field != "f:skipImmediately"))
}

/// Somebody may write a length of time that Velero cannot read, such as `ttl: 14d`: its CRD takes any text. Such a Schedule
/// is there, and like nothing that was ever rendered.
impl Trim for Schedule {
    fn trim(&mut self) {
        bare_but_for_its_writers(&mut self.metadata);
    }

    fn stand_in(metadata: ObjectMeta) -> Option<Self> {
        Some(Self { metadata, ..Self::default() })
    }
}

impl Trim for ConfigMap {
    fn trim(&mut self) {
        bare_but_for_its_writers(&mut self.metadata);
    }
}

/// What is in it is read from its Schedule.
impl Trim for Backup {
    fn trim(&mut self) {
        bare_but_for_ours(&mut self.metadata);
        self.metadata.owner_references = None;
        let (storage_location, snapshot_move_data) =
            (self.spec.storage_location.take(), self.spec.snapshot_move_data);
        self.spec = BackupSpec { storage_location, snapshot_move_data, ..BackupSpec::default() };
        if let Some(status) = &mut self.status {
            status.progress = None;
            status.hook_status = None;
            status.queue_position = None;
            status.format_version = None;
            status.other.clear();
        }
    }

    /// While one is made Velero writes its progress every second, and for all that wait their places in the queue.
    fn is_news(&self, before: &Self) -> bool {
        let is_going = |backup: &Self| backup.metadata.deletion_timestamp.is_some();
        self.status != before.status
            || self.metadata.labels != before.metadata.labels
            || self.metadata.annotations != before.metadata.annotations
            || is_going(self) != is_going(before)
    }
}

impl Trim for BackupStorageLocation {
    fn trim(&mut self) {
        bare(&mut self.metadata);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// How many are left of those that have written to a Schedule, and how many of them to its spec, as far as can be told.
    fn writers(fields: &Value) -> (usize, usize) {
        let schedule = json!({
            "metadata": { "name": "east-team-a", "managedFields": [
                { "manager": "somebody", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields },
            ]},
            "spec": { "schedule": "@daily", "template": {} },
        });
        let mut schedule: Schedule = serde_json::from_value(schedule).expect("a Schedule");
        schedule.trim();
        let left = schedule.metadata.managed_fields.unwrap_or_default();
        (left.len(), left.iter().filter(|entry| owns_spec(entry)).count())
    }

    /// Velero's server notes each backup in the status; if that counted as an edit, no backup would ever be overdue.
    #[test]
    fn who_has_written_is_kept_but_for_veleros_server() {
        assert_eq!(writers(&json!({ "f:spec": { "f:paused": {} } })), (1, 1));
        assert_eq!(writers(&json!({ "f:spec": {} })), (1, 1));
        assert_eq!(writers(&json!({ "f:metadata": { "f:labels": {} } })), (1, 0));
        let servers = json!({ "f:spec": { "f:skipImmediately": {} }, "f:status": { "f:lastBackup": {} } });
        assert_eq!(writers(&servers), (0, 0));
    }

    #[test]
    fn who_holds_a_schedule_that_was_deleted_is_kept() {
        let schedule = json!({
            "metadata": { "name": "east-team-a", "finalizers": ["example.org/hold"] },
            "spec": { "schedule": "@daily", "template": {} },
        });
        let mut schedule: Schedule = serde_json::from_value(schedule).expect("a Schedule");
        schedule.trim();
        assert_eq!(schedule.metadata.finalizers.unwrap_or_default(), ["example.org/hold"]);
    }
}
