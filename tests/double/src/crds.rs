//! AgentTier's three kinds, as YAML written for the double.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    runtime::wait::{await_condition, conditions::is_crd_established},
};

const YAML: [&str; 3] = [
    include_str!("../crds/sandboxes.yaml"),
    include_str!("../crds/sandboxtemplates.yaml"),
    include_str!("../crds/clustersandboxtemplates.yaml"),
];

/// How long an API server may take to serve a new kind.
const ESTABLISH_TIMEOUT: Duration = Duration::from_mins(5);
/// Between two looks whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The definitions of `Sandbox`, `SandboxTemplate` and `ClusterSandboxTemplate`.
///
/// # Panics
/// If the YAML of this crate does not parse; its own tests cover that.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    YAML.iter().map(|yaml| serde_saphyr::from_str(yaml).expect("this crate's CRDs are valid YAML")).collect()
}

/// Installs the CRDs, or brings them up to date, and waits until the API server serves them.
///
/// # Errors
/// If a CRD is refused or is not served within five minutes.
pub async fn install_crds(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crds() {
        let name = crd.name_any();
        api.patch(&name, &PatchParams::apply("agenttier-double").force(), &Patch::Apply(&crd))
            .await
            .with_context(|| format!("installing CRD {name}"))?;
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &kind(&crd));
        let one = ListParams::default().limit(1);
        let served = async {
            // A watch may break, and who serves a new kind learns of it a little later.
            while await_condition(api.clone(), &name, is_crd_established()).await.is_err()
                || objects.list_metadata(&one).await.is_err()
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(ESTABLISH_TIMEOUT, served)
            .await
            .with_context(|| format!("CRD {name} is not served after {ESTABLISH_TIMEOUT:?}"))?;
    }
    Ok(())
}

fn kind(crd: &CustomResourceDefinition) -> ApiResource {
    let spec = &crd.spec;
    let kind = GroupVersionKind::gvk(&spec.group, &spec.versions[0].name, &spec.names.kind);
    ApiResource::from_gvk_with_plural(&kind, &spec.names.plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_parse_with_their_scopes() {
        let seen: Vec<_> = crds().into_iter().map(|crd| (crd.spec.names.kind, crd.spec.scope)).collect();
        let want = [
            ("Sandbox", "Namespaced"),
            ("SandboxTemplate", "Namespaced"),
            ("ClusterSandboxTemplate", "Cluster"),
        ];
        assert_eq!(seen, want.map(|(kind, scope)| (kind.to_owned(), scope.to_owned())));
    }

    #[test]
    fn both_templates_have_one_schema() {
        let spec = |index: usize| {
            let version = crds().swap_remove(index).spec.versions.swap_remove(0);
            let schema = version.schema.and_then(|schema| schema.open_api_v3_schema).expect("a schema");
            schema.properties.expect("properties")["spec"].clone()
        };
        assert_eq!(spec(1), spec(2));
    }
}
