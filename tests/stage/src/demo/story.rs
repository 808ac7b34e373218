//! The story, chapter by chapter.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use console::style;
use double::{NewSandbox, Phase, User};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::json;
use stage::Stage;
use testbed::{Tree, VELERO_NAMESPACE};

use super::outside::Outside;
use super::screen::Screen;
use super::stop::Stop;
use super::venue::{TEMPLATE, Venue};
use super::workspace::Workspace;
use super::{death, installation, offsite, recovery, work};

/// A sandbox at work.
pub(super) struct Worker {
    pub(super) sandbox: &'static str,
    pub(super) claim: String,
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) files: Tree,
    pub(super) written: Timestamp,
}

/// Tells the story to its end, or until somebody stops it. If it is to be kept, everything stays until then.
pub(super) async fn tell_and_keep(
    screen: &mut Screen,
    stage: &mut Stage,
    venue: &Venue,
    mut outside: Option<&mut Outside>,
    keep: bool,
    stop: &mut Stop,
) -> Result<()> {
    let told = tokio::select! {
        told = tell(screen, stage, venue, outside.as_deref_mut()) => told,
        () = stop.wanted() => return Ok(()),
    };
    if let (Err(error), true) = (&told, keep || matches!(venue, Venue::Guest(_))) {
        // What follows takes its time.
        screen.print(format!("{} {error:#}", style("The story broke off:").red().bold()));
    }
    if keep {
        invite(stage, venue, outside.as_deref());
        stop.wanted().await;
    }
    told
}

/// Tells the whole story; an error is an end that it must not have.
async fn tell(
    screen: &mut Screen,
    stage: &mut Stage,
    venue: &Venue,
    outside: Option<&mut Outside>,
) -> Result<()> {
    let user = User::new(stage.client.clone(), venue.namespace()).patience(venue.patience());
    let workers = sandboxes(screen, stage, venue, &user).await?;
    installation::install(screen, stage, venue).await?;
    points(screen, stage, venue, &workers).await?;
    let victim = workers.first().context("there is a sandbox to lose")?;
    let loss = death::node_dies(screen, stage, venue, victim).await?;
    let restored = recovery::restore(screen, stage, venue, victim).await?;
    recovery::compare(screen, stage, venue, &user, &loss, &restored).await?;
    match outside {
        Some(outside) => offsite::tell(screen, stage, venue, outside, &workers, &restored).await?,
        None => screen.print(
            "The loss of a whole cluster, and what Velero brings back, is told without --kubeconfig: on clusters of its own.",
        ),
    }
    screen.print(format!("Told in {:.0} s.", screen.elapsed().as_secs_f64()));
    Ok(())
}

async fn sandboxes(screen: &mut Screen, stage: &Stage, venue: &Venue, user: &User) -> Result<Vec<Worker>> {
    let chapter = screen.chapter("AgentTier runs two sandboxes");
    chapter.waiting("starting the sandboxes");
    if matches!(venue, Venue::Own) {
        stage.namespace(venue.namespace()).await?;
    }
    if venue.plays_agenttier() {
        user.create_cluster_template(TEMPLATE, json!({})).await?;
    }
    let names = ["s1", "s2"];
    for name in names {
        let sandbox = NewSandbox::named(name).cluster_template(venue.template());
        user.create(match venue {
            Venue::Own => sandbox,
            Venue::Guest(look) => sandbox.storage("1Gi", &look.storage.class),
        })
        .await?;
    }
    let mut workers = vec![];
    for name in names {
        let worker = worker(stage, venue, user, name).await?;
        let (files, bytes) = work::size(&worker.files);
        chapter.say(format!(
            "{name} on {} wrote {files} files, {bytes} bytes, to {}",
            worker.node, worker.claim
        ));
        workers.push(worker);
    }
    chapter.done("both are running, their work is on one volume each");
    Ok(workers)
}

async fn worker(stage: &Stage, venue: &Venue, user: &User, sandbox: &'static str) -> Result<Worker> {
    let running = user.wait_phase(sandbox, Phase::Running).await?;
    let status = |field: &str| running.data["status"][field].as_str().unwrap_or_default().to_owned();
    let (claim, pod) = (status("pvcName"), status("podName"));
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), venue.namespace());
    let node =
        pods.get(&pod).await?.spec.and_then(|spec| spec.node_name).context("a running pod has a node")?;
    let workspace = Workspace::of(stage, venue, &claim, &pod).await?;
    let files = work::write(&workspace, sandbox).await?;
    Ok(Worker { sandbox, claim, pod, node, files, written: Timestamp::now() })
}

async fn points(screen: &mut Screen, stage: &Stage, venue: &Venue, workers: &[Worker]) -> Result<()> {
    let chapter = screen.chapter("Recovery points come, and old ones go");
    let mut seen = BTreeSet::new();
    let mut pruned = BTreeSet::new();
    let begun = Instant::now();
    loop {
        let points = stage.points(venue.namespace()).await?.ours();
        points.one_per_slot()?;
        for name in points.ready().names().difference(&seen.clone()) {
            chapter.say(format!("{} {name}", style("+").green()));
            seen.insert(name.clone());
        }
        for name in seen.difference(&points.names()) {
            if pruned.insert(name.clone()) {
                chapter.say(format!("{} {name}", style("-").red()));
            }
        }
        let ready = points.ready();
        let safe = workers.iter().all(|worker| ready.of(&worker.claim).count() >= 2);
        if safe && pruned.len() >= workers.len() {
            break;
        }
        ensure!(
            begun.elapsed() < venue.patience(),
            "after {} s there are {seen:?}, of which pruned {pruned:?}",
            venue.patience().as_secs()
        );
        let (have, gone) = (seen.len(), pruned.len());
        chapter.waiting(format!("{have} taken, {gone} pruned; the newest of each volume never goes"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    chapter.done(format!("{} taken, {} pruned past {}", seen.len(), pruned.len(), venue.rhythm().max_age));
    Ok(())
}

/// What a person can look at while everything stays.
fn invite(stage: &Stage, venue: &Venue, outside: Option<&Outside>) {
    let namespace = venue.namespace();
    println!("\nEverything stays as it is. In another terminal:\n");
    println!("  export KUBECONFIG={}", stage.cluster.kubeconfig().display());
    for command in [format!("list -n {namespace}"), "plan".into(), format!("restore s2 -n {namespace}")] {
        println!("  cargo run --quiet -- {command}");
    }
    if let Some(Ok(refuge)) = outside.map(Outside::refuge) {
        println!("  kubectl get schedules.velero.io,backups.velero.io -n {VELERO_NAMESPACE}");
        println!("\nIn the other cluster, what Velero has brought back:\n");
        println!("  export KUBECONFIG={}", refuge.kubeconfig().display());
        println!("  kubectl get restores.velero.io,persistentvolumeclaims -A");
    }
    println!("\nCtrl-C takes it all away; nothing stays behind.");
}
