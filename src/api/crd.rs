//! The CustomResourceDefinitions of our kinds, as the chart ships them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{BackupPolicy, SandboxRecord};

/// Label on each definition: the release that it is of.
pub const RELEASE_LABEL: &str = "app.kubernetes.io/version";
/// This release, as Cargo and the chart's `appVersion` have it.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The definitions of all our kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![BackupPolicy::crd(), SandboxRecord::crd()];
    for crd in &mut crds {
        let labels = [("app.kubernetes.io/part-of", "agenttier"), (RELEASE_LABEL, RELEASE)];
        crd.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
    for version in crds.iter_mut().flat_map(|crd| &mut crd.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(schema);
        }
    }
    crds
}

/// Brings what the derive macros write to what an API server asks for.
fn tidy(schema: &mut JSONSchemaProps) {
    // An optional field of ours is left out, never null.
    schema.nullable = None;
    // The API server warns of formats that it does not know; it knows no unsigned ones.
    if schema.format.as_deref() == Some("uint32") {
        schema.format = Some("int64".to_owned());
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
