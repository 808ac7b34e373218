//! The objects that a restore makes.

use std::collections::BTreeMap;

use agenttier_backup_plan::{claim_label, marks};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::prepare::Restore;
use super::size::size;
use super::source::Source;
use crate::agenttier::{CLONED_FROM_SNAPSHOT_LABEL, SANDBOX_LABEL, Sandbox, Storage};
use crate::api::FIELD_MANAGER;
use crate::csi::{GROUP, VolumeSnapshot};

/// The claim `<target>-workspace`, made from the recovery point.
///
/// `like` is the claim that the recovery point was taken of, where it still exists: its class and access
/// modes are taken over. Otherwise the Sandbox's storage says.
pub(super) fn claim(
    restore: &Restore,
    snapshot: &VolumeSnapshot,
    source: &Source,
    like: Option<&PersistentVolumeClaim>,
) -> PersistentVolumeClaim {
    let target = &restore.order.target;
    let storage = &source.storage;
    let as_was = like.and_then(|claim| claim.spec.as_ref());
    let modes = as_was.and_then(|spec| spec.access_modes.clone());
    let class =
        as_was.and_then(|spec| spec.storage_class_name.clone()).or_else(|| storage.storage_class.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(target.claim()),
            namespace: snapshot.namespace(),
            labels: Some(BTreeMap::from([
                (SANDBOX_LABEL.to_owned(), target.to_string()),
                (marks::MANAGED.to_owned(), "true".to_owned()),
                (CLONED_FROM_SNAPSHOT_LABEL.to_owned(), claim_label(&snapshot.name_any())),
            ])),
            annotations: Some(restore.origin.annotations()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes.unwrap_or_else(|| vec![access_mode(storage).to_owned()])),
            storage_class_name: class,
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size(snapshot, like, storage))])),
                ..VolumeResourceRequirements::default()
            }),
            data_source: Some(TypedLocalObjectReference {
                api_group: Some(GROUP.into()),
                kind: VolumeSnapshot::kind(&()).into_owned(),
                name: snapshot.name_any(),
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// The target Sandbox: the source's spec, made from the recovery point.
pub(super) fn sandbox(restore: &Restore, source: &Source) -> Sandbox {
    let mut sandbox = Sandbox::new(restore.order.target.as_str(), source.sandbox.spec.clone());
    sandbox.spec.clone_from_snapshot = Some(restore.origin.point.clone());
    sandbox.metadata.namespace = Some(restore.order.namespace.clone());
    sandbox.metadata.labels.clone_from(&source.sandbox.metadata.labels);
    let mut annotations = source.annotations.clone();
    annotations.extend(restore.origin.annotations());
    sandbox.metadata.annotations = Some(annotations);
    sandbox
}

/// How the claim names its Sandbox as its owner: as AgentTier itself does.
pub(super) fn owner(sandbox: &Sandbox) -> OwnerReference {
    OwnerReference {
        api_version: Sandbox::api_version(&()).into_owned(),
        kind: Sandbox::kind(&()).into_owned(),
        name: sandbox.name_any(),
        uid: sandbox.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// How objects are created in our name.
pub(super) fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

/// How objects are changed in our name.
pub(super) fn patch() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

fn access_mode(storage: &Storage) -> &'static str {
    if storage.shared == Some(true) { "ReadWriteMany" } else { "ReadWriteOnce" }
}
