//! What the backups of a namespace hold.

use agenttier_backup_plan::marks::POOLED;
use serde_json::{Map, Value, json};

use super::cluster::ClusterIdentity;
use super::rules::VeleroRules;
use crate::agenttier::{SECRET_PURPOSE, TRANSIENT_SECRETS};
use crate::api::{FIELD_MANAGER, VOLUME_POLICY};

/// The label of everything of ours, and of the backups.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that says which cluster a Schedule or backup is of, by name.
pub(super) const CLUSTER: &str = "backup.agenttier.io/cluster";
/// The label that says which namespace a Schedule or backup is of.
pub(super) const NAMESPACE: &str = "backup.agenttier.io/namespace";
/// The annotation that says which cluster it is of, by the UID of its namespace kube-system.
pub(super) const CLUSTER_UID: &str = "backup.agenttier.io/cluster-uid";
/// The annotation that says which policy it is made under.
pub(super) const POLICY: &str = "backup.agenttier.io/policy";

/// What a namespace's backups hold, of what is in a namespace. A Sandbox makes its pod anew, and an included pod would drag
/// its volume in, whatever that one's labels.
const NAMESPACED: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "sandboxes.agenttier.io",
    "sandboxrecords.backup.agenttier.io",
    "sandboxtemplates.agenttier.io",
    "secrets",
    "serviceaccounts",
];
/// These come along where there are hooks: Velero runs them in pods that a backup holds, and in no others (Velero 1.18,
/// item blocks). Those of the warm pool carry its label, and are left out by that.
const HOOKED: &str = "pods";
/// Of what no namespace holds. Velero adds the volumes of the claims by itself; naming them here would add every volume
/// of the cluster.
const CLUSTER_SCOPED: [&str; 1] = ["clustersandboxtemplates.agenttier.io"];

/// Fields that are decided here or elsewhere in the policy.
const DECIDED: [&str; 20] = [
    "includedNamespaces",
    "excludedNamespaces",
    "includedNamespaceScopedResources",
    "excludedNamespaceScopedResources",
    "includedClusterScopedResources",
    "excludedClusterScopedResources",
    // The other style of saying what is backed up; Velero refuses a backup that uses both.
    "includedResources",
    "excludedResources",
    "includeClusterResources",
    "labelSelector",
    "orLabelSelectors",
    "resourcePolicy",
    "snapshotVolumes",
    "defaultVolumesToFsBackup",
    "defaultVolumesToRestic",
    // These have a field of their own in the policy.
    "ttl",
    "storageLocation",
    "snapshotMoveData",
    "csiSnapshotTimeout",
    // They run in pods, which are held for them alone.
    "hooks",
];

/// The labels of a namespace's Schedule. Its backups carry the same.
#[must_use]
pub(super) fn labels(cluster: &ClusterIdentity, namespace: &str) -> [(&'static str, String); 3] {
    [
        (MANAGED_BY, FIELD_MANAGER.to_owned()),
        (CLUSTER, cluster.name.clone()),
        (NAMESPACE, namespace.to_owned()),
    ]
}

/// The spec of a namespace's backups, and the fields of the policy's extraTemplate that have no part in it.
#[must_use]
pub(super) fn template(
    cluster: &ClusterIdentity,
    namespace: &str,
    rules: &VeleroRules,
) -> (Map<String, Value>, Vec<String>) {
    let labels: Map<String, Value> = labels(cluster, namespace)
        .into_iter()
        .map(|(label, value)| (label.to_owned(), json!(value)))
        .collect();
    let ours = json!({
        // They replace those that a backup would take over from its Schedule.
        "metadata": { "labels": labels },
        "includedNamespaces": [namespace],
        "includedNamespaceScopedResources": namespaced(rules),
        "includedClusterScopedResources": CLUSTER_SCOPED,
        "labelSelector": { "matchExpressions": [
            { "key": POOLED, "operator": "DoesNotExist" },
            { "key": SECRET_PURPOSE, "operator": "NotIn", "values": TRANSIENT_SECRETS },
        ]},
        "resourcePolicy": { "kind": "configmap", "name": VOLUME_POLICY },
        // The server's own default would have volumes copied out of pods, which the backup does not hold.
        "defaultVolumesToFsBackup": false,
        "ttl": rules.ttl,
        "csiSnapshotTimeout": rules.csi_snapshot_timeout,
        "snapshotMoveData": rules.move_data,
    });
    let Value::Object(mut template) = ours else { unreachable!("it is written as an object") };
    if let Some(location) = &rules.location {
        template.insert("storageLocation".into(), json!(location));
    }
    if !rules.hooks.is_empty() {
        template.insert("hooks".into(), Value::Object(rules.hooks.clone()));
    }
    let mut conflicts = Vec::new();
    let mut extra = rules.extra.clone();
    for field in DECIDED {
        conflicts.extend(extra.remove(field).map(|_| field.to_owned()));
    }
    add(&mut template, extra, "", &mut conflicts);
    conflicts.sort_unstable();
    (template, conflicts)
}

fn namespaced(rules: &VeleroRules) -> Vec<&'static str> {
    let hooked = (!rules.hooks.is_empty()).then_some(HOOKED);
    let mut all: Vec<_> = NAMESPACED.into_iter().chain(hooked).collect();
    all.sort_unstable();
    all
}

/// Adds what is not there yet; what is there stays.
fn add(to: &mut Map<String, Value>, extra: Map<String, Value>, path: &str, conflicts: &mut Vec<String>) {
    for (key, value) in extra {
        let here = format!("{path}{key}");
        match (to.get_mut(&key), value) {
            (None, value) => {
                to.insert(key, value);
            }
            (Some(Value::Object(ours)), Value::Object(theirs)) => {
                add(ours, theirs, &format!("{here}."), conflicts);
            }
            (Some(ours), theirs) if *ours == theirs => {}
            (Some(_), _) => conflicts.push(here),
        }
    }
}

/// The volume policy of the backups; the first rule that fits counts.
///
/// A claim that is not bound is saved without its volume: otherwise one Pending claim makes a whole backup PartiallyFailed.
/// Every other volume is snapshotted: otherwise Velero leaves out, without a word, those that its server's flag
/// `--default-volumes-to-fs-backup` or a pod's annotation would have copied out of a pod (Velero 1.18,
/// `ShouldPerformSnapshot`), and the backup is Completed.
#[must_use]
pub(super) fn volume_policy() -> &'static str {
    "\
version: v1
volumePolicies:
- conditions:
    pvcPhase: [Pending, Lost]
  action:
    type: skip
- conditions:
    pvcPhase: [Bound]
  action:
    type: snapshot
"
}
