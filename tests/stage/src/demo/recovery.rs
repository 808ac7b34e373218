//! The chapters in which the work comes back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};
use double::{Options, Phase, User, WarmPool};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use stage::Stage;
use testbed::{STORAGE_CLASS, until};

use super::death::Loss;
use super::screen::Screen;
use super::story::Worker;
use super::venue::Venue;
use super::work;
use super::workspace::Workspace;

/// What the restore command has said.
pub(super) struct Restored {
    sandbox: String,
    pub(super) claim: String,
    point: String,
    taken_at: Timestamp,
    seconds: f64,
}

/// Restores the victim under another name, with the product's own command.
pub(super) async fn restore(
    screen: &mut Screen,
    stage: &mut Stage,
    venue: &Venue,
    victim: &Worker,
) -> Result<Restored> {
    let chapter = screen.chapter(&format!("{} is restored beside it", victim.sandbox));
    if venue.plays_agenttier() {
        chapter.waiting("a warm pool of empty volumes fills up");
        fill_warm_pool(stage, venue).await?;
        chapter.say("AgentTier's warm pool is on: it hands an empty volume to whichever sandbox starts next");
    }

    let target = format!("{}-restored", victim.sandbox);
    let command = ["restore", victim.sandbox, "-n", venue.namespace(), "--as", &target, "-o", "json"];
    chapter.say(format!("$ agenttier-backup {}", command[..command.len() - 2].join(" ")));
    chapter.waiting("volume first, then the sandbox on it");
    let told: serde_json::Value = stage.run(&command).await?.json()?;
    let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
    let restored = Restored {
        sandbox: text("sandbox"),
        claim: text("claim"),
        point: text("recoveryPoint"),
        taken_at: text("takenAt").parse().context("when the recovery point was taken")?,
        seconds: told["seconds"].as_f64().context("how long the restore took")?,
    };
    chapter.say(format!("from {}", restored.point));
    chapter.done(format!("{} is {} on {}", restored.sandbox, text("phase"), restored.claim));
    Ok(restored)
}

async fn fill_warm_pool(stage: &mut Stage, venue: &Venue) -> Result<()> {
    let pool = WarmPool {
        storage_class: match venue {
            Venue::Own => STORAGE_CLASS.to_owned(),
            Venue::Guest(look) => look.storage.class.clone(),
        },
        interval: Duration::from_millis(200),
        ..WarmPool::new(venue.namespace(), venue.template(), 2)
    };
    let options = Options { warm_pool: Some(pool), ..venue.double() };
    stage.restart_agenttier(options).await;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), venue.namespace());
    until("the pool's pods to be ready", venue.patience(), || async {
        let pooled = pods.list(&ListParams::default().labels("agenttier.io/pooled=true")).await?;
        let running =
            |pod: &&Pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        Ok((pooled.items.iter().filter(running).count() >= 2).then_some(()))
    })
    .await
}

/// Compares what came back with what was written, and sums the story up.
pub(super) async fn compare(
    screen: &mut Screen,
    stage: &Stage,
    venue: &Venue,
    user: &User,
    loss: &Loss<'_>,
    restored: &Restored,
) -> Result<()> {
    let Loss { victim, exposed, moment } = loss;
    let chapter = screen.chapter("Every file is compared, byte by byte");
    chapter.waiting("reading both volumes");
    let running = user.wait_phase(&restored.sandbox, Phase::Running).await?;
    let status = |field: &str| running.data["status"][field].as_str().unwrap_or_default();
    let (claim, pod) = (status("pvcName"), status("podName"));
    ensure!(claim == restored.claim, "{} runs on {claim}, not on its own volume", restored.sandbox);
    let found = Workspace::of(stage, venue, claim, pod).await?.tree().await?;
    let differences = testbed::difference(&victim.files, &found);
    ensure!(differences.is_empty(), "the files differ: {}", differences.join(", "));
    // Elsewhere the storage's clock need not agree with ours; that the files are the same says enough.
    let by_our_clock = venue.has_files_here();
    ensure!(!by_our_clock || restored.taken_at > victim.written, "the recovery point is older than the work");
    let (files, bytes) = work::size(&found);
    chapter.done(format!("{files} files, {bytes} bytes: identical"));

    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["what", "seen"]);
    table.add_row(["sandbox", victim.sandbox]);
    table.add_row(["dead node", &victim.node]);
    let rpo = format!("{:.1} s", exposed.as_secs_f64());
    table.add_row([&format!("newest recovery point when the node {moment} (RPO)"), &format!("{rpo} old")]);
    table.add_row(["restored from the newest since", &restored.point]);
    table.add_row(["restored as", &restored.sandbox]);
    table.add_row(["time to restore (RTO)", &format!("{:.1} s", restored.seconds)]);
    table.add_row(["files compared", &format!("{files}, {bytes} bytes, none different")]);
    if venue.plays_agenttier() {
        let stolen = claimed_from_the_pool(stage, venue).await?;
        table.add_row(["warm-pool volumes that it was given", &stolen.to_string()]);
    }
    screen.print(table.to_string());
    Ok(())
}

/// Volumes of the warm pool that a sandbox has been given: they keep their name and lose the pool's label.
async fn claimed_from_the_pool(stage: &Stage, venue: &Venue) -> Result<usize> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), venue.namespace());
    let all = claims.list(&ListParams::default()).await?;
    let claimed = |claim: &&PersistentVolumeClaim| {
        claim.name_any().starts_with("pool-") && !claim.labels().contains_key("agenttier.io/pooled")
    };
    Ok(all.items.iter().filter(claimed).count())
}
