//! Events on Velero's Schedules.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::event::{Announcer, Occasion, render};
use crate::leader::Leadership;
use crate::schedules::{Findings, Incident};

/// Kubernetes keeps Events for so long; what is older would be told as if it were new.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// Announces backups by Velero that failed or were missed.
///
/// They have a queue of their own: where Velero's server is down they come by the thousand at once, into one namespace, whose
/// limit of Events a second must not keep those of recovery points waiting.
pub struct IncidentAnnouncer {
    announcer: Announcer,
    /// Incidents that were told of.
    told: BTreeSet<String>,
}

impl IncidentAnnouncer {
    /// Starts the task that sends them.
    #[must_use]
    pub fn start(client: Client, leadership: Leadership) -> Self {
        Self { announcer: Announcer::start(client, leadership), told: BTreeSet::new() }
    }

    /// Announces, on their Schedules, those that happened lately. Each is told of once, however often it is found.
    pub fn announce(&mut self, now: Timestamp, findings: &Findings) {
        let is_late = |incident: &&Incident| now.duration_since(incident.at) <= LATELY;
        let incidents: Vec<&Incident> =
            findings.namespaces.iter().flat_map(|found| &found.incidents).filter(is_late).collect();
        let names: BTreeSet<String> = incidents.iter().map(|incident| incident.name()).collect();
        self.told.retain(|name| names.contains(name));
        for incident in incidents {
            let name = incident.name();
            if !self.told.contains(&name) {
                let occasion = Occasion {
                    reason: incident.reason,
                    kind: "Warning",
                    message: incident.message.clone(),
                    about: incident.about.clone(),
                    at: incident.at,
                };
                // What finds no place is told in the next pass.
                if self.announcer.send_later(render(incident.schedule.clone(), occasion)) {
                    self.told.insert(name);
                }
            }
        }
    }

    /// Sends what still waits, for a few seconds at the most, then ends.
    pub async fn finish(self) {
        self.announcer.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use agenttier_backup_plan::schedules::{Plan, Wish};
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ObjectReference;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::schedules::Finding;

    fn findings(at: &[Timestamp]) -> Findings {
        let incident = |at: &Timestamp| Incident {
            schedule: ObjectReference { namespace: Some("velero".into()), ..ObjectReference::default() },
            reason: "VeleroBackupMissed",
            about: format!("east-team-a.{}", at.as_second()),
            message: "one is due".into(),
            at: *at,
        };
        let plan = Plan {
            name: "east-team-a".into(),
            namespace: "team-a".into(),
            policy: None,
            wish: Wish::Enabled,
        };
        let incidents = at.iter().map(incident).collect();
        let found = Finding { incidents, ..Finding::of(&plan, None, None, None) };
        Findings { namespaces: vec![found], ..Findings::default() }
    }

    #[tokio::test]
    async fn each_is_told_of_once_and_none_that_is_long_ago() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let noted = sent.clone();
        let server = tower::service_fn(move |request: Request<Body>| {
            let noted = noted.clone();
            async move {
                let event = request.into_body().collect_bytes().await.expect("it is in memory");
                let event: Value = serde_json::from_slice(&event).expect("an Event");
                noted.lock().expect("nobody panics").push(event["metadata"]["name"].clone());
                let answer = json!({ "metadata": { "name": "e" }, "involvedObject": {} }).to_string();
                Ok::<_, Infallible>(
                    Response::builder().status(201).body(Body::from(answer.into_bytes())).expect("one"),
                )
            }
        });
        let mut incidents = IncidentAnnouncer::start(Client::new(server, "n"), Leadership::alone());
        let at = |second| Timestamp::from_second(second).expect("a time");
        let now = at(10_000);
        incidents.announce(now, &findings(&[at(9_000), at(1_000)]));
        incidents.announce(now, &findings(&[at(9_000), at(9_500)]));
        incidents.finish().await;
        let told = ["east-team-a.9000.velerobackupmissed", "east-team-a.9500.velerobackupmissed"];
        assert_eq!(*sent.lock().expect("nobody panics"), told);
    }
}
