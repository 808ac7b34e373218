//! Watch caches over everything that planning looks at.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::runtime::reflector::{self, Store, store::WriterDropped};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::observed::{Observed, watch_config};
use super::trim::Trim;
use crate::agenttier::Sandbox;
use crate::api::BackupPolicy;
use crate::csi::VolumeSnapshot;

/// The caches.
pub struct Caches {
    claims: Store<PersistentVolumeClaim>,
    persistent_volumes: Store<PersistentVolume>,
    sandboxes: Store<Sandbox>,
    snapshots: Store<VolumeSnapshot>,
    policies: Store<BackupPolicy>,
    namespaces: Store<Namespace>,
    changed: Arc<Notify>,
}

/// The tasks that fill the caches. A watch that fails, also because a CRD is absent, is tried again with
/// back-off for ever; dropping this ends them all.
pub struct Watches(JoinSet<()>);

impl Watches {
    /// Waits until one has ended, which none ever should: from then on a cache would grow stale in silence.
    pub async fn one_ended(&mut self) {
        self.0.join_next().await;
    }
}

impl Caches {
    /// Starts the watches.
    #[must_use]
    pub fn start(client: &Client) -> (Self, Watches) {
        let changed = Arc::new(Notify::new());
        let mut watches = JoinSet::new();
        let caches = Self {
            claims: watch(client, &changed, &mut watches),
            persistent_volumes: watch(client, &changed, &mut watches),
            sandboxes: watch(client, &changed, &mut watches),
            snapshots: watch(client, &changed, &mut watches),
            policies: watch(client, &changed, &mut watches),
            namespaces: watch(client, &changed, &mut watches),
            changed,
        };
        (caches, Watches(watches))
    }

    /// Waits until every cache has been filled once.
    ///
    /// # Errors
    /// When a watch ended.
    pub async fn filled(&self) -> Result<(), WriterDropped> {
        let all: [(&str, BoxFuture<'_, Result<(), WriterDropped>>); 6] = [
            ("persistentvolumeclaims", Box::pin(self.claims.wait_until_ready())),
            ("persistentvolumes", Box::pin(self.persistent_volumes.wait_until_ready())),
            ("sandboxes.agenttier.io", Box::pin(self.sandboxes.wait_until_ready())),
            ("volumesnapshots.snapshot.storage.k8s.io", Box::pin(self.snapshots.wait_until_ready())),
            ("backuppolicies.backup.agenttier.io", Box::pin(self.policies.wait_until_ready())),
            ("namespaces", Box::pin(self.namespaces.wait_until_ready())),
        ];
        for (kind, ready) in all {
            ready.await?;
            tracing::debug!(kind, "cache filled");
        }
        Ok(())
    }

    /// Waits until any object has changed since the last call returned.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the caches hold now.
    #[must_use]
    pub fn observed(&self) -> Observed {
        Observed {
            claims: self.claims.state(),
            persistent_volumes: self.persistent_volumes.state(),
            sandboxes: self.sandboxes.state(),
            snapshots: self.snapshots.state(),
            policies: self.policies.state(),
            namespaces: self.namespaces.state(),
        }
    }
}

fn watch<K>(client: &Client, changed: &Arc<Notify>, watches: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Trim + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watch_config()).default_backoff().modify(Trim::trim);
    let changed = changed.clone();
    let kind = K::plural(&());
    watches.spawn(async move {
        let mut events = std::pin::pin!(reflector::reflector(writer, events));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
                Ok(_) => changed.notify_one(),
                Err(error) => tracing::warn!(%kind, %error, "watch failed; trying again"),
            }
        }
    });
    store
}
