//! Workspaces that the backups of their namespace leave out.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::marks::POOLED;
use agenttier_backup_plan::schedules::Rule;
use kube::ResourceExt;

use super::rules::VeleroRegime;
use crate::observe::Observed;

/// The claims, as `namespace/name` by policy, that a Sandbox uses and that still have the label of the warm pool.
///
/// AgentTier takes the label off when it hands a volume over; where that fails, by a conflict with the provisioner's
/// writes for example, the Sandbox uses the volume all the same. By its labels it cannot be told from those that wait in
/// the pool, and the backups hold none of these.
#[must_use]
pub(super) fn left_out(observed: &Observed, regime: &VeleroRegime) -> BTreeMap<String, Vec<String>> {
    let pooled: BTreeSet<(Option<String>, String)> = observed
        .claims
        .iter()
        .filter(|claim| claim.labels().contains_key(POOLED))
        .map(|claim| (claim.namespace(), claim.name_any()))
        .collect();
    let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sandbox in &observed.sandboxes {
        let (Some(namespace), Some(claim)) = (sandbox.namespace(), sandbox.claim()) else { continue };
        let Some(Rule::On { policy }) = regime.namespaces.get(&namespace) else { continue };
        if pooled.contains(&(Some(namespace.clone()), claim.to_owned())) {
            left_out.entry(policy.clone()).or_default().push(format!("{namespace}/{claim}"));
        }
    }
    for claims in left_out.values_mut() {
        claims.sort_unstable();
    }
    left_out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_workspace_with_the_pools_label_is_named() {
        let claim = |name: &str, labels| {
            let claim = json!({ "metadata": { "name": name, "namespace": "team-a", "labels": labels } });
            Arc::new(serde_json::from_value(claim).expect("a claim"))
        };
        let sandbox = |name: &str, claim: &str| {
            let sandbox = json!({
                "apiVersion": "agenttier.io/v1alpha1",
                "kind": "Sandbox",
                "metadata": { "name": name, "namespace": "team-a" },
                "spec": {},
                "status": { "pvcName": claim },
            });
            Arc::new(serde_json::from_value(sandbox).expect("a Sandbox"))
        };
        let pooled = json!({ "agenttier.io/pooled": "true" });
        let observed = Observed {
            claims: vec![
                claim("pool-1", pooled.clone()),
                claim("pool-2", pooled),
                claim("pool-3", json!({})),
            ],
            sandboxes: vec![sandbox("s1", "pool-1"), sandbox("s3", "pool-3")],
            ..Observed::default()
        };
        let of = |rule| {
            let namespaces = BTreeMap::from([("team-a".to_owned(), rule)]);
            left_out(&observed, &VeleroRegime { namespaces, ..VeleroRegime::default() })
        };
        let gold = || "gold".to_owned();
        assert_eq!(
            of(Rule::On { policy: gold() }),
            BTreeMap::from([(gold(), vec!["team-a/pool-1".to_owned()])])
        );
        assert!(of(Rule::Off { policy: gold() }).is_empty(), "nobody asked for it");
    }
}
