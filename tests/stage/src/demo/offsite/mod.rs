//! The chapters about backups out of the cluster: Velero's Schedules, a backup, the loss of the cluster and the way back.

mod backup;
mod comeback;
mod loss;
mod schedule;

use anyhow::Result;
use stage::Stage;

use super::outside::Outside;
use super::recovery::Restored;
use super::screen::Screen;
use super::story::Worker;
use super::venue::Venue;

/// Tells them all.
pub(super) async fn tell(
    screen: &mut Screen,
    stage: &mut Stage,
    venue: &Venue,
    outside: &mut Outside,
    workers: &[Worker],
    restored: &Restored,
) -> Result<()> {
    schedule::velero_comes(screen, outside, stage).await?;
    let schedule = schedule::is_made(screen, stage, venue).await?;
    schedule::is_put_back(screen, stage, venue, &schedule).await?;
    let backup = backup::take(screen, stage, venue, outside, &schedule).await?;
    loss::of_the_cluster(screen, stage, venue, outside).await?;
    comeback::to_another_cluster(screen, venue, outside, &backup, workers, restored).await
}
