//! What somebody should know of policies as such.

use std::collections::BTreeMap;

use agenttier_backup_plan::{MassDeletion, Notice, Reason};
use kube::ResourceExt;

use crate::api::BackupPolicy;
use crate::observe::{Observed, SnapshotLimit, ties};
use crate::publish::{DELETIONS_AWAIT_CONFIRMATION, DELETIONS_SUSPENDED, confirm, notices_of};

/// From all that there is.
pub(super) fn computed(
    observed: &Observed,
    limit: Option<SnapshotLimit>,
    mass: &BTreeMap<String, MassDeletion>,
) -> BTreeMap<String, Vec<Notice>> {
    let policies = observed.policies.iter().map(AsRef::as_ref);
    let ties = ties(policies, observed.namespaces.iter().map(AsRef::as_ref));
    by_policy(observed, |policy| {
        let name = policy.name_any();
        let waits = mass.get(&name).map(|mass| confirm(&name, mass));
        waits.into_iter().chain(notices_of(&name, &ties, limit)).collect()
    })
}

/// As the controller has reported it, for whoever sees a part alone: what keeps deletions from being made.
pub(super) fn reported(observed: &Observed) -> BTreeMap<String, Vec<Notice>> {
    by_policy(observed, |policy| {
        let conditions = policy.status.iter().flat_map(|status| &status.conditions);
        let holds = conditions.filter(|told| {
            told.status == "True"
                && [DELETIONS_SUSPENDED, DELETIONS_AWAIT_CONFIRMATION].contains(&told.type_.as_str())
        });
        let notice =
            holds.map(|told| Notice { reason: Reason::named(&told.reason), message: told.message.clone() });
        notice.collect()
    })
}

fn by_policy(
    observed: &Observed,
    notices: impl Fn(&BackupPolicy) -> Vec<Notice>,
) -> BTreeMap<String, Vec<Notice>> {
    let all = observed.policies.iter().map(|policy| (policy.name_any(), notices(policy)));
    all.filter(|(_, notices)| !notices.is_empty()).collect()
}
