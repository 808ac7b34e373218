//! Layer 2 in a policy: backups of whole namespaces by Velero.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Period;

/// Layer 2: one Velero Schedule per namespace that holds sandboxes, kept as written here.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct VeleroSpec {
    /// Whether the namespaces are backed up by Velero. Turning it off removes the Schedules; their backups stay until
    /// their time is over.
    #[serde(default)]
    pub enabled: bool,
    /// Time between two backups of a namespace: 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d or 7d. Each namespace gets times of its
    /// own, so that not all are backed up at once. It plays no part where cron is set.
    #[serde(default = "a_day")]
    pub every: Period,
    /// Times of the backups of every namespace, in five fields, such as "30 2 * * *". Not both a day of the month and a day
    /// of the week: releases of Velero read that differently.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub cron: String,
    /// Time zone of these times, such as Europe/Berlin; empty is UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64), regex(pattern = r"^([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?$"))]
    pub time_zone: String,
    /// How long a backup is kept, such as 30d. Velero reads it when it makes the backup.
    #[serde(default = "thirty_days")]
    pub ttl: Period,
    /// BackupStorageLocation; empty takes Velero's default one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub storage_location: String,
    /// Whether the data of the volumes is moved to the location. Without, it stays in snapshots of the storage, and
    /// another cluster can restore it only where it reaches the same storage. Needs Velero's node-agent.
    #[serde(default)]
    pub move_data: bool,
    /// How long Velero waits for a CSI snapshot to be taken, such as 10m.
    #[serde(default = "ten_minutes")]
    pub csi_snapshot_timeout: Period,
    /// Velero's hooks, as in the spec of a Backup: commands in pods, before and after their volumes are snapshotted.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub hooks: Map<String, Value>,
    /// Further fields of the spec of a Backup. What is decided elsewhere here, and which objects are backed up, stays as
    /// it is; what conflicts with that is reported.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub extra_template: Map<String, Value>,
}

impl Default for VeleroSpec {
    fn default() -> Self {
        Self {
            enabled: false,
            every: a_day(),
            cron: String::new(),
            time_zone: String::new(),
            ttl: thirty_days(),
            storage_location: String::new(),
            move_data: false,
            csi_snapshot_timeout: ten_minutes(),
            hooks: Map::new(),
            extra_template: Map::new(),
        }
    }
}

/// What the API server refuses at once. Of a cron expression it can say little; the controller says the rest.
fn rules() -> Value {
    let (every, ttl) = (Period::in_cel("self.every"), Period::in_cel("self.ttl"));
    let hours = [1, 2, 3, 4, 6, 8, 12, 24, 7 * 24].map(|hours| (hours * 3600).to_string()).join(", ");
    json!([
        {
            "rule": format!("has(self.cron) && self.cron != '' || ({every}) in [{hours}]"),
            "message": "not one of 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d and 7d, which cron can repeat evenly; use cron for other times",
            "fieldPath": ".every",
        },
        {
            "rule": format!("has(self.cron) && self.cron != '' || {ttl} >= {every}"),
            "message": "shorter than the time between two backups: there would be times without one",
            "fieldPath": ".ttl",
        },
        {
            "rule": "!has(self.cron) || !self.cron.contains('TZ=')",
            "message": "the time zone belongs into timeZone",
            "fieldPath": ".cron",
        },
    ])
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn a_day() -> Period {
    "1d".into()
}

fn thirty_days() -> Period {
    "30d".into()
}

fn ten_minutes() -> Period {
    "10m".into()
}

/// What the controller reports of Layer 2.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VeleroStatus {
    /// Namespaces that follow this policy and have a Schedule, or should.
    pub namespaces: u32,
    /// Of these, those whose Schedule Velero has accepted.
    pub scheduled: u32,
    /// Of these, those that have a complete backup from within the time between two.
    pub backed_up: u32,
    /// The namespaces with the oldest newest complete backup, or none; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<LaggingNamespace>,
}

/// A namespace whose backups by Velero are not as they should be.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LaggingNamespace {
    /// The namespace.
    pub namespace: String,
    /// Name of its Schedule.
    pub schedule: String,
    /// Why, such as ScheduleTaken, BackupPartiallyFailed or BackupMissed.
    pub reason: String,
    /// The same at length.
    pub message: String,
    /// When its newest complete backup was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
}
