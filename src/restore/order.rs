//! What is to be restored.

use agenttier_backup_plan::marks;
use agenttier_backup_plan::restore::Start;
use anyhow::Context as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, ResourceExt};

use super::point::{Point, resolve};
use crate::agenttier::{Sandbox, workspace_claim};
use crate::csi::VolumeSnapshot;

/// One restore: a recovery point, and the sandbox to make of it.
#[derive(Debug)]
pub struct Restore {
    /// Namespace of the recovery point, the source and the target.
    pub namespace: String,
    /// Name of the Sandbox to make.
    pub target: String,
    /// The Sandbox whose spec the target gets.
    pub source: Sandbox,
    /// The recovery point.
    pub point: Point,
    /// Whether the target is to run.
    pub start: Start,
}

impl Restore {
    /// Finds the recovery point and the Sandbox whose spec is to be taken over.
    ///
    /// # Errors
    /// When either is missing.
    pub async fn prepare(
        client: &Client,
        namespace: &str,
        sandbox: &str,
        point: Option<&str>,
        target: &str,
        start: Start,
    ) -> anyhow::Result<Self> {
        let source = Api::<Sandbox>::namespaced(client.clone(), namespace)
            .get_opt(sandbox)
            .await
            .with_context(|| format!("cannot read sandbox {sandbox:?}"))?
            .with_context(|| {
                format!(
                    "there is no sandbox {sandbox:?} in namespace {namespace:?}, and its spec is needed \
                     to make another one like it"
                )
            })?;
        let begun = match point {
            Some(_) => None,
            None => begun_from(client, namespace, target).await.context("cannot read volume claims")?,
        };
        let point = resolve(client, namespace, sandbox, point.or(begun.as_deref())).await?;
        Ok(Self { namespace: namespace.into(), target: target.into(), source, point, start })
    }

    /// Name of the claim that the target uses.
    #[must_use]
    pub fn claim(&self) -> String {
        workspace_claim(&self.target)
    }

    pub(super) fn snapshot(&self) -> &VolumeSnapshot {
        &self.point.snapshot
    }
}

/// The recovery point of a restore of that target that was begun before: it goes on with the same one, also
/// when there is a newer one by now.
async fn begun_from(client: &Client, namespace: &str, target: &str) -> kube::Result<Option<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get_opt(&workspace_claim(target)).await?;
    Ok(claim.and_then(|claim| claim.annotations().get(marks::RESTORED_FROM).cloned()))
}
