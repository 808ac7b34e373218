//! AgentTier's own scheduled backups, with their weak points.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams},
};
use serde_json::json;

use crate::{children, controller::End, sandbox::MANAGED_LABEL};

const KIND_LABEL: &str = "agenttier.io/snapshot-kind";
const SOURCE_LABEL: &str = "agenttier.io/source-pvc";
const SCHEDULED: &str = "scheduled-backup";

/// A loop without memory: each start snapshots every managed claim of one namespace at once, and the sweep knows
/// no reason to keep a snapshot but its age.
#[derive(Clone, Debug)]
pub struct BackupLoop {
    /// The only namespace that it looks at.
    pub namespace: String,
    /// Between two passes; the first is at start. AgentTier: 6 h.
    pub interval: Duration,
    /// Older snapshots go, the last good one too. AgentTier: 14 days.
    pub retention: Duration,
    /// None: the cluster's default class.
    pub snapshot_class: Option<String>,
}

impl BackupLoop {
    pub(crate) async fn run(self, client: Client, mut end: End) {
        let mut ticks = tokio::time::interval(self.interval);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = &mut end => return }
            if let Err(error) = self.snapshot_all(&client).await {
                tracing::warn!(%error, "backup pass failed");
            }
            if let Err(error) = self.prune(&client).await {
                tracing::warn!(%error, "backup sweep failed");
            }
        }
    }

    async fn snapshot_all(&self, client: &Client) -> kube::Result<()> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &self.namespace);
        let managed = ListParams::default().labels(&format!("{MANAGED_LABEL}=true"));
        for claim in api.list_metadata(&managed).await? {
            if claim.labels().get("agenttier.io/pooled").is_some_and(|pooled| pooled == "true") {
                continue;
            }
            if let Err(error) =
                take(client, &self.namespace, &claim.name_any(), self.snapshot_class.as_deref()).await
            {
                tracing::warn!(pvc = claim.name_any(), %error, "no backup of this claim");
            }
        }
        Ok(())
    }

    async fn prune(&self, client: &Client) -> kube::Result<()> {
        let retention = SignedDuration::try_from(self.retention).unwrap_or(SignedDuration::MAX);
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &self.namespace, &children::volume_snapshots());
        let ours = ListParams::default().labels(&format!("{KIND_LABEL}={SCHEDULED}"));
        let now = Timestamp::now();
        for snapshot in api.list_metadata(&ours).await? {
            let Some(created) = snapshot.creation_timestamp() else { continue };
            if now.duration_since(created.0) < retention {
                continue;
            }
            if let Err(error) = api.delete(&snapshot.name_any(), &DeleteParams::default()).await {
                tracing::warn!(snapshot = snapshot.name_any(), %error, "an old backup stays");
            }
        }
        Ok(())
    }
}

/// `<pvc>-backup-<unix>`, scheduled or asked for through the REST API: nothing tells them apart.
pub(crate) async fn take(
    client: &Client,
    namespace: &str,
    claim: &str,
    class: Option<&str>,
) -> kube::Result<DynamicObject> {
    let labels = BTreeMap::from([(KIND_LABEL, SCHEDULED), (SOURCE_LABEL, claim), (MANAGED_LABEL, "true")]);
    let metadata = json!({
        "name": format!("{claim}-backup-{}", Timestamp::now().as_second()),
        "namespace": namespace,
        "labels": labels,
    });
    children::snapshot(client, metadata, claim, class).await
}
