//! Bringing an object in Velero's namespace to what was rendered.

use std::fmt::Debug;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, ValidationDirective};
use kube::core::{ApiResource, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::drift::{Drift, drift, drift_unread};
use crate::act::Failure;
use crate::api::FIELD_MANAGER;
use crate::leader::Leadership;

/// Who writes, and where.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    leadership: Leadership,
    namespace: String,
}

impl Writer {
    pub(super) fn new(client: Client, leadership: Leadership, namespace: &str) -> Self {
        Self { client, leadership, namespace: namespace.to_owned() }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an object, or makes it again what it is to be: by server-side apply, and then by taking away what others
    /// have added. Done over, it changes nothing.
    ///
    /// `live` is the object of that name that is ours. Where it has changed since, nothing is done; where there is none
    /// and somebody makes one that is theirs, it stays theirs.
    pub(super) async fn keep<K>(&self, live: Option<&K>, wanted: &K, servers: &[&str]) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + DeserializeOwned
            + Clone
            + Debug,
    {
        // As it is: what somebody has added to it may be nothing that can be read.
        let kind = ApiResource::erase::<K>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let name = wanted.name_any();
        let mut params = PatchParams::apply(FIELD_MANAGER);
        // What Velero does not know it would drop without a word.
        params.field_validation = Some(ValidationDirective::Strict);
        params.force = live.is_some();
        let mut body = serde_json::to_value(wanted).map_err(|error| Failure::Refused(error.to_string()))?;
        body["apiVersion"] = json!(K::api_version(&()));
        body["kind"] = json!(K::kind(&()));
        if let Some(live) = live {
            body["metadata"]["uid"] = json!(live.meta().uid);
            body["metadata"]["resourceVersion"] = json!(live.meta().resource_version);
        }
        self.leadership.check()?;
        let applied = api.patch(&name, &params, &Patch::Apply(&body)).await?;
        let left = left_of(&applied, wanted, servers)?;
        let Some(mut removal) = left.added else { return settled(left.changed, "") };
        let added = paths(&removal);
        removal["metadata"] =
            json!({ "uid": applied.meta().uid, "resourceVersion": applied.meta().resource_version });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        self.leadership.check()?;
        let applied = api.patch(&name, &params, &Patch::Merge(&removal)).await?;
        settled(!left_of(&applied, wanted, servers)?.is_none(), &added)
    }

    /// Deletes an object as it was seen, and nothing that it owns.
    pub(super) async fn remove<K>(&self, live: &K) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        let preconditions = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
        // Somebody may have set `useOwnerReferencesInBackup` for a while: the backups from then would go with it.
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::orphan() };
        self.leadership.check()?;
        match self.api::<K>().delete(&live.name_any(), &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => Ok(deleted.map(drop)?),
        }
    }
}

fn left_of<K>(applied: &DynamicObject, wanted: &K, servers: &[&str]) -> Result<Drift, Failure>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let applied = serde_json::to_value(applied).map_err(|error| Failure::Refused(error.to_string()))?;
    Ok(match serde_json::from_value::<K>(applied.clone()) {
        Ok(applied) => drift(&applied, wanted, servers),
        Err(_) => drift_unread(&applied, wanted, servers),
    })
}

/// What an admission webhook changes on each write would be written for ever.
fn settled(differs: bool, added: &str) -> Result<(), Failure> {
    if differs {
        let what = if added.is_empty() { "it" } else { added };
        return Err(Failure::Refused(format!(
            "something in the cluster, such as an admission webhook, changes {what} in the very moment that it is written"
        )));
    }
    Ok(())
}

/// The leaves of a merge patch, as paths.
fn paths(patch: &Value) -> String {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(value, &format!("{path}{dot}{key}"), found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(patch, "", &mut found);
    found.join(", ")
}
