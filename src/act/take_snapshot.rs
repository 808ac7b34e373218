//! Taking a snapshot: one create with a deterministic name.

use std::collections::BTreeMap;

use agenttier_backup_plan::{TakeSnapshot, claim_label, marks};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};

use super::failure::Failure;
use super::rest::is_at_rest;
use super::switched::prove_switched;
use crate::api::FIELD_MANAGER;
use crate::csi::{SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec};
use crate::leader::Leadership;
use crate::observe::marks_of;

/// Creates the VolumeSnapshot, or finds that an earlier attempt at this very order did.
pub(super) async fn take_snapshot(
    client: &Client,
    leadership: &Leadership,
    order: &TakeSnapshot,
) -> Result<VolumeSnapshot, Failure> {
    // A snapshot names its claim, not the claim's UID: if another claim has taken the name since, its data would
    // be filed under the old one.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &order.volume.namespace);
    let claim = claims.get_opt(&order.volume.claim).await?;
    let uid = claim.and_then(|claim| claim.metadata.uid);
    if uid.as_deref() != Some(order.volume.uid.as_str()) {
        return Err(Failure::Changed);
    }
    if let (true, Some(sandbox)) = (order.after_switch, &order.sandbox) {
        prove_switched(client, &order.volume, &sandbox.name, &sandbox.uid).await?;
    }
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &order.volume.namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let at_rest = match order.at_rest_since {
        Some(since) if is_at_rest(client, &order.volume.namespace, &order.volume.claim).await? => Some(since),
        _ => None,
    };
    let wanted = render(order, at_rest);
    leadership.check()?;
    match api.create(&params, &wanted).await {
        Ok(snapshot) => Ok(snapshot),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            let existing = api.get_opt(&order.name).await?.ok_or(Failure::Changed)?;
            if is_result_of(order, &existing) { Ok(existing) } else { Err(Failure::NameTaken) }
        }
        Err(error) => Err(error.into()),
    }
}

/// An existing object counts as done only when it is ours, of this volume, for this slot.
fn is_result_of(order: &TakeSnapshot, existing: &VolumeSnapshot) -> bool {
    let ours = agenttier_backup_plan::Ownership::Ours { volume: order.volume.uid.clone() };
    marks_of(existing) == ours
        && existing.annotations().get(marks::SLOT) == Some(&order.slot.start().to_string())
        && existing.metadata.deletion_timestamp.is_none()
}

fn render(order: &TakeSnapshot, at_rest_since: Option<Timestamp>) -> VolumeSnapshot {
    let kind =
        (!order.hidden_from_agenttier).then(|| (marks::SNAPSHOT_KIND, marks::SCHEDULED_BACKUP.to_owned()));
    let labels = [
        (marks::SOURCE_PVC, claim_label(&order.volume.claim)),
        (marks::MANAGED, "true".to_owned()),
        (marks::MANAGED_BY, marks::US.to_owned()),
        (marks::VELERO_EXCLUDE, "true".to_owned()),
    ];
    let mut annotations = BTreeMap::from([
        (marks::VOLUME_UID.to_owned(), order.volume.uid.to_string()),
        (marks::CLAIM.to_owned(), order.volume.claim.clone()),
        (marks::SLOT.to_owned(), order.slot.start().to_string()),
        (marks::POLICY.to_owned(), order.policy.clone()),
        (marks::RETENTION.to_owned(), order.retention.to_string()),
    ]);
    if let Some(since) = at_rest_since {
        annotations.insert(marks::AT_REST_SINCE.to_owned(), since.to_string());
    }
    if order.after_switch {
        annotations.insert(marks::AFTER_SWITCH.to_owned(), "true".to_owned());
    }
    if let Some(sandbox) = &order.sandbox {
        annotations.insert(marks::SANDBOX.to_owned(), sandbox.name.clone());
        annotations.insert(marks::SANDBOX_UID.to_owned(), sandbox.uid.clone());
        annotations.insert(marks::SANDBOX_PHASE.to_owned(), sandbox.phase.clone());
        if let Some(record) = &sandbox.record {
            annotations.insert(marks::RECORD.to_owned(), record.clone());
        }
    }
    VolumeSnapshot {
        metadata: ObjectMeta {
            name: Some(order.name.clone()),
            namespace: Some(order.volume.namespace.clone()),
            labels: Some(
                labels.into_iter().chain(kind).map(|(key, value)| (key.to_owned(), value)).collect(),
            ),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: VolumeSnapshotSpec {
            source: SnapshotSource {
                persistent_volume_claim_name: Some(order.volume.claim.clone()),
                ..SnapshotSource::default()
            },
            volume_snapshot_class_name: order.class.clone(),
        },
        status: None,
    }
}
