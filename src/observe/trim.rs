//! What the caches hold of each object: the fields that planning reads, and no more.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::agenttier::{Sandbox, SandboxSpec, SandboxStatus};
use crate::api::BackupPolicy;
use crate::csi::VolumeSnapshot;

/// An object that can be cut down to what planning reads.
pub(super) trait Trim {
    fn trim(&mut self);
}

fn bare(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.annotations = None;
    meta.finalizers = None;
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
        bare(&mut self.metadata);
        self.spec = SandboxSpec::default();
        self.status = self.status.take().map(|status| SandboxStatus {
            phase: status.phase,
            pvc_name: status.pvc_name,
            ..SandboxStatus::default()
        });
    }
}

impl Trim for VolumeSnapshot {
    fn trim(&mut self) {
        let annotations = self.metadata.annotations.take();
        bare(&mut self.metadata);
        let ours = |key: &String| key.starts_with("backup.agenttier.io/");
        self.metadata.annotations = annotations.map(|annotations| {
            annotations.into_iter().filter(|(key, _)| ours(key)).collect::<BTreeMap<_, _>>()
        });
    }
}

impl Trim for BackupPolicy {
    fn trim(&mut self) {
        bare(&mut self.metadata);
    }
}

impl Trim for Namespace {
    fn trim(&mut self) {
        bare(&mut self.metadata);
        self.spec = None;
        self.status = None;
    }
}
