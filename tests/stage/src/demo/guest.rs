//! The story on a cluster of a person's.

use std::path::Path;

use anyhow::{Result, bail};
use stage::Stage;
use testbed::Testbed;

use super::away;
use super::belongings::{self, NAME};
use super::first_look::{self, AgentTier, Look};
use super::screen::Screen;
use super::stop::Stop;
use super::story;
use super::venue::Venue;
use crate::program;

/// Plays it, and takes everything away again, however it ends.
pub(super) async fn play(kubeconfig: &Path, with_double: bool, keep: bool, stop: &mut Stop) -> Result<()> {
    let mut screen = Screen::new(&format!(
        "On your cluster, in the namespace {NAME}; all of it is taken away at the end."
    ));
    let (mut stage, look) = tokio::select! {
        arrived = arrive(&mut screen, kubeconfig, with_double) => arrived?,
        // Nothing has been done there yet.
        () = stop.wanted() => return Ok(()),
    };
    let told = match move_in(&mut screen, &mut stage, &look, stop).await {
        Ok(true) => {
            let venue = Venue::Guest(look);
            story::tell_and_keep(&mut screen, &mut stage, &venue, None, keep, stop).await
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    let gone = tokio::select! {
        gone = away::take_away(&mut screen, &mut stage) => gone,
        () = stop.wanted() => {
            bail!("stopped again: what is left in the namespace {NAME} is taken away by the next demo there")
        }
    };
    stage.end().await?;
    told.and(gone)
}

/// Joins the cluster and looks at it, without changing anything.
async fn arrive(screen: &mut Screen, kubeconfig: &Path, with_double: bool) -> Result<(Stage, Look)> {
    let chapter = screen.chapter("Your cluster");
    chapter.waiting("building agenttier-backup");
    let program = program::build().await?;
    chapter.waiting("looking for helm; a first run builds it");
    let testbed = Testbed::prepare_to_join(&screen.builds()).await?;
    chapter.waiting("joining the cluster");
    let cluster = testbed.cluster("demo").join(kubeconfig).await?;
    let stage = Stage::on(cluster, program, NAME);
    chapter.waiting("looking what is there");
    let url = stage.cluster.url().to_owned();
    let look = match first_look::look(&stage.client, with_double).await {
        Ok(look) => look,
        Err(error) => {
            stage.end().await?;
            return Err(error.context(format!("at {url}")));
        }
    };
    chapter.say(format!("Kubernetes {}, {} nodes that take pods", look.version, look.nodes));
    chapter.say(format!(
        "volumes of {} (StorageClass {}), snapshots by the class {}",
        look.storage.driver, look.storage.class, look.storage.snapshot_class
    ));
    match &look.agenttier {
        AgentTier::Played => chapter.say("AgentTier is not installed, and is played"),
        AgentTier::Installed { template } => {
            chapter.say(format!("AgentTier is installed; the sandboxes follow its template {template}"));
        }
    }
    chapter.done(format!("{url} has what it takes"));
    Ok((stage, look))
}

/// Makes the namespace, the kinds that are missing, and starts AgentTier's double if it is to play. False if
/// somebody stopped it.
async fn move_in(screen: &mut Screen, stage: &mut Stage, look: &Look, stop: &mut Stop) -> Result<bool> {
    let moving = async {
        if look.has_leftovers {
            away::take_away(screen, stage).await?;
        }
        belongings::create_namespace(&stage.client).await?;
        let mut kinds = agenttier_backup::api::crds();
        if matches!(look.agenttier, AgentTier::Played) {
            kinds.extend(double::crds());
        }
        for kind in kinds {
            belongings::install_kind(&stage.client, kind).await?;
        }
        if matches!(look.agenttier, AgentTier::Played) {
            stage.restart_agenttier(belongings::double()).await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        moved = moving => moved.map(|()| true),
        () = stop.wanted() => Ok(false),
    }
}
