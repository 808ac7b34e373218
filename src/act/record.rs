//! Recording a Sandbox: one create, under the name that its contents have.

use agenttier_backup_plan::{Digest, Portion, Subject, TemplateSight, claim_label, marks};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::agenttier::{ClusterSandboxTemplate, SANDBOX_LABEL, Sandbox, SandboxTemplate, TemplateSpec};
use crate::api::{FIELD_MANAGER, RecordedSandbox, RecordedTemplate, SandboxRecord, SandboxRecordSpec};
use crate::leader::Leadership;
use crate::observe::{recorded_digest, template_digest};

/// Creates the record, or finds that it is there. Watches show only in short what Sandbox and templates are, so that
/// both are read in full; one that has changed since is left to the next pass.
pub(super) async fn record(client: &Client, leadership: &Leadership, order: &Subject) -> Result<(), Failure> {
    let portions = order.contents.portions().map_err(|size| Failure::RecordTooLarge { size })?;
    let namespace = &order.volume.namespace;
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let sandbox = sandboxes.get_opt(&order.contents.sandbox).await?.ok_or(Failure::Changed)?;
    if recorded_digest(&sandbox) != order.contents.digest {
        return Err(Failure::Changed);
    }
    let mut templates = Vec::new();
    for (sight, portion) in order.contents.templates.iter().zip(portions) {
        let spec = match (portion, sight.digest) {
            (Portion::Spec, Some(digest)) => Some(spec_of(client, sight, digest).await?),
            _ => None,
        };
        templates.push(RecordedTemplate {
            kind: sight.kind.clone(),
            namespace: sight.namespace.clone(),
            name: sight.name.clone(),
            hash: sight.digest.map(|digest| digest.to_string()),
            spec,
        });
    }
    let spec = SandboxRecordSpec { sandbox: RecordedSandbox::of(&sandbox), templates };
    let wanted = render(order, spec);
    let api: Api<SandboxRecord> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    leadership.check()?;
    match api.create(&params, &wanted).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            let existing = api.get_opt(&order.contents.name()).await?.ok_or(Failure::Changed)?;
            match () {
                () if existing.spec != wanted.spec => Err(Failure::NameTaken),
                () if existing.metadata.deletion_timestamp.is_some() => Err(Failure::Changed),
                () => Ok(()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// What a template says, if it still is what it was planned with.
async fn spec_of(
    client: &Client,
    sight: &TemplateSight,
    digest: Digest,
) -> Result<Map<String, Value>, Failure> {
    let spec: Option<TemplateSpec> = if let Some(namespace) = sight.namespace.as_deref() {
        let api: Api<SandboxTemplate> = Api::namespaced(client.clone(), namespace);
        api.get_opt(&sight.name).await?.map(|template| template.spec)
    } else {
        let api: Api<ClusterSandboxTemplate> = Api::all(client.clone());
        api.get_opt(&sight.name).await?.map(|template| template.spec)
    };
    let spec = spec.filter(|spec| template_digest(spec) == digest).ok_or(Failure::Changed)?;
    match serde_json::to_value(spec) {
        Ok(Value::Object(spec)) => Ok(spec),
        _ => Err(Failure::Changed),
    }
}

fn render(order: &Subject, spec: SandboxRecordSpec) -> SandboxRecord {
    let mut record = SandboxRecord::new(&order.contents.name(), spec);
    record.metadata.namespace = Some(order.volume.namespace.clone());
    record.metadata.labels = Some(
        [
            (marks::MANAGED_BY.to_owned(), marks::US.to_owned()),
            (SANDBOX_LABEL.to_owned(), claim_label(&order.contents.sandbox)),
        ]
        .into(),
    );
    record
}
