//! `plan`: what the controller would do now, what is kept, and why.

use agenttier_backup_plan::{Action, HeldBack, Limits, Pacer, Protection, Verdict, admit};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::output::{Output, age, table};
use super::{Cluster, Scope};
use crate::observe::{Observed, judge};

/// Shows what the controller would do now: which snapshots it would take and prune, which recovery points
/// are kept and why, and which volumes are not protected.
///
/// It is computed here, by the controller's own rules, from what the cluster holds now; nothing is changed.
/// Pacing is the one thing it cannot know: the controller may take several minutes for a long list.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    now: Timestamp,
    actions: Vec<Action>,
    waiting: usize,
    volumes: Vec<Verdict>,
}

impl Plan {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let observed = Observed::list(&cluster.client().await?).await?;
        let now = Timestamp::now();
        let mut volumes = judge(now, &observed);
        volumes.retain(|verdict| self.scope.includes(&verdict.volume.namespace));
        let admission = admit(now, Pacer::new(), &Limits::default(), &HeldBack::new(), &volumes);
        let report = Report { now, actions: admission.actions, waiting: admission.waiting, volumes };
        self.output.print(&report, print)
    }
}

fn print(report: &Report) {
    let now = report.now;
    if report.volumes.is_empty() {
        println!("No workspace volumes found.");
        return;
    }
    let mut volumes =
        table(&["NAMESPACE", "VOLUME", "SANDBOX", "POLICY", "PROTECTION", "NEWEST", "KEPT", "NEXT"]);
    for verdict in &report.volumes {
        let (protection, newest) = match &verdict.protection {
            Protection::Protected { newest } => ("Protected".to_owned(), Some(*newest)),
            Protection::Awaited { .. } => ("Awaited".to_owned(), None),
            Protection::Overdue { newest, reason } => (format!("Overdue: {reason}"), *newest),
            Protection::Unprotected { reason } => (format!("Unprotected: {reason}"), None),
        };
        volumes.add_row([
            verdict.volume.namespace.clone(),
            verdict.volume.claim.clone(),
            verdict.sandbox.clone().unwrap_or_else(|| "-".into()),
            verdict.policy.clone().unwrap_or_else(|| "-".into()),
            protection,
            newest.map_or_else(|| "-".into(), |newest| age(now, newest)),
            verdict.points.iter().filter(|point| point.ours).count().to_string(),
            next(verdict),
        ]);
    }
    println!("{}", volumes.trim_fmt());
    println!();
    if report.actions.is_empty() && report.waiting == 0 {
        println!("Nothing to do now.");
        return;
    }
    let mut actions = table(&["DO", "NAMESPACE", "SNAPSHOT", "WHY"]);
    for action in &report.actions {
        let (verb, why) = match action {
            Action::Prune(prune) => ("prune", format!("past retention; {} is newer", prune.keeper.name)),
            Action::TakeSnapshot(take) => {
                ("snapshot", format!("not covered since {} ago", age(now, take.exposed_since)))
            }
        };
        actions.add_row([verb, &action.volume().namespace, action.snapshot(), &why]);
    }
    println!("{}", actions.trim_fmt());
    if report.waiting > 0 {
        println!("… and {} more as pacing and the in-flight caps allow.", report.waiting);
    }
}

fn next(verdict: &Verdict) -> String {
    let count = |wanted: fn(&Action) -> bool| verdict.wants.iter().filter(|action| wanted(action)).count();
    let snapshots = count(|action| matches!(action, Action::TakeSnapshot(_)));
    let prunes = count(|action| matches!(action, Action::Prune(_)));
    match (snapshots, prunes) {
        (0, 0) => "-".to_owned(),
        (_, 0) => "snapshot".to_owned(),
        (0, prunes) => format!("prune {prunes}"),
        (_, prunes) => format!("snapshot, prune {prunes}"),
    }
}
