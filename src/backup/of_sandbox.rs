//! A snapshot of a sandbox's volume, now.

use agenttier_backup_plan::{Action, Response, TakeSnapshot, claim_label, marks};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::made::{Layer, Made};
use crate::act::{Executor, Failure};
use crate::agenttier::{SANDBOX_LABEL, Sandbox};
use crate::api::{RecordedSandbox, SandboxRecord};
use crate::api_error::is_forbidden;
use crate::leader::Leadership;
use crate::observe::{Regime, Survey};
use crate::server_clock::ServerClock;

/// Takes a snapshot of the volume that a sandbox uses, as the controller would, or finds that one is on its way.
///
/// # Errors
/// When there is no such sandbox, no policy that would prune the snapshot, or a right is missing.
pub async fn of_sandbox(
    client: &Client,
    clock: &ServerClock,
    namespace: &str,
    name: &str,
) -> Result<Made, BackupError> {
    let survey = Box::pin(Survey::take(client, Some(namespace))).await?;
    survey.require(namespace)?;
    let now = clock.now();
    let made = |name_of_snapshot: String, already| Made {
        layer: Layer::Snapshot,
        namespace: namespace.to_owned(),
        sandbox: Some(name.to_owned()),
        name: name_of_snapshot,
        object_namespace: namespace.to_owned(),
        already,
    };
    let sandbox = format!("{namespace}/{name}");
    let order = match survey.on_request(now, &Regime::of(&survey.observed), namespace, name) {
        Some(Response::Take(order)) => *order,
        Some(Response::There { name }) => return Ok(made(name, true)),
        Some(Response::Refuse(notice)) => {
            let (reason, mut message) = (notice.reason.to_string(), notice.message);
            if !survey.hidden.is_empty() {
                message = format!("{message}: {}", survey.hidden.join(", "));
            }
            return Err(BackupError::Refused { sandbox, reason, message });
        }
        None => {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            let is_there = survey.observed.sandboxes.iter().any(|sandbox| sandbox.name_any() == name);
            return Err(if is_there {
                BackupError::NoVolume { namespace, name }
            } else {
                BackupError::NoSuchSandbox { namespace, name }
            });
        }
    };
    let order = with_record(client, order).await;
    match take(client, now, order.clone()).await {
        Ok(name) => Ok(made(name, false)),
        // The right to see pods is what a snapshot at rest takes, and no other one.
        Err(Failure::Forbidden(_)) if order.at_rest_since.is_some() => {
            let order = TakeSnapshot { at_rest_since: None, ..order };
            take(client, now, order)
                .await
                .map(|name| made(name, false))
                .map_err(|error| api(&sandbox, &error))
        }
        Err(error) => Err(api(&sandbox, &error)),
    }
}

async fn take(client: &Client, now: jiff::Timestamp, order: TakeSnapshot) -> Result<String, Failure> {
    let executor = Executor::new(client.clone(), Leadership::alone(), 1);
    let name = order.name.clone();
    let outcomes = executor.run(now, vec![Action::TakeSnapshot(order)], &CancellationToken::new()).await;
    let failed = outcomes.into_iter().find_map(|outcome| outcome.result.err());
    failed.map_or(Ok(name), Err)
}

fn api(sandbox: &str, failure: &Failure) -> BackupError {
    let hint = match failure {
        Failure::Changed | Failure::NameTaken => "; try again",
        Failure::NoAnswer => "; it may have been made: the same command finds it",
        Failure::Forbidden(_) => {
            "; it takes the rights to get persistentvolumeclaims and to create volumesnapshots.snapshot.storage.k8s.io there"
        }
        _ => "",
    };
    BackupError::Api {
        doing: format!("take a snapshot of the sandbox {sandbox}"),
        said: failure.to_string(),
        hint: hint.to_owned(),
    }
}

/// Has the snapshot name the record of what the sandbox is, where the controller has made one and whoever asks may see it.
async fn with_record(client: &Client, order: TakeSnapshot) -> TakeSnapshot {
    let Some(mut sandbox) = order.sandbox.clone() else { return order };
    sandbox.record =
        record_of(client, &order.volume.namespace, &sandbox.name).await.unwrap_or_else(|error| {
            if !is_forbidden(&error) {
                tracing::debug!(%error, "no record can be named");
            }
            None
        });
    TakeSnapshot { sandbox: Some(sandbox), ..order }
}

async fn record_of(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<String>> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let records: Api<SandboxRecord> = Api::namespaced(client.clone(), namespace);
    let Some(sandbox) = sandboxes.get_opt(name).await? else { return Ok(None) };
    let its = format!("{}={},{SANDBOX_LABEL}={}", marks::MANAGED_BY, marks::US, claim_label(name));
    let records = records.list(&ListParams::default().labels(&its)).await?.items;
    let is = RecordedSandbox::of(&sandbox);
    let telling = records.into_iter().filter(|record| record.spec.sandbox == is);
    let newest = telling.max_by_key(|record| record.creation_timestamp().map(|at| at.0));
    Ok(newest.map(|record| record.name_any()))
}
