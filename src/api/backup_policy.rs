//! `BackupPolicy`: what is backed up, how often, and how long it is kept.

use std::collections::BTreeMap;

use agenttier_backup_plan::SHORTEST_INTERVAL;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Period, VeleroSpec, VeleroStatus, namespace_selector};

/// What a policy asks for.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[kube(
    group = "backup.agenttier.io",
    version = "v1alpha1",
    kind = "BackupPolicy",
    plural = "backuppolicies",
    shortname = "bup",
    category = "agenttier",
    status = "BackupPolicyStatus",
    derive = "Default",
    doc = "Says how the workspaces of the selected namespaces are backed up. A namespace follows the policy of highest priority that selects it, then the first by name.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Interval","type":"string","jsonPath":".spec.snapshots.interval"}"#,
    printcolumn = r#"{"name":"Max age","type":"string","jsonPath":".spec.snapshots.retention.maxAge"}"#,
    printcolumn = r#"{"name":"Volumes","type":"integer","jsonPath":".status.volumes.total"}"#,
    printcolumn = r#"{"name":"Protected","type":"integer","jsonPath":".status.volumes.protected"}"#,
    printcolumn = r#"{"name":"Overdue","type":"integer","jsonPath":".status.volumes.overdue"}"#,
    printcolumn = r#"{"name":"Velero","type":"string","jsonPath":".status.conditions[?(@.type==\"VeleroReady\")].reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicySpec {
    /// Where several policies select a namespace, the highest priority wins; then the first by name.
    #[serde(default)]
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub priority: i32,
    /// Labels of the namespaces that follow this policy; empty selects every namespace.
    #[serde(default)]
    #[schemars(schema_with = "namespace_selector::schema")]
    pub namespace_selector: LabelSelector,
    /// While true nothing is made and nothing is deleted.
    #[serde(default)]
    pub suspend: bool,
    /// Layer 1: scheduled CSI VolumeSnapshots in the cluster.
    #[serde(default)]
    pub snapshots: SnapshotSpec,
    /// Layer 2: backups of whole namespaces by Velero, out of the cluster.
    #[serde(default)]
    pub velero: VeleroSpec,
    /// What the annotations of a Sandbox may ask for.
    #[serde(default)]
    pub overrides: OverrideBounds,
    /// So many snapshots of ours, of all policies together, the cluster may hold; the least number of all policies
    /// in force counts. From 90 % on as many are thinned out as are too many, of what is older than 48 h and not the
    /// newest of its day, the oldest first; from 100 % on intervals are doubled. The CSI snapshot controller slows down past 15000.
    #[serde(default = "fifteen_thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_snapshots: u32,
}

impl Default for BackupPolicySpec {
    fn default() -> Self {
        Self {
            priority: 0,
            namespace_selector: LabelSelector::default(),
            suspend: false,
            snapshots: SnapshotSpec::default(),
            velero: VeleroSpec::default(),
            overrides: OverrideBounds::default(),
            max_snapshots: fifteen_thousand(),
        }
    }
}

/// How far the annotations `backup.agenttier.io/interval`, `retention` and `keep-last` of a Sandbox may deviate from its
/// policy. One that goes further changes nothing and is reported.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OverrideBounds {
    /// No shorter interval, such as 15m.
    #[serde(default = "fifteen_minutes")]
    pub min_interval: Period,
    /// No longer retention, such as 90d.
    #[serde(default = "ninety_days")]
    pub max_retention: Period,
    /// No more recovery points of one volume in the long run, as interval and retention come to, unless those of the
    /// policy itself come to more: storage slows down with hundreds of snapshots of a volume.
    #[serde(default = "fifteen_hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_points: u32,
}

impl Default for OverrideBounds {
    fn default() -> Self {
        Self { min_interval: fifteen_minutes(), max_retention: ninety_days(), max_points: fifteen_hundred() }
    }
}

/// Layer 1: scheduled CSI VolumeSnapshots.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = snapshot_rules()))]
pub struct SnapshotSpec {
    /// Whether snapshots are taken and pruned. Turning it off never deletes one.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Time between two snapshots of a volume, such as 15m, 6h or 1d; at least 10 seconds, and real storage wants
    /// minutes.
    #[serde(default = "six_hours")]
    pub interval: Period,
    /// How long snapshots are kept.
    #[serde(default)]
    pub retention: RetentionSpec,
    /// VolumeSnapshotClass; empty takes the default class of the volume's driver.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub snapshot_class_name: String,
    /// VolumeSnapshotClass by CSI driver, where it is not snapshotClassName.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub classes: BTreeMap<String, String>,
    /// Whether a volume is left alone while its Sandbox is Stopped and has not run since a snapshot was taken with
    /// neither a pod nor an attachment on the volume. That snapshot stays, whatever its age.
    #[serde(default = "yes")]
    pub skip_unchanged: bool,
    /// A snapshot that is not ready after this long, such as 30m or 1h, is reported as slow.
    #[serde(default = "an_hour")]
    pub ready_timeout: Period,
}

/// How long snapshots are kept. The newest ready one of a volume always stays.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetentionSpec {
    /// Snapshots older than this, such as 36h, 14d or 4w, are deleted. Not shorter than the interval.
    #[serde(default = "two_weeks")]
    pub max_age: Period,
    /// So many of the newest ready snapshots stay, whatever their age.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: u32,
    /// No more than so many ready snapshots of a volume are kept. Not below keepLast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_count: Option<u32>,
    /// From which age on snapshots are thinned out.
    #[serde(default, skip_serializing_if = "ThinSpec::is_none")]
    pub thin: ThinSpec,
    /// Whether AgentTier's own scheduled and on-demand snapshots of these volumes are pruned too, by maxAge. Turn its
    /// loop off first.
    #[serde(default)]
    pub adopt_agent_tier: bool,
}

/// From which age on only the newest snapshot of each day, week or month stays; days begin at midnight UTC, weeks on
/// Monday. What is not set is not thinned out.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
pub struct ThinSpec {
    /// Older ones: one a day; such as 2d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Period>,
    /// Older ones: one a week; such as 2w.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Period>,
    /// Older ones: one a month; such as 60d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Period>,
}

impl ThinSpec {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for SnapshotSpec {
    fn default() -> Self {
        Self {
            enabled: yes(),
            interval: six_hours(),
            retention: RetentionSpec::default(),
            snapshot_class_name: String::new(),
            classes: BTreeMap::new(),
            skip_unchanged: yes(),
            ready_timeout: an_hour(),
        }
    }
}

impl Default for RetentionSpec {
    fn default() -> Self {
        Self {
            max_age: two_weeks(),
            keep_last: one(),
            max_count: None,
            thin: ThinSpec::default(),
            adopt_agent_tier: false,
        }
    }
}

/// What the API server refuses at once; [`in_force`](crate::observe::in_force) says the same of what an older
/// schema let through.
fn snapshot_rules() -> Value {
    let (interval, max_age) = (Period::in_cel("self.interval"), Period::in_cel("self.retention.maxAge"));
    let shortest = SHORTEST_INTERVAL.as_secs();
    json!([
        {
            "rule": format!("{interval} >= {shortest}"),
            "message": format!("an interval has at least {shortest} seconds"),
            "fieldPath": ".interval",
        },
        {
            "rule": format!("{max_age} >= {interval}"),
            "message": "shorter than the interval: every snapshot would be past its age before the next one",
            "fieldPath": ".retention.maxAge",
        },
        {
            "rule": "!has(self.retention.maxCount) || self.retention.maxCount >= self.retention.keepLast",
            "message": "below keepLast: the newest keepLast snapshots always stay",
            "fieldPath": ".retention.maxCount",
        },
    ])
}

fn yes() -> bool {
    true
}

fn six_hours() -> Period {
    "6h".into()
}

fn fifteen_minutes() -> Period {
    "15m".into()
}

fn ninety_days() -> Period {
    "90d".into()
}

/// Every 15 minutes for 14 days, and some more.
fn fifteen_hundred() -> u32 {
    1500
}

fn fifteen_thousand() -> u32 {
    15_000
}

fn an_hour() -> Period {
    "1h".into()
}

fn two_weeks() -> Period {
    "14d".into()
}

fn one() -> u32 {
    1
}

/// What the controller reports.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicyStatus {
    /// `Ready`: True while every volume that follows the policy is protected; False when one is not and somebody has to
    /// do something about it, or the policy is not in force; Unknown while there is nothing to say yet, for example
    /// because first snapshots are on their way.
    ///
    /// `DeletionsSuspended`: True while nothing is deleted, whatever the policy, because what the controller sees may not
    /// be what there is: its clock is wrong, a right is missing, or a policy cannot be read.
    ///
    /// `DeletionsAwaitConfirmation`: True while deletions of the policy wait because so many recovery points would go before
    /// their promised time, or so many sandboxes would be found gone at once; its message has the command that confirms them.
    ///
    /// `WorkspaceSwitched`: True while a Sandbox uses another volume than the one that its work is on.
    ///
    /// `VeleroReady`: True while Velero backs up every namespace that it is to back up; False when it does not and somebody
    /// has to do something about it; Unknown while there is nothing to say yet. Absent where the policy wants none.
    ///
    /// `Warnings`: True while there is something else to know of the policy or its volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The volumes that follow this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumeCounts>,
    /// Ready recovery points of these volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_points: Option<u32>,
    /// What keeps failing, longest first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingOrder>,
    /// Backups by Velero; absent where the policy wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub velero: Option<VeleroStatus>,
}

/// Something that the controller tries to do for a volume again and again.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FailingOrder {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim.
    pub volume_uid: String,
    /// `TakeSnapshot`, `Prune` or `Record`.
    pub action: String,
    /// Why it fails, such as QuotaExceeded or Forbidden.
    pub reason: String,
    /// The same at length.
    pub message: String,
    /// When it first failed.
    pub since: Time,
}

/// Volumes by how well they are protected.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeCounts {
    /// All of them.
    pub total: u32,
    /// Their newest ready snapshot is younger than interval + readyTimeout.
    pub protected: u32,
    /// New ones whose first snapshot is on its way.
    pub awaited: u32,
    /// Their newest ready snapshot is older than interval + readyTimeout, or missing.
    pub overdue: u32,
    /// No snapshots are taken of them, for example because they are not bound.
    pub unprotected: u32,
}
