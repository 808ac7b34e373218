//! One moment's sight of the cluster.

use std::fmt::Debug;
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::agenttier::Sandbox;
use crate::api::BackupPolicy;
use crate::csi::VolumeSnapshot;

/// Everything that planning looks at. The order of the lists has no meaning.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// All claims.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// All volumes: they know their CSI driver.
    pub persistent_volumes: Vec<Arc<PersistentVolume>>,
    /// All Sandboxes.
    pub sandboxes: Vec<Arc<Sandbox>>,
    /// All VolumeSnapshots, ours and others.
    pub snapshots: Vec<Arc<VolumeSnapshot>>,
    /// All policies.
    pub policies: Vec<Arc<BackupPolicy>>,
    /// All namespaces: policies select them by label.
    pub namespaces: Vec<Arc<Namespace>>,
}

impl Observed {
    /// Reads everything once, for commands that look and leave.
    ///
    /// # Errors
    /// When a list cannot be had; the error names the kind.
    pub async fn list(client: &Client) -> anyhow::Result<Self> {
        let (claims, persistent_volumes, sandboxes, snapshots, policies, namespaces) = futures::try_join!(
            list_all(client),
            list_all(client),
            list_all(client),
            list_all(client),
            list_all(client),
            list_all(client),
        )?;
        Ok(Self { claims, persistent_volumes, sandboxes, snapshots, policies, namespaces })
    }
}

async fn list_all<K>(client: &Client) -> anyhow::Result<Vec<Arc<K>>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    const PAGE: u32 = 500;
    let api: Api<K> = Api::all(client.clone());
    let pages = futures::stream::try_unfold(Some(String::new()), |token| {
        let api = api.clone();
        async move {
            let Some(token) = token else { return Ok::<_, kube::Error>(None) };
            let mut params = ListParams::default().limit(PAGE);
            if !token.is_empty() {
                params = params.continue_token(&token);
            }
            let page = api.list(&params).await?;
            let next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
            Ok(Some((page.items, next)))
        }
    });
    let pages: Vec<Vec<K>> = pages.try_collect().await.map_err(|error| explained::<K>(error))?;
    Ok(pages.into_iter().flatten().map(Arc::new).collect())
}

fn explained<K: Resource<DynamicType = ()>>(error: kube::Error) -> anyhow::Error {
    let (plural, group) = (K::plural(&()), K::group(&()));
    let what = if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") };
    let hint = match &error {
        kube::Error::Api(status) if status.code == 404 => "; its CRD is not installed in this cluster",
        kube::Error::Api(status) if status.code == 403 => "; you need the right to list it in all namespaces",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("cannot list {what}{hint}"))
}

/// How watches read: pages of 500, so that a large cluster does not come in one piece.
pub(super) fn watch_config() -> watcher::Config {
    watcher::Config::default().page_size(500)
}
