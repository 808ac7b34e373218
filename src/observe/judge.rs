//! Observed → verdicts, for all volumes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use agenttier_backup_plan::{
    Governance, HeldBack, Ownership, Pressure, Surroundings, Verdict, Volume, decide,
};
use jiff::Timestamp;

use super::snapshot_classes::snapshot_classes;
use super::{Observed, governance, marks_of, volumes};

/// Judges every workspace volume, and what is left of those that were. The controller and the commands call this
/// same function.
#[must_use]
pub fn judge(now: Timestamp, observed: &Observed, held: &HeldBack) -> Vec<Verdict> {
    let governed = governance(
        observed.policies.iter().map(AsRef::as_ref),
        observed.namespaces.iter().map(AsRef::as_ref),
    );
    // A namespace that the watch has not shown yet follows nobody for the moment.
    judge_under(now, observed, held, |namespace| governed.get(namespace).unwrap_or(&Governance::Nobody))
}

pub(super) fn judge_under<'g>(
    now: Timestamp,
    observed: &Observed,
    held: &HeldBack,
    of_namespace: impl Fn(&str) -> &'g Governance,
) -> Vec<Verdict> {
    let classes = snapshot_classes(observed);
    let around = Surroundings {
        held,
        classes: classes.as_deref(),
        pressure: pressure(observed),
        rest_in_doubt: observed.attachments.is_none(),
    };
    each(&volumes(observed), of_namespace, |governance, volume| decide(now, governance, volume, &around))
}

/// How near all snapshots of ours are to the least limit that a policy sets.
#[must_use]
pub fn pressure(observed: &Observed) -> Pressure {
    let ours =
        observed.snapshots.iter().filter(|snapshot| matches!(marks_of(snapshot), Ownership::Ours { .. }));
    max_snapshots(observed).map_or(Pressure::None, |allowed| Pressure::of(ours.count(), allowed))
}

/// So many snapshots of ours may be held: the least that a policy says. `None` where there is no policy.
#[must_use]
pub fn max_snapshots(observed: &Observed) -> Option<u32> {
    observed.policies.iter().map(|policy| policy.spec.max_snapshots).min()
}

/// Judges one by one. A volume whose judgement panics is reported as such, and stops none of the others.
fn each<'g>(
    volumes: &[Volume],
    of_namespace: impl Fn(&str) -> &'g Governance,
    judge: impl Fn(&Governance, &Volume) -> Verdict,
) -> Vec<Verdict> {
    let judged = |volume: &Volume| {
        let governance = of_namespace(&volume.namespace);
        catch_unwind(AssertUnwindSafe(|| judge(governance, volume))).unwrap_or_else(|_| {
            tracing::error!(namespace = volume.namespace, claim = volume.claim, "cannot be judged; a bug");
            Verdict::unjudged(governance, volume)
        })
    };
    volumes.iter().map(judged).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use agenttier_backup_plan::{AgentTierLoop, ClaimPhase, Protection, Reason, VolumeUid};

    use super::*;

    fn volume(claim: &str) -> Volume {
        Volume {
            uid: VolumeUid::new(claim),
            namespace: "n".into(),
            claim: claim.into(),
            phase: ClaimPhase::Bound,
            terminating: false,
            created: Timestamp::UNIX_EPOCH,
            driver: None,
            shared: false,
            attached: false,
            agenttier_loop: AgentTierLoop::Off,
            sandbox: None,
            owner_unseen: false,
            switched_to: None,
            points: vec![],
            taken_names: Arc::new(BTreeSet::new()),
        }
    }

    #[test]
    fn one_that_cannot_be_judged_stops_no_other() {
        let volumes = [volume("a"), volume("poison"), volume("z")];
        let held = Governance::Held { policy: "gold".into(), reason: Reason::PolicySuspended };
        let judge = |governance: &Governance, volume: &Volume| {
            assert_ne!(volume.claim, "poison");
            decide(Timestamp::UNIX_EPOCH, governance, volume, &Surroundings::of(&HeldBack::new()))
        };
        let verdicts = each(&volumes, |_| &held, judge);
        assert!(verdicts.iter().all(|verdict| verdict.policy.as_deref() == Some("gold")), "counted under it");
        let reasons: Vec<Reason> = verdicts
            .iter()
            .map(|verdict| match verdict.protection {
                Protection::Unprotected { reason } => reason,
                ref other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(reasons, [Reason::PolicySuspended, Reason::JudgementFailed, Reason::PolicySuspended]);
    }
}
