//! A fleet as a controller sees it, where all is as it is to be.

use std::sync::Arc;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use agenttier_backup::observe::{Holding, Observed, VeleroSight};
use agenttier_backup::schedules::{ClusterIdentity, Fitting, Order, Standing, VeleroRegime};
use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use velero::Schedule;

const CLUSTER: &str = "east";
const UID: &str = "1234abcd-5678-90ab-cdef-1234567890ab";
/// When everything was made, when the backups were begun and had ended, and now.
const TIMES: [&str; 4] =
    ["2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z", "2026-01-02T12:01:00Z", "2026-01-02T12:30:00Z"];

/// What is seen of it.
pub(super) struct Fleet {
    cluster: ClusterIdentity,
    observed: Observed,
    regime: VeleroRegime,
    sight: VeleroSight,
    now: Timestamp,
}

impl Fleet {
    /// One with so many namespaces.
    pub(super) fn of(namespaces: u32) -> Result<Self> {
        let names = || (0..namespaces).map(|number| format!("team-{number}"));
        let mut spec = BackupPolicySpec::default();
        spec.velero.enabled = true;
        let spaces = names().map(|name| parsed(json!({ "metadata": { "name": name } })));
        let sandboxes = names()
            .map(|name| parsed(json!({ "metadata": { "namespace": name, "name": "s1" }, "spec": {} })));
        let observed = Observed {
            policies: vec![Arc::new(BackupPolicy::new("gold", spec))],
            namespaces: spaces.collect::<Result<_>>()?,
            sandboxes: sandboxes.collect::<Result<_>>()?,
            ..Observed::default()
        };
        let policies = observed.policies.iter().map(AsRef::as_ref);
        let regime = VeleroRegime::of(policies, observed.namespaces.iter().map(AsRef::as_ref));
        let cluster = ClusterIdentity { name: CLUSTER.to_owned(), uid: UID.to_owned() };
        let sight = VeleroSight::of_schedules("velero", Vec::new());
        let mut fleet = Self { cluster, observed, regime, sight, now: TIMES[3].parse()? };

        // What it orders is there, as the API server and Velero would have it.
        let (mut schedules, mut maps, mut backups) = (Vec::new(), Vec::new(), Vec::new());
        for order in fleet.standing(&mut Fitting::default()).orders.orders {
            match order {
                Order::Keep { wanted, .. } => {
                    backups.push(backup_of(&wanted)?);
                    schedules.push(accepted(&wanted)?);
                }
                Order::KeepMap { wanted, .. } => maps.push(Arc::new(wanted)),
                Order::Remove(_) => {}
            }
        }
        ensure!(schedules.len() == fleet.len(), "{} Schedules for {namespaces} namespaces", schedules.len());
        fleet.sight.schedules = Holding::Seen(schedules);
        fleet.sight.maps = Holding::Seen(maps);
        fleet.sight.backups = Holding::Seen(backups);
        Ok(fleet)
    }

    pub(super) fn len(&self) -> usize {
        self.observed.namespaces.len()
    }

    /// What a pass works out.
    pub(super) fn standing(&self, fitting: &mut Fitting) -> Standing {
        Standing::at(self.now, &self.cluster, &self.observed, &self.regime, &self.sight, true, fitting)
    }
}

fn parsed<T: serde::de::DeserializeOwned>(object: Value) -> Result<Arc<T>> {
    Ok(Arc::new(serde_json::from_value(object)?))
}

fn accepted(wanted: &Schedule) -> Result<Arc<Schedule>> {
    let mut schedule = serde_json::to_value(wanted)?;
    let writer = json!({ "manager": "agenttier-backup", "operation": "Apply", "time": TIMES[0] });
    schedule["metadata"]["managedFields"] = json!([writer]);
    schedule["metadata"]["creationTimestamp"] = json!(TIMES[0]);
    schedule["metadata"]["resourceVersion"] = json!("1");
    schedule["status"] = json!({ "phase": "Enabled", "lastBackup": TIMES[1] });
    parsed(schedule)
}

fn backup_of(wanted: &Schedule) -> Result<Arc<velero::Backup>> {
    let mut backup = json!({ "metadata": {}, "spec": {} });
    let name = wanted.metadata.name.clone().unwrap_or_default();
    backup["metadata"]["name"] = json!(format!("{name}-20260102120000"));
    backup["metadata"]["labels"] = json!(wanted.metadata.labels);
    backup["metadata"]["labels"][velero::labels::SCHEDULE_NAME] = json!(name);
    backup["metadata"]["annotations"] = json!(wanted.metadata.annotations);
    backup["status"] =
        json!({ "phase": "Completed", "startTimestamp": TIMES[1], "completionTimestamp": TIMES[2] });
    parsed(backup)
}
