//! One look at Velero's namespace, for commands that look and leave: with the rights of whoever runs them.

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use velero::{Backup, Schedule};

use super::library::Holding;
use super::pages::{cut_down, list_kept, whole};
use super::survey::name_of;
use super::velero_caches::{SERVER, VeleroSight};
use crate::api_error::{is_forbidden, sentence};

/// So many requests are under way at once.
const AT_ONCE: usize = 8;

/// What came of a list.
struct Look<K> {
    holding: Holding<K>,
    /// Why nothing was seen.
    refused: Option<(u16, String)>,
}

impl VeleroSight {
    /// Reads everything once but the backups, of which there may be very many. `map` is the name of the ConfigMap of
    /// ours. What whoever asks may not read is told in `hidden`.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn take(client: &Client, namespace: &str, map: &str) -> anyhow::Result<Self> {
        let all = ListParams::default;
        let named = |name: &str| ListParams::default().fields(&format!("metadata.name={name}"));
        let (schedules, locations, servers, maps) = futures::try_join!(
            look(client, namespace, all(), whole),
            look(client, namespace, all(), whole),
            look(client, namespace, named(SERVER), whole),
            look(client, namespace, named(map), whole),
        )?;
        let mut sight = Self::nothing(namespace);
        sight.absent = matches!(schedules.refused, Some((404, _)));
        sight.schedules = sight.note("schedules.velero.io", schedules);
        sight.locations = sight.note("backupstoragelocations.velero.io", locations);
        sight.servers = sight.note("deployments.apps", servers);
        sight.maps = sight.note("configmaps", maps);
        Ok(sight)
    }

    /// Reads the backups too, those that carry these labels. There may be hundreds of thousands: of each is held what the
    /// controller holds of it.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn take_backups(&mut self, client: &Client, labels: &str) -> anyhow::Result<()> {
        let labelled = ListParams::default().labels(labels);
        let backups = look::<Backup>(client, &self.namespace, labelled, cut_down).await?;
        self.backups = self.note("backups.velero.io", backups);
        Ok(())
    }

    /// Reads one backup of each of these Schedules, if there is one.
    ///
    /// # Errors
    /// When one of them cannot be read: then none is seen.
    pub(crate) async fn take_one_backup_of_each(
        &mut self,
        client: &Client,
        schedules: &[String],
    ) -> anyhow::Result<()> {
        let api = Api::<Backup>::namespaced(client.clone(), &self.namespace);
        let one_of = async |schedule: &String| {
            let labels = format!("{}={schedule}", velero::labels::SCHEDULE_NAME);
            api.list_metadata(&ListParams::default().labels(&labels).limit(1)).await
        };
        let lists: Vec<_> =
            futures::stream::iter(schedules).map(one_of).buffered(AT_ONCE).try_collect().await?;
        let one = |meta: PartialObjectMeta<Backup>| {
            let mut backup = Backup::new("", velero::BackupSpec::default());
            backup.metadata = meta.metadata;
            Arc::new(backup)
        };
        self.backups = Holding::Seen(lists.into_iter().flatten().map(one).collect());
        Ok(())
    }

    /// Of files in place of a cluster: these Schedules, and for the rest a Velero without anything.
    #[must_use]
    pub fn of_schedules(namespace: &str, schedules: Vec<Arc<Schedule>>) -> Self {
        let mut sight = Self::nothing(namespace);
        sight.schedules = Holding::Seen(schedules);
        sight.maps = Holding::Seen(Vec::new());
        sight
    }

    fn nothing(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            schedules: Holding::Unseen,
            backups: Holding::Unseen,
            locations: Holding::Unseen,
            servers: Holding::Unseen,
            maps: Holding::Unseen,
            absent: false,
            hidden: Vec::new(),
        }
    }

    fn note<K>(&mut self, kind: &'static str, look: Look<K>) -> Holding<K> {
        self.hidden.extend(look.refused.map(|(_, why)| (kind, why)));
        look.holding
    }
}

async fn look<K>(
    client: &Client,
    namespace: &str,
    params: ListParams,
    keep: fn(DeserializeGuard<K>) -> Option<Arc<K>>,
) -> anyhow::Result<Look<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    match list_kept(&api, params, keep).await {
        Ok(objects) => Ok(Look { holding: Holding::Seen(objects), refused: None }),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let why = "there is no such kind in this cluster".to_owned();
            Ok(Look { holding: Holding::Refused, refused: Some((404, why)) })
        }
        Err(error) if is_forbidden(&error) => {
            Ok(Look { holding: Holding::Refused, refused: Some((403, sentence(&error))) })
        }
        Err(error) => Err(error).with_context(|| format!("cannot list {}", name_of::<K>())),
    }
}
