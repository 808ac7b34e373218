//! Watch caches over what is in Velero's namespace, and nowhere else.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use velero::{Backup, BackupStorageLocation, Schedule};

use super::cache::{BackupCache, Cache, watch_in};
use super::library::Holding;
use super::observed::watch_config;

/// The name that every installation of Velero gives its server's Deployment; a restore fails in part where there is none
/// of that name (Velero 1.18, restore finalizer).
pub const SERVER: &str = "velero";

/// The backups that count, of this cluster and of others that use the same store: out of a Schedule of ours. Those that are
/// made otherwise may be very many.
const OF_SCHEDULES: &str = "app.kubernetes.io/managed-by=agenttier-backup";

/// The caches.
pub(super) struct VeleroCaches {
    namespace: String,
    schedules: Cache<Schedule>,
    backups: BackupCache,
    locations: Cache<BackupStorageLocation>,
    servers: Cache<Deployment>,
    maps: Cache<ConfigMap>,
}

/// One moment's sight of Velero.
#[derive(Debug, Clone)]
pub struct VeleroSight {
    /// Velero's namespace.
    pub namespace: String,
    /// Its Schedules, ours and others.
    pub schedules: Holding<Schedule>,
    /// Its backups out of Schedules of ours, also those of other clusters that use the same store. Out of the controller's caches,
    /// of those that have ended but the ones that tell how their Schedule stands.
    pub backups: Holding<Backup>,
    /// Where backups are kept.
    pub locations: Holding<BackupStorageLocation>,
    /// Velero's server.
    pub servers: Holding<Deployment>,
    /// The ConfigMap of ours.
    pub maps: Holding<ConfigMap>,
    /// Whether Velero's kinds are known not to be there.
    pub absent: bool,
    /// Kinds that cannot be seen, and what stands in the way.
    pub hidden: Vec<(&'static str, String)>,
}

impl VeleroCaches {
    /// Starts the watches.
    pub(super) fn start(
        namespace: &str,
        map: &str,
        client: &Client,
        changed: &Arc<Notify>,
        watches: &mut JoinSet<()>,
    ) -> Self {
        let named = |name: &str| watch_config().fields(&format!("metadata.name={name}"));
        Self {
            namespace: namespace.to_owned(),
            schedules: watch_in(namespace, client, changed, watches, watch_config()),
            backups: BackupCache::watch(
                namespace,
                client,
                changed,
                watches,
                watch_config().labels(OF_SCHEDULES),
            ),
            locations: watch_in(namespace, client, changed, watches, watch_config()),
            servers: watch_in(namespace, client, changed, watches, named(SERVER)),
            maps: watch_in(namespace, client, changed, watches, named(map)),
        }
    }

    /// What they hold now.
    pub(super) fn sight(&self) -> VeleroSight {
        let doubts = [
            ("schedules.velero.io", self.schedules.health.doubt()),
            ("backups.velero.io", self.backups.health.doubt()),
            ("backupstoragelocations.velero.io", self.locations.health.doubt()),
            ("deployments.apps", self.servers.health.doubt()),
            ("configmaps", self.maps.health.doubt()),
        ];
        VeleroSight {
            namespace: self.namespace.clone(),
            schedules: self.schedules.holding(),
            backups: self.backups.holding(),
            locations: self.locations.holding(),
            servers: self.servers.holding(),
            maps: self.maps.holding(),
            absent: self.schedules.health.has_no_kind(),
            hidden: doubts.into_iter().filter_map(|(kind, doubt)| Some((kind, doubt?))).collect(),
        }
    }
}
