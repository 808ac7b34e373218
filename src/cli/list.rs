//! `list`: the recovery points.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::{Fate, Protection, Readiness, Verdict, marks};
use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use super::output::{Output, age, table};
use super::{Cluster, Scope};
use crate::client::{Connection, Purpose};
use crate::csi::VolumeSnapshot;
use crate::observe::{Regime, Survey};

/// So many names of sandboxes are told where one does not exist.
const NAMES: usize = 20;

/// Lists the recovery points of every sandbox, newest first, with what becomes of each.
///
/// Those of sandboxes and volumes that are gone are listed too: VOLUME says so.
///
/// With -n, no right beyond that namespace is needed; but whoever may not read policies is not told what becomes of a
/// recovery point.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this sandbox's
    sandbox: Option<String>,
    /// Also VolumeSnapshots of the same volumes that others made
    #[arg(long)]
    foreign: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    sandbox: Option<String>,
    volume: String,
    volume_uid: String,
    protection: Protection,
    snapshot: String,
    taken_at: Timestamp,
    readiness: Readiness,
    error: Option<String>,
    ours: bool,
    /// What its pin says, where it has one.
    pinned: Option<String>,
    #[serde(flatten)]
    fate: Fate,
}

impl List {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let Connection { client, clock } = cluster.connect(Purpose::Calls).await?;
        let survey = Box::pin(Survey::take(&client, self.scope.namespace.as_deref())).await?;
        for caveat in survey.caveats() {
            eprintln!("note: {caveat}");
        }
        // As the controller sees it: by the clock that the answers have told.
        let now = clock.now();
        let verdicts = survey.judge(now, &Regime::of(&survey.observed));
        if let Some(sandbox) = &self.sandbox {
            check_known(sandbox, self.scope.namespace.as_deref(), &survey, &verdicts)?;
        }
        let pins = pins(&survey);
        let rows: Vec<Row> = verdicts
            .into_iter()
            .filter(|verdict| self.sandbox.is_none() || verdict.sandbox == self.sandbox)
            .flat_map(|verdict| rows(verdict, self.foreign, &pins))
            .collect();
        self.output.print(&rows, |rows| print(now, rows))
    }
}

/// What the pins of recovery points say, by namespace and name.
type Pins = BTreeMap<(String, String), String>;

fn pins(survey: &Survey) -> Pins {
    let pin = |snapshot: &Arc<VolumeSnapshot>| {
        let says = snapshot.annotations().get(marks::PINNED)?.clone();
        Some(((snapshot.namespace().unwrap_or_default(), snapshot.name_any()), says))
    };
    survey.observed.snapshots.iter().filter_map(pin).collect()
}

fn rows(verdict: Verdict, foreign: bool, pins: &Pins) -> impl Iterator<Item = Row> {
    let Verdict { volume, sandbox, protection, points, .. } = verdict;
    points.into_iter().filter(move |point| point.ours || foreign).map(move |point| Row {
        pinned: pins.get(&(volume.namespace.clone(), point.name.clone())).cloned(),
        namespace: volume.namespace.clone(),
        sandbox: sandbox.clone(),
        volume: volume.claim.clone(),
        volume_uid: volume.uid.to_string(),
        protection: protection.clone(),
        snapshot: point.name,
        taken_at: point.taken_at,
        readiness: point.readiness,
        error: point.error,
        ours: point.ours,
        fate: point.fate,
    })
}

/// A name that no Sandbox has, nor any recovery point, is a slip of the pen, and not a sandbox without backups.
fn check_known(
    sandbox: &str,
    namespace: Option<&str>,
    survey: &Survey,
    verdicts: &[Verdict],
) -> anyhow::Result<()> {
    let living = survey.observed.sandboxes.iter().map(|sandbox| sandbox.name_any());
    let known: BTreeSet<String> =
        living.chain(verdicts.iter().filter_map(|verdict| verdict.sandbox.clone())).collect();
    if known.contains(sandbox) {
        return Ok(());
    }
    let place = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let names: Vec<&str> = known.iter().take(NAMES).map(String::as_str).collect();
    let others = match known.len().saturating_sub(NAMES) {
        _ if known.is_empty() => "there are none".to_owned(),
        0 => format!("there are {}", names.join(", ")),
        more => format!("there are {} and {more} more", names.join(", ")),
    };
    bail!("no sandbox {sandbox}{place}, and no recovery point of one of that name; {others}")
}

fn print(now: Timestamp, rows: &Vec<Row>) {
    if rows.is_empty() {
        println!("No recovery points found.");
        return;
    }
    let mut points = table(&["NAMESPACE", "SANDBOX", "VOLUME", "RECOVERY POINT", "AGE", "STATE", "FATE"]);
    for row in rows {
        points.add_row([
            row.namespace.clone(),
            row.sandbox.clone().unwrap_or_else(|| "-".into()),
            row.protection.to_string(),
            row.snapshot.clone(),
            age(now, row.taken_at),
            format!("{:?}{}", row.readiness, if row.pinned.is_some() { ", pinned" } else { "" }),
            row.fate.to_string(),
        ]);
    }
    println!("{}", points.trim_fmt());
    let reasons =
        rows.iter().filter_map(|row| Some((row, row.pinned.as_ref().filter(|says| *says != "true")?)));
    for (n, (row, reason)) in reasons.enumerate() {
        let gap = if n == 0 { "\n" } else { "" };
        println!("{gap}{}/{} is pinned: {reason}", row.namespace, row.snapshot);
    }
    let errors = rows.iter().filter_map(|row| Some((row, row.error.as_ref()?)));
    for (n, (row, error)) in errors.enumerate() {
        let gap = if n == 0 { "\n" } else { "" };
        println!("{gap}{}/{}: {error}", row.namespace, row.snapshot);
    }
}
