//! The Sandbox whose spec a restore takes over: as it lives, or, where it is gone, as its record has it.

use std::collections::BTreeMap;

use agenttier_backup_plan::LONGEST_LINEAGE;
use kube::{Api, Client};

use super::error::RestoreError;
use super::order::Order;
use super::origin::Origin;
use crate::agenttier::{ClusterSandboxTemplate, Sandbox, SandboxTemplate, Storage, TemplateKey, TemplateRef};
use crate::api::SandboxRecord;
use crate::api_error::is_forbidden;

/// Where the spec comes from.
#[derive(Debug)]
pub(super) struct Source {
    /// The Sandbox.
    pub(super) sandbox: Sandbox,
    /// The storage that it asked for, or a template for it.
    pub(super) storage: Storage,
    /// What its successor takes over of its annotations: of one that lives nothing, it has them still.
    pub(super) annotations: BTreeMap<String, String>,
    /// Why AgentTier would put its successor in Error for good.
    pub(super) misses: Option<Missing>,
}

/// A template that AgentTier would look for in vain.
#[derive(Debug)]
pub(super) struct Missing {
    template: String,
    record: String,
}

impl Source {
    pub(super) fn living(sandbox: Sandbox) -> Self {
        let storage = sandbox.spec.storage.clone().unwrap_or_default();
        Self { sandbox, storage, annotations: BTreeMap::new(), misses: None }
    }

    /// The Sandbox from the record that the recovery point names.
    ///
    /// # Errors
    /// When there is no such record.
    pub(super) async fn recorded(
        client: &Client,
        order: &Order,
        point: &str,
        record: Option<&str>,
    ) -> Result<Self, RestoreError> {
        let Some(name) = record else {
            return Err(RestoreError::no_record(order, point, "names no record of it".to_owned()));
        };
        let records: Api<SandboxRecord> = Api::namespaced(client.clone(), &order.namespace);
        let record = records.get_opt(name).await;
        let record = record.map_err(|error| RestoreError::api("read the sandbox's record", error))?;
        let Some(record) = record else {
            let cause = format!("names the record {name:?}, which is gone");
            return Err(RestoreError::no_record(order, point, cause));
        };
        let recorded = &record.spec.sandbox;
        if recorded.name != order.sandbox {
            let cause = format!("names a record of sandbox {:?}", recorded.name);
            return Err(RestoreError::no_record(order, point, cause));
        }
        let missing = missing_template(client, order, recorded.spec.template_ref.clone()).await?;
        Ok(Self {
            misses: missing.map(|template| Missing { template, record: name.into() }),
            sandbox: recorded.restored(),
            storage: record.spec.storage().unwrap_or_default(),
            annotations: recorded.annotations.clone(),
        })
    }

    /// Whether a Sandbox can be made of it.
    ///
    /// # Errors
    /// When a template is missing.
    pub(super) fn is_whole(&self, order: &Order) -> Result<(), RestoreError> {
        let Some(Missing { template, record }) = &self.misses else { return Ok(()) };
        Err(RestoreError::NoTemplate {
            sandbox: order.sandbox.clone(),
            namespace: order.namespace.clone(),
            template: template.clone(),
            record: record.clone(),
        })
    }
}

impl Origin {
    /// The same for a restore that has begun.
    pub(super) async fn recorded(&self, client: &Client, order: &Order) -> Result<Source, RestoreError> {
        Source::recorded(client, order, &self.point, self.record.as_deref()).await
    }
}

/// The first template, of all that AgentTier would look for, that is not there. What may not be read is taken to be.
async fn missing_template(
    client: &Client,
    order: &Order,
    named: Option<TemplateRef>,
) -> Result<Option<String>, RestoreError> {
    let mut next = named;
    for _ in 0..LONGEST_LINEAGE {
        let Some(reference) = next else { return Ok(None) };
        let key = reference.key(&order.namespace);
        let found = match &key {
            TemplateKey::Namespaced { namespace, name } => {
                let api: Api<SandboxTemplate> = Api::namespaced(client.clone(), namespace);
                api.get_opt(name).await.map(|found| found.map(|template| template.spec))
            }
            TemplateKey::OfCluster { name } => {
                let api: Api<ClusterSandboxTemplate> = Api::all(client.clone());
                api.get_opt(name).await.map(|found| found.map(|template| template.spec))
            }
            TemplateKey::Unknown { .. } => Ok(None),
        };
        match found {
            Ok(Some(spec)) => next = spec.inherits_from,
            Ok(None) => {
                let (kind, namespace, name) = key.parts();
                let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
                return Ok(Some(format!("{kind} {namespace}{name}")));
            }
            Err(error) if is_forbidden(&error) => return Ok(None),
            Err(error) => return Err(RestoreError::api("read the sandbox's template", error)),
        }
    }
    Ok(None)
}
