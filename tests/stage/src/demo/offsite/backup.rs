//! The chapter in which a backup is taken, and looked at in the store.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use stage::Stage;
use testbed::{VELERO_NAMESPACE, until};
use velero::{Backup, BackupPhase, Schedule, labels, scheduled_backup_name};

use super::super::outside::Outside;
use super::super::screen::Screen;
use super::super::venue::Venue;

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
    let (name, begun) = (backup.name_any(), Instant::now());
    chapter.say(format!(
        "Backup {name}, as `velero backup create --from-schedule {}` makes it",
        schedule.name_any()
    ));
    let backups: Api<Backup> = Api::namespaced(stage.client.clone(), VELERO_NAMESPACE);
    backups.create(&PostParams::default(), &backup).await?;
    let status = until(&format!("the backup {name} to end"), venue.patience(), || async {
        let status = backups.get(&name).await?.status.unwrap_or_default();
        let phase = status.phase.clone().unwrap_or(BackupPhase::New);
        chapter.waiting(format!("{phase:?}"));
        Ok(phase.is_finished().then_some(status))
    })
    .await?;
    let phase = status.phase.clone().context("a backup that has ended has a phase")?;
    ensure!(phase.is_success(), "the backup {name} has not come to a good end: {status:?}");
    chapter.say(format!("{phase:?} after {:.1} s", begun.elapsed().as_secs_f64()));

    let of = status.csi_volume_snapshots_attempted.unwrap_or_default();
    let snapshots = status.csi_volume_snapshots_completed.unwrap_or_default();
    chapter.say(format!("{snapshots} of {of} volumes snapshotted by the storage, where their data stays"));
    chapter.say("(velero.moveData in a policy has Velero's node-agent copy it into the store as well)");
    let held = held(outside, &name)?;
    let kinds: Vec<_> = held.iter().map(|(kind, names)| format!("{} {}", short(kind), names.len())).collect();
    chapter.say(format!("in it: {}", kinds.join(", ")));
    let pooled = left_out(stage, venue, &held).await?;
    chapter.say(format!("not in it: pods, which AgentTier makes anew; {pooled} volumes of the warm pool"));
    let objects = outside.objects_of(&name)?;
    let bytes: u64 = objects.iter().map(|(_, size)| size).sum();
    chapter.done(format!("{} objects, {bytes} bytes, are in the store under backups/{name}/", objects.len()));
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
    let unpacked = GzDecoder::new(list.as_slice()).read_to_string(&mut text);
    unpacked.context("unpack the list of what is in the backup")?;
    serde_json::from_str(&text).context("read the list of what is in the backup")
}

/// Sees that pods and the warm pool's volumes are not in it; gives how many of those there are.
async fn left_out(stage: &Stage, venue: &Venue, held: &Held) -> Result<usize> {
    ensure!(!held.keys().any(|kind| short(kind) == "Pod"), "the backup holds pods: {held:?}");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), venue.namespace());
    let pooled = claims.list_metadata(&ListParams::default().labels("agenttier.io/pooled=true")).await?.items;
    for claim in &pooled {
        let full = format!("{}/{}", venue.namespace(), claim.name_any());
        ensure!(!held.values().flatten().any(|name| *name == full), "the backup holds {full}: {held:?}");
    }
    Ok(pooled.len())
}

/// A kind without its group and version.
fn short(kind: &str) -> &str {
    kind.rsplit('/').next().unwrap_or(kind)
}
