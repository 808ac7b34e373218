//! Observed → verdicts, for all volumes.

use agenttier_backup_plan::{Governance, Verdict, decide};
use jiff::Timestamp;

use super::{Observed, governance, volumes};

/// Judges every workspace volume. The controller and the commands call this same function.
#[must_use]
pub fn judge(now: Timestamp, observed: &Observed) -> Vec<Verdict> {
    let governed = governance(
        observed.policies.iter().map(AsRef::as_ref),
        observed.namespaces.iter().map(AsRef::as_ref),
    );
    volumes(observed)
        .iter()
        .map(|volume| {
            // A namespace that the watch has not shown yet follows nobody for the moment.
            let governance = governed.get(&volume.namespace).unwrap_or(&Governance::Nobody);
            decide(now, governance, volume)
        })
        .collect()
}
