//! The story on a cluster that comes up for it.

use anyhow::Result;
use double::Options;
use stage::{Cast, Stage};
use testbed::Testbed;
use testbed::progress::Console;

use super::screen::Screen;
use super::stop::Stop;
use super::story;
use super::venue::Venue;
use crate::program;

/// Plays it, and takes the cluster down.
pub(super) async fn play(keep: bool, stop: &mut Stop) -> Result<()> {
    let mut screen =
        Screen::new("A real control plane with real snapshots; AgentTier and the nodes are played.");
    let mut stage = tokio::select! {
        stage = cluster(&mut screen) => stage?,
        // Everything that was started ends with this process.
        () = stop.wanted() => return Ok(()),
    };
    let told = story::tell_and_keep(&mut screen, &mut stage, &Venue::Own, keep, stop).await;
    stage.end().await?;
    told
}

async fn cluster(screen: &mut Screen) -> Result<Stage> {
    let chapter = screen.chapter("A Kubernetes control plane");
    chapter.waiting("building agenttier-backup");
    let program = program::build().await?;
    chapter.waiting("looking for etcd, kube-apiserver and the others; a first run builds them");
    let testbed = Testbed::prepare(&Console::default()).await?;
    chapter.waiting("starting etcd, kube-apiserver, the controllers, the CSI driver and its sidecars");
    let stage =
        Stage::set(&testbed, "demo", Cast { program, nodes: 3, agenttier: Options::default() }).await?;
    chapter.done("real etcd, API server, scheduler, snapshot controller and CSI driver; three fake nodes");
    Ok(stage)
}
