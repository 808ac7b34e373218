//! A backup of a namespace by Velero, now: out of its Schedule's template, as Velero itself makes one.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::Rule;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};
use velero::labels::SCHEDULE_NAME;
use velero::{Backup, BackupPhase, Schedule, scheduled_backup_name};

use super::error::BackupError;
use super::made::{Layer, Made};
use crate::api::FIELD_MANAGER;
use crate::api_error::{is_forbidden, sentence};
use crate::observe::{Survey, VeleroSight};
use crate::publish::{VELERO_WITHOUT_CSI, WITHOUT_CSI};
use crate::schedules::{Look, Obstacle, Said, location_trouble, saved, takes_csi_snapshots, usable};
use crate::server_clock::ServerClock;

/// Makes a Backup out of the template of the namespace's Schedule, or finds one that has not begun yet: that one will hold
/// what there is now. `warn` is told beforehand what it is going to lack.
///
/// # Errors
/// When there is no Velero that could, no Schedule, no location to put it, or a right is missing.
pub async fn of_namespace(
    client: &Client,
    clock: &ServerClock,
    said: &Said,
    namespace: &str,
    warn: impl FnOnce(&str),
) -> Result<Made, BackupError> {
    let survey = Box::pin(Survey::take(client, Some(namespace))).await?;
    survey.require(namespace)?;
    let mut look = Look::take(client, said, &survey).await?;
    let refuse = |(reason, message): (&'static str, String)| BackupError::NotByVelero {
        namespace: namespace.to_owned(),
        reason,
        message,
    };
    let is_going = survey.observed.namespaces.iter().any(|one| one.metadata.deletion_timestamp.is_some());
    if is_going {
        return Err(refuse(("NamespaceTerminating", "it is being deleted".into())));
    }
    let schedule = chosen(&look, &survey, namespace).map_err(refuse)?;
    if let Some(warning) = lacking(&look.sight) {
        warn(&warning);
    }
    let schedule_name = schedule.name_any();
    look.sight.take_backups(client, &format!("{SCHEDULE_NAME}={schedule_name}")).await?;
    let made = |name: String, already| Made {
        layer: Layer::Velero,
        namespace: namespace.to_owned(),
        sandbox: None,
        name,
        object_namespace: look.sight.namespace.clone(),
        already,
    };
    let waiting = saved(&look.sight, look.cluster.as_ref()).into_iter().find(|saved| {
        !saved.elsewhere
            && matches!(saved.phase, BackupPhase::New | BackupPhase::Queued | BackupPhase::ReadyToStart)
    });
    if let Some(waiting) = waiting {
        return Ok(made(waiting.backup, true));
    }
    let wanted = from_schedule(&schedule, clock.now());
    let name = wanted.name_any();
    let api: Api<Backup> = Api::namespaced(client.clone(), &look.sight.namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &wanted).await {
        Ok(_) => Ok(made(name, false)),
        // Of this very second, whoever asked for it.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(made(name, true)),
        Err(error) => {
            let hint = if is_forbidden(&error) {
                format!(
                    "; it takes the right to create backups.velero.io in namespace {}",
                    look.sight.namespace
                )
            } else {
                String::new()
            };
            let doing = format!("have Velero back up namespace {namespace}");
            Err(BackupError::Api { doing, said: sentence(&error), hint })
        }
    }
}

/// The namespace's Schedule, if there is one and what it makes can be kept.
fn chosen(look: &Look, survey: &Survey, namespace: &str) -> Result<Schedule, (&'static str, String)> {
    let velero = &look.sight.namespace;
    match usable(Some(&look.sight)) {
        // What of it could not be seen is not needed here, but for the Schedules.
        Err(Obstacle::VeleroForbidden(hidden)) if look.sight.schedules.seen().is_none() => {
            let message =
                format!("you have no right to list schedules.velero.io in namespace {velero}: {hidden}");
            return Err(("VeleroForbidden", message));
        }
        Ok(()) | Err(Obstacle::VeleroForbidden(_)) => {}
        Err(Obstacle::VeleroServerMissing { namespace }) => {
            let message =
                format!("there is no Velero in namespace {namespace}; --velero-namespace says where it is");
            return Err(("VeleroServerMissing", message));
        }
        Err(obstacle) => return Err((obstacle.reason(), obstacle.message())),
    }
    let schedule =
        look.schedule_of(namespace).ok_or_else(|| ("NoSchedule", missing(look, survey, namespace)))?;
    if let Some(trouble) = location_trouble(&look.sight, schedule.spec.template.storage_location.as_deref()) {
        return Err((trouble.reason(), trouble.message()));
    }
    if matches!(look.regime.namespaces.get(namespace), Some(Rule::Excluded { .. })) {
        let message =
            "its label velero.io/exclude-from-backup=true has Velero refuse to back it up: take it off";
        return Err(("NamespaceExcluded", message.to_owned()));
    }
    fit(schedule, namespace)?;
    Ok(schedule.as_ref().clone())
}

/// Whether what a Schedule makes is a backup of the namespace. Somebody may have edited it, even so that it cannot be read: then
/// it stands there without content, and would make a backup of everything.
fn fit(schedule: &Schedule, namespace: &str) -> Result<(), (&'static str, String)> {
    let included: Vec<&str> =
        schedule.spec.template.included_namespaces.iter().flatten().map(String::as_str).collect();
    if included == [namespace] {
        return Ok(());
    }
    let message = format!(
        "the Schedule {} is not as it should be: `agenttier-backup plan --schedules -n {namespace}` shows what is otherwise. The \
         controller puts it right when its policy makes sense; try again then",
        schedule.name_any()
    );
    Err(("ScheduleEdited", message))
}

/// What a backup is going to lack. It is made all the same: of other volumes a plugin of Velero's may take snapshots.
fn lacking(sight: &VeleroSight) -> Option<String> {
    (!takes_csi_snapshots(sight)).then(|| format!("{WITHOUT_CSI} ({VELERO_WITHOUT_CSI})"))
}

/// Why there is no Schedule, and which policy would give one.
fn missing(look: &Look, survey: &Survey, namespace: &str) -> String {
    let why = match look.regime.namespaces.get(namespace) {
        _ if look.blind => format!(
            "you have no right to read {}, so that it cannot be told which policy would give it one",
            survey.hidden.join(", ")
        ),
        None | Some(Rule::Nobody) => {
            "no BackupPolicy selects it; one with spec.velero.enabled: true would give it one".to_owned()
        }
        Some(Rule::Off { policy }) => {
            format!("its BackupPolicy {policy} would give it one with spec.velero.enabled: true")
        }
        Some(Rule::Suspended { policy }) => format!("its BackupPolicy {policy} is suspended"),
        Some(Rule::Excluded { policy }) => format!(
            "its BackupPolicy {policy} wants one, and its label velero.io/exclude-from-backup=true has Velero leave it out"
        ),
        Some(Rule::Invalid { policy }) => {
            format!("its BackupPolicy {policy} makes no sense; `agenttier-backup plan` says what is wrong")
        }
        Some(Rule::On { policy }) if survey.observed.sandboxes.is_empty() => {
            format!("its BackupPolicy {policy} gives it one with its first sandbox")
        }
        Some(Rule::On { policy }) => format!(
            "its BackupPolicy {policy} wants one, and the controller has not made it: `agenttier-backup plan -n \
             {namespace}` says why"
        ),
    };
    format!("there is no Schedule of it in namespace {}: {why}", look.sight.namespace)
}

/// The Backup of a Schedule, as Velero's server and its command `backup create --from-schedule` make it (`pkg/builder`,
/// `FromSchedule`): the labels of the template or else those of the Schedule, and all of its annotations. That of this
/// project's Schedules says which cluster it is of. The controller takes it for one of the namespace's like any other.
fn from_schedule(schedule: &Schedule, now: Timestamp) -> Backup {
    let name = schedule.name_any();
    let template = &schedule.spec.template;
    let own = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    let mut labels: BTreeMap<String, String> = own.unwrap_or_else(|| schedule.labels().clone());
    labels.insert(SCHEDULE_NAME.to_owned(), name.clone());
    Backup {
        metadata: ObjectMeta {
            name: Some(scheduled_backup_name(&name, now, &TimeZone::UTC)),
            namespace: schedule.namespace(),
            labels: Some(labels),
            annotations: schedule.metadata.annotations.clone(),
            ..ObjectMeta::default()
        },
        spec: template.clone(),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::observe::Holding;

    fn schedule(template: &Value) -> Schedule {
        serde_json::from_value(json!({
            "metadata": {
                "name": "east-team-a", "namespace": "velero", "labels": { "of": "schedule" },
                "annotations": { "backup.agenttier.io/cluster-uid": "u" },
            },
            "spec": { "schedule": "@daily", "template": template },
        }))
        .expect("a Schedule")
    }

    /// The controller says it in the same words.
    #[test]
    fn without_csi_a_backup_lacks_the_volumes() {
        let of = |args: Value| {
            let container = json!({ "name": "velero", "args": args });
            let server = json!({
                "metadata": { "name": "velero" },
                "spec": { "selector": {}, "template": { "spec": { "containers": [container] } } },
            });
            let mut sight = VeleroSight::of_schedules("velero", vec![]);
            sight.servers =
                Holding::Seen(vec![Arc::new(serde_json::from_value(server).expect("a Deployment"))]);
            lacking(&sight)
        };
        assert_eq!(of(json!(["server", "--features=EnableCSI"])), None);
        let warning = of(json!(["server"])).expect("it takes none");
        assert!(warning.contains("--features=EnableCSI (VeleroWithoutCsi)"), "{warning}");
        assert_eq!(lacking(&VeleroSight::of_schedules("velero", vec![])), None, "nobody can tell");
    }

    #[test]
    fn a_backup_is_what_its_schedule_says() {
        let now: Timestamp = "2026-11-20T12:30:05Z".parse().expect("a moment");
        let template = json!({ "ttl": "1h", "includedNamespaces": ["team-a"], "metadata": { "labels": { "of": "template" } } });
        let backup = from_schedule(&schedule(&template), now);
        assert_eq!(backup.name_any(), "east-team-a-20261120123005");
        assert_eq!(backup.namespace().as_deref(), Some("velero"));
        assert_eq!(
            serde_json::to_value(backup.labels()).expect("labels"),
            json!({ "of": "template", "velero.io/schedule-name": "east-team-a" })
        );
        assert_eq!(backup.annotations()["backup.agenttier.io/cluster-uid"], "u");
        assert_eq!(backup.spec, schedule(&template).spec.template);
        let plain = from_schedule(&schedule(&json!({})), now);
        assert_eq!(plain.labels()["of"], "schedule");
    }
}
