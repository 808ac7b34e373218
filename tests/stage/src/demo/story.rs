//! The story, chapter by chapter.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Table, presets};
use console::style;
use double::{NewSandbox, Options, Phase, User, WarmPool};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::{Cast, Rhythm, Stage};
use testbed::progress::Console;
use testbed::{Entry, STORAGE_CLASS, Testbed, Tree, until};
use tokio::signal::ctrl_c;

use super::screen::Screen;
use super::{program, work};

const TEAM: &str = "team-a";
const TEMPLATE: &str = "general-coding";
/// Short, so that a person can watch. In life it is hours and weeks.
const RHYTHM: Rhythm = Rhythm { interval: "10s", max_age: "25s", keep_last: 2 };
const PATIENCE: Duration = Duration::from_mins(3);

/// A sandbox at work.
struct Worker {
    sandbox: &'static str,
    claim: String,
    pod: String,
    node: String,
    files: Tree,
    written: Timestamp,
}

/// What the node took along, and when.
struct Loss<'a> {
    victim: &'a Worker,
    /// Age of the newest recovery point at the moment of death.
    exposed: SignedDuration,
}

/// What the restore command has said.
struct Restored {
    sandbox: String,
    claim: String,
    point: String,
    taken_at: Timestamp,
    seconds: f64,
}

/// Tells the whole story; an error is an end that it must not have.
pub(super) async fn tell(keep: bool) -> Result<()> {
    let mut screen = Screen::new();
    let mut stage = cluster(&mut screen).await?;
    let user = User::new(stage.client.clone(), TEAM).patience(PATIENCE);
    let workers = sandboxes(&mut screen, &stage, &user).await?;
    install(&mut screen, &stage).await?;
    points(&mut screen, &stage, &workers).await?;
    let victim = workers.first().context("there is a sandbox to lose")?;
    let lost = Loss { victim, exposed: node_dies(&mut screen, &stage, victim).await? };
    let restored = restore(&mut screen, &mut stage, victim).await?;
    compare(&mut screen, &stage, &user, &lost, &restored).await?;
    println!("\nTold in {:.0} s.", screen.elapsed().as_secs_f64());
    if keep {
        wait_for_the_visitor(&stage).await?;
    }
    stage.end().await
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

async fn sandboxes(screen: &mut Screen, stage: &Stage, user: &User) -> Result<Vec<Worker>> {
    let chapter = screen.chapter("AgentTier runs two sandboxes");
    chapter.waiting("starting the sandboxes");
    stage.namespace(TEAM).await?;
    user.create_cluster_template(TEMPLATE, json!({})).await?;
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await?;
    user.create(NewSandbox::named("s2").cluster_template(TEMPLATE)).await?;
    let mut workers = vec![];
    for name in ["s1", "s2"] {
        let worker = worker(stage, user, name).await?;
        let (files, bytes) = size(&worker.files);
        chapter.say(format!(
            "{name} on {} wrote {files} files, {bytes} bytes, to {}",
            worker.node, worker.claim
        ));
        workers.push(worker);
    }
    chapter.done("both are running, their work is on one volume each");
    Ok(workers)
}

async fn worker(stage: &Stage, user: &User, sandbox: &'static str) -> Result<Worker> {
    let running = user.wait_phase(sandbox, Phase::Running).await?;
    let status = |field: &str| running.data["status"][field].as_str().unwrap_or_default().to_owned();
    let (claim, pod) = (status("pvcName"), status("podName"));
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    let node =
        pods.get(&pod).await?.spec.and_then(|spec| spec.node_name).context("a running pod has a node")?;
    let files = work::write(&stage.cluster.volume(TEAM, &claim).await?, sandbox)?;
    Ok(Worker { sandbox, claim, pod, node, files, written: Timestamp::now() })
}

async fn install(screen: &mut Screen, stage: &Stage) -> Result<()> {
    let chapter = screen.chapter("agenttier-backup is installed by its chart");
    chapter.waiting("helm upgrade --install");
    stage.install(&["optional.backup.snapshots.enabled=true"]).await?;
    chapter.say("helm: optional.backup.snapshots.enabled=true, every 6 hours, kept for 14 days");
    stage.policy(RHYTHM).await?;
    let (interval, age) = (RHYTHM.interval, RHYTHM.max_age);
    chapter.say(format!("for this story a policy above it: every {interval}, kept for {age}"));
    chapter.waiting("starting the controller with its ServiceAccount's rights");
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await?;
    chapter.done("the controller runs, with the chart's own RBAC and nothing more");
    Ok(())
}

async fn points(screen: &mut Screen, stage: &Stage, workers: &[Worker]) -> Result<()> {
    let chapter = screen.chapter("Recovery points come, and old ones go");
    let mut seen = BTreeSet::new();
    let mut pruned = BTreeSet::new();
    let begun = Instant::now();
    loop {
        let points = stage.points(TEAM).await?.ours();
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
            begun.elapsed() < PATIENCE,
            "after {} s there are {seen:?}, of which pruned {pruned:?}",
            PATIENCE.as_secs()
        );
        let (have, gone) = (seen.len(), pruned.len());
        chapter.waiting(format!("{have} taken, {gone} pruned; the newest of each volume never goes"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    chapter.done(format!("{} taken, {} pruned past {}", seen.len(), pruned.len(), RHYTHM.max_age));
    Ok(())
}

async fn node_dies(screen: &mut Screen, stage: &Stage, victim: &Worker) -> Result<SignedDuration> {
    let chapter = screen.chapter(&format!("The node of {} dies", victim.sandbox));
    chapter.waiting(format!("{} stops answering", victim.node));
    let newest = stage.points(TEAM).await?.ours().of(&victim.claim).ready().newest();
    let newest = newest.context("there is a recovery point before the node dies")?;
    let exposed = Timestamp::now().duration_since(newest);
    stage.cluster.kill_node(&victim.node).await?;
    chapter.say(format!("{} is NotReady", victim.node));
    chapter.waiting("Kubernetes evicts the pod");
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    until("the pod to be evicted", PATIENCE, || async {
        let pod = pods.get(&victim.pod).await?;
        Ok(pod.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    chapter.say(format!("{} hangs in Terminating: nobody on the node can confirm its end", victim.pod));
    chapter.say(format!("{} is ReadWriteOnce and stays with it", victim.claim));
    chapter.done("the volume is stuck, and AgentTier still says Running");
    Ok(exposed)
}

async fn restore(screen: &mut Screen, stage: &mut Stage, victim: &Worker) -> Result<Restored> {
    let chapter = screen.chapter(&format!("{} is restored beside it", victim.sandbox));
    chapter.waiting("a warm pool of empty volumes fills up");
    let pool = WarmPool {
        storage_class: STORAGE_CLASS.into(),
        interval: Duration::from_millis(200),
        ..WarmPool::new(TEAM, TEMPLATE, 2)
    };
    stage.restart_agenttier(Options { warm_pool: Some(pool), ..Options::default() }).await;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    until("the pool's pods to be ready", PATIENCE, || async {
        let pooled = pods.list(&ListParams::default().labels("agenttier.io/pooled=true")).await?;
        let running =
            |pod: &&Pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        Ok((pooled.items.iter().filter(running).count() >= 2).then_some(()))
    })
    .await?;
    chapter.say("AgentTier's warm pool is on: it hands an empty volume to whichever sandbox starts next");

    let target = format!("{}-restored", victim.sandbox);
    let command = ["restore", victim.sandbox, "-n", TEAM, "--as", &target, "-o", "json"];
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

async fn compare(
    screen: &mut Screen,
    stage: &Stage,
    user: &User,
    lost: &Loss<'_>,
    restored: &Restored,
) -> Result<()> {
    let Loss { victim, exposed } = lost;
    let chapter = screen.chapter("Every file is compared, byte by byte");
    chapter.waiting("reading both volumes");
    let running = user.wait_phase(&restored.sandbox, Phase::Running).await?;
    let claim = running.data["status"]["pvcName"].as_str().unwrap_or_default();
    ensure!(claim == restored.claim, "{} runs on {claim}, not on its own volume", restored.sandbox);
    let found = stage.cluster.volume(TEAM, claim).await?.tree()?;
    let differences = testbed::difference(&victim.files, &found);
    ensure!(differences.is_empty(), "the files differ: {}", differences.join(", "));
    ensure!(restored.taken_at > victim.written, "the recovery point is older than the work");
    let stolen = claimed_from_the_pool(stage).await?;
    let (files, bytes) = size(&found);
    chapter.done(format!("{files} files, {bytes} bytes: identical"));

    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["what", "seen"]);
    table.add_row(["sandbox", victim.sandbox]);
    table.add_row(["dead node", &victim.node]);
    let rpo = format!("{:.1} s", exposed.as_secs_f64());
    table.add_row(["newest recovery point when the node died (RPO)", &format!("{rpo} old")]);
    table.add_row(["restored from the newest since", &restored.point]);
    table.add_row(["restored as", &restored.sandbox]);
    table.add_row(["time to restore (RTO)", &format!("{:.1} s", restored.seconds)]);
    table.add_row(["files compared", &format!("{files}, {bytes} bytes, none different")]);
    table.add_row(["warm-pool volumes that it was given", &stolen.to_string()]);
    println!("\n{table}");
    Ok(())
}

/// Volumes of the warm pool that a sandbox has been given: they keep their name and lose the pool's label.
async fn claimed_from_the_pool(stage: &Stage) -> Result<usize> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), TEAM);
    let all = claims.list(&ListParams::default()).await?;
    let claimed = |claim: &&PersistentVolumeClaim| {
        claim.name_any().starts_with("pool-") && !claim.labels().contains_key("agenttier.io/pooled")
    };
    Ok(all.items.iter().filter(claimed).count())
}

async fn wait_for_the_visitor(stage: &Stage) -> Result<()> {
    println!("\nThe cluster stays up. In another terminal:\n");
    println!("  export KUBECONFIG={}", stage.cluster.kubeconfig().display());
    for command in ["list", "plan", "restore s2 -n team-a"] {
        println!("  cargo run --quiet -- {command}");
    }
    println!("\nCtrl-C takes it all down; nothing stays behind.");
    ctrl_c().await.context("wait for Ctrl-C")
}

/// Files and links, and the bytes in them.
fn size(tree: &Tree) -> (usize, u64) {
    let files = tree.values().filter(|entry| !matches!(entry, Entry::Folder { .. })).count();
    let bytes = tree.values().map(|entry| if let Entry::File { size, .. } = entry { *size } else { 0 }).sum();
    (files, bytes)
}
