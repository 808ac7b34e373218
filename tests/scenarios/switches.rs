//! What AgentTier's life cycle does to volumes behind everybody's back: it switches sandboxes to other volumes, lets them
//! rest for months, and takes their volumes along when they are deleted.
//!
//! `TIMINGS=200 cargo test --test scenarios switches::timings -- --nocapture` plays 200 timings instead of 40; `SEED=…`
//! repeats those of a run that failed, which printed it.

mod gone;
mod long_stopped;
mod rescue;
mod rest;
mod timings;
mod told;

use std::collections::BTreeSet;
use std::time::Duration;

use agenttier_backup::csi::VolumeSnapshot;
use double::{NewSandbox, Phase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::Value;
use stage::{Points, Stage};

use crate::place::{TEAM, TEMPLATE, eventually, user};

/// As fast as the storage takes it.
const FAST: &[&str] = &["--snapshots-per-minute-at-least", "6000"];
/// Between two looks that are made many times.
const PACE: Duration = Duration::from_millis(250);

/// Makes a sandbox, and waits until it runs.
async fn running(stage: &Stage, sandbox: &str) {
    user(stage).create(NewSandbox::named(sandbox).cluster_template(TEMPLATE)).await.unwrap();
    user(stage).wait_phase(sandbox, Phase::Running).await.unwrap();
}

/// Stops a sandbox, and waits until its pod is gone too.
async fn stopped(stage: &Stage, sandbox: &str) {
    user(stage).stop(sandbox).await.unwrap();
    user(stage).wait_phase(sandbox, Phase::Stopped).await.unwrap();
    eventually(&format!("the pod of {sandbox} is gone"), || async {
        Ok(pods(stage).get_opt(&format!("{sandbox}-pod")).await?.is_none().then_some(()))
    })
    .await;
}

fn pods(stage: &Stage) -> Api<Pod> {
    Api::namespaced(stage.client.clone(), TEAM)
}

/// The ready points of ours of the claim, oldest first.
async fn ready(stage: &Stage, claim: &str) -> anyhow::Result<Vec<VolumeSnapshot>> {
    let Points(mut points) = stage.points(TEAM).await?.ours().of(claim).ready();
    points.sort_by_key(|point| (created(point), point.name_any()));
    Ok(points)
}

/// Waits until a claim has so many ready points.
async fn at_least(stage: &Stage, claim: &str, least: usize) -> Vec<VolumeSnapshot> {
    eventually(&format!("{least} points of {claim}"), || async {
        tokio::time::sleep(PACE).await;
        Ok(Some(ready(stage, claim).await?).filter(|points| points.len() >= least))
    })
    .await
}

/// What a point says of itself.
fn mark<'p>(point: &'p VolumeSnapshot, key: &str) -> Option<&'p str> {
    point.annotations().get(key).map(String::as_str)
}

fn created(point: &VolumeSnapshot) -> Timestamp {
    point.creation_timestamp().expect("the API server sets it").0
}

fn names(points: &[VolumeSnapshot]) -> BTreeSet<String> {
    points.iter().map(ResourceExt::name_any).collect()
}

/// What `plan` says of a claim's volume; of the living one, where there were several.
async fn planned(stage: &Stage, claim: &str) -> anyhow::Result<Value> {
    let plan = stage.run(&["plan", "-n", TEAM, "-o", "json"]).await?.json()?;
    let volumes = plan["volumes"].as_array().cloned().unwrap_or_default();
    let mut its: Vec<Value> =
        volumes.into_iter().filter(|volume| volume["volume"]["claim"] == claim).collect();
    its.sort_by_key(|volume| volume["protection"]["reason"] == "ClaimGone");
    anyhow::ensure!(!its.is_empty(), "plan knows no {claim}");
    Ok(its.remove(0))
}
