//! What all policies together come to at one moment.

use std::collections::BTreeMap;

use agenttier_backup_plan::{Governance, Ownership, Pressure};

use super::{Observed, Reach, governance, in_force, marks_of, reach};
use crate::api::BackupPolicy;

/// What all policies together come to: found once a pass, and asked of every volume and every policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regime {
    governed: BTreeMap<String, Governance>,
    /// How many snapshots may be held; `None` where no policy is in force.
    pub limit: Option<SnapshotLimit>,
}

/// How many snapshots of ours the cluster may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimit {
    /// The least that a policy in force says.
    pub allowed: u32,
    /// How near all snapshots of ours are to it.
    pub pressure: Pressure,
}

impl Regime {
    /// That of the policies, namespaces and snapshots that there are.
    #[must_use]
    pub fn of(observed: &Observed) -> Self {
        let policies = || observed.policies.iter().map(AsRef::as_ref);
        let governed = governance(policies(), observed.namespaces.iter().map(AsRef::as_ref));
        Self { governed, limit: SnapshotLimit::of(observed) }
    }

    /// What a namespace follows. One that the watch has not shown yet follows nobody for the moment.
    #[must_use]
    pub fn of_namespace(&self, namespace: &str) -> &Governance {
        self.governed.get(namespace).unwrap_or(&Governance::Nobody)
    }

    /// How far a policy reaches.
    #[must_use]
    pub fn reach(&self, policy: &BackupPolicy, observed: &Observed) -> Reach {
        reach(policy, observed.namespaces.iter().map(AsRef::as_ref), &self.governed)
    }

    /// How near the snapshots of ours are to the limit.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.limit.map_or(Pressure::None, |limit| limit.pressure)
    }

    /// How many snapshots of ours may be held; `None` where no policy is in force.
    #[must_use]
    pub fn allowed(&self) -> Option<u32> {
        self.limit.map(|limit| limit.allowed)
    }
}

impl SnapshotLimit {
    fn of(observed: &Observed) -> Option<Self> {
        let is_in_force = |policy: &BackupPolicy| matches!(in_force(policy), Ok(Governance::By(_)));
        let of_policies = observed.policies.iter().filter(|policy| is_in_force(policy));
        let allowed = of_policies.map(|policy| policy.spec.max_snapshots).min()?;
        let ours = observed.snapshots.iter().filter(|snapshot| {
            let is_ours = matches!(marks_of(snapshot), Ownership::Ours { .. });
            is_ours && snapshot.metadata.deletion_timestamp.is_none()
        });
        Some(Self { allowed, pressure: Pressure::of(ours.count(), allowed) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::BackupPolicySpec;

    fn policy(max_snapshots: u32, change: impl FnOnce(&mut BackupPolicySpec)) -> Arc<BackupPolicy> {
        let mut spec = BackupPolicySpec { max_snapshots, ..BackupPolicySpec::default() };
        change(&mut spec);
        Arc::new(BackupPolicy::new(&format!("allows-{max_snapshots}"), spec))
    }

    fn allowed(policies: Vec<Arc<BackupPolicy>>) -> Option<u32> {
        let observed = Observed { policies, ..Observed::default() };
        Regime::of(&observed).limit.map(|limit| limit.allowed)
    }

    #[test]
    fn the_least_that_a_policy_in_force_says_is_allowed() {
        assert_eq!(allowed(vec![policy(300, |_| {}), policy(200, |_| {}), policy(400, |_| {})]), Some(200));
        assert_eq!(allowed(vec![]), None);
    }

    #[test]
    fn a_policy_that_is_not_in_force_limits_nothing() {
        for not_in_force in [
            (|spec| spec.suspend = true) as fn(&mut BackupPolicySpec),
            |spec| spec.snapshots.enabled = false,
            |spec| spec.snapshots.interval = "soon".into(),
        ] {
            assert_eq!(allowed(vec![policy(300, |_| {}), policy(1, not_in_force)]), Some(300));
            assert_eq!(allowed(vec![policy(1, not_in_force)]), None);
        }
    }
}
