//! Schedules that are as they are to be, so that not all of them are rendered again in every pass.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::Plan;
use kube::Resource as _;
use velero::Schedule;

use super::cluster::ClusterIdentity;
use super::rules::{VeleroRegime, VeleroRules};

/// Which Schedules were seen to be as they are to be. While neither they nor what they are rendered from change they stay so.
///
/// All of it may be lost: it is found again by rendering.
#[derive(Debug, Clone, Default)]
pub struct Fitting {
    under: Option<Basis>,
    rules: BTreeMap<String, VeleroRules>,
    fits: BTreeMap<String, Fit>,
}

/// What all of them are rendered from.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    cluster: ClusterIdentity,
    velero_namespace: String,
}

/// One that fits, and what its own it was rendered from.
#[derive(Debug, Clone)]
struct Fit {
    resource_version: String,
    policy: String,
    namespace: String,
    paused: bool,
    conflicts: Vec<String>,
}

impl Fitting {
    /// Forgets those that are rendered from something else now.
    pub(super) fn go_by(&mut self, cluster: &ClusterIdentity, velero_namespace: &str, regime: &VeleroRegime) {
        let under = Basis { cluster: cluster.clone(), velero_namespace: velero_namespace.to_owned() };
        if self.under.as_ref() != Some(&under) {
            *self = Self { under: Some(under), ..Self::default() };
        }
        let valid = |policy: &str| regime.policies.get(policy).and_then(|rules| rules.as_ref().ok());
        self.rules.retain(|policy, rules| valid(policy) == Some(rules));
        let rules = &self.rules;
        self.fits.retain(|_, fit| rules.contains_key(&fit.policy));
        for (policy, now) in
            regime.policies.iter().filter_map(|(policy, rules)| Some((policy, rules.as_ref().ok()?)))
        {
            if !self.rules.contains_key(policy) {
                self.rules.insert(policy.clone(), now.clone());
            }
        }
    }

    /// Whether a Schedule is known to be as planned: the fields of extraTemplate that have no part in it.
    pub(super) fn fits(&self, plan: &Plan, live: &Schedule, paused: bool) -> Option<&[String]> {
        let fit = self.fits.get(&plan.name)?;
        let is_same = live.meta().resource_version.as_ref() == Some(&fit.resource_version)
            && plan.policy.as_ref() == Some(&fit.policy)
            && plan.namespace == fit.namespace
            && paused == fit.paused;
        is_same.then_some(&fit.conflicts)
    }

    /// Notes that a Schedule was rendered and found to be as planned.
    pub(super) fn note(&mut self, plan: &Plan, live: &Schedule, paused: bool, conflicts: &[String]) {
        let (Some(resource_version), Some(policy)) =
            (live.meta().resource_version.clone(), plan.policy.clone())
        else {
            return;
        };
        let (namespace, conflicts) = (plan.namespace.clone(), conflicts.to_vec());
        self.fits.insert(plan.name.clone(), Fit { resource_version, policy, namespace, paused, conflicts });
    }

    /// Forgets those that are not planned any more.
    pub(super) fn keep_only(&mut self, plans: &[Plan]) {
        // Plans come by name.
        self.fits.retain(|name, _| plans.binary_search_by(|plan| plan.name.cmp(name)).is_ok());
    }
}
