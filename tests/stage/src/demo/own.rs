//! The story on a cluster that comes up for it.

use anyhow::Result;
use double::Options;
use stage::{Cast, Stage};
use testbed::Testbed;

use super::outside::Outside;
use super::screen::Screen;
use super::stop::Stop;
use super::story;
use super::venue::Venue;
use crate::program;

/// Plays it, and takes everything down.
pub(super) async fn play(keep: bool, stop: &mut Stop) -> Result<()> {
    let mut screen = Screen::new(
        "A real control plane with real snapshots and a real Velero; AgentTier and the nodes are played.",
    );
    let (mut stage, testbed) = tokio::select! {
        up = cluster(&mut screen) => up?,
        // Everything that was started ends with this process.
        () = stop.wanted() => return Ok(()),
    };
    let mut outside = Outside::new(testbed, keep);
    let told =
        story::tell_and_keep(&mut screen, &mut stage, &Venue::Own, Some(&mut outside), keep, stop).await;
    // The other cluster's volumes lie in the folder of the first one.
    let gone = outside.end().await;
    stage.end().await?;
    told.and(gone)
}

async fn cluster(screen: &mut Screen) -> Result<(Stage, Testbed)> {
    let builds = screen.builds();
    let chapter = screen.chapter("A Kubernetes control plane");
    chapter.waiting("building agenttier-backup");
    let program = program::build().await?;
    chapter.waiting("looking for etcd, kube-apiserver and the others; a first run builds them");
    let testbed = Testbed::prepare(&builds).await?;
    // Velero's turn comes late in the story. Who needs it then waits for this, and hears of its failure.
    let ahead = testbed.clone();
    tokio::spawn(async move { ahead.build_velero(&builds).await });
    chapter.waiting("starting etcd, kube-apiserver, the controllers, the CSI driver and its sidecars");
    let stage =
        Stage::set(&testbed, "demo", Cast { program, nodes: 3, agenttier: Options::default() }).await?;
    chapter.done("real etcd, API server, scheduler, snapshot controller and CSI driver; three fake nodes");
    Ok((stage, testbed))
}
