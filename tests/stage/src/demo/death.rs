//! The chapter in which a node dies.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use console::style;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use stage::Stage;
use testbed::until;

use super::belongings;
use super::screen::{Chapter, Screen};
use super::story::Worker;
use super::venue::Venue;

/// What the node took along, and when.
pub(super) struct Loss<'a> {
    pub(super) victim: &'a Worker,
    /// Age of the newest recovery point at that moment.
    pub(super) exposed: SignedDuration,
    /// Which moment that is.
    pub(super) moment: &'static str,
}

/// How long a person may take to kill a machine, and Kubernetes to notice and to give its pods up: with its
/// defaults that is 40 s and 5 min.
const MACHINE: Duration = Duration::from_mins(15);

/// Lets the victim's node die, and waits until its volume is stuck.
pub(super) async fn node_dies<'a>(
    screen: &mut Screen,
    stage: &Stage,
    venue: &Venue,
    victim: &'a Worker,
) -> Result<Loss<'a>> {
    let chapter = screen.chapter(&format!("The node of {} dies", victim.sandbox));
    let is_played = stage.cluster.is_played(&victim.node).await?;
    let exposed = if is_played {
        chapter.waiting(format!("{} stops answering", victim.node));
        let exposed = age_of_newest(stage, venue, victim).await?;
        if matches!(venue, Venue::Guest(_)) {
            belongings::mark_node(&stage.client, &victim.node, true).await?;
        }
        stage.cluster.kill_node(&victim.node).await?;
        exposed
    } else {
        a_person_kills(&chapter, stage, venue, victim).await?
    };
    chapter.say(format!("{} is NotReady", victim.node));
    chapter.waiting("Kubernetes evicts the pod");
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), venue.namespace());
    let limit = if is_played { venue.patience() } else { MACHINE };
    until("the pod to be evicted", limit, || async {
        let pod = pods.get(&victim.pod).await?;
        Ok(pod.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    chapter.say(format!("{} hangs in Terminating: nobody on the node can confirm its end", victim.pod));
    chapter.say(format!("{} is ReadWriteOnce and stays with it", victim.claim));
    chapter.done("the volume is stuck, and AgentTier still says Running");
    Ok(Loss { victim, exposed, moment: if is_played { "died" } else { "was found dead" } })
}

async fn age_of_newest(stage: &Stage, venue: &Venue, victim: &Worker) -> Result<SignedDuration> {
    let points = stage.points(venue.namespace()).await?.ours();
    let newest = points.of(&victim.claim).ready().newest();
    Ok(Timestamp::now().duration_since(newest.context("there is a recovery point before the node dies")?))
}

/// Asks for a machine's death, and waits until the control plane has noticed. The age of the newest recovery point
/// is that at the last sign of life.
async fn a_person_kills(
    chapter: &Chapter,
    stage: &Stage,
    venue: &Venue,
    victim: &Worker,
) -> Result<SignedDuration> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let node = nodes.get(&victim.node).await?;
    let machine = node.spec.and_then(|spec| spec.provider_id).unwrap_or_default();
    chapter
        .say(style(format!("Kill the node {} now, the hard way:", victim.node)).yellow().bold().to_string());
    if let Some(instance) = machine.strip_prefix("aws:///").and_then(|path| path.rsplit('/').next()) {
        chapter.say(format!("  aws ec2 stop-instances --force --instance-ids {instance}"));
    } else if machine.starts_with("kind://") {
        chapter.say(format!("  docker kill {}", victim.node));
    } else {
        chapter.say(format!("  power the machine off, without draining it ({machine})"));
    }
    let begun = Instant::now();
    let mut alive = age_of_newest(stage, venue, victim).await?;
    loop {
        let node = nodes.get(&victim.node).await?;
        if !is_ready(&node) {
            return Ok(alive);
        }
        alive = age_of_newest(stage, venue, victim).await?;
        ensure!(
            begun.elapsed() < MACHINE,
            "{} is still Ready after {} min",
            victim.node,
            MACHINE.as_secs() / 60
        );
        chapter.waiting(format!(
            "waiting until {} is NotReady; Kubernetes takes about 40 s to notice",
            victim.node
        ));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether a node's kubelet answers.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|state| state.type_ == "Ready" && state.status == "True")
}
