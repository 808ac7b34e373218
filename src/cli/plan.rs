//! `plan`: what the controller is going to do, what is kept, and why.

use agenttier_backup_plan::{Action, Fate, Note, Rate, Readiness, Verdict, in_order};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::output::{Output, age, table};
use super::{Cluster, Scope};
use crate::observe::Survey;

/// Shows what the controller is going to do: which snapshots it wants to take and prune, in which order, which
/// recovery points are kept and why, and which volumes are not protected.
///
/// It is computed here, by the controller's own rules, from what the cluster holds now; nothing is changed. How much
/// of it is done at once is for the controller to say: it keeps to a pace, and has only so many snapshots of a CSI
/// driver under way.
///
/// With -n, no right beyond that namespace is needed; but whoever may not read policies is not told what is due.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    now: Timestamp,
    /// Everything that is wanted, in the order to be done.
    actions: Vec<Action>,
    #[serde(skip)]
    whys: Vec<String>,
    volumes: Vec<Verdict>,
    /// Kinds that whoever asks may not read.
    hidden: Vec<String>,
    /// Objects that make no sense.
    unreadable: Vec<String>,
}

impl Plan {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let survey = Survey::take(&cluster.client().await?, self.scope.namespace.as_deref()).await?;
        let now = Timestamp::now();
        for caveat in survey.caveats() {
            eprintln!("note: {caveat}");
        }
        let volumes = survey.judge(now);
        let wanted = in_order(&survey.setbacks(), &volumes);
        let whys = wanted.iter().map(|(verdict, action)| why(now, verdict, action)).collect();
        let actions = wanted.into_iter().map(|(_, action)| action.clone()).collect();
        let Survey { hidden, unreadable, .. } = survey;
        let report = Report { now, actions, whys, volumes, hidden, unreadable };
        self.output.print(&report, |report| self.print(report))
    }

    fn print(&self, report: &Report) {
        if report.volumes.is_empty() {
            println!("No workspace volumes found.");
            return;
        }
        print_volumes(report);
        println!();
        print_trouble(report);
        if report.actions.is_empty() {
            println!("Nothing to do now.");
            return;
        }
        print_actions(report);
        println!();
        let mut rate = Rate::default();
        report.volumes.iter().filter_map(|verdict| verdict.interval).for_each(|interval| rate.add(interval));
        let shared = if self.scope.namespace.is_some() { ", shared with all other namespaces" } else { "" };
        println!(
            "In this order, at the controller's pace: {:.1} snapshots a minute for these volumes{shared}, or its \
             --snapshots-per-minute-at-least if that is more; and of a CSI driver no more at once than its \
             --snapshots-in-flight.",
            rate.per_minute()
        );
    }
}

/// Why something is wanted, for a person.
fn why(now: Timestamp, verdict: &Verdict, action: &Action) -> String {
    match action {
        Action::TakeSnapshot(take) => format!("not covered since {} ago", age(now, take.exposed_since)),
        Action::Mark(mark) => match &mark.note {
            Note::SandboxGone(_) => "its sandbox is gone".to_owned(),
            Note::HideFromAgentTier => "AgentTier's sweep would delete it".to_owned(),
        },
        Action::Prune(prune) => {
            let fate = verdict.points.iter().find(|point| point.name == prune.name).map(|point| &point.fate);
            match fate {
                Some(Fate::Prune { reason, keeper: Some(keeper) }) => {
                    format!("{reason}; {} is newer", keeper.name)
                }
                _ => format!("{}; it is the last", prune.reason),
            }
        }
    }
}

fn print_volumes(report: &Report) {
    let mut volumes =
        table(&["NAMESPACE", "VOLUME", "SANDBOX", "POLICY", "PROTECTION", "NEWEST", "KEPT", "NEXT"]);
    for verdict in &report.volumes {
        let newest = verdict.protection.newest();
        volumes.add_row([
            verdict.volume.namespace.clone(),
            verdict.volume.claim.clone(),
            verdict.sandbox.clone().unwrap_or_else(|| "-".into()),
            verdict.policy.clone().unwrap_or_else(|| "-".into()),
            verdict.protection.to_string(),
            newest.map_or_else(|| "-".into(), |newest| age(report.now, newest)),
            kept(verdict).to_string(),
            next(verdict),
        ]);
    }
    println!("{}", volumes.trim_fmt());
}

/// Recovery points that can be restored from, and stay.
fn kept(verdict: &Verdict) -> usize {
    let stays = verdict.points.iter().filter(|point| {
        let goes = matches!(point.fate, Fate::Prune { .. }) || point.terminating;
        point.ours && point.readiness == Readiness::Ready && !goes
    });
    stays.count()
}

/// What fails, in the words of the API server or the storage.
fn print_trouble(report: &Report) {
    let mut lines = Vec::new();
    for verdict in &report.volumes {
        let volume = format!("{}/{}", verdict.volume.namespace, verdict.volume.claim);
        for (kind, setback) in &verdict.setbacks {
            let since = age(report.now, setback.since);
            lines.push(format!("{volume}: {kind} fails since {since} ago: {}", setback.message));
        }
        for point in verdict.points.iter().filter(|point| point.ours) {
            if let Some(error) = &point.error {
                lines.push(format!("{volume}: {} ({:?}): {error}", point.name, point.readiness));
            }
        }
    }
    if !lines.is_empty() {
        println!("{}\n", lines.join("\n"));
    }
}

fn print_actions(report: &Report) {
    let mut actions = table(&["DO", "NAMESPACE", "SNAPSHOT", "WHY"]);
    for (action, why) in report.actions.iter().zip(&report.whys) {
        let verb = match action {
            Action::Prune(_) => "prune",
            Action::TakeSnapshot(_) => "snapshot",
            Action::Mark(_) => "note",
        };
        actions.add_row([verb, &action.volume().namespace, action.snapshot(), why]);
    }
    println!("{}", actions.trim_fmt());
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
