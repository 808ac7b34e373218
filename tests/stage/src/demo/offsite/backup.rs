//! The chapter in which a backup is taken, and looked at in the store.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use agenttier_backup::api::BackupPolicy;
use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use jiff::{Timestamp, tz::TimeZone};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use stage::Stage;
use testbed::{VELERO_NAMESPACE, until};
use velero::{Backup, BackupPhase, BackupStatus, Schedule, labels, scheduled_backup_name};

use super::super::installation::POLICY;
use super::super::outside::Outside;
use super::super::screen::Screen;
use super::super::venue::Venue;

/// How long a backup may take.
const LIMIT: Duration = Duration::from_mins(3);

/// What a backup says that it holds: names by kind, as `namespace/name` or `name`.
type Held = BTreeMap<String, Vec<String>>;

/// Takes a backup of the Schedule now, and gives its name.
pub(super) async fn take(
    screen: &mut Screen,
    stage: &Stage,
    venue: &Venue,
    outside: &Outside,
    schedule: &Schedule,
) -> Result<String> {
    let chapter = screen.chapter("A backup is taken, without waiting for its time");
    let backup = of(schedule);
    let name = backup.name_any();
    chapter
        .say(format!("{name}, as `velero backup create --from-schedule {}` makes it", schedule.name_any()));
    let backups: Api<Backup> = Api::namespaced(stage.client.clone(), VELERO_NAMESPACE);
    backups.create(&PostParams::default(), &backup).await?;
    let status = until(&format!("the backup {name} to end"), LIMIT, || async {
        let status = backups.get(&name).await?.status.unwrap_or_default();
        let phase = status.phase.clone().unwrap_or(BackupPhase::New);
        chapter.waiting(format!("{phase:?}"));
        Ok(phase.is_finished().then_some(status))
    })
    .await?;
    let whole = status.phase.as_ref().is_some_and(BackupPhase::is_success);
    ensure!(whole, "the backup {name} has not come to a good end: {status:?}");

    let BackupStatus { csi_volume_snapshots_attempted, csi_volume_snapshots_completed, .. } = status;
    let (snapshots, of) = (
        csi_volume_snapshots_completed.unwrap_or_default(),
        csi_volume_snapshots_attempted.unwrap_or_default(),
    );
    chapter.say(format!("{snapshots} of {of} volumes snapshotted by the storage"));
    let objects = outside.objects_of(&name)?;
    let bytes: u64 = objects.iter().map(|(_, size)| size).sum();
    chapter.say(format!("{} objects, {bytes} bytes, in the store under backups/{name}/", objects.len()));
    let held = held(outside, &name)?;
    for kind in ["Pod", "RuntimeToken"] {
        ensure!(count(&held, kind) == 0, "the backup holds a {kind}: {held:?}");
    }
    let pooled = held.values().flatten().filter(|object| object.contains("/pool-")).count();
    ensure!(pooled == 0, "the backup holds what is the warm pool's: {held:?}");
    let kinds =
        ["Sandbox", "SandboxRecord", "PersistentVolumeClaim", "VolumeSnapshot", "Secret", "ConfigMap"];
    let kinds = kinds.map(|kind| format!("{} {kind}", count(&held, kind)));
    chapter.say(format!(
        "it holds: {}; {} Pod, {pooled} of the warm pool",
        kinds.join(", "),
        count(&held, "Pod")
    ));

    chapter.waiting("the policy tells");
    let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
    let told =
        until(&format!("the policy {POLICY} to tell that all is backed up"), venue.patience(), || async {
            let conditions = policies.get(POLICY).await?.status.unwrap_or_default().conditions;
            Ok(conditions.into_iter().find(|told| told.type_ == "VeleroReady" && told.status == "True"))
        })
        .await?;
    chapter.done(format!("the policy says {}: {}", told.reason, told.message));
    Ok(name)
}

/// A backup as Velero's server and its command make them of a Schedule.
fn of(schedule: &Schedule) -> Backup {
    let name = scheduled_backup_name(&schedule.name_any(), Timestamp::now(), &TimeZone::UTC);
    let template = schedule.spec.template.clone();
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    let mut labels = labels.unwrap_or_else(|| schedule.labels().clone());
    labels.insert(labels::SCHEDULE_NAME.to_owned(), schedule.name_any());
    let mut backup = Backup::new(&name, template);
    backup.metadata.labels = Some(labels);
    backup.metadata.annotations.clone_from(&schedule.metadata.annotations);
    backup
}

/// What lies in the store as the list of its objects.
fn held(outside: &Outside, backup: &str) -> Result<Held> {
    let list = outside.read(backup, "-resource-list.json.gz")?;
    let mut text = String::new();
    GzDecoder::new(list.as_slice())
        .read_to_string(&mut text)
        .context("unpack the list of what is in the backup")?;
    serde_json::from_str(&text).context("read the list of what is in the backup")
}

/// How many objects of a kind are in it, whatever the kind's group.
fn count(held: &Held, kind: &str) -> usize {
    held.iter().filter(|(full, _)| full.rsplit('/').next() == Some(kind)).map(|(_, names)| names.len()).sum()
}
