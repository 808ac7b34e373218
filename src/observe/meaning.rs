//! What a policy means, in numbers, whether or not there is a volume that follows it.

use std::collections::BTreeSet;

use agenttier_backup_plan::{Governance, Interval, Reason, Thinning};
use jiff::SignedDuration;
use kube::ResourceExt;
use kube::core::Selector;
use serde::Serialize;

use super::{Observed, governance, in_force, reach};

/// What a policy means.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meaning {
    /// Its name.
    pub policy: String,
    /// Where several select a namespace, the highest wins.
    pub priority: i32,
    /// The labels of namespaces that it selects, as kubectl writes them; empty for every namespace.
    pub selector: String,
    /// Namespaces that it selects.
    pub selected: usize,
    /// Of these, those that follow it.
    pub followed: usize,
    /// The policies that the others follow instead.
    pub outranked_by: BTreeSet<String>,
    /// What it asks for, where it is in force.
    pub in_force: Option<Rules>,
    /// Why it is not in force.
    pub held: Option<Reason>,
    /// What is wrong with it, at length.
    pub problem: Option<String>,
}

/// What a policy in force asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Time between two recovery points of a volume.
    pub interval: Interval,
    /// A recovery point older than this may go.
    pub max_age: SignedDuration,
    /// So many of the newest stay whatever their age.
    pub keep_last: u32,
    /// A volume is protected while its newest recovery point is not older.
    pub objective: SignedDuration,
    /// How many recovery points of one volume stay, without pins: at most; where they are thinned out, about.
    pub points_per_volume: u64,
    /// Older ones are thinned out to one a day, week or month.
    pub thinned: bool,
    /// VolumeSnapshotClass to name.
    pub class: Option<String>,
}

/// What each policy means, in the order in which they win.
#[must_use]
pub fn meanings(observed: &Observed) -> Vec<Meaning> {
    let policies = || observed.policies.iter().map(AsRef::as_ref);
    let namespaces = || observed.namespaces.iter().map(AsRef::as_ref);
    let governed = governance(policies(), namespaces());
    let mut meanings: Vec<Meaning> = policies()
        .map(|policy| {
            let reach = reach(policy, namespaces(), &governed);
            let selector = Selector::try_from(policy.spec.namespace_selector.clone());
            let mut meaning = Meaning {
                policy: policy.name_any(),
                priority: policy.spec.priority,
                selector: selector.map(|selector| selector.to_string()).unwrap_or_default(),
                selected: reach.selected,
                followed: reach.followed,
                outranked_by: reach.outranked_by,
                in_force: None,
                held: None,
                problem: None,
            };
            match in_force(policy) {
                Ok(Governance::By(policy)) => {
                    meaning.in_force = Some(Rules {
                        interval: policy.interval,
                        max_age: policy.retention.max_age,
                        keep_last: policy.retention.keep_last,
                        objective: policy.objective(),
                        points_per_volume: policy.points_per_volume(),
                        thinned: policy.retention.thin != Thinning::default(),
                        class: policy.class,
                    });
                }
                Ok(Governance::Held { reason, .. }) => meaning.held = Some(reason),
                Ok(Governance::Nobody | Governance::Unknown) => {}
                Err(invalid) => {
                    meaning.held = Some(Reason::PolicyInvalid);
                    meaning.problem = Some(invalid.to_string());
                }
            }
            meaning
        })
        .collect();
    meanings.sort_by(|a, b| (-a.priority, &a.policy).cmp(&(-b.priority, &b.policy)));
    meanings
}
