//! The chapter in which the product comes in.

use anyhow::Result;
use stage::Stage;

use super::belongings;
use super::screen::{Chapter, Screen};
use super::venue::Venue;

/// Installs the chart, writes the story's policy and starts the controller.
pub(super) async fn install(screen: &mut Screen, stage: &Stage, venue: &Venue) -> Result<()> {
    let chapter = screen.chapter("agenttier-backup is installed by its chart");
    chapter.waiting("helm upgrade --install");
    match venue {
        Venue::Own => everywhere(&chapter, stage, venue).await?,
        Venue::Guest(look) => {
            // The image is not what is shown, and may not be there to pull.
            stage.install(&["replicas=0"]).await?;
            chapter.say("helm: replicas=0 and no policy of the chart's; the controller runs on this machine");
            let rhythm = venue.rhythm();
            stage.write_policy(&belongings::policy(rhythm, &look.storage.snapshot_class)).await?;
            let (interval, age) = (rhythm.interval, rhythm.max_age);
            chapter.say(format!(
                "a policy for the namespace {} alone: every {interval}, kept for {age}",
                belongings::NAME
            ));
        }
    }
    chapter.waiting("starting the controller with its ServiceAccount's rights");
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await?;
    chapter.done("the controller runs, with the chart's own RBAC and nothing more");
    Ok(())
}

async fn everywhere(chapter: &Chapter, stage: &Stage, venue: &Venue) -> Result<()> {
    stage.install(&["optional.backup.snapshots.enabled=true"]).await?;
    chapter.say("helm: optional.backup.snapshots.enabled=true, every 6 hours, kept for 14 days");
    let rhythm = venue.rhythm();
    stage.policy(rhythm).await?;
    let (interval, age) = (rhythm.interval, rhythm.max_age);
    chapter.say(format!("for this story a policy above it: every {interval}, kept for {age}"));
    Ok(())
}
