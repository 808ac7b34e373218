//! Objects that this crate itself makes in a cluster.

use std::path::Path;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::control_plane::PATIENCE;
use crate::forge::files;
use crate::wait::until;

impl Cluster {
    /// Makes the CRDs of a folder, and waits until they are established and served.
    ///
    /// # Errors
    /// When one cannot be read, is there already or is not taken.
    pub async fn install_crds(&self, folder: &Path) -> Result<()> {
        let api = Api::<CustomResourceDefinition>::all(self.client());
        try_join_all(files(folder)?.iter().map(async |file| {
            let text = std::fs::read_to_string(file)?;
            let crd: CustomResourceDefinition =
                serde_saphyr::from_str(&text).with_context(|| format!("read {}", file.display()))?;
            let name = crd.name_any();
            api.create(&PostParams::default(), &crd)
                .await
                .with_context(|| format!("create the CRD {name}"))?;
            let established = await_condition(api.clone(), &name, conditions::is_crd_established());
            tokio::time::timeout(PATIENCE, established)
                .await
                .with_context(|| format!("wait for the CRD {name} to be established"))??;
            let spec = &crd.spec;
            let served = spec.versions.iter().find(|version| version.served);
            let version = &served.with_context(|| format!("no version of the CRD {name} is served"))?.name;
            let kind = GroupVersionKind::gvk(&spec.group, version, &spec.names.kind);
            let kind = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
            let objects = Api::<DynamicObject>::all_with(self.client(), &kind);
            // Who serves it learns of that a little later.
            until(&format!("the API server to serve the CRD {name}"), PATIENCE, || async {
                let listed = objects.list_metadata(&ListParams::default().limit(1)).await;
                Ok(listed.ok().map(drop))
            })
            .await
        }))
        .await?;
        Ok(())
    }

    /// Makes an object, in its namespace if it says one.
    pub(crate) async fn create(&self, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.as_ref().context("an object says its kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let api = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client(), &namespace, &resource),
            None => Api::<DynamicObject>::all_with(self.client(), &resource),
        };
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("create the {} {}", resource.kind, object.name_any()))?;
        Ok(())
    }
}
