//! The chapters in which Velero comes, and the controller keeps its Schedules.

use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::Stage;
use testbed::{VELERO_NAMESPACE, until};
use velero::{BackupSpec, Schedule, SchedulePhase, ScheduleSpec};

use super::super::installation;
use super::super::outside::Outside;
use super::super::screen::Screen;
use super::super::venue::Venue;

/// Installs Velero beside the cluster, with a store outside of it.
pub(super) async fn velero_comes(screen: &mut Screen, outside: &mut Outside, stage: &Stage) -> Result<()> {
    let builds = screen.builds();
    let chapter = screen.chapter("And if the whole cluster is lost? Velero comes in");
    chapter.waiting("looking for Velero; a first run builds it");
    outside.build_velero(&builds).await?;
    chapter.waiting("starting an S3 store and Velero's server");
    outside.open_store().await?;
    let velero = outside.velero(&stage.cluster)?;
    velero.install().await?;
    chapter.say("recovery points lie in the cluster, and go with it; Velero writes to a store outside");
    let version = velero.answers().await?;
    let location = velero.objects("BackupStorageLocation").get("default").await?;
    let bucket = location.data["spec"]["objectStorage"]["bucket"].as_str().unwrap_or_default().to_owned();
    let phase = location.data["status"]["phase"].as_str().unwrap_or_default().to_owned();
    chapter.done(format!("Velero {version}, the bucket {bucket} at {} is {phase}", outside.store()?.url()));
    Ok(())
}

/// Turns the policy's field on, and waits until Velero has accepted the Schedule that comes of it.
pub(super) async fn is_made(screen: &mut Screen, stage: &Stage, venue: &Venue) -> Result<Schedule> {
    let chapter = screen.chapter("Every namespace with sandboxes gets a Schedule");
    installation::turn_velero_on(&chapter, stage, venue).await?;
    chapter.waiting("the controller makes Schedules, and Velero accepts them");
    let schedules = schedules(stage);
    let made = until("Schedules that Velero has accepted", venue.patience(), || async {
        let made = schedules.list(&ListParams::default()).await?.items;
        let accepted = |schedule: &Schedule| {
            let phase = schedule.status.as_ref().and_then(|status| status.phase.as_ref());
            phase.is_some_and(SchedulePhase::is_success)
        };
        Ok((!made.is_empty() && made.iter().all(accepted)).then_some(made))
    })
    .await?;
    for schedule in &made {
        let ScheduleSpec { schedule: cron, template, .. } = &schedule.spec;
        chapter.say(format!("{}: \"{cron}\"", schedule.name_any()));
        for line in held(template) {
            chapter.say(format!("  {line}"));
        }
    }
    let [schedule] = <[Schedule; 1]>::try_from(made)
        .map_err(|made| anyhow!("one namespace holds sandboxes; Schedules: {}", made.len()))?;
    let namespaces = schedule.spec.template.included_namespaces.clone().unwrap_or_default();
    ensure!(namespaces == [venue.namespace()], "{} is of {namespaces:?}", schedule.name_any());
    let phase = schedule.status.as_ref().and_then(|status| status.phase.as_ref());
    let phase = phase.context("a Schedule that was accepted has a phase")?;
    chapter.done(format!("Velero has looked at it: {phase:?}"));
    Ok(schedule)
}

/// What a template says that its backups hold, for people.
fn held(template: &BackupSpec) -> Vec<String> {
    // Without their groups.
    let all = |names: &Option<Vec<String>>| {
        let names = names.iter().flatten();
        names.filter_map(|name| name.split('.').next()).collect::<Vec<_>>().join(", ")
    };
    let namespaces = all(&template.included_namespaces);
    let mut lines = vec![format!("{namespaces}: {}", all(&template.included_namespace_scoped_resources))];
    let selector = template.label_selector.clone().unwrap_or_default();
    for rule in selector.match_expressions.unwrap_or_default() {
        let values = rule.values.unwrap_or_default().join(", ");
        lines.push(format!("where {} {} {values}", rule.key, rule.operator).trim_end().to_owned());
    }
    if let Some(ttl) = &template.ttl {
        lines.push(format!("kept for {ttl}"));
    }
    lines
}

/// Lets somebody edit the Schedule, and waits until it is as it was.
pub(super) async fn is_put_back(
    screen: &mut Screen,
    stage: &Stage,
    venue: &Venue,
    schedule: &Schedule,
) -> Result<()> {
    let chapter = screen.chapter("Somebody edits the Schedule");
    let name = schedule.name_any();
    let edit = json!({ "spec": { "schedule": "0 0 1 1 *", "template": { "ttl": "1h" } } });
    chapter.say(format!(
        "$ kubectl patch schedules.velero.io {name} -n {VELERO_NAMESPACE} --type merge -p '{edit}'"
    ));
    let schedules = schedules(stage);
    let edited = schedules.patch(&name, &PatchParams::default(), &Patch::Merge(&edit)).await?.spec;
    ensure!(edited.template.ttl != schedule.spec.template.ttl, "the edit has changed nothing");
    chapter.say(format!("now \"{}\", {}", edited.schedule, kept(&edited)));
    chapter.waiting("the controller notices");
    let begun = Instant::now();
    let back = until("the Schedule to be put back", venue.patience(), || async {
        let now = schedules.get(&name).await?.spec;
        Ok(is_same(&now, &schedule.spec).then_some(now))
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    chapter.done(format!("put back after {took:.1} s: \"{}\", {}", back.schedule, kept(&back)));
    Ok(())
}

fn kept(spec: &ScheduleSpec) -> String {
    spec.template.ttl.as_ref().map(|ttl| format!("kept for {ttl}")).unwrap_or_default()
}

/// Whether two are the same but for what the server writes.
fn is_same(one: &ScheduleSpec, other: &ScheduleSpec) -> bool {
    let other = ScheduleSpec { skip_immediately: one.skip_immediately, ..other.clone() };
    *one == other
}

fn schedules(stage: &Stage) -> Api<Schedule> {
    Api::namespaced(stage.client.clone(), VELERO_NAMESPACE)
}
