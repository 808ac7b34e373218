//! Observed → verdicts, for all volumes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use agenttier_backup_plan::{Governance, HeldBack, Pressure, Surroundings, Verdict, Volume, decide};
use jiff::Timestamp;

use super::snapshot_classes::snapshot_classes;
use super::{Observed, Regime, volumes};

/// Judges every workspace volume, and what is left of those that were. The controller and the commands call this
/// same function.
#[must_use]
pub fn judge(now: Timestamp, observed: &Observed, regime: &Regime, held: &HeldBack) -> Vec<Verdict> {
    judge_under(now, observed, regime.pressure(), held, |namespace| regime.of_namespace(namespace))
}

pub(super) fn judge_under<'g>(
    now: Timestamp,
    observed: &Observed,
    pressure: Pressure,
    held: &HeldBack,
    of_namespace: impl Fn(&str) -> &'g Governance,
) -> Vec<Verdict> {
    let classes = snapshot_classes(observed);
    let around = Surroundings {
        held,
        classes: classes.as_deref(),
        pressure,
        rest_in_doubt: observed.attachments.is_none(),
    };
    each(&volumes(observed), of_namespace, |governance, volume| decide(now, governance, volume, &around))
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
