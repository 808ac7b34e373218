//! Removing records of Sandboxes that nothing refers to.

use std::collections::BTreeSet;

use agenttier_backup_plan::{RecordSight, marks};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};

use super::failure::{Failure, is_missing};
use crate::api::SandboxRecord;
use crate::csi::VolumeSnapshot;
use crate::leader::Leadership;

/// The records that VolumeSnapshots of a namespace name, read live, whosoever the snapshots are.
pub(super) async fn named_records(client: &Client, namespace: &str) -> Result<BTreeSet<String>, Failure> {
    // Of a namespace full of snapshots a page, and of that the metadata.
    let api: Api<PartialObjectMeta<VolumeSnapshot>> = Api::namespaced(client.clone(), namespace);
    let mut params = ListParams::default().limit(500);
    let mut named = BTreeSet::new();
    loop {
        let page = api.list(&params).await?;
        named.extend(
            page.items.iter().filter_map(|snapshot| snapshot.annotations().get(marks::RECORD).cloned()),
        );
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(named),
        }
    }
}

/// Deletes the record if it is still the object that was planned with, and not among those that are named.
pub(super) async fn collect(
    client: &Client,
    leadership: &Leadership,
    record: &RecordSight,
    named: &BTreeSet<String>,
) -> Result<(), Failure> {
    if named.contains(&record.name) {
        return Err(Failure::Changed);
    }
    let api: Api<SandboxRecord> = Api::namespaced(client.clone(), &record.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(record.uid.clone()),
            resource_version: Some(record.version.clone()),
        }),
        ..DeleteParams::default()
    };
    leadership.check()?;
    match api.delete(&record.name, &params).await {
        Ok(_) => Ok(()),
        // Somebody was quicker; it is gone all the same.
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
