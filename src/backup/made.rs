//! The object that a backup is, and where it stands.

use agenttier_backup_plan::{FAILED_AFTER, Readiness};
use jiff::Timestamp;
use kube::{Api, Client};
use serde::Serialize;
use velero::{Backup, BackupPhase};

use super::standing::Standing;
use super::whole::completed;
use crate::csi::VolumeSnapshot;
use crate::observe::{Observed, recovery_point};
use crate::schedules::why_failed;

/// Which layer makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Layer {
    /// A VolumeSnapshot of a sandbox's volume.
    Snapshot,
    /// Velero's Backup of a namespace.
    Velero,
}

/// A backup that there is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Which layer makes it.
    pub layer: Layer,
    /// The namespace that is, or that holds what is, backed up.
    pub namespace: String,
    /// The sandbox, if it is of one.
    pub sandbox: Option<String>,
    /// Name of the VolumeSnapshot or Backup.
    pub name: String,
    /// The namespace that this object is in.
    pub object_namespace: String,
    /// It was there already, on its way: no other one was made.
    pub already: bool,
}

impl Made {
    /// The object, for people.
    #[must_use]
    pub fn what(&self) -> String {
        match self.layer {
            Layer::Snapshot => format!("VolumeSnapshot {}/{}", self.object_namespace, self.name),
            Layer::Velero => format!("Backup {}/{}", self.object_namespace, self.name),
        }
    }

    /// How to look at it, as commands.
    #[must_use]
    pub fn look(&self) -> [String; 2] {
        let kind = match self.layer {
            Layer::Snapshot => "volumesnapshots.snapshot.storage.k8s.io",
            Layer::Velero => "backups.velero.io",
        };
        let sandbox = self.sandbox.as_ref().map(|sandbox| format!("{sandbox} ")).unwrap_or_default();
        [
            format!("agenttier-backup list {sandbox}-n {}", self.namespace),
            format!("kubectl get {kind} {} -n {} -o yaml", self.name, self.object_namespace),
        ]
    }

    /// Where it is now. One by Velero that is Completed is good only with the volumes that it should hold.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn standing(&self, client: &Client, now: Timestamp) -> kube::Result<Standing> {
        Ok(match self.layer {
            Layer::Snapshot => {
                let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &self.object_namespace);
                api.get_opt(&self.name).await?.map_or(Standing::Gone, |snapshot| of_snapshot(&snapshot, now))
            }
            Layer::Velero => {
                let api: Api<Backup> = Api::namespaced(client.clone(), &self.object_namespace);
                let Some(backup) = api.get_opt(&self.name).await? else { return Ok(Standing::Gone) };
                match of_backup(&backup) {
                    Standing::Good(state) => {
                        let seen = Observed::claimed(client, &self.namespace).await?;
                        completed(state, &self.namespace, &backup, seen.as_ref())
                    }
                    other => other,
                }
            }
        })
    }
}

fn of_snapshot(snapshot: &VolumeSnapshot, now: Timestamp) -> Standing {
    let Some(point) = recovery_point(snapshot) else { return Standing::UnderWay("new".into()) };
    match (Readiness::of(&point, now, FAILED_AFTER), point.error) {
        (Readiness::Ready, _) => Standing::Good("Ready".into()),
        (Readiness::Failed, error) => Standing::Bad {
            state: "Failed".into(),
            why: error.unwrap_or_else(|| "it has not become ready in a day".into()),
        },
        (_, Some(error)) => Standing::UnderWay(format!("not ready: {error}")),
        (_, None) if point.cut.is_some() => Standing::UnderWay("taken, and not ready yet".into()),
        (_, None) => Standing::UnderWay("not taken yet".into()),
    }
}

fn of_backup(backup: &Backup) -> Standing {
    let status = backup.status.clone().unwrap_or_default();
    let Some(phase) = status.phase else {
        return Standing::UnderWay("Velero has not looked at it yet".into());
    };
    let items = status.progress.filter(|progress| progress.total_items > 0);
    let items = items
        .map(|progress| format!(", {} of {} objects", progress.items_backed_up, progress.total_items))
        .unwrap_or_default();
    if phase.is_success() {
        return Standing::Good(format!("Completed{items}"));
    }
    let state = if let BackupPhase::Other(name) = &phase { name.clone() } else { format!("{phase:?}") };
    if phase.may_change() {
        let queue = status.queue_position.map(|at| format!(", {at} in the queue")).unwrap_or_default();
        return Standing::UnderWay(state + &queue + &items);
    }
    let why = why_failed(backup).unwrap_or_else(|| "somebody deletes it".into());
    Standing::Bad { state, why }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn backup(status: &Value) -> Standing {
        let backup = json!({ "metadata": { "name": "b" }, "spec": {}, "status": status });
        of_backup(&serde_json::from_value(backup).expect("a Backup"))
    }

    #[test]
    fn a_backup_is_good_only_when_it_is_complete() {
        let under_way = |text: &str| Standing::UnderWay(text.to_owned());
        assert_eq!(backup(&json!({})), under_way("Velero has not looked at it yet"));
        assert_eq!(
            backup(&json!({ "phase": "Queued", "queuePosition": 2 })),
            under_way("Queued, 2 in the queue")
        );
        let progress = json!({ "totalItems": 9, "itemsBackedUp": 4 });
        assert_eq!(
            backup(&json!({ "phase": "InProgress", "progress": progress })),
            under_way("InProgress, 4 of 9 objects")
        );
        assert_eq!(backup(&json!({ "phase": "Completed" })), Standing::Good("Completed".into()));
        for phase in ["PartiallyFailed", "Failed", "FailedValidation", "Deleting"] {
            let Standing::Bad { state, why } = backup(&json!({ "phase": phase, "errors": 1 })) else {
                panic!("{phase}")
            };
            assert!(state == phase && !why.is_empty(), "{state}: {why}");
        }
    }

    #[test]
    fn a_snapshot_is_good_only_when_it_is_ready() {
        let of = |status: Value, age: i64| {
            let snapshot = json!({
                "metadata": { "name": "s", "uid": "u", "creationTimestamp": "2026-11-20T10:00:00Z" },
                "spec": { "source": {} }, "status": status,
            });
            let created: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a moment");
            let now = created + jiff::SignedDuration::from_hours(age);
            of_snapshot(&serde_json::from_value(snapshot).expect("a VolumeSnapshot"), now)
        };
        let broken = json!({ "readyToUse": false, "error": { "message": "no space" } });
        assert_eq!(of(Value::Null, 0), Standing::UnderWay("not taken yet".into()));
        assert_eq!(of(broken.clone(), 0), Standing::UnderWay("not ready: no space".into()), "it may pass");
        assert_eq!(of(broken, 24), Standing::Bad { state: "Failed".into(), why: "no space".into() });
        assert_eq!(of(json!({ "readyToUse": true }), 0), Standing::Good("Ready".into()));
    }
}
