//! The chapter in which the product comes in.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, VeleroSpec};
use anyhow::{Result, ensure};
use stage::{Rhythm, Stage};
use testbed::{Exit, Signal, VELERO_NAMESPACE};

use super::belongings;
use super::screen::{Chapter, Screen};
use super::venue::Venue;

/// The policy of a story on a cluster of its own.
const POLICY: &str = "story";

/// What the cluster is called among those that share a store.
const CLUSTER: &str = "east";

/// Nobody waits for a pace.
const AT_ONCE: [&str; 2] = ["--snapshots-per-minute-at-least", "60"];

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
    stage.start_controller(&AT_ONCE).await?;
    chapter.done("the controller runs, with the chart's own RBAC and nothing more");
    Ok(())
}

async fn everywhere(chapter: &Chapter, stage: &Stage, venue: &Venue) -> Result<()> {
    stage.install(&["optional.backup.snapshots.enabled=true"]).await?;
    chapter.say("helm: optional.backup.snapshots.enabled=true, every 6 hours, kept for 14 days");
    let rhythm = venue.rhythm();
    write_policy(stage, rhythm, VeleroSpec::default()).await?;
    let (interval, age) = (rhythm.interval, rhythm.max_age);
    chapter.say(format!("for this story a policy above it: every {interval}, kept for {age}"));
    Ok(())
}

/// Upgrades the chart and turns the policy's field on; the controller starts anew with what the chart then tells it.
pub(super) async fn turn_velero_on(chapter: &Chapter, stage: &Stage, venue: &Venue) -> Result<()> {
    chapter.waiting("helm upgrade");
    let name = format!("optional.backup.velero.clusterName={CLUSTER}");
    let values =
        ["optional.backup.snapshots.enabled=true", "optional.backup.velero.enabled=true", name.as_str()];
    stage.install(&values).await?;
    chapter.say(format!("helm: {}", values[1..].join(", ")));
    let velero = VeleroSpec { enabled: true, ..VeleroSpec::default() };
    let (every, ttl) = (velero.every.to_string(), velero.ttl.to_string());
    write_policy(stage, venue.rhythm(), velero).await?;
    chapter.say(format!("the policy of this story: velero.enabled, every {every}, kept for {ttl}"));
    chapter.waiting("the controller starts anew");
    let controller = stage.controller()?;
    controller.signal(Signal::Term).await?;
    let exit = controller.wait().await?;
    ensure!(exit == Exit::Code(0), "the controller ended with {exit}");
    let velero = ["--velero-namespace", VELERO_NAMESPACE, "--cluster-name", CLUSTER];
    stage.start_controller(&[AT_ONCE.as_slice(), &velero].concat()).await?;
    Ok(())
}

/// Writes the story's policy for all namespaces; it outranks the chart's own.
async fn write_policy(stage: &Stage, rhythm: Rhythm, velero: VeleroSpec) -> Result<()> {
    let spec = BackupPolicySpec {
        priority: 10,
        snapshots: rhythm.snapshots(),
        velero,
        ..BackupPolicySpec::default()
    };
    stage.write_policy(&BackupPolicy::new(POLICY, spec)).await
}
