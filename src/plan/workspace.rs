//! Which claims are sandbox workspaces.

use std::collections::BTreeMap;

use crate::marks;

/// What ties a claim to AgentTier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ties {
    /// A Sandbox's `status.pvcName` names the claim. AgentTier never labels a claim that it took from a
    /// warm pool `managed`: this is how those are found.
    pub named_by_sandbox: bool,
    /// An ownerReference of the claim is a Sandbox.
    pub owned_by_sandbox: bool,
    /// A recovery point of ours says that a Sandbox which is there still used it. AgentTier goes on where it could not
    /// give a claim of the warm pool its labels and owner, and that claim looks like one of the pool from then on.
    pub used_by_sandbox: bool,
}

/// A claim is a workspace if it is labelled `agenttier.io/managed=true` and not pooled, or a Sandbox names
/// it, or a Sandbox owns it, or a Sandbox is known to have used it.
#[must_use]
pub fn is_workspace(labels: &BTreeMap<String, String>, ties: Ties) -> bool {
    let is_true = |key: &str| labels.get(key).is_some_and(|value| value == "true");
    (is_true(marks::MANAGED) && !is_true(marks::POOLED))
        || ties.named_by_sandbox
        || ties.owned_by_sandbox
        || ties.used_by_sandbox
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_and_not_pooled_or_tied_to_a_sandbox() {
        let labels = |pairs: &[&str]| pairs.iter().map(|k| ((*k).into(), "true".into())).collect();
        let loose = Ties::default();
        assert!(is_workspace(&labels(&[marks::MANAGED]), loose));
        assert!(!is_workspace(&labels(&[marks::POOLED]), loose));
        assert!(!is_workspace(&labels(&[marks::MANAGED, marks::POOLED]), loose));
        assert!(!is_workspace(&labels(&[]), loose));
        assert!(is_workspace(&labels(&[]), Ties { named_by_sandbox: true, ..loose }), "a warm-claimed one");
        assert!(is_workspace(&labels(&[]), Ties { owned_by_sandbox: true, ..loose }));
        assert!(is_workspace(&labels(&[marks::POOLED]), Ties { used_by_sandbox: true, ..loose }));
    }
}
