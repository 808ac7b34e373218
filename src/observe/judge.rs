//! Observed → verdicts, for all volumes.

use agenttier_backup_plan::{Governance, HeldBack, Verdict, Volume, decide};
use jiff::Timestamp;

use super::{Observed, governance, volumes};

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
    let judge = |volume: &Volume| decide(now, of_namespace(&volume.namespace), volume, held);
    volumes(observed).iter().map(judge).collect()
}
