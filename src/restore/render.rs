//! The objects that a restore makes.

use std::collections::BTreeMap;

use agenttier_backup_plan::marks;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};

use crate::agenttier::{CLONED_FROM_SNAPSHOT_LABEL, SANDBOX_LABEL, Sandbox, Storage, workspace_claim};
use crate::csi::{GROUP, VolumeSnapshot};

/// AgentTier's size for a workspace whose Sandbox names none.
const DEFAULT_SIZE: &str = "10Gi";

/// The claim `<target>-workspace`, made from the recovery point.
///
/// `like` is the claim that the recovery point was taken of, where it still exists: its class and access
/// modes are taken over. Otherwise the Sandbox's storage says.
pub(super) fn claim(
    target: &str,
    snapshot: &VolumeSnapshot,
    source: &Sandbox,
    like: Option<&PersistentVolumeClaim>,
) -> PersistentVolumeClaim {
    let storage = source.spec.storage.clone().unwrap_or_default();
    let like = like.and_then(|claim| claim.spec.as_ref());
    let modes = like.and_then(|spec| spec.access_modes.clone());
    let class =
        like.and_then(|spec| spec.storage_class_name.clone()).or_else(|| storage.storage_class.clone());
    let request = like.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(workspace_claim(target)),
            namespace: snapshot.namespace(),
            labels: Some(BTreeMap::from([
                (SANDBOX_LABEL.to_owned(), target.to_owned()),
                (marks::MANAGED.to_owned(), "true".to_owned()),
                (CLONED_FROM_SNAPSHOT_LABEL.to_owned(), snapshot.name_any()),
            ])),
            annotations: Some(origin(snapshot)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes.unwrap_or_else(|| vec![access_mode(&storage).to_owned()])),
            storage_class_name: class,
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size(snapshot, request, &storage))])),
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
pub(super) fn sandbox(target: &str, snapshot: &VolumeSnapshot, source: &Sandbox) -> Sandbox {
    let mut sandbox = Sandbox::new(target, source.spec.clone());
    sandbox.spec.clone_from_snapshot = Some(snapshot.name_any());
    sandbox.metadata.namespace = snapshot.namespace();
    sandbox.metadata.labels.clone_from(&source.metadata.labels);
    sandbox.metadata.annotations = Some(origin(snapshot));
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

/// The annotations by which a restore knows again what it made.
fn origin(snapshot: &VolumeSnapshot) -> BTreeMap<String, String> {
    BTreeMap::from([
        (marks::RESTORED_FROM.to_owned(), snapshot.name_any()),
        (marks::RESTORED_FROM_UID.to_owned(), snapshot.uid().unwrap_or_default()),
    ])
}

fn access_mode(storage: &Storage) -> &'static str {
    if storage.shared == Some(true) { "ReadWriteMany" } else { "ReadWriteOnce" }
}

/// The snapshot's own size: the provisioner refuses less (external-provisioner, "requested volume size is
/// less than the size of the source snapshot"). Else what the volume or the Sandbox asked for.
fn size(snapshot: &VolumeSnapshot, request: Option<Quantity>, storage: &Storage) -> Quantity {
    let restore_size = snapshot.status.as_ref().and_then(|status| status.restore_size.clone());
    let asked = storage.size.as_ref().map(|size| match size {
        IntOrString::Int(bytes) => Quantity(bytes.to_string()),
        IntOrString::String(text) => Quantity(text.clone()),
    });
    restore_size
        .filter(|size| size.0 != "0")
        .or(request)
        .or(asked)
        .unwrap_or_else(|| Quantity(DEFAULT_SIZE.to_owned()))
}
