//! Watch caches over everything that planning looks at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Client;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::WriterDropped;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::agenttier_loop::CONTROLLERS;
use super::cache::{Cache, Named, watch, watch_some};
use super::library::Library;
use super::observed::{ATTACHMENTS, NAMESPACES, Observed, POLICIES, SANDBOXES, watch_config};
use super::velero_caches::{VeleroCaches, VeleroSight};
use crate::agenttier::{ClusterSandboxTemplate, Sandbox, SandboxTemplate};
use crate::api::{BackupPolicy, SandboxRecord, VOLUME_POLICY};
use crate::csi::{VolumeSnapshot, VolumeSnapshotClass};

/// The caches.
pub struct Caches {
    claims: Cache<PersistentVolumeClaim>,
    persistent_volumes: Cache<PersistentVolume>,
    sandboxes: Cache<Sandbox>,
    snapshots: Cache<VolumeSnapshot>,
    policies: Cache<BackupPolicy>,
    namespaces: Cache<Namespace>,
    classes: Cache<VolumeSnapshotClass>,
    attachments: Cache<VolumeAttachment>,
    deployments: Cache<Deployment>,
    records: Cache<PartialObjectMeta<SandboxRecord>>,
    templates: Cache<SandboxTemplate>,
    cluster_templates: Cache<ClusterSandboxTemplate>,
    /// None where there is no Velero to work with.
    velero: Option<VeleroCaches>,
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
    /// Starts the watches; with Velero's namespace, those of what is in there too.
    #[must_use]
    pub fn start(client: &Client, velero: Option<&str>) -> (Self, Watches) {
        let changed = Arc::new(Notify::new());
        let mut watches = JoinSet::new();
        let velero = velero
            .map(|namespace| VeleroCaches::start(namespace, VOLUME_POLICY, client, &changed, &mut watches));
        let caches = Self {
            claims: watch(client, &changed, &mut watches),
            persistent_volumes: watch(client, &changed, &mut watches),
            sandboxes: watch(client, &changed, &mut watches),
            snapshots: watch(client, &changed, &mut watches),
            policies: watch(client, &changed, &mut watches),
            namespaces: watch(client, &changed, &mut watches),
            classes: watch(client, &changed, &mut watches),
            attachments: watch(client, &changed, &mut watches),
            deployments: watch_some(client, &changed, &mut watches, watch_config().labels(CONTROLLERS)),
            records: watch(client, &changed, &mut watches),
            templates: watch(client, &changed, &mut watches),
            cluster_templates: watch(client, &changed, &mut watches),
            velero,
            changed,
        };
        (caches, Watches(watches))
    }

    /// Waits until every cache that snapshots need has been filled once.
    ///
    /// # Errors
    /// When a watch ended.
    pub async fn filled(&self) -> Result<(), WriterDropped> {
        for (_, filled, _) in self.needed() {
            filled.await?;
        }
        Ok(())
    }

    /// Waits until what snapshots can do without is seen, or is known not to be.
    pub async fn settled(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        while !self.unsettled().is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The kinds that it waits for.
    #[must_use]
    pub fn unsettled(&self) -> Vec<&'static str> {
        let unseen = [
            ("volumesnapshotclasses.snapshot.storage.k8s.io", self.classes.holding().is_unseen()),
            (ATTACHMENTS, self.attachments.holding().is_unseen()),
            ("deployments.apps", self.deployments.holding().is_unseen()),
            // It is filled by then; what is in doubt a moment longer would have nothing count as unchanged.
            (SANDBOXES, self.sandboxes.holding().is_unseen()),
            ("records of sandboxes and their templates", self.library().is_unseen()),
        ];
        unseen.into_iter().filter_map(|(kind, unseen)| unseen.then_some(kind)).collect()
    }

    fn library(&self) -> Library {
        Library {
            records: self.records.holding(),
            templates: self.templates.holding(),
            cluster_templates: self.cluster_templates.holding(),
        }
    }

    /// The kinds whose cache has not been filled yet, of those that snapshots need.
    #[must_use]
    pub fn unfilled(&self) -> Vec<&'static str> {
        let unfilled = self.needed().into_iter().filter_map(|(kind, filled, _)| {
            let filled = filled.now_or_never().is_some();
            (!filled).then_some(kind)
        });
        unfilled.collect()
    }

    /// The caches whose absences are not to be believed, and why: they have not been filled, or their watch fails.
    #[must_use]
    pub fn distrusted(&self) -> Vec<(&'static str, String)> {
        let now = Instant::now();
        let doubts = self.needed().into_iter().chain(self.helpful());
        doubts.filter_map(|(kind, _, following)| Some((kind, following.doubt(now)?))).collect()
    }

    /// Policies that exist and cannot be read.
    #[must_use]
    pub fn unreadable_policies(&self) -> Vec<String> {
        self.policies.health.following.unreadable()
    }

    /// Every cache that snapshots need: its kind, its being filled, and whether it is kept up to date.
    fn needed(&self) -> [Named<'_>; 6] {
        [
            self.claims.named("persistentvolumeclaims"),
            self.persistent_volumes.named("persistentvolumes"),
            self.sandboxes.named(SANDBOXES),
            self.snapshots.named("volumesnapshots.snapshot.storage.k8s.io"),
            self.policies.named(POLICIES),
            self.namespaces.named(NAMESPACES),
        ]
    }

    /// Those that snapshots can be taken without, and deletions cannot be made without.
    fn helpful(&self) -> [Named<'_>; 3] {
        [
            self.classes.named("volumesnapshotclasses.snapshot.storage.k8s.io"),
            self.attachments.named(ATTACHMENTS),
            self.deployments.named("deployments.apps"),
        ]
    }

    /// Waits until any object has changed since the last call returned.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What to notify when something else has changed that a pass goes by.
    #[must_use]
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// What is seen of Velero; `None` where there is none to work with.
    #[must_use]
    pub fn velero(&self) -> Option<VeleroSight> {
        self.velero.as_ref().map(VeleroCaches::sight)
    }

    /// What the caches hold now.
    #[must_use]
    pub fn observed(&self) -> Observed {
        Observed {
            claims: self.claims.store.state(),
            persistent_volumes: self.persistent_volumes.store.state(),
            sandboxes: self.sandboxes.store.state(),
            snapshots: self.snapshots.store.state(),
            policies: self.policies.store.state(),
            namespaces: self.namespaces.store.state(),
            classes: self.classes.once_filled(),
            attachments: self.attachments.once_filled(),
            deployments: self.deployments.store.state(),
            library: self.library(),
        }
    }
}
