//! The Schedule of a namespace, and the ConfigMap that all of them share.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::name;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use serde_json::Value;
use velero::{Schedule, ScheduleSpec};

use super::cluster::ClusterIdentity;
use super::rules::{Times, VeleroRules};
use super::template::{CLUSTER_UID, MANAGED_BY, POLICY, labels, template, volume_policy};
use crate::api::{FIELD_MANAGER, VOLUME_POLICY};

/// A Schedule as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The Schedule, whole but for what its server adds.
    pub schedule: Schedule,
    /// Fields of the policy's extraTemplate that have no part in it, as paths.
    pub conflicts: Vec<String>,
}

/// Renders the Schedule of a namespace.
///
/// # Errors
/// When the policy's hooks or extraTemplate are nothing that the spec of a Backup could hold.
pub fn render(
    cluster: &ClusterIdentity,
    velero_namespace: &str,
    namespace: &str,
    rules: &VeleroRules,
    paused: bool,
) -> Result<Rendered, serde_json::Error> {
    let (template, conflicts) = template(cluster, namespace, rules);
    let annotations = [(CLUSTER_UID, &cluster.uid), (POLICY, &rules.policy)];
    let owned = |pairs: Vec<(&str, String)>| -> BTreeMap<String, String> {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    };
    let metadata = ObjectMeta {
        name: Some(name(&cluster.name, namespace)),
        namespace: Some(velero_namespace.to_owned()),
        labels: Some(owned(labels(cluster, namespace).into())),
        // Velero copies them to the backups.
        annotations: Some(owned(annotations.map(|(key, value)| (key, value.clone())).into())),
        ..ObjectMeta::default()
    };
    let spec = ScheduleSpec {
        schedule: cron(namespace, rules),
        template: serde_json::from_value(Value::Object(template))?,
        paused: Some(paused),
        ..ScheduleSpec::default()
    };
    Ok(Rendered { schedule: Schedule { metadata, spec, status: None }, conflicts })
}

/// When the backups of a namespace are made. With its time zone: without one it would be the one of Velero's server, whatever that is.
pub(super) fn cron(namespace: &str, rules: &VeleroRules) -> String {
    let times = match &rules.times {
        Times::Spread(spread) => spread.cron(namespace),
        Times::Cron(cron) => cron.to_string(),
    };
    format!("CRON_TZ={} {times}", rules.zone)
}

/// The ConfigMap with the volume policy of all backups.
#[must_use]
pub fn volume_policy_map(velero_namespace: &str) -> ConfigMap {
    let one = |key: &str, value: &str| Some(BTreeMap::from([(key.to_owned(), value.to_owned())]));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(VOLUME_POLICY.to_owned()),
            namespace: Some(velero_namespace.to_owned()),
            labels: one(MANAGED_BY, FIELD_MANAGER),
            ..ObjectMeta::default()
        },
        // Velero wants exactly one key.
        data: one("policy.yaml", volume_policy()),
        ..ConfigMap::default()
    }
}
