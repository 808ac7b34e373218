//! One look at the cluster, for commands that look and leave: with the rights of whoever runs them.

use std::fmt::Debug;
use std::sync::Arc;

use agenttier_backup_plan::{Governance, HeldBack, Verdict};
use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::ListParams;
use kube::core::{ClusterResourceScope, DeserializeGuard, NamespaceResourceScope};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use velero::Schedule;

use super::agenttier_loop::CONTROLLERS;
use super::judge::judge_under;
use super::library::Library;
use super::pages::list;
use super::setbacks::reported_setbacks;
use super::{Observed, Regime, judge};
use crate::api::BackupPolicy;
use crate::api_error::is_forbidden;
use crate::csi::VolumeSnapshotClass;

/// What was seen, and what was not.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Everything that could be read.
    pub observed: Observed,
    /// Kinds that whoever asks may not read, as `plural.group`. Without them nobody can say what is due or kept.
    pub hidden: Vec<String>,
    /// Objects that make no sense, and why; they are left out.
    pub unreadable: Vec<String>,
    /// Schedules of Velero in files; in a cluster they are looked at apart.
    pub schedules: Vec<Arc<Schedule>>,
    /// The names of the policies among them: while there is one, the controller deletes nothing.
    pub unreadable_policies: Vec<String>,
}

impl Survey {
    /// Reads everything once; with a namespace, of what is in namespaces only what is in that one. That takes no
    /// rights beyond it, but for what no namespace holds: who may not read that is told so in `hidden`.
    ///
    /// # Errors
    /// When a list cannot be had; the error names the kind.
    pub async fn take(client: &Client, namespace: Option<&str>) -> anyhow::Result<Self> {
        // Boxed: so many lists at once make a large future.
        Box::pin(Self::read(client, namespace)).await
    }

    async fn read(client: &Client, namespace: Option<&str>) -> anyhow::Result<Self> {
        let (claims, sandboxes, snapshots, persistent_volumes, policies, namespaces, extras) = futures::try_join!(
            list_in(client, namespace),
            list_in(client, namespace),
            list_in(client, namespace),
            list_of_cluster(client),
            list_of_cluster(client),
            namespaces(client, namespace),
            Extras::read(client),
        )?;
        let mut survey = Self::default();
        survey.observed = Observed {
            claims: survey.note(claims),
            persistent_volumes: survey.note(persistent_volumes),
            sandboxes: survey.note(sandboxes),
            snapshots: survey.note(snapshots),
            policies: survey.note(policies),
            namespaces: survey.note(namespaces),
            classes: extras.classes,
            attachments: extras.attachments,
            deployments: extras.deployments,
            // What is protected does not depend on it.
            library: Library::default(),
        };
        Ok(survey)
    }

    /// Refuses a namespace that is not there; where namespaces cannot be read, it is believed to be.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn require(&self, namespace: &str) -> anyhow::Result<()> {
        let is_there = |there: &Arc<Namespace>| there.metadata.name.as_deref() == Some(namespace);
        let is_hidden = self.hidden.iter().any(|kind| kind == super::NAMESPACES);
        ensure!(
            is_hidden || self.observed.namespaces.iter().any(is_there),
            "there is no namespace {namespace}"
        );
        Ok(())
    }

    pub(super) fn note<K: Resource<DynamicType = ()>>(&mut self, list: Listed<K>) -> Vec<Arc<K>> {
        let Listed::Seen(objects) = list else {
            self.hidden.push(name_of::<K>());
            return Vec::new();
        };
        let readable = objects.into_iter().filter_map(|DeserializeGuard(object)| match object {
            Ok(object) => Some(Arc::new(object)),
            Err(unreadable) => {
                let meta = &unreadable.metadata;
                let namespace = meta.namespace.as_ref().map(|namespace| format!("{namespace}/"));
                self.unreadable.push(format!(
                    "{} {}{}: {}",
                    K::kind(&()),
                    namespace.unwrap_or_default(),
                    meta.name.as_deref().unwrap_or_default(),
                    unreadable.error
                ));
                if K::kind(&()) == BackupPolicy::kind(&()) {
                    self.unreadable_policies.extend(meta.name.clone());
                }
                None
            }
        });
        readable.collect()
    }

    /// What the controller has reported of its failures.
    #[must_use]
    pub fn setbacks(&self) -> HeldBack {
        reported_setbacks(self.observed.policies.iter().map(AsRef::as_ref))
    }

    /// What there is to know of what was not seen, a sentence each.
    #[must_use]
    pub fn caveats(&self) -> Vec<String> {
        let hidden = (!self.hidden.is_empty()).then(|| {
            format!(
                "you have no right to read {}: what is due and what is kept cannot be told",
                self.hidden.join(", ")
            )
        });
        let unreadable =
            self.unreadable.iter().map(|what| format!("left out, for it cannot be read: {what}"));
        let suspended = (!self.unreadable_policies.is_empty()).then(|| {
            let policies = self.unreadable_policies.join(", ");
            format!(
                "nothing is deleted while a BackupPolicy cannot be read, for it may keep more: {policies}"
            )
        });
        hidden.into_iter().chain(unreadable).chain(suspended).collect()
    }

    /// Judges every volume that was seen.
    #[must_use]
    pub fn judge(&self, now: Timestamp, regime: &Regime) -> Vec<Verdict> {
        let setbacks = self.setbacks();
        if self.hidden.is_empty() {
            judge(now, &self.observed, regime, &setbacks)
        } else {
            judge_under(now, &self.observed, regime.pressure(), &setbacks, |_| &Governance::Unknown)
        }
    }
}

/// What makes the answer more exact, and can be done without: who may not read it is told what can be told.
struct Extras {
    classes: Option<Vec<Arc<VolumeSnapshotClass>>>,
    attachments: Option<Vec<Arc<VolumeAttachment>>>,
    deployments: Vec<Arc<Deployment>>,
}

impl Extras {
    async fn read(client: &Client) -> anyhow::Result<Self> {
        let (classes, attachments, deployments) = futures::join!(
            readable(
                Api::<DeserializeGuard<VolumeSnapshotClass>>::all(client.clone()),
                ListParams::default()
            ),
            readable(Api::<DeserializeGuard<VolumeAttachment>>::all(client.clone()), ListParams::default()),
            readable(
                Api::<DeserializeGuard<Deployment>>::all(client.clone()),
                ListParams::default().labels(CONTROLLERS)
            ),
        );
        Ok(Self {
            classes: classes?,
            attachments: attachments?,
            deployments: deployments?.unwrap_or_default(),
        })
    }
}

/// Everything of a kind that can be read; `None` where there is no right to it, or no such kind.
async fn readable<K>(api: Api<DeserializeGuard<K>>, params: ListParams) -> anyhow::Result<Option<Vec<Arc<K>>>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match list(&api, params).await {
        Ok(objects) => Ok(Some(
            objects.into_iter().filter_map(|DeserializeGuard(object)| object.ok().map(Arc::new)).collect(),
        )),
        Err(error) if is_forbidden(&error) || !absent(&error).is_empty() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", name_of::<K>())),
    }
}

/// What came of a list.
pub(super) enum Listed<K> {
    Seen(Vec<DeserializeGuard<K>>),
    Hidden,
}

async fn list_in<K>(client: &Client, namespace: Option<&str>) -> anyhow::Result<Listed<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let (api, hint) = match namespace {
        Some(namespace) => (
            Api::namespaced(client.clone(), namespace),
            format!("; you need the right to list it in namespace {namespace}"),
        ),
        None => (
            Api::all(client.clone()),
            "; you need the right to list it in all namespaces, or name one with -n".to_owned(),
        ),
    };
    match list(&api, ListParams::default()).await {
        Ok(objects) => Ok(Listed::Seen(objects)),
        Err(error) => {
            let hint = if is_forbidden(&error) { hint } else { absent(&error).to_owned() };
            Err(error).with_context(|| format!("cannot list {}{hint}", name_of::<K>()))
        }
    }
}

async fn list_of_cluster<K>(client: &Client) -> anyhow::Result<Listed<K>>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
{
    match list(&Api::all(client.clone()), ListParams::default()).await {
        Ok(objects) => Ok(Listed::Seen(objects)),
        Err(error) if is_forbidden(&error) => Ok(Listed::Hidden),
        Err(error) => {
            let hint = absent(&error);
            Err(error).with_context(|| format!("cannot list {}{hint}", name_of::<K>()))
        }
    }
}

/// All namespaces, or the one: its own users may read it by name.
async fn namespaces(client: &Client, only: Option<&str>) -> anyhow::Result<Listed<Namespace>> {
    let Some(name) = only else { return list_of_cluster(client).await };
    match Api::<Namespace>::all(client.clone()).get_opt(name).await {
        Ok(Some(namespace)) => Ok(Listed::Seen(vec![DeserializeGuard(Ok(namespace))])),
        // What was kept of it may be there.
        Ok(None) => Ok(Listed::Seen(Vec::new())),
        Err(error) if is_forbidden(&error) => Ok(Listed::Hidden),
        Err(error) => Err(error).with_context(|| format!("cannot read namespace {name}")),
    }
}

fn absent(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.code == 404 => "; its CRD is not installed in this cluster",
        _ => "",
    }
}

/// `plural.group`.
pub(super) fn name_of<K: Resource<DynamicType = ()>>() -> String {
    let (plural, group) = (K::plural(&()), K::group(&()));
    if group.is_empty() { plural.to_string() } else { format!("{plural}.{group}") }
}
