//! What is to be done with a volume at all.

use crate::overrides::Asked;
use crate::{ClaimPhase, Fate, Governance, Keep, Policy, Pressure, Reason, Volume};

/// The policy of a volume's namespace as its Sandbox's annotations and the cluster's limit change it.
pub(crate) struct Tailored {
    governance: Governance,
    /// What is wrong with an annotation, if anything is: then the policy is unchanged.
    pub(crate) invalid: Option<String>,
}

impl Tailored {
    pub(crate) fn of(governance: &Governance, volume: &Volume, pressure: Pressure) -> Self {
        let Governance::By(policy) = governance else {
            return Self { governance: governance.clone(), invalid: None };
        };
        let asked = volume.sandbox.as_ref().map(|sandbox| sandbox.overrides.of(policy));
        let (mut policy, invalid) = match asked {
            Some(Asked::OptedOut) => {
                let held = Governance::Held { policy: policy.name.clone(), reason: Reason::OptedOut };
                return Self { governance: held, invalid: None };
            }
            Some(Asked::Policy(policy)) => (*policy, None),
            Some(Asked::Nonsense(problem)) => (policy.clone(), Some(problem)),
            None => (policy.clone(), None),
        };
        pressure.relieve(&mut policy);
        Self { governance: Governance::By(policy), invalid }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match &self.governance {
            Governance::By(policy) => Some(policy),
            _ => None,
        }
    }
}

/// What is to be done with a volume.
pub(crate) enum Course<'p> {
    /// It is a workspace in use.
    BackUp(&'p Policy),
    /// It was one, until its Sandbox was switched to another volume.
    LeftBehind(&'p Policy),
    /// Claim and Sandbox are gone.
    Gone(&'p Policy),
    /// The claim is being deleted.
    Closing,
    /// Nothing is done, for this reason, and this becomes of every point: absence, of a policy or a claim, is no
    /// reason to delete.
    Nothing(Reason, Fate),
}

impl<'p> Course<'p> {
    pub(crate) fn of(tailored: &'p Tailored, volume: &Volume) -> Self {
        let policy = tailored.policy();
        let switched = volume.switched_to.is_some();
        match (volume.phase, policy) {
            (ClaimPhase::Gone | ClaimPhase::Abandoned, _) if switched => {
                return Self::Nothing(Reason::WorkspaceSwitched, Fate::Keep(Keep::Frozen));
            }
            (ClaimPhase::Gone, Some(policy)) if volume.sandbox.is_none() => return Self::Gone(policy),
            (ClaimPhase::Gone, _) => return Self::Nothing(Reason::ClaimGone, Fate::Keep(Keep::VolumeGone)),
            (ClaimPhase::Abandoned, _) => {
                return Self::Nothing(Reason::ClaimAbandoned, Fate::Keep(Keep::VolumeAbandoned));
            }
            _ => {}
        }
        let held = Fate::Keep(Keep::PruningHeld);
        let policy = match &tailored.governance {
            Governance::Nobody => return Self::Nothing(Reason::NoPolicy, held),
            Governance::Unknown => return Self::Nothing(Reason::PolicyUnknown, Fate::Unknown),
            Governance::Held { reason, .. } => return Self::Nothing(*reason, held),
            Governance::By(policy) => policy,
        };
        match () {
            () if volume.terminating => Self::Closing,
            () if volume.phase == ClaimPhase::Pending => Self::Nothing(Reason::ClaimPending, held),
            () if volume.phase == ClaimPhase::Lost => Self::Nothing(Reason::ClaimLost, held),
            () if volume.driver.is_none() => Self::Nothing(Reason::NotCsi, held),
            () if switched => Self::LeftBehind(policy),
            () => Self::BackUp(policy),
        }
    }
}
