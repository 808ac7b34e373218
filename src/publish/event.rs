//! Events on Sandboxes in the form that AgentTier delivers to its users' webhooks.
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

use crate::act::Failure;
use crate::agenttier::Sandbox;
use crate::api::FIELD_MANAGER;
use crate::deadline::CALL_DEADLINE;
use crate::leader::Leadership;

/// Something that happened to a recovery point of a Sandbox.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// `BackupCreated`, `BackupPruned`, `BackupFailed`, `WorkspaceSwitched`, `VeleroBackupFailed` or `VeleroBackupMissed`.
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

/// Sends Events from a task of its own, never in the way of a backup. Each is tried for about half a minute: what it
/// tells of may not come again.
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
                send(&client, &leadership, &event).await;
            }
        });
        Self { queue, sender }
    }

    /// Announces something on a Sandbox.
    pub fn announce(&self, sandbox: &Sandbox, occasion: Occasion) {
        let meta = &sandbox.metadata;
        let involved = ObjectReference {
            api_version: Some("agenttier.io/v1alpha1".into()),
            kind: Some("Sandbox".into()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        };
        if !self.send_later(render(involved, occasion)) {
            tracing::warn!("too many events at once; one is dropped");
        }
    }

    /// Whether there is place for it among those that wait.
    pub(super) fn send_later(&self, event: Event) -> bool {
        self.queue.try_send(event).is_ok()
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

/// Between one try and the next.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// Sends one, again where that may help. Its name is its own, so that it is there once however often it is sent.
async fn send(client: &Client, leadership: &Leadership, event: &Event) {
    let mut pauses = PAUSES.into_iter();
    while let Err(failure) = try_to_send(client, leadership, event).await {
        let may_pass =
            matches!(failure, Failure::NoAnswer | Failure::Unavailable(_) | Failure::NotLeading(_));
        let Some(pause) = pauses.next().filter(|_| may_pass) else {
            let name = event.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(event = name, %failure, "an event could not be sent");
            return;
        };
        tokio::time::sleep(pause).await;
    }
}

async fn try_to_send(client: &Client, leadership: &Leadership, event: &Event) -> Result<(), Failure> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
    leadership.check()?;
    let call = api.create(&params, event);
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        // Sent before: by an attempt whose answer was lost, or before a restart.
        Ok(Err(kube::Error::Api(status))) if status.reason == "AlreadyExists" => Ok(()),
        Ok(sent) => Ok(sent.map(drop)?),
        Err(_) => Err(Failure::NoAnswer),
    }
}

pub(super) fn render(involved: ObjectReference, occasion: Occasion) -> Event {
    Event {
        metadata: ObjectMeta {
            // Deterministic: a restart does not announce the same thing twice.
            name: Some(format!("{}.{}", occasion.about, occasion.reason.to_lowercase())),
            namespace: involved.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: involved,
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that answers with these codes, one after the other. Tells how many calls it had.
    async fn calls_until_sent(codes: &[u16]) -> usize {
        let answers = Arc::new(Mutex::new(codes.iter().copied().collect::<VecDeque<_>>()));
        let left = answers.clone();
        let server = tower::service_fn(move |_: Request<Body>| {
            let code = answers.lock().expect("nobody panics").pop_front().expect("no call more");
            let reason = if code == 409 { "AlreadyExists" } else { "Other" };
            let body: Value = match code {
                201 => json!({"metadata": {"name": "e"}, "involvedObject": {}}),
                _ => json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code}),
            };
            let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            async move { Ok::<_, Infallible>(answer.expect("an answer")) }
        });
        let client = Client::new(server, "n");
        let occasion = Occasion {
            reason: "WorkspaceSwitched",
            kind: "Warning",
            message: String::new(),
            about: "c.1".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        let sandbox = serde_json::from_value(json!({
            "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "s", "namespace": "n"}, "spec": {},
        }));
        let announcer = Announcer::start(client, Leadership::alone());
        announcer.announce(&sandbox.expect("a Sandbox"), occasion);
        let Announcer { queue, sender } = announcer;
        drop(queue);
        sender.await.expect("it ends by itself");
        codes.len() - left.lock().expect("nobody panics").len()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_the_server_could_not_take_is_sent_again_and_no_other() {
        assert_eq!(calls_until_sent(&[201, 201]).await, 1);
        assert_eq!(calls_until_sent(&[503, 429, 500, 201, 201]).await, 4);
        assert_eq!(calls_until_sent(&[503, 409, 201]).await, 2, "it is there");
        assert_eq!(
            calls_until_sent(&[403, 201]).await,
            1,
            "a right that is missing does not come back so soon"
        );
        assert_eq!(calls_until_sent(&[503; 9]).await, 6, "not for ever");
    }
}
