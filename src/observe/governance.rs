//! Which policy a namespace follows.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::{Bounds, Governance, Interval, Policy, Reason, Retention, Thinning, marks};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use crate::api::{BackupPolicy, Period, RetentionSpec};

/// Why a policy cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, as a path below the object.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Reads a policy for the planner.
///
/// # Errors
/// Names the first field that makes no sense.
pub fn in_force(policy: &BackupPolicy) -> Result<Governance, Invalid> {
    let name = policy.name_any();
    let snapshots = &policy.spec.snapshots;
    selector(policy)?;
    let interval = length("spec.snapshots.interval", &snapshots.interval)?;
    let interval = Interval::new(interval)
        .map_err(|error| Invalid { field: "spec.snapshots.interval", problem: error.to_string() })?;
    let max_age = length("spec.snapshots.retention.maxAge", &snapshots.retention.max_age)?;
    if max_age < interval.duration() {
        return Err(Invalid {
            field: "spec.snapshots.retention.maxAge",
            problem: format!(
                "{} is shorter than the interval {}: every snapshot would be past its age before the next one",
                snapshots.retention.max_age, snapshots.interval
            ),
        });
    }
    let ready_timeout = length("spec.snapshots.readyTimeout", &snapshots.ready_timeout)?;
    let retention = retention(max_age, &snapshots.retention)?;
    let bounds = Bounds {
        min_interval: length("spec.overrides.minInterval", &policy.spec.overrides.min_interval)?,
        max_retention: length("spec.overrides.maxRetention", &policy.spec.overrides.max_retention)?,
        max_points: policy.spec.overrides.max_points,
    };
    let held = |reason| Governance::Held { policy: name.clone(), reason };
    if policy.spec.suspend {
        return Ok(held(Reason::PolicySuspended));
    }
    if !snapshots.enabled {
        return Ok(held(Reason::SnapshotsDisabled));
    }
    Ok(Governance::By(Policy {
        interval,
        ready_timeout,
        retention,
        class: Some(snapshots.snapshot_class_name.clone()).filter(|class| !class.is_empty()),
        classes: snapshots.classes.clone(),
        skip_unchanged: snapshots.skip_unchanged,
        adopt_agenttier: snapshots.retention.adopt_agent_tier,
        bounds,
        deletions_confirmed: policy
            .annotations()
            .get(marks::DELETIONS_CONFIRMED)
            .and_then(|at| at.parse::<Timestamp>().ok()),
        name,
    }))
}

fn retention(max_age: SignedDuration, spec: &RetentionSpec) -> Result<Retention, Invalid> {
    let thin = |field, period: Option<&Period>| period.map(|period| length(field, period)).transpose();
    if spec.max_count.is_some_and(|count| count < spec.keep_last) {
        return Err(Invalid {
            field: "spec.snapshots.retention.maxCount",
            problem: "below keepLast: the newest keepLast snapshots always stay".to_owned(),
        });
    }
    Ok(Retention {
        max_age,
        keep_last: spec.keep_last,
        max_count: spec.max_count,
        thin: Thinning {
            daily: thin("spec.snapshots.retention.thin.daily", spec.thin.daily.as_ref())?,
            weekly: thin("spec.snapshots.retention.thin.weekly", spec.thin.weekly.as_ref())?,
            monthly: thin("spec.snapshots.retention.thin.monthly", spec.thin.monthly.as_ref())?,
        },
    })
}

/// The policy of every namespace: the highest priority that selects it, then the first by name.
///
/// A policy with errors keeps its place and holds everything: one below it might keep less. Only where
/// its selector itself cannot be read does it select nothing.
#[must_use]
pub fn governance<'a>(
    policies: impl IntoIterator<Item = &'a BackupPolicy>,
    namespaces: impl IntoIterator<Item = &'a Namespace>,
) -> BTreeMap<String, Governance> {
    let mut ruled: BTreeMap<String, Governance> = BTreeMap::new();
    let followed = followed(policies, namespaces).into_iter().map(|(namespace, policy)| {
        let Some(policy) = policy else { return (namespace, Governance::Nobody) };
        let name = policy.name_any();
        let governance = ruled.entry(name.clone()).or_insert_with(|| {
            in_force(policy).unwrap_or(Governance::Held { policy: name, reason: Reason::PolicyInvalid })
        });
        (namespace, governance.clone())
    });
    followed.collect()
}

/// The policy that every namespace follows; `None` where none selects it.
#[must_use]
pub fn followed<'a, 'n>(
    policies: impl IntoIterator<Item = &'a BackupPolicy>,
    namespaces: impl IntoIterator<Item = &'n Namespace>,
) -> BTreeMap<String, Option<&'a BackupPolicy>> {
    let readable = policies.into_iter().filter_map(|policy| Some((policy, selector(policy).ok()?)));
    let mut ranked: Vec<(&BackupPolicy, Selector)> = readable.collect();
    ranked.sort_by_key(|(policy, _)| (-policy.spec.priority, policy.name_any()));
    let followed = namespaces.into_iter().map(|namespace| {
        let selects = |(_, selector): &&(&BackupPolicy, Selector)| selector.matches(namespace.labels());
        (namespace.name_any(), ranked.iter().find(selects).map(|(policy, _)| *policy))
    });
    followed.collect()
}

/// How far a policy reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Namespaces that it selects.
    pub selected: usize,
    /// Of these, those that follow it.
    pub followed: usize,
    /// The policies that the others follow instead.
    pub outranked_by: BTreeSet<String>,
}

/// How far a policy reaches, given which policy each namespace follows.
#[must_use]
pub fn reach<'a>(
    policy: &BackupPolicy,
    namespaces: impl IntoIterator<Item = &'a Namespace>,
    governed: &BTreeMap<String, Governance>,
) -> Reach {
    let mut reach = Reach::default();
    let Ok(selector) = selector(policy) else { return reach };
    let name = policy.name_any();
    for namespace in namespaces {
        if !selector.matches(namespace.labels()) {
            continue;
        }
        reach.selected += 1;
        match governed.get(&namespace.name_any()).and_then(Governance::policy_name) {
            Some(followed) if followed == name => reach.followed += 1,
            other => reach.outranked_by.extend(other.map(str::to_owned)),
        }
    }
    reach
}

/// Policies by name, with the others that select one of their namespaces with the same priority; those without any
/// are left out.
pub type Ties = BTreeMap<String, BTreeSet<String>>;

/// Which policies tie.
#[must_use]
pub fn ties<'a>(
    policies: impl IntoIterator<Item = &'a BackupPolicy>,
    namespaces: impl IntoIterator<Item = &'a Namespace>,
) -> Ties {
    let policies: Vec<(i32, String, Selector)> = policies
        .into_iter()
        .filter_map(|policy| Some((policy.spec.priority, policy.name_any(), selector(policy).ok()?)))
        .collect();
    let mut ties = Ties::new();
    for namespace in namespaces {
        let mut here: BTreeMap<i32, Vec<&String>> = BTreeMap::new();
        for (priority, name, _) in
            policies.iter().filter(|(.., selector)| selector.matches(namespace.labels()))
        {
            here.entry(*priority).or_default().push(name);
        }
        for tied in here.values().filter(|tied| tied.len() > 1) {
            for name in tied {
                let others = tied.iter().filter(|other| *other != name).map(|other| (*other).clone());
                ties.entry((*name).clone()).or_default().extend(others);
            }
        }
    }
    ties
}

fn selector(policy: &BackupPolicy) -> Result<Selector, Invalid> {
    let selector = policy.spec.namespace_selector.clone();
    Selector::try_from(selector)
        .map_err(|error| Invalid { field: "spec.namespaceSelector", problem: error.to_string() })
}

fn length(field: &'static str, period: &Period) -> Result<SignedDuration, Invalid> {
    period.duration().map_err(|error| Invalid { field, problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::BackupPolicySpec;

    fn policy(name: &str, priority: i32, change: impl FnOnce(&mut BackupPolicySpec)) -> BackupPolicy {
        let mut spec = BackupPolicySpec { priority, ..BackupPolicySpec::default() };
        change(&mut spec);
        BackupPolicy::new(name, spec)
    }

    fn namespace(name: &str, labels: &[(&str, &str)]) -> Namespace {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespace.metadata.labels = Some(labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        namespace
    }

    fn selecting(key: &str, value: &str) -> impl FnOnce(&mut BackupPolicySpec) {
        let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        move |spec| spec.namespace_selector.match_labels = Some(labels)
    }

    #[test]
    fn highest_priority_then_name() {
        let policies = [
            policy("default", 0, |_| {}),
            policy("gold-b", 10, selecting("tier", "gold")),
            policy("gold-a", 10, selecting("tier", "gold")),
        ];
        let namespaces = [namespace("plain", &[]), namespace("rich", &[("tier", "gold")])];
        let governed = governance(&policies, &namespaces);
        assert_eq!(governed["plain"].policy_name(), Some("default"));
        assert_eq!(governed["rich"].policy_name(), Some("gold-a"));

        let reach = |policy: usize| reach(&policies[policy], &namespaces, &governed);
        assert_eq!(reach(0), Reach { selected: 2, followed: 1, outranked_by: ["gold-a".to_owned()].into() });
        assert_eq!(reach(1), Reach { selected: 1, followed: 0, outranked_by: ["gold-a".to_owned()].into() });
        assert_eq!(reach(2), Reach { selected: 1, followed: 1, outranked_by: BTreeSet::new() });
    }

    #[test]
    fn those_tie_that_select_a_namespace_with_the_same_priority() {
        let policies = [
            policy("default", 0, |_| {}),
            policy("gold", 10, selecting("tier", "gold")),
            policy("rich", 10, selecting("money", "much")),
            policy("red", 10, selecting("colour", "red")),
            policy("other", 0, selecting("tier", "gold")),
        ];
        let both = namespace("both", &[("tier", "gold"), ("money", "much")]);
        let red = namespace("red", &[("colour", "red")]);
        let tied = |namespaces: &[Namespace]| {
            let ties = ties(&policies, namespaces).into_iter();
            ties.map(|(name, others)| format!("{name}: {}", Vec::from_iter(others).join(" ")))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            tied(&[both, red.clone()]),
            ["default: other", "gold: rich", "other: default", "rich: gold"]
        );
        assert_eq!(tied(&[red]), [""; 0]);
    }

    #[test]
    fn a_policy_with_errors_holds_its_namespaces() {
        let broken = policy("gold", 10, |spec| {
            selecting("tier", "gold")(spec);
            spec.snapshots.retention.max_age = "1h".into();
        });
        assert_eq!(in_force(&broken).expect_err("invalid").field, "spec.snapshots.retention.maxAge");
        let policies = [broken, policy("default", 0, |_| {})];
        let governed = governance(&policies, &[namespace("rich", &[("tier", "gold")])]);
        assert_eq!(
            governed["rich"],
            Governance::Held { policy: "gold".into(), reason: Reason::PolicyInvalid }
        );
    }

    #[test]
    fn suspended_and_disabled_are_told_apart() {
        let reason = |policy: &BackupPolicy| match in_force(policy).expect("valid") {
            Governance::Held { reason, .. } => Some(reason),
            _ => None,
        };
        assert_eq!(reason(&policy("p", 0, |spec| spec.suspend = true)), Some(Reason::PolicySuspended));
        assert_eq!(
            reason(&policy("p", 0, |spec| spec.snapshots.enabled = false)),
            Some(Reason::SnapshotsDisabled)
        );
        assert_eq!(reason(&policy("p", 0, |_| {})), None);
    }

    #[test]
    fn every_length_is_checked() {
        for (field, change) in [
            (
                "spec.snapshots.interval",
                (|spec| spec.snapshots.interval = "5s".into()) as fn(&mut BackupPolicySpec),
            ),
            ("spec.snapshots.interval", |spec| spec.snapshots.interval = "soon".into()),
            ("spec.snapshots.retention.maxAge", |spec| spec.snapshots.retention.max_age = "x".into()),
            ("spec.snapshots.readyTimeout", |spec| spec.snapshots.ready_timeout = "-1h".into()),
        ] {
            assert_eq!(in_force(&policy("p", 0, change)).expect_err(field).field, field);
        }
    }
}
