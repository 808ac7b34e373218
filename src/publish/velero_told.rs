//! What a policy's status says of Layer 2.

use agenttier_backup_plan::marks::POOLED;
use agenttier_backup_plan::{Notice, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource, ResourceExt};

use super::tally::Tally;
use crate::api::{BackupPolicy, LaggingNamespace, VeleroStatus};
use crate::schedules::{Finding, Findings, Obstacle, State};

/// The condition that Velero backs up what it is to back up.
pub(super) const VELERO_READY: &str = "VeleroReady";

/// Its reason where what the policy says of Velero makes no sense.
pub(super) const INVALID_SPEC: &str = "InvalidSpec";
/// Its reason where hooks or extraTemplate hold what no Backup can.
pub(super) const TEMPLATE_INVALID: &str = "TemplateInvalid";
/// Its reason where the ConfigMap that every Schedule names cannot be put in place.
pub(super) const VOLUME_POLICY_REFUSED: &str = "VolumePolicyRefused";
/// Its reason where Velero's server takes no snapshots of CSI volumes.
pub(crate) const VELERO_WITHOUT_CSI: &str = "VeleroWithoutCsi";
pub(crate) const WITHOUT_CSI: &str = "Velero's server takes no snapshots of CSI volumes, and its backups are complete without them: run it with \
                           --features=EnableCSI";

/// So many namespaces are reported by name.
const LAGGING: usize = 50;
/// So many volumes are named in a warning.
const NAMED: usize = 3;
/// From this share of the time on, the queue of Velero's backups is worth a word.
const FULL: f64 = 0.8;

/// The condition and the figures; `None` where the policy wants no backups by Velero.
pub(super) fn velero_told(policy: &BackupPolicy, findings: &Findings) -> Option<(Condition, VeleroStatus)> {
    if !policy.spec.velero.enabled {
        return None;
    }
    let name = policy.name_any();
    let mut counted = Counted::default();
    for finding in findings.namespaces.iter().filter(|finding| finding.policy == name) {
        counted.add(finding);
    }
    let (status, reason, message) = verdict(policy, &name, findings, &counted);
    let condition = Condition {
        type_: VELERO_READY.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        observed_generation: policy.meta().generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    Some((condition, counted.status()))
}

fn verdict(
    policy: &BackupPolicy,
    name: &str,
    findings: &Findings,
    counted: &Counted,
) -> (&'static str, String, String) {
    if let Some(invalid) = findings.invalid.get(name) {
        return ("False", INVALID_SPEC.into(), invalid.to_string());
    }
    if let Some(obstacle) = &findings.obstacle {
        let status = if matches!(obstacle, Obstacle::VeleroUnseen(_)) { "Unknown" } else { "False" };
        return (status, obstacle.reason().into(), obstacle.message());
    }
    if let Some(error) = findings.unrenderable.get(name) {
        let message =
            format!("spec.velero.hooks or spec.velero.extraTemplate holds what no Backup can: {error}");
        return ("False", TEMPLATE_INVALID.into(), message);
    }
    if let Some(message) = &findings.volume_policy {
        return ("False", VOLUME_POLICY_REFUSED.into(), message.clone());
    }
    if findings.without_csi {
        return ("False", VELERO_WITHOUT_CSI.into(), WITHOUT_CSI.into());
    }
    if let Some(trouble) = findings.locations.get(name) {
        return ("False", trouble.reason().into(), trouble.message());
    }
    if let Some(unread) = &findings.unread {
        let status = if matches!(unread, Obstacle::VeleroUnseen(_)) { "Unknown" } else { "False" };
        return (
            status,
            unread.reason().into(),
            format!("what became of the backups cannot be told: {}", unread.message()),
        );
    }
    let of = format!("{} of {} namespaces backed up", counted.backed_up, counted.total);
    if let Some(reason) = counted.failing.first() {
        return ("False", reason.to_owned(), format!("{of}: {}", counted.failing));
    }
    if let Some(reason) = counted.unknown.first() {
        return ("Unknown", reason.to_owned(), format!("{of}: {}", counted.unknown));
    }
    match () {
        () if counted.stale > 0 => (
            "Unknown",
            "AwaitingBackups".into(),
            format!(
                "{of}; {} await one: what they have is too old, and what is asked of them is new",
                counted.stale
            ),
        ),
        () if counted.awaited > 0 => (
            "Unknown",
            "AwaitingFirstBackups".into(),
            format!("{of}; {} await their first one", counted.awaited),
        ),
        // Those of a policy that is suspended, or namespaces that are gone: there are some, and none of them is to be backed up.
        () if counted.total == 0 && !counted.paused.is_empty() => {
            ("Unknown", "Paused".into(), format!("no backups are made; paused: {}", counted.paused))
        }
        () if counted.total == 0 && policy.spec.suspend => {
            ("Unknown", "Paused".into(), "it is suspended: no Schedule of its namespaces is made".into())
        }
        () if counted.total == 0 => {
            ("Unknown", "NoNamespaces".into(), "no namespace that follows it holds a sandbox".into())
        }
        () if !counted.paused.is_empty() => {
            ("True", "BackedUp".into(), format!("{of}; paused: {}", counted.paused))
        }
        () => ("True", "BackedUp".into(), of),
    }
}

#[derive(Default)]
struct Counted<'a> {
    total: u32,
    scheduled: u32,
    backed_up: u32,
    awaited: u32,
    /// Of those that have one.
    stale: u32,
    failing: Tally<&'a str>,
    paused: Tally<&'a str>,
    unknown: Tally<&'a str>,
    lagging: Vec<LaggingNamespace>,
}

impl<'a> Counted<'a> {
    fn add(&mut self, finding: &'a Finding) {
        let namespace = || finding.namespace.clone();
        if let (Some((reason, message)), State::Failing) = (&finding.trouble, finding.state) {
            self.failing.count(reason, namespace, Some(message));
            self.lagging.push(LaggingNamespace {
                namespace: finding.namespace.clone(),
                schedule: finding.schedule.clone(),
                reason: reason.clone(),
                message: message.clone(),
                last_success: finding.last_success.map(Time),
            });
        }
        match (finding.state, &finding.trouble) {
            (State::Paused, Some((reason, _))) => {
                // It is not one that should be backed up.
                self.paused.count(reason, namespace, None);
                return;
            }
            (State::BackedUp, _) => self.backed_up += 1,
            (State::Awaited, _) if finding.last_success.is_some() => self.stale += 1,
            (State::Awaited, _) => self.awaited += 1,
            (State::Unknown, Some((reason, message))) => {
                self.unknown.count(reason, namespace, Some(message));
            }
            (State::Failing | State::Paused | State::Unknown, _) => {}
        }
        self.total += 1;
        self.scheduled += u32::from(finding.scheduled);
    }

    fn status(mut self) -> VeleroStatus {
        self.lagging
            .sort_by_key(|lagging| (lagging.last_success.as_ref().map(|at| at.0), lagging.namespace.clone()));
        self.lagging.truncate(LAGGING);
        VeleroStatus {
            namespaces: self.total,
            scheduled: self.scheduled,
            backed_up: self.backed_up,
            lagging: self.lagging,
        }
    }
}

/// What somebody should know of Layer 2 although it may work.
pub(super) fn velero_notices(policy: &BackupPolicy, findings: &Findings) -> Vec<Notice> {
    if !policy.spec.velero.enabled {
        return Vec::new();
    }
    let conflicts = findings.conflicts.get(&policy.name_any()).map(|fields| Notice {
        reason: Reason::ExtraTemplateConflict,
        message: format!(
            "these fields of spec.velero.extraTemplate have no part, for they are decided elsewhere: {}",
            fields.join(", ")
        ),
    });
    let left_out = findings.left_out.get(&policy.name_any()).map(|claims| Notice {
        reason: Reason::WorkspaceLeftOut,
        message: format!(
            "Velero's backups leave out {} volumes of sandboxes, for they still have the label {POOLED} of the warm pool ({}): \
             take it off",
            claims.len(),
            claims.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    });
    let shared = findings.shared_name.as_ref().map(|backup| Notice {
        reason: Reason::ClusterNameShared,
        message: format!(
            "another cluster whose Schedules are called like ours is at work in the same store (its backup {backup}): give one of \
             them another name, by optional.backup.velero.clusterName in the chart's values"
        ),
    });
    let load = findings.load().filter(|load| *load > FULL).map(|load| Notice {
        reason: Reason::BackupQueueFull,
        message: format!(
            "the backups of {} namespaces, {} at a time, take {:.0} % of the time that there is: make them less often, or \
             let Velero make more at a time (--concurrent-backups)",
            findings.namespaces.len(),
            findings.at_once,
            load * 100.0
        ),
    });
    let briefly = findings.kept_briefly.contains(&policy.name_any()).then(|| Notice {
        reason: Reason::BackupsKeptBriefly,
        message: "spec.velero.ttl is less than twice the time between two backups: where one fails, or takes long, the one before \
                  it may be gone"
            .to_owned(),
    });
    conflicts.into_iter().chain(left_out).chain(briefly).chain(shared).chain(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::BackupPolicySpec;

    fn policy() -> BackupPolicy {
        let mut spec = BackupPolicySpec::default();
        spec.velero.enabled = true;
        BackupPolicy::new("gold", spec)
    }

    fn found(namespace: &str, state: State, reason: Option<&str>) -> Finding {
        Finding {
            namespace: namespace.into(),
            schedule: format!("east-{namespace}"),
            policy: "gold".into(),
            state,
            trouble: reason.map(|reason| (reason.to_owned(), "at length".to_owned())),
            scheduled: true,
            last_success: None,
            took: None,
            period: None,
            held: None,
            incidents: Vec::new(),
        }
    }

    /// `status reason: message` of the condition, and how many namespaces are counted.
    fn told(namespaces: Vec<Finding>) -> (String, u32) {
        let findings = Findings { namespaces, ..Findings::default() };
        let (condition, status) = velero_told(&policy(), &findings).expect("it wants some");
        let Condition { status: is, reason, message, .. } = condition;
        (format!("{is} {reason}: {message}"), status.namespaces)
    }

    #[test]
    fn a_policy_all_of_whose_namespaces_are_paused_says_so() {
        let paused = |namespace: &str| found(namespace, State::Paused, Some("PolicySuspended"));
        let gone = || found("old", State::Paused, Some("NamespaceGone"));
        assert_eq!(told(vec![]).0, "Unknown NoNamespaces: no namespace that follows it holds a sandbox");
        assert_eq!(
            told(vec![paused("a"), paused("b"), gone()]),
            (
                "Unknown Paused: no backups are made; paused: 1 NamespaceGone (old); 2 PolicySuspended (a, b)".into(),
                0
            )
        );
        assert_eq!(
            told(vec![found("a", State::BackedUp, None), gone()]),
            ("True BackedUp: 1 of 1 namespaces backed up; paused: 1 NamespaceGone (old)".into(), 1)
        );
    }

    /// Its namespaces may well hold sandboxes; they have no Schedules yet.
    #[test]
    fn one_that_was_suspended_from_the_start_says_so() {
        let mut policy = policy();
        policy.spec.suspend = true;
        let (condition, _) = velero_told(&policy, &Findings::default()).expect("it wants some");
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("Unknown", "Paused"));
        assert!(condition.message.contains("suspended"), "{}", condition.message);
    }

    #[test]
    fn an_old_backup_beside_a_new_schedule_is_no_success() {
        let old = Finding { last_success: Some(Timestamp::UNIX_EPOCH), ..found("a", State::Awaited, None) };
        assert_eq!(
            told(vec![old, found("b", State::BackedUp, None)]).0,
            "Unknown AwaitingBackups: 1 of 2 namespaces backed up; 1 await one: what they have is too old, and what is asked \
             of them is new"
        );
    }

    #[test]
    fn what_fails_outweighs_what_is_awaited() {
        let awaited = || found("a", State::Awaited, None);
        assert_eq!(
            told(vec![awaited(), found("b", State::BackedUp, None)]).0,
            "Unknown AwaitingFirstBackups: 1 of 2 namespaces backed up; 1 await their first one"
        );
        assert_eq!(
            told(vec![awaited(), found("b", State::Failing, Some("BackupMissed"))]).0,
            "False BackupMissed: 0 of 2 namespaces backed up: 1 BackupMissed (b): at length"
        );
    }

    /// What cannot be seen is no success.
    #[test]
    fn what_is_not_certain_is_unknown() {
        let unknown = || found("b", State::Unknown, Some("NotCertain"));
        assert_eq!(
            told(vec![found("a", State::BackedUp, None), unknown()]).0,
            "Unknown NotCertain: 1 of 2 namespaces backed up: 1 NotCertain (b): at length"
        );
        assert_eq!(
            told(vec![unknown(), found("c", State::Failing, Some("BackupMissed"))]).0,
            "False BackupMissed: 0 of 2 namespaces backed up: 1 BackupMissed (c): at length"
        );
    }

    #[test]
    fn a_policy_that_wants_none_is_told_nothing() {
        let policy = BackupPolicy::new("gold", BackupPolicySpec::default());
        assert!(velero_told(&policy, &Findings::default()).is_none());
    }
}
