//! Noting something on a recovery point of ours.

use agenttier_backup_plan::{Mark, Note, marks};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Failure;
use super::gone::prove_gone;
use crate::api::FIELD_MANAGER;
use crate::csi::VolumeSnapshot;
use crate::leader::Leadership;

/// Writes the note, if the point is still the object that was planned with.
pub(super) async fn mark(
    client: &Client,
    leadership: &Leadership,
    now: Timestamp,
    order: &Mark,
) -> Result<(), Failure> {
    if let Note::SandboxGone(user) = &order.note {
        prove_gone(client, &order.volume, user).await?;
    }
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &order.volume.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    leadership.check()?;
    api.patch(&order.name, &params, &Patch::Merge(patch(now, order))).await.map(drop).map_err(Failure::from)
}

/// UID and resourceVersion make it fail with a conflict where the object is another one by now, or has changed.
fn patch(now: Timestamp, order: &Mark) -> Value {
    let mut metadata = json!({ "uid": order.uid, "resourceVersion": order.version });
    let (place, change) = match &order.note {
        // Whole seconds are enough, and easier to read.
        Note::SandboxGone(_) => {
            let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
            ("annotations", json!({ marks::GONE_SINCE: since.to_string() }))
        }
        Note::HideFromAgentTier => ("labels", json!({ marks::SNAPSHOT_KIND: null })),
        Note::NoLongerAtRest => ("annotations", json!({ marks::AT_REST_SINCE: null })),
        Note::RetentionChanged { before, retention } => {
            let changes = before.amended(now, *retention).to_string();
            ("annotations", json!({ marks::RETENTION_CHANGES: changes }))
        }
    };
    metadata[place] = change;
    json!({ "metadata": metadata })
}
