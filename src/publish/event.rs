//! Events on Sandboxes, in the form that AgentTier delivers to its users' webhooks.
//!
//! AgentTier 0.8 delivers core/v1 Events on a Sandbox with reason `BackupCreated` or `BackupPruned`, and only
//! those with `lastTimestamp` set (its source, event delivery).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::agenttier::Sandbox;
use crate::api::FIELD_MANAGER;
use crate::leader::Leadership;

/// Something that happened to a recovery point of a Sandbox.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// `BackupCreated`, `BackupPruned`, `BackupFailed` or `WorkspaceSwitched`.
    pub reason: &'static str,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// What happened, for a person.
    pub message: String,
    /// Name of the VolumeSnapshot or claim that it is about: with the reason it makes the Event's name.
    pub about: String,
    /// When.
    pub at: Timestamp,
}

/// Sends Events from a task of its own: best effort, never in the way of a backup.
pub struct Announcer {
    queue: mpsc::Sender<Event>,
    sender: JoinHandle<()>,
}

impl Announcer {
    /// At most so many Events wait to be sent; what comes on top is dropped, with a line in the log.
    const WAITING: usize = 1_000;
    /// At the end, so long is left for those that wait.
    const LAST_WORDS: Duration = Duration::from_secs(5);

    /// Starts the task.
    #[must_use]
    pub fn start(client: Client, leadership: Leadership) -> Self {
        let (queue, mut events) = mpsc::channel::<Event>(Self::WAITING);
        let sender = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
                let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
                if leadership.check().is_err() {
                    continue;
                }
                let call = api.create(&params, &event);
                match tokio::time::timeout(crate::deadline::CALL_DEADLINE, call).await {
                    Ok(Ok(_)) => {}
                    // Sent before a restart.
                    Ok(Err(kube::Error::Api(status))) if status.reason == "AlreadyExists" => {}
                    Ok(Err(error)) => tracing::debug!(%error, "event not sent"),
                    Err(_) => tracing::debug!("event not sent: no answer"),
                }
            }
        });
        Self { queue, sender }
    }

    /// Announces something on a Sandbox.
    pub fn announce(&self, sandbox: &Sandbox, occasion: Occasion) {
        if self.queue.try_send(render(sandbox, occasion)).is_err() {
            tracing::warn!("too many events at once; one is dropped");
        }
    }

    /// Sends what still waits, for a few seconds at the most, then ends.
    pub async fn finish(mut self) {
        drop(self.queue);
        match tokio::time::timeout(Self::LAST_WORDS, &mut self.sender).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::warn!("the task that sends events has failed"),
            Err(_) => {
                tracing::warn!("not all events could be sent");
                self.sender.abort();
            }
        }
    }
}

fn render(sandbox: &Sandbox, occasion: Occasion) -> Event {
    let meta = &sandbox.metadata;
    Event {
        metadata: ObjectMeta {
            // Deterministic: a restart does not announce the same thing twice.
            name: Some(format!("{}.{}", occasion.about, occasion.reason.to_lowercase())),
            namespace: meta.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("agenttier.io/v1alpha1".into()),
            kind: Some("Sandbox".into()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        },
        reason: Some(occasion.reason.into()),
        message: Some(occasion.message),
        type_: Some(occasion.kind.into()),
        count: Some(1),
        first_timestamp: Some(Time(occasion.at)),
        last_timestamp: Some(Time(occasion.at)),
        source: Some(EventSource { component: Some(FIELD_MANAGER.into()), host: None }),
        reporting_component: Some(FIELD_MANAGER.into()),
        reporting_instance: Some(FIELD_MANAGER.into()),
        ..Event::default()
    }
}
