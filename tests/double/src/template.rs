//! Templates and what they inherit.

use futures::{FutureExt, future::BoxFuture};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sandbox::{Credential, Image, Network, Spec, Storage, TemplateRef, agenttier_kind};

/// A longer line of parents is refused.
const MAX_DEPTH: usize = 10;

/// The `SandboxTemplate` kind.
#[must_use]
pub fn templates() -> ApiResource {
    agenttier_kind("SandboxTemplate", "sandboxtemplates")
}

/// The `ClusterSandboxTemplate` kind.
#[must_use]
pub fn cluster_templates() -> ApiResource {
    agenttier_kind("ClusterSandboxTemplate", "clustersandboxtemplates")
}

/// The part of a template that shapes a Sandbox's volume and pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TemplateSpec {
    pub(crate) inherits_from: Option<TemplateRef>,
    pub(crate) storage: Option<Storage>,
    pub(crate) network: Option<Network>,
    pub(crate) image: Option<Image>,
    pub(crate) service_account: String,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) harness: Option<Harness>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Harness {
    pub(crate) agent: Option<Map<String, Value>>,
}

/// A template with its parents merged in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) resource_version: String,
    pub(crate) spec: TemplateSpec,
}

impl Template {
    /// The storage in force: all of the Sandbox's own, or all of the template's.
    pub(crate) fn storage(template: Option<&Template>, spec: &Spec) -> Storage {
        let inherited = || template.and_then(|template| template.spec.storage.clone());
        spec.storage.clone().or_else(inherited).unwrap_or_default()
    }
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    /// Ends up in `status.message`, and the Sandbox in Error.
    #[error("{0}")]
    ForGood(String),
    /// Worth another try: AgentTier reads its cache here, which cannot fail.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Fetches a template and its parents, and merges them.
pub(crate) async fn resolve(
    client: &Client,
    wanted: &TemplateRef,
    namespace: &str,
) -> Result<Template, Unresolved> {
    chain(client, wanted.clone(), namespace.to_owned(), Vec::new()).await
}

fn chain(
    client: &Client,
    wanted: TemplateRef,
    namespace: String,
    mut seen: Vec<TemplateRef>,
) -> BoxFuture<'_, Result<Template, Unresolved>> {
    async move {
        if seen.len() >= MAX_DEPTH {
            let why = format!("template inheritance chain exceeds maximum depth of {MAX_DEPTH}");
            return Err(Unresolved::ForGood(why));
        }
        if seen.contains(&wanted) {
            let why = format!("circular template inheritance detected at {}", wanted.name);
            return Err(Unresolved::ForGood(why));
        }
        let object = fetch(client, &wanted, &namespace).await?;
        let mut template = Template {
            name: wanted.name.clone(),
            resource_version: object.resource_version().unwrap_or_default(),
            spec: serde_json::from_value(
                object.data.get("spec").cloned().unwrap_or(Value::Object(Map::new())),
            )
            .map_err(kube::Error::SerdeError)?,
        };
        seen.push(wanted);
        if let Some(parent) = template.spec.inherits_from.clone() {
            let name = parent.name.clone();
            let parent = chain(client, parent, namespace, seen).await.map_err(|error| match error {
                Unresolved::ForGood(why) => {
                    Unresolved::ForGood(format!("failed to resolve parent template {name}: {why}"))
                }
                Unresolved::Api(error) => error.into(),
            })?;
            template.spec = merge(parent.spec, template.spec);
        }
        Ok(template)
    }
    .boxed()
}

async fn fetch(client: &Client, wanted: &TemplateRef, namespace: &str) -> Result<DynamicObject, Unresolved> {
    let name = &wanted.name;
    let (api, shown) = match wanted.kind.as_str() {
        "" | "SandboxTemplate" => {
            let namespace = if wanted.namespace.is_empty() { namespace } else { &wanted.namespace };
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &templates());
            (api, format!("SandboxTemplate {namespace}/{name}"))
        }
        "ClusterSandboxTemplate" => {
            (Api::all_with(client.clone(), &cluster_templates()), format!("ClusterSandboxTemplate {name}"))
        }
        unknown => return Err(Unresolved::ForGood(format!("unknown template kind: {unknown}"))),
    };
    api.get_opt(name).await?.ok_or_else(|| Unresolved::ForGood(format!("{shown} not found")))
}

/// The child over its parent. AgentTier forgets `serviceAccount` here: with a parent, the parent's counts.
fn merge(parent: TemplateSpec, child: TemplateSpec) -> TemplateSpec {
    TemplateSpec {
        inherits_from: child.inherits_from,
        storage: child.storage.or(parent.storage),
        network: child.network.or(parent.network),
        image: child.image.or(parent.image),
        service_account: parent.service_account,
        credentials: parent.credentials.into_iter().chain(child.credentials).collect(),
        harness: match (parent.harness, child.harness) {
            (Some(parent), Some(child)) => Some(Harness { agent: merge_agent(parent.agent, child.agent) }),
            (parent, child) => child.or(parent),
        },
    }
}

fn merge_agent(
    parent: Option<Map<String, Value>>,
    child: Option<Map<String, Value>>,
) -> Option<Map<String, Value>> {
    let (Some(mut merged), Some(child)) = (parent.clone(), child.clone()) else { return child.or(parent) };
    for (field, value) in child {
        let value = if field == "env" { merge_env(merged.get("env"), &value) } else { value };
        merged.insert(field, value);
    }
    Some(merged)
}

/// By name; the child's value wins and new names come last.
fn merge_env(parent: Option<&Value>, child: &Value) -> Value {
    let mut merged = parent.and_then(Value::as_array).cloned().unwrap_or_default();
    for variable in child.as_array().into_iter().flatten() {
        match merged.iter_mut().find(|known| known["name"] == variable["name"]) {
            Some(known) => *known = variable.clone(),
            None => merged.push(variable.clone()),
        }
    }
    Value::Array(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> TemplateSpec {
        serde_json::from_value(value).expect("a template's spec")
    }

    #[test]
    fn a_child_replaces_storage_whole() {
        let parent = spec(json!({"storage": {"size": "1Gi", "snapshotOnStop": true}}));
        let merged = merge(parent.clone(), spec(json!({"storage": {"size": "2Gi"}})));
        assert_eq!(merged.storage, spec(json!({"storage": {"size": "2Gi"}})).storage);
        assert_eq!(merge(parent.clone(), spec(json!({}))).storage, parent.storage);
    }

    #[test]
    fn credentials_add_up_and_the_service_account_is_the_parents() {
        let parent = spec(json!({"credentials": [{"secretName": "a"}], "serviceAccount": "root"}));
        let child = spec(json!({"credentials": [{"secretName": "b"}], "serviceAccount": "leaf"}));
        let merged = merge(parent, child);
        let names: Vec<_> =
            merged.credentials.iter().map(|credential| credential.secret_name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(merged.service_account, "root");
    }

    #[test]
    fn agents_merge_by_field_and_their_environment_by_name() {
        let env = |value: &str| json!([{"name": "A", "value": value}]);
        let parent = spec(json!({"harness": {"agent": {"entrypoint": ["run"], "env": env("1")}}}));
        let child = spec(json!({"harness": {"agent": {"workingDir": "/w", "env": env("2")}}}));
        let merged = merge(parent, child).harness.and_then(|harness| harness.agent).expect("an agent");
        assert_eq!(
            Value::Object(merged),
            json!({"entrypoint": ["run"], "workingDir": "/w", "env": env("2")})
        );
    }

    #[test]
    fn storage_is_the_sandboxs_or_the_templates() {
        let template = Template { spec: spec(json!({"storage": {"size": "1Gi"}})), ..Template::default() };
        let own: Spec = serde_json::from_value(json!({"storage": {"storageClass": "fast"}})).expect("a spec");
        assert_eq!(Template::storage(Some(&template), &own).class, "fast");
        assert_eq!(Template::storage(Some(&template), &own).size, Value::Null);
        assert_eq!(Template::storage(Some(&template), &Spec::default()).size, json!("1Gi"));
        assert_eq!(Template::storage(None, &Spec::default()), Storage::default());
    }
}
