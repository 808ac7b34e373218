//! What an API server and a storage would have added.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{NAME_LABEL, Place, namespace, namespaces_of};
use crate::agenttier::{SandboxStatus, workspace_claim};
use crate::observe::Observed;

/// The driver of a volume that is not given.
const SOME_DRIVER: &str = "unknown";

/// Gives an object the UID and the time of creation that it lacks.
pub(super) fn identify(object: &mut Value, kind: &str, namespace: Option<&str>, name: &str, place: &Place) {
    let metadata = &mut object["metadata"];
    if metadata["uid"].is_null() {
        metadata["uid"] = json!(format!("{kind}/{}/{name}", namespace.unwrap_or_default()));
    }
    if metadata["creationTimestamp"].is_null() {
        metadata["creationTimestamp"] = json!(place.now);
    }
}

/// Makes up what the rest asks for, and says so.
pub(super) fn complete(observed: &mut Observed, place: &Place, notes: &mut Vec<String>) {
    namespaces(observed);
    tie(observed, notes);
    bind(observed, place, notes);
}

/// Those that are only mentioned exist too; each has the label that an API server gives it.
fn namespaces(observed: &mut Observed) {
    let given: BTreeSet<String> = observed.namespaces.iter().map(|namespace| namespace.name_any()).collect();
    let claims = observed.claims.iter().map(|object| object.metadata.namespace.as_ref());
    let sandboxes = observed.sandboxes.iter().map(|object| object.metadata.namespace.as_ref());
    let snapshots = observed.snapshots.iter().map(|object| object.metadata.namespace.as_ref());
    let mentioned = namespaces_of(claims.chain(sandboxes).chain(snapshots));
    observed.namespaces.extend(mentioned.difference(&given).map(|name| Arc::new(namespace(name))));
    for namespace in &mut observed.namespaces {
        let name = namespace.name_any();
        Arc::make_mut(namespace).labels_mut().entry(NAME_LABEL.to_owned()).or_insert(name);
    }
}

/// A Sandbox without a status uses the claim that AgentTier would give it, where that is given.
fn tie(observed: &mut Observed, notes: &mut Vec<String>) {
    let claims: BTreeSet<(Option<String>, String)> =
        observed.claims.iter().map(|claim| (claim.namespace(), claim.name_any())).collect();
    for sandbox in &mut observed.sandboxes {
        let own = workspace_claim(&sandbox.name_any());
        let claim = sandbox.claim().unwrap_or(&own).to_owned();
        let namespace = sandbox.namespace();
        if !claims.contains(&(namespace.clone(), claim.clone())) {
            let namespace = namespace.unwrap_or_default();
            notes.push(format!(
                "Sandbox {namespace}/{}: its volume claim {claim} is not given, so nothing is said of it",
                sandbox.name_any()
            ));
        } else if sandbox.claim().is_none() {
            let status = Arc::make_mut(sandbox).status.get_or_insert_with(SandboxStatus::default);
            status.pvc_name = Some(claim);
        }
    }
}

/// A claim without a status counts as bound, and a volume that is not given as one of a CSI driver.
fn bind(observed: &mut Observed, place: &Place, notes: &mut Vec<String>) {
    let given: BTreeSet<String> =
        observed.persistent_volumes.iter().map(|volume| volume.name_any()).collect();
    let mut made_up = Vec::new();
    for claim in &mut observed.claims {
        let claim = Arc::make_mut(claim);
        let status = claim.status.get_or_insert_default();
        let phase = status.phase.get_or_insert_with(|| "Bound".to_owned());
        if phase != "Bound" {
            continue;
        }
        let uid = claim.metadata.uid.clone().unwrap_or_default();
        let spec = claim.spec.get_or_insert_default();
        let volume = spec.volume_name.get_or_insert_with(|| format!("volume-of-{uid}"));
        if !given.contains(volume) {
            made_up.push(Arc::new(csi_volume(volume, place)));
        }
    }
    if !made_up.is_empty() {
        notes.push(format!(
            "the PersistentVolumes of {} not given: taken for volumes of a CSI driver",
            if made_up.len() == 1 {
                "1 claim are".to_owned()
            } else {
                format!("{} claims are", made_up.len())
            }
        ));
    }
    observed.persistent_volumes.extend(made_up);
}

fn csi_volume(name: &str, place: &Place) -> PersistentVolume {
    let csi =
        CSIPersistentVolumeSource { driver: SOME_DRIVER.to_owned(), ..CSIPersistentVolumeSource::default() };
    let mut volume = PersistentVolume {
        spec: Some(PersistentVolumeSpec { csi: Some(csi), ..PersistentVolumeSpec::default() }),
        ..PersistentVolume::default()
    };
    volume.metadata.name = Some(name.to_owned());
    volume.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(place.now));
    volume
}
