//! `list`: the recovery points.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::{Fate, Protection, Readiness, Verdict, marks};
use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use velero::BackupPhase;

use super::output::{Output, age, table};
use super::velero::VeleroOptions;
use super::{Cluster, Scope};
use crate::age::span;
use crate::client::{Connection, Purpose};
use crate::csi::VolumeSnapshot;
use crate::observe::{Regime, Survey};
use crate::schedules::{Look, Saved, saved, saved_labels};

/// So many names of sandboxes are told where one does not exist.
const NAMES: usize = 20;

/// Lists the recovery points of every sandbox, newest first, with what becomes of each: the
/// snapshots of its volume, and Velero's backups of its namespace, each of which holds all
/// sandboxes that the namespace had then.
///
/// Those of sandboxes and volumes that are gone are listed too: VOLUME says so.
///
/// With -n, no right beyond that namespace is needed; but whoever may not read policies is not
/// told what becomes of a recovery point, and whoever may not read Velero's namespace is not
/// shown its backups.
///
/// Examples:
///   agenttier-backup list -n team-a
///   agenttier-backup list s1 -n team-a -o json
///   agenttier-backup list --all-clusters    # also backups of other clusters whose Velero uses the same store
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct List {
    /// Only this sandbox's
    sandbox: Option<String>,
    /// Also VolumeSnapshots of the same volumes that others made
    #[arg(long)]
    foreign: bool,
    /// Also Velero's backups of other clusters
    #[arg(long)]
    all_clusters: bool,
    #[command(flatten)]
    velero: VeleroOptions,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
}

/// A recovery point. Scripts read it: names are added, not changed.
#[derive(Serialize)]
#[serde(tag = "layer")]
enum Row {
    Snapshot(Point),
    Velero(Saved),
}

impl Row {
    /// What rows are sorted by.
    fn key(&self) -> (Timestamp, &str, &str) {
        match self {
            Self::Snapshot(point) => (point.taken_at, &point.namespace, &point.snapshot),
            Self::Velero(saved) => (saved.taken_at, &saved.namespace, &saved.backup),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Point {
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
        let mut velero = Look::take(&client, &self.velero.said(), &survey).await?;
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
        let its = match (&self.sandbox, &self.scope.namespace) {
            (Some(sandbox), _) => Some(namespaces_of(sandbox, &survey, &verdicts)),
            (None, namespace) => namespace.clone().map(|namespace| BTreeSet::from([namespace])),
        };
        velero.sight.take_backups(&client, &saved_labels(its.as_ref())).await?;
        let missing = velero.obstacle().filter(|_| velero.sight.absent && velero.is_wanted());
        let missing = missing.map(|obstacle| obstacle.message());
        for caveat in velero.caveats().into_iter().chain(missing) {
            eprintln!("note: {caveat}");
        }
        let saved = saved(&velero.sight, velero.cluster.as_ref()).into_iter().filter(|saved| {
            (self.all_clusters || !saved.elsewhere)
                && its.as_ref().is_none_or(|its| its.contains(&saved.namespace))
        });
        let mut rows: Vec<Row> = verdicts
            .into_iter()
            .filter(|verdict| self.sandbox.is_none() || verdict.sandbox == self.sandbox)
            .flat_map(|verdict| points(verdict, self.foreign, &pins))
            .map(Row::Snapshot)
            .chain(saved.map(Row::Velero))
            .collect();
        if let (true, Some(namespace)) = (rows.is_empty(), &self.scope.namespace) {
            survey.require(namespace)?;
        }
        rows.sort_by(|a, b| b.key().cmp(&a.key()));
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

fn points(verdict: Verdict, foreign: bool, pins: &Pins) -> impl Iterator<Item = Point> {
    let Verdict { volume, sandbox, protection, points, .. } = verdict;
    points.into_iter().filter(move |point| point.ours || foreign).map(move |point| Point {
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

/// The namespaces that have, or had, a sandbox of that name.
fn namespaces_of(sandbox: &str, survey: &Survey, verdicts: &[Verdict]) -> BTreeSet<String> {
    let living = survey.observed.sandboxes.iter().filter(|living| living.name_any() == sandbox);
    let known = verdicts.iter().filter(|verdict| verdict.sandbox.as_deref() == Some(sandbox));
    let known = known.map(|verdict| verdict.volume.namespace.clone());
    living.filter_map(|living| living.namespace()).chain(known).collect()
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

fn print(now: Timestamp, rows: &[Row]) {
    if rows.is_empty() {
        println!("No recovery points found.");
        return;
    }
    print!("{}", told(now, rows));
}

/// The table, and below it what does not fit into one.
fn told(now: Timestamp, rows: &[Row]) -> String {
    let mut columns =
        vec!["NAMESPACE", "SANDBOX", "LAYER", "VOLUME", "RECOVERY POINT", "AGE", "STATE", "FATE"];
    let elsewhere = rows.iter().any(|row| matches!(row, Row::Velero(saved) if saved.elsewhere));
    columns.extend(elsewhere.then_some("CLUSTER"));
    let mut all = table(&columns);
    for row in rows {
        let mut cells = match row {
            Row::Snapshot(point) => of_point(now, point),
            Row::Velero(saved) => of_saved(now, saved),
        };
        if elsewhere {
            cells.push(match row {
                Row::Velero(saved) => saved.cluster.clone().unwrap_or_default(),
                Row::Snapshot(_) => "-".to_owned(),
            });
        }
        all.add_row(cells);
    }
    let pinned = rows.iter().filter_map(|row| match row {
        Row::Snapshot(point) => {
            let reason = point.pinned.as_ref().filter(|says| *says != "true")?;
            Some(format!("{}/{} is pinned: {reason}\n", point.namespace, point.snapshot))
        }
        Row::Velero(_) => None,
    });
    let errors = rows.iter().filter_map(|row| match row {
        Row::Snapshot(point) => {
            Some(format!("{}/{}: {}\n", point.namespace, point.snapshot, point.error.as_ref()?))
        }
        Row::Velero(saved) => {
            Some(format!("{}/{}: {}\n", saved.velero_namespace, saved.backup, saved.error.as_ref()?))
        }
    });
    let blocks = [pinned.collect::<String>(), errors.collect::<String>()];
    let blocks = blocks.into_iter().filter(|block| !block.is_empty()).map(|block| format!("\n{block}"));
    format!("{}\n{}", all.trim_fmt(), blocks.collect::<String>())
}

fn of_point(now: Timestamp, point: &Point) -> Vec<String> {
    vec![
        point.namespace.clone(),
        point.sandbox.clone().unwrap_or_else(|| "-".into()),
        "Snapshot".into(),
        point.protection.to_string(),
        point.snapshot.clone(),
        age(now, point.taken_at),
        format!("{:?}{}", point.readiness, if point.pinned.is_some() { ", pinned" } else { "" }),
        point.fate.to_string(),
    ]
}

fn of_saved(now: Timestamp, saved: &Saved) -> Vec<String> {
    let count = |count: i64, what: &str| match count {
        0 => String::new(),
        1 => format!(", 1 {what}"),
        more => format!(", {more} {what}s"),
    };
    let fate = match saved.expires_at {
        _ if saved.phase == BackupPhase::Deleting => "going".to_owned(),
        Some(at) if at <= now => "expired".to_owned(),
        Some(at) => format!("expires in {}", span(at.duration_since(now))),
        None => "-".to_owned(),
    };
    let phase = &saved.phase;
    let phase = if let BackupPhase::Other(name) = phase { name.clone() } else { format!("{phase:?}") };
    vec![
        saved.namespace.clone(),
        "(all)".into(),
        "Velero".into(),
        "-".into(),
        saved.backup.clone(),
        age(now, saved.taken_at),
        phase + &count(saved.errors, "error") + &count(saved.warnings, "warning"),
        fate,
    ]
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::Keep;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn saved_at(taken_at: &str, backup: &str) -> Saved {
        Saved {
            namespace: "team-a".into(),
            backup: backup.into(),
            velero_namespace: "velero".into(),
            schedule: Some("east-team-a".into()),
            cluster: Some("east".into()),
            elsewhere: false,
            taken_at: at(taken_at),
            phase: BackupPhase::Completed,
            expires_at: Some(at("2026-12-20T12:00:00Z")),
            errors: 0,
            warnings: 1,
            error: None,
        }
    }

    fn point() -> Point {
        Point {
            namespace: "team-a".into(),
            sandbox: Some("s1".into()),
            volume: "s1-workspace".into(),
            volume_uid: "u".into(),
            protection: Protection::Protected { newest: at("2026-11-20T11:00:00Z") },
            snapshot: "s1-workspace-backup-1".into(),
            taken_at: at("2026-11-20T11:00:00Z"),
            readiness: Readiness::Ready,
            error: None,
            ours: true,
            pinned: Some("before-upgrade".into()),
            fate: Fate::Keep(Keep::Pinned),
        }
    }

    #[test]
    fn both_layers_stand_in_one_table() {
        let now = at("2026-11-20T12:00:00Z");
        let mut failed = saved_at("2026-11-20T09:00:00Z", "east-team-a-1");
        failed.phase = BackupPhase::PartiallyFailed;
        (failed.errors, failed.warnings) = (2, 0);
        failed.error = Some("2 errors".into());
        let rows = [
            Row::Velero(saved_at("2026-11-20T11:30:00Z", "east-team-a-2")),
            Row::Snapshot(point()),
            Row::Velero(failed),
        ];
        let text = told(now, &rows);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(
            lines[..4],
            [
                vec!["NAMESPACE", "SANDBOX", "LAYER", "VOLUME", "RECOVERY POINT", "AGE", "STATE", "FATE"],
                vec![
                    "team-a",
                    "(all)",
                    "Velero",
                    "-",
                    "east-team-a-2",
                    "30m",
                    "Completed, 1 warning",
                    "expires in 30d"
                ],
                vec![
                    "team-a",
                    "s1",
                    "Snapshot",
                    "Protected",
                    "s1-workspace-backup-1",
                    "60m",
                    "Ready, pinned",
                    "keep: pinned"
                ],
                vec![
                    "team-a",
                    "(all)",
                    "Velero",
                    "-",
                    "east-team-a-1",
                    "3h",
                    "PartiallyFailed, 2 errors",
                    "expires in 30d"
                ],
            ]
        );
        assert!(text.ends_with(
            "\n\nteam-a/s1-workspace-backup-1 is pinned: before-upgrade\n\nvelero/east-team-a-1: 2 errors\n"
        ), "{text}");
    }

    #[test]
    fn those_of_other_clusters_say_so() {
        let mut theirs = saved_at("2026-11-20T11:30:00Z", "west-team-a-2");
        (theirs.elsewhere, theirs.cluster) = (true, Some("west".into()));
        let text = told(at("2026-11-20T12:00:00Z"), &[Row::Velero(theirs), Row::Snapshot(point())]);
        assert!(text.lines().next().is_some_and(|line| line.ends_with("CLUSTER")), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("west")), "{text}");
    }

    #[test]
    fn scripts_find_the_layer_beside_what_was_there_before() {
        let rows = [Row::Snapshot(point()), Row::Velero(saved_at("2026-11-20T11:30:00Z", "b"))];
        let json = serde_json::to_value(rows).expect("JSON");
        assert_eq!(
            (&json[0]["layer"], &json[0]["snapshot"]),
            (&"Snapshot".into(), &"s1-workspace-backup-1".into())
        );
        assert_eq!(json[0]["fate"], "Keep");
        assert_eq!(
            (&json[1]["layer"], &json[1]["backup"], &json[1]["phase"]),
            (&"Velero".into(), &"b".into(), &"Completed".into())
        );
        assert_eq!(json[1]["takenAt"], "2026-11-20T11:30:00Z");
    }
}
