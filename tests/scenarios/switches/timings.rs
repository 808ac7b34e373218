//! Stop, resume, loss of the pod, at random times, with a warm pool beside it: whoever loses a volume to that is told,
//! and keeps all of its recovery points.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agenttier_backup::api::BackupPolicy;
use agenttier_backup::csi::VolumeSnapshot;
use double::{NewSandbox, Options, Phase};
use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use proptest::prelude::RngExt as _;
use serde_json::{Value, json};
use stage::{Points, Rhythm, Stage};

use crate::place::{
    TEAM, TEMPLATE, claims, eventually, nothing_odd, pool_is_ready, stage_with, user, with_pool,
};
use crate::rounds::random::{asked_for, random, seed};

/// Timings that `cargo test` plays.
const TIMINGS: u64 = 40;
/// Of one wave; each is that of a sandbox of its own.
const AT_ONCE: u64 = 40;
/// Ready pods for fewer than all of them: some are switched and some are not.
const POOL: usize = 12;
/// A template that no pool serves, so that on a slow machine, where the pool keeps up, some are not switched either.
const WITHOUT_POOL: &str = "without-pool";
/// So many sandboxes follow that one.
const ONE_IN: u64 = 10;
const MAX_AGE: SignedDuration = SignedDuration::from_secs(20);
const RHYTHM: Rhythm = Rhythm { interval: "15s", max_age: "20s", keep_last: 1 };
const CONTROLLER: &[&str] = &["--snapshots-per-minute-at-least", "6000", "--snapshots-in-flight", "40"];
/// Lists are large: enough of them are made.
const PACE: Duration = Duration::from_millis(500);

const AFTER_SWITCH: &str = "backup.agenttier.io/after-switch";
const SWITCHED: &str = "WorkspaceSwitched";

/// What a person does to one sandbox, and when.
#[derive(Debug)]
struct Timing {
    sandbox: String,
    template: &'static str,
    stopped_for: Duration,
    pod_lost_after: Duration,
}

/// What sandboxes have left behind.
#[derive(Default)]
struct Left {
    /// (sandbox, claim) of every volume that was left, and how often it was.
    ever: BTreeMap<(String, String), usize>,
    /// Those of them that no sandbox has come back to, and that can be known.
    volumes: BTreeSet<(String, String)>,
    /// Those that cannot: AgentTier could not hand them over, they were left before a point was taken, and so nothing
    /// in the cluster ties them to a sandbox.
    unknowable: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_volume_that_is_left_behind_is_noticed_and_kept() {
    let timings = asked_for("TIMINGS").unwrap_or(TIMINGS);
    let seed = seed();
    println!("{timings} timings: SEED={seed} repeats them");
    let mut random = random(seed);
    let agenttier = Options { restart_backoff: Duration::from_millis(100), ..with_pool(POOL) };
    let stage = stage_with("switches", agenttier).await;
    user(&stage).create_cluster_template(WITHOUT_POOL, json!({})).await.unwrap();
    stage.policy(RHYTHM).await.unwrap();
    stage.start_controller(CONTROLLER).await.unwrap();

    let (mut switched, mut volumes, mut unknowable) = (0, 0, 0);
    for first in (0..timings).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let wave: Vec<Timing> = (first..timings.min(first + AT_ONCE))
            .map(|n| Timing {
                sandbox: format!("s{n:03}"),
                template: if n % ONE_IN == 0 { WITHOUT_POOL } else { TEMPLATE },
                stopped_for: Duration::from_millis(random.random_range(0..1500)),
                pod_lost_after: Duration::from_millis(random.random_range(0..2500)),
            })
            .collect();
        let begun = tokio::time::Instant::now();
        let left = play(&stage, &wave).await;
        let of_sandboxes = left.ever.keys().map(|(sandbox, _)| sandbox).collect::<BTreeSet<_>>().len();
        println!(
            "  {} timings: {of_sandboxes} sandboxes switched {} times, {} volumes left behind and {} unknowable, {:.0?}",
            wave.len(),
            left.ever.values().sum::<usize>(),
            left.volumes.len(),
            left.unknowable,
            begun.elapsed()
        );
        all_is_noticed_and_kept(&stage, &wave, &left).await;
        println!("  all of it noticed and kept, {:.0?}", begun.elapsed());
        end(&stage, &wave).await;
        switched += of_sandboxes;
        volumes += left.volumes.len();
        unknowable += left.unknowable;
    }
    println!(
        "{timings} timings, {switched} sandboxes switched, {volumes} volumes left behind: all noticed; {unknowable} \
         were never known to be theirs"
    );
    assert!(unknowable * 50 <= volumes, "AgentTier fails to hand over one volume in fifty at the most");
    let played = usize::try_from(timings).unwrap();
    assert!(switched * 10 >= played, "a pool of {POOL} switches more than {switched} of {played}");
    assert!(switched < played, "without one that is not switched, nothing shows that such are left alone");
}

/// Plays a wave to the point where all of its sandboxes run again. Tells what was left behind.
async fn play(stage: &Stage, wave: &[Timing]) -> Left {
    let store = stage.cluster.store("agenttier.io/sandboxes");
    let start = store.now().await.unwrap().revision;
    let user = user(stage);
    try_join_all(wave.iter().map(async |Timing { sandbox, template, .. }| {
        user.create(NewSandbox::named(sandbox).cluster_template(template)).await?;
        user.wait_phase(sandbox, Phase::Running).await
    }))
    .await
    .unwrap();
    // What is lost is worth something only once it was saved.
    eventually("each has a recovery point", || async {
        tokio::time::sleep(PACE).await;
        let in_use = in_use(stage).await?;
        let saved: BTreeSet<String> =
            stage.points(TEAM).await?.ours().ready().0.iter().filter_map(source).collect();
        Ok(in_use.values().all(|claim| saved.contains(claim)).then_some(()))
    })
    .await;
    // Full again.
    pool_is_ready(stage, POOL).await;
    try_join_all(wave.iter().map(|timing| live_through(stage, timing))).await.unwrap();
    nothing_odd("all of them run on a pod that stays", || async {
        tokio::time::sleep(PACE).await;
        let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
        let mut pods = pods.list(&ListParams::default()).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let sandboxes = user.sandboxes().list(&ListParams::default()).await?.items;
        let runs = |status: &Value| {
            let pod = status["podName"].as_str();
            status["phase"] == "Running" && pods.iter().any(|there| there.metadata.name.as_deref() == pod)
        };
        let statuses = sandboxes.iter().map(|sandbox| (sandbox.name_any(), &sandbox.data["status"]));
        Ok(statuses
            .filter(|(_, status)| !runs(status))
            .map(|(name, status)| format!("{name}: {status}"))
            .collect())
    })
    .await;

    // Nothing that was ever stored escapes this.
    let mut claims_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for change in store.since(start).await.unwrap() {
        let Some(object) = change.object else { continue };
        let Some(claim) = object["status"]["pvcName"].as_str().filter(|claim| !claim.is_empty()) else {
            continue;
        };
        let its = claims_of.entry(object["metadata"]["name"].as_str().unwrap().to_owned()).or_default();
        if its.last().is_none_or(|last| last != claim) {
            its.push(claim.to_owned());
        }
    }
    let mut left = Left::default();
    for Timing { sandbox, template, .. } in wave {
        let (now, before) = claims_of[sandbox].split_last().expect("it runs on one");
        assert!(*template == TEMPLATE || before.is_empty(), "{sandbox} has no pool, and left {before:?}");
        for claim in before {
            *left.ever.entry((sandbox.clone(), claim.clone())).or_default() += 1;
        }
        left.volumes.extend(
            before.iter().filter(|claim| *claim != now).map(|claim| (sandbox.clone(), claim.clone())),
        );
    }
    let there = claims(stage).list(&ListParams::default()).await.unwrap().items;
    let owned = there.iter().filter(|claim| !claim.owner_references().is_empty());
    let owned: BTreeSet<String> = owned.map(ResourceExt::name_any).collect();
    let points = stage.points(TEAM).await.unwrap().ours().0;
    let saved: BTreeSet<String> = points.iter().filter_map(source).collect();
    let of_all = left.volumes.len();
    left.volumes.retain(|(_, claim)| owned.contains(claim) || saved.contains(claim));
    left.unknowable = of_all - left.volumes.len();
    left
}

async fn live_through(stage: &Stage, timing: &Timing) -> anyhow::Result<()> {
    let Timing { sandbox, stopped_for, pod_lost_after, .. } = timing;
    let user = user(stage);
    user.stop(sandbox).await?;
    user.wait_phase(sandbox, Phase::Stopped).await?;
    tokio::time::sleep(*stopped_for).await;
    user.resume(sandbox).await?;
    tokio::time::sleep(*pod_lost_after).await;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    let its = ListParams::default().labels(&format!("agenttier.io/sandbox={sandbox}"));
    for pod in pods.list(&its).await?.items {
        match pods.delete(&pod.name_any(), &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

async fn all_is_noticed_and_kept(stage: &Stage, wave: &[Timing], left: &Left) {
    let wanted = &left.volumes;
    nothing_odd("an Event on each sandbox for each volume that it has left", || async {
        tokio::time::sleep(PACE).await;
        let told = events(stage).await?;
        let wrong: Vec<_> =
            told.iter().filter(|told| is_of(wave, &told.0) && !left.ever.contains_key(*told)).collect();
        anyhow::ensure!(wrong.is_empty(), "noticed, but never left: {wrong:?}");
        let untold = wanted.difference(&told);
        Ok(untold.map(|(sandbox, claim)| format!("{sandbox} left {claim}, untold")).collect())
    })
    .await;
    eventually("each is saved once more", || async {
        tokio::time::sleep(PACE).await;
        let saved: BTreeSet<String> = saved_after(stage).await?.iter().filter_map(source).collect();
        Ok(wanted.iter().all(|(_, claim)| saved.contains(claim)).then_some(()))
    })
    .await;
    // One that was left twice may have been saved after the first time alone. What is under way then, or on its way out, may
    // change that.
    let (plan, kept) =
        eventually("plan names each of them, and no other, and wants nothing more of them", || async {
            tokio::time::sleep(PACE).await;
            let points = stage.points(TEAM).await?.ours();
            let of_them = |points: &Points| names_of(points, wanted);
            let kept = Some(of_them(&points)).filter(|all| *all == of_them(&points.ready()));
            let plan = stage.run(&["plan", "-n", TEAM, "-o", "json"]).await?.json()?;
            let is_done = noticed(&plan) == *wanted
                && wanted.iter().all(|(_, claim)| volume(&plan, claim)["wants"] == json!([]));
            let still = of_them(&stage.points(TEAM).await?.ours());
            Ok(kept.filter(|kept| is_done && *kept == still).map(|kept| (plan, kept)))
        })
        .await;
    for (_, claim) in wanted {
        let volume = volume(&plan, claim);
        assert_eq!(volume["protection"]["state"], "Retired", "{volume:#}");
        let mut fates = volume["points"].as_array().unwrap().iter().filter(|point| point["ours"] == true);
        assert!(fates.all(|point| point["reason"] == "Frozen"), "{volume:#}");
    }
    // Whatever is kept by age alone would be gone by now: others of that age are.
    let ours = stage.points(TEAM).await.unwrap().ours().0;
    let youngest = ours.iter().filter_map(ResourceExt::creation_timestamp).map(|time| time.0).max().unwrap();
    // Those of earlier waves stay: that many sandboxes gone at once wait for somebody's word.
    let claims_in_use: BTreeSet<String> = in_use(stage).await.unwrap().into_values().collect();
    let is_in_use =
        |point: &&VolumeSnapshot| source(point).is_some_and(|claim| claims_in_use.contains(&claim));
    let others: BTreeSet<String> = ours.iter().filter(is_in_use).map(ResourceExt::name_any).collect();
    assert!(others.is_disjoint(&kept), "what is in use is not left");
    eventually("all is older than maxAge, and what others had then is pruned", || async {
        tokio::time::sleep(PACE).await;
        let old = Timestamp::now().duration_since(youngest) > MAX_AGE;
        let there = stage.points(TEAM).await?.ours().names();
        Ok((old && others.is_disjoint(&there)).then_some(()))
    })
    .await;
    let points = stage.points(TEAM).await.unwrap().ours();
    assert_eq!(names_of(&points, wanted), kept, "all of them, and nothing new");
    for point in saved_after(stage).await.unwrap() {
        let claim = source(&point).unwrap();
        assert!(left.ever.keys().any(|(_, left)| *left == claim), "{claim} was never left");
    }
    let saved = saved_after(stage).await.unwrap();
    for (sandbox, claim) in wanted {
        let times = left.ever[&(sandbox.clone(), claim.clone())];
        let saved = saved.iter().filter(|point| source(point).as_ref() == Some(claim)).count();
        assert!((1..=times).contains(&saved), "{sandbox} left {claim} {times} times, saved {saved} times");
    }

    eventually("the policy counts them", || async {
        tokio::time::sleep(PACE).await;
        let policies: Api<BackupPolicy> = Api::all(stage.client.clone());
        let status = policies.get("stage").await?.status.unwrap_or_default();
        let told = status.conditions.into_iter().find(|condition| condition.type_ == SWITCHED);
        let counted = format!("{} {SWITCHED}", wanted.len());
        let is_told = told.is_some_and(|told| told.status == "True" && told.message.contains(&counted));
        Ok((is_told || wanted.is_empty()).then_some(()))
    })
    .await;

    // And those in use are protected as ever.
    let plan = stage.run(&["plan", "-n", TEAM, "-o", "json"]).await.unwrap().json().unwrap();
    for (sandbox, claim) in in_use(stage).await.unwrap() {
        let volume = volume(&plan, &claim);
        assert_eq!(volume["sandbox"], sandbox.as_str());
        assert_eq!(volume["protection"]["state"], "Protected", "{volume:#}");
        assert_eq!(volume["notices"], json!([]), "{volume:#}");
    }
}

/// Deletes the sandboxes of a wave, and waits until their claims are gone with them.
async fn end(stage: &Stage, wave: &[Timing]) {
    let user = user(stage);
    for gone in join_all(wave.iter().map(|timing| user.delete(&timing.sandbox))).await {
        gone.unwrap();
    }
    eventually("their claims are gone with them, the ones that they left too", || async {
        tokio::time::sleep(PACE).await;
        let claims = claims(stage).list(&ListParams::default()).await?.items;
        Ok(claims.iter().all(|claim| claim.metadata.owner_references.is_none()).then_some(()))
    })
    .await;
}

fn is_of(wave: &[Timing], sandbox: &str) -> bool {
    wave.iter().any(|timing| timing.sandbox == sandbox)
}

/// (sandbox, claim) of all Events that tell of a switch.
async fn events(stage: &Stage) -> anyhow::Result<BTreeSet<(String, String)>> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), TEAM);
    let told = events.list(&ListParams::default().fields(&format!("reason={SWITCHED}"))).await?.items;
    let about = told.into_iter().map(|event| {
        anyhow::ensure!(event.last_timestamp.is_some(), "AgentTier delivers no Event without it");
        // `<claim>.<start of the sandbox>.<reason>`
        let claim = event.name_any().rsplitn(3, '.').nth(2).map(str::to_owned);
        Ok((event.involved_object.name.unwrap_or_default(), claim.unwrap_or_default()))
    });
    about.collect()
}

/// (sandbox, claim) of all volumes that `plan` says were left.
fn noticed(plan: &Value) -> BTreeSet<(String, String)> {
    let volumes = plan["volumes"].as_array().unwrap().iter();
    let noticed = volumes.filter(|volume| {
        let mut notices = volume["notices"].as_array().unwrap().iter();
        notices.any(|notice| notice["reason"] == SWITCHED)
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    noticed.map(|volume| (text(&volume["sandbox"]), text(&volume["volume"]["claim"]))).collect()
}

fn volume<'p>(plan: &'p Value, claim: &str) -> &'p Value {
    let mut volumes = plan["volumes"].as_array().unwrap().iter();
    volumes
        .find(|volume| volume["volume"]["claim"] == claim)
        .unwrap_or_else(|| panic!("no {claim} in the plan"))
}

/// The claims that sandboxes use.
async fn in_use(stage: &Stage) -> anyhow::Result<BTreeMap<String, String>> {
    let sandboxes = user(stage).sandboxes().list(&ListParams::default()).await?.items;
    let used = sandboxes.iter().filter_map(|sandbox| {
        Some((sandbox.name_any(), sandbox.data["status"]["pvcName"].as_str()?.to_owned()))
    });
    Ok(used.collect())
}

/// The points that were taken after a switch.
async fn saved_after(stage: &Stage) -> anyhow::Result<Vec<VolumeSnapshot>> {
    let mut points = stage.points(TEAM).await?.ours().ready().0;
    points.retain(|point| point.annotations().contains_key(AFTER_SWITCH));
    let there: BTreeSet<Option<String>> = claims(stage)
        .list(&ListParams::default())
        .await?
        .items
        .iter()
        .map(PersistentVolumeClaim::uid)
        .collect();
    // Those of earlier waves go with time.
    points
        .retain(|point| there.contains(&point.annotations().get("backup.agenttier.io/volume-uid").cloned()));
    Ok(points)
}

/// Which of these points are of volumes that were left behind.
fn names_of(points: &Points, left: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    left.iter().flat_map(|(_, claim)| points.of(claim).names()).collect()
}

fn source(point: &VolumeSnapshot) -> Option<String> {
    point.spec.source.persistent_volume_claim_name.clone()
}
