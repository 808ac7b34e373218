//! `list`: the recovery points.

use agenttier_backup_plan::{Fate, Readiness};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::output::{Output, age, table};
use super::{Cluster, Scope};
use crate::observe::{Observed, judge};

/// Lists the recovery points of every sandbox, newest first, with what becomes of each.
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
    snapshot: String,
    taken_at: Timestamp,
    readiness: Readiness,
    ours: bool,
    fate: Fate,
}

impl List {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let observed = Observed::list(&cluster.client().await?).await?;
        let now = Timestamp::now();
        let rows: Vec<Row> = judge(now, &observed)
            .into_iter()
            .filter(|verdict| self.scope.includes(&verdict.volume.namespace))
            .filter(|verdict| self.sandbox.is_none() || verdict.sandbox == self.sandbox)
            .flat_map(|verdict| {
                let volume = verdict.volume;
                let sandbox = verdict.sandbox;
                verdict.points.into_iter().filter(|point| point.ours || self.foreign).map(move |point| Row {
                    namespace: volume.namespace.clone(),
                    sandbox: sandbox.clone(),
                    volume: volume.claim.clone(),
                    snapshot: point.name,
                    taken_at: point.taken_at,
                    readiness: point.readiness,
                    ours: point.ours,
                    fate: point.fate,
                })
            })
            .collect();
        self.output.print(&rows, |rows| print(now, rows))
    }
}

fn print(now: Timestamp, rows: &Vec<Row>) {
    if rows.is_empty() {
        println!("No recovery points found.");
        return;
    }
    let mut points = table(&["NAMESPACE", "SANDBOX", "RECOVERY POINT", "AGE", "STATE", "FATE"]);
    for row in rows {
        points.add_row([
            row.namespace.clone(),
            row.sandbox.clone().unwrap_or_else(|| "-".into()),
            row.snapshot.clone(),
            age(now, row.taken_at),
            format!("{:?}", row.readiness),
            row.fate.to_string(),
        ]);
    }
    println!("{}", points.trim_fmt());
}
