//! Conditions that are there only when there is something to say.

use agenttier_backup_plan::{MassDeletion, Notice, Reason, Suspension, Verdict};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource, ResourceExt};

use super::of_policy::confirm;
use super::tally::Tally;
use crate::api::BackupPolicy;

/// The condition that nothing is deleted at all.
pub const DELETIONS_SUSPENDED: &str = "DeletionsSuspended";
/// The condition that a mass deletion waits for somebody's word.
pub const DELETIONS_AWAIT_CONFIRMATION: &str = "DeletionsAwaitConfirmation";

/// The API server takes no longer message in a condition.
const LONGEST_MESSAGE: usize = 32_768;

/// One that is True while there is something to say, and False afterwards; there is none before.
fn condition(
    policy: &BackupPolicy,
    before: &[Condition],
    type_: &str,
    told: Option<(String, String)>,
) -> Option<Condition> {
    let (status, reason, message) = match told {
        Some((reason, message)) => ("True", reason, message),
        None if before.iter().any(|condition| condition.type_ == type_) => {
            ("False", "Over".to_owned(), String::new())
        }
        None => return None,
    };
    Some(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason,
        message: message.chars().take(LONGEST_MESSAGE).collect(),
        observed_generation: policy.meta().generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    })
}

/// `DeletionsSuspended`: nothing is deleted, whatever the policy says.
pub(super) fn deletions_suspended(
    policy: &BackupPolicy,
    before: &[Condition],
    suspended: &[Suspension],
) -> Option<Condition> {
    let told = suspended.first().map(|first| {
        let all: Vec<String> = suspended.iter().map(ToString::to_string).collect();
        (first.reason().to_string(), all.join(". "))
    });
    condition(policy, before, DELETIONS_SUSPENDED, told)
}

/// `DeletionsAwaitConfirmation`: so much would be deleted before its time that somebody has to say that it is meant.
pub(super) fn deletions_await_confirmation(
    policy: &BackupPolicy,
    before: &[Condition],
    mass: Option<&MassDeletion>,
) -> Option<Condition> {
    let told = mass.map(|mass| confirm(&policy.name_any(), mass));
    let told = told.map(|notice| (notice.reason.to_string(), notice.message));
    condition(policy, before, DELETIONS_AWAIT_CONFIRMATION, told)
}

/// `WorkspaceSwitched` and `Warnings`: what somebody should know of volumes although they may be protected, and of the
/// policy itself.
pub(super) fn warnings(
    policy: &BackupPolicy,
    before: &[Condition],
    verdicts: &[Verdict],
    of_policy: &[Notice],
) -> Vec<Condition> {
    let name = policy.name_any();
    let (mut switched, mut others) = (Tally::default(), Tally::default());
    for verdict in verdicts.iter().filter(|verdict| verdict.policy.as_ref() == Some(&name)) {
        for notice in &verdict.notices {
            let tally = if notice.reason == Reason::WorkspaceSwitched { &mut switched } else { &mut others };
            tally.add(notice.reason, &verdict.volume, Some(&notice.message));
        }
    }
    let of_volumes = others.first().map(|reason| (reason.to_string(), others.to_string()));
    let of_policy = of_policy.iter().map(|notice| (notice.reason.to_string(), notice.message.clone()));
    let warnings: Vec<(String, String)> = of_policy.chain(of_volumes).collect();
    let told = warnings.first().map(|(reason, _)| {
        let messages: Vec<&str> = warnings.iter().map(|(_, message)| message.as_str()).collect();
        (reason.clone(), messages.join(". "))
    });
    let switched = switched.first().map(|reason| (reason.to_string(), switched.to_string()));
    [condition(policy, before, "WorkspaceSwitched", switched), condition(policy, before, "Warnings", told)]
        .into_iter()
        .flatten()
        .collect()
}
