//! `plan`: what the controller is going to do, what is kept, and why.

mod capacity;
mod files;
mod notices;
mod policies;
mod schedules;

use std::collections::BTreeMap;
use std::path::PathBuf;

use agenttier_backup_plan::{
    Action, Capacity, Fate, MassDeletion, Note, Notice, Protection, Readiness, Reason, Verdict, in_order,
    is_of_mass, mass_deletions,
};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::moment::Moment;
use super::output::{Output, age, table};
use super::velero::VeleroOptions;
use super::{Cluster, Scope};
use crate::client::{Connection, Purpose};
use crate::observe::{Meaning, Place, Regime, Survey, meanings};
use crate::schedules::{Look, Outlook};

/// Shows what the controller is going to do: which snapshots it wants to take and prune, in which
/// order, which recovery points are kept and why, which volumes are not protected, and what somebody
/// should know of.
///
/// It is computed here, by the controller's own rules, from what the cluster holds now; nothing is
/// changed. How much of it is done at once is for the controller to say: it keeps to a pace, and has
/// only so many snapshots of a CSI driver under way.
///
/// With -n, no right beyond that namespace is needed; but whoever may not read policies is not told
/// what is due.
///
/// Where policies want backups by Velero, it also shows what becomes of each of its Schedules. With
/// --schedules it shows nothing but these: what changes in the cluster, or with --schedules=yaml what they
/// are to be.
///
/// With -f, files stand for the cluster: BackupPolicies, Namespaces, Sandboxes, volume claims, volumes,
/// VolumeSnapshots and Velero's Schedules in YAML or JSON, as somebody wrote them or as `kubectl get -o yaml` prints them.
/// Nothing is asked of any cluster. What only a cluster would know is made up and said: a namespace that
/// is mentioned but not given exists without labels, what says no time of creation is new at --now, a
/// claim without a status is bound.
///
/// Examples:
///   agenttier-backup plan
///   agenttier-backup plan -n team-a -o json
///   agenttier-backup plan --schedules                  # what changes of Velero's Schedules, as a diff
///   agenttier-backup plan -f policies.yaml             # what the policies mean
///   kubectl get -A -o yaml \
///     sandboxes,pvc,pv,volumesnapshots,namespaces,backuppolicies,schedules.velero.io |
///     agenttier-backup plan -f - -f new-policy.yaml    # what a new policy would do; the last one of a name counts
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Plan {
    /// Files, or folders of them, in place of the cluster; - is the standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// The moment to plan for [default: now]: 2026-11-20T10:00 (UTC without a zone), or how long ago
    #[arg(long, value_name = "TIME", requires = "files")]
    now: Option<Moment>,
    /// Only Velero's Schedules [default: diff]
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "diff",
          conflicts_with = "output")]
    schedules: Option<schedules::Show>,
    #[command(flatten)]
    velero: VeleroOptions,
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
    /// What all of this comes to.
    capacity: Capacity,
    /// So many snapshots may be held; none where no policy is in force.
    max_snapshots: Option<u32>,
    /// What each policy means, in the order in which they win.
    policies: Vec<Meaning>,
    /// What is to be known of policies, by their names.
    policy_notices: BTreeMap<String, Vec<Notice>>,
    /// What becomes of Velero's Schedules; none where no policy wants any and there are none, or where it cannot be told.
    velero: Option<Outlook>,
    /// Kinds that whoever asks may not read.
    hidden: Vec<String>,
    /// Objects that make no sense.
    unreadable: Vec<String>,
}

/// What there is, what is to be known of it, and the moment to judge it at.
struct Sight {
    survey: Survey,
    velero: Look,
    notes: Vec<String>,
    now: Timestamp,
}

impl Plan {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let Sight { survey, velero, notes, now } = Box::pin(self.look(cluster)).await?;
        for note in survey.caveats().iter().chain(&notes).chain(&velero.caveats()) {
            eprintln!("note: {note}");
        }
        let matters = velero.is_wanted() || velero.has_schedules();
        let outlook = Outlook::of(&velero, &survey.observed).filter(|_| matters);
        if let Some(show) = self.schedules {
            let wanted = (!velero.blind).then(|| velero.is_wanted());
            for note in schedules::notes(outlook.as_ref(), wanted) {
                eprintln!("note: {note}");
            }
            schedules::print_only(outlook.as_ref(), show);
            return Ok(());
        }
        let regime = Regime::of(&survey.observed);
        let volumes = survey.judge(now, &regime);
        let mass = match self.scope.namespace {
            None => mass_deletions(now, regime.allowed(), &volumes),
            // Of a part nobody can tell how much it is of the whole.
            Some(_) => BTreeMap::new(),
        };
        let wanted = in_order(&survey.setbacks(), &volumes);
        let whys = wanted.iter().map(|(verdict, action)| why(now, verdict, action, &mass)).collect();
        let actions = wanted.into_iter().map(|(_, action)| action.clone()).collect();
        let policies = meanings(&survey.observed);
        let policy_notices = match self.scope.namespace {
            None => notices::computed(&survey.observed, regime.limit, &mass),
            Some(_) => notices::reported(&survey.observed),
        };
        let capacity = Capacity::of(&volumes);
        let max_snapshots = regime.allowed();
        let Survey { hidden, unreadable, .. } = survey;
        let report = Report {
            now,
            actions,
            whys,
            volumes,
            capacity,
            max_snapshots,
            policies,
            policy_notices,
            velero: outlook,
            hidden,
            unreadable,
        };
        self.output.print(&report, |report| self.print(report))
    }

    async fn look(&self, cluster: &Cluster) -> anyhow::Result<Sight> {
        if self.files.is_empty() { self.ask(cluster).await } else { self.read() }
    }

    async fn ask(&self, cluster: &Cluster) -> anyhow::Result<Sight> {
        let Connection { client, clock } = cluster.connect(Purpose::Calls).await?;
        let namespace = self.scope.namespace.as_deref();
        let survey = Box::pin(Survey::take(&client, namespace)).await?;
        let mut velero = Look::take(&client, &self.velero.said(), &survey).await?;
        if let Some(namespace) = namespace {
            velero.narrow(namespace);
            if survey.observed.snapshots.is_empty()
                && velero.sight.schedules.seen().is_none_or(<[_]>::is_empty)
            {
                survey.require(namespace)?;
            }
        }
        let untold = velero.take_backups_of_gone(&client, &survey.observed).await.err();
        let notes = untold.map(|error| format!("{error:#}")).into_iter().collect();
        // As the controller sees it: by the clock that the answers have told.
        Ok(Sight { survey, velero, notes, now: clock.now() })
    }

    fn read(&self) -> anyhow::Result<Sight> {
        let namespace = self.scope.namespace.as_deref();
        let now = Timestamp::now();
        let now = self.now.map_or(now, |moment| moment.seen_from(now));
        let place = Place { namespace: namespace.unwrap_or("default").to_owned(), now };
        let (mut survey, mut notes) = Survey::of_manifests(files::read(&self.files)?, &place);
        if let Some(namespace) = namespace {
            survey.narrow(namespace);
        }
        let (mut velero, note) = Look::of_manifests(&self.velero.said(), &survey);
        if let Some(namespace) = namespace {
            velero.narrow(namespace);
        }
        notes.extend(note);
        if velero.is_wanted() && survey.schedules.is_empty() {
            notes.push(schedules::NONE_GIVEN.to_owned());
        }
        Ok(Sight { survey, velero, notes, now })
    }

    fn print(&self, report: &Report) {
        self.print_snapshots(report);
        if let Some(outlook) = &report.velero {
            schedules::print(outlook);
        }
    }

    fn print_snapshots(&self, report: &Report) {
        if !self.files.is_empty() {
            policies::print(&report.policies);
        }
        if report.volumes.is_empty() {
            print_trouble(report);
            println!("No workspace volumes found.");
            return;
        }
        print_volumes(report);
        println!();
        print_trouble(report);
        if report.capacity.volumes > 0 {
            println!("{}\n", capacity::told(&report.capacity, report.max_snapshots));
        }
        if report.actions.is_empty() {
            println!("Nothing to do now.");
            return;
        }
        print_actions(report);
        println!();
        let shared = if self.scope.namespace.is_some() { ", shared with all other namespaces" } else { "" };
        println!(
            "In this order, at the controller's pace: {:.1} snapshots a minute for these volumes{shared}, or its \
             --snapshots-per-minute-at-least if that is more; and of a CSI driver no more at once than its \
             --snapshots-in-flight.",
            report.capacity.per_minute
        );
    }
}

/// Why something is wanted, for a person, and whether it waits for one.
fn why(now: Timestamp, verdict: &Verdict, action: &Action, mass: &BTreeMap<String, MassDeletion>) -> String {
    let waits = is_of_mass(action) && verdict.policy.as_ref().is_some_and(|policy| mass.contains_key(policy));
    let waits = if waits { format!("; waits: {}", Reason::MassDeletion) } else { String::new() };
    let why = match action {
        Action::TakeSnapshot(take) => format!("not covered since {} ago", age(now, take.exposed_since)),
        Action::Mark(mark) => match &mark.note {
            Note::SandboxGone(_) => "its sandbox is gone".to_owned(),
            Note::HideFromAgentTier => "AgentTier's sweep would delete it".to_owned(),
            Note::NoLongerAtRest => "no longer at rest".to_owned(),
            Note::RetentionChanged { .. } => "another retention is in force by now".to_owned(),
        },
        Action::Prune(prune) => {
            let fate = verdict.points.iter().find(|point| point.name == prune.name).map(|point| &point.fate);
            match fate {
                Some(Fate::Prune { reason, keeper: Some(keeper) }) => {
                    format!("{reason}; {} is newer", keeper.name)
                }
                _ => prune.reason.to_string(),
            }
        }
    };
    why + &waits
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
            protection(verdict),
            newest.map_or_else(|| "-".into(), |newest| age(report.now, newest)),
            kept(verdict).to_string(),
            next(verdict),
        ]);
    }
    println!("{}", volumes.trim_fmt());
}

/// How a volume stands. One that has not changed is protected whatever its newest point's age is.
fn protection(verdict: &Verdict) -> String {
    match verdict.protection {
        Protection::Protected { .. } if verdict.unchanged => format!("{} (unchanged)", verdict.protection),
        _ => verdict.protection.to_string(),
    }
}

/// Recovery points that can be restored from, and stay.
fn kept(verdict: &Verdict) -> usize {
    let stays = verdict.points.iter().filter(|point| {
        let goes = matches!(point.fate, Fate::Prune { .. }) || point.terminating;
        point.ours && point.readiness == Readiness::Ready && !goes
    });
    stays.count()
}

/// What somebody should know of, and what fails, in the words of the API server or the storage.
fn print_trouble(report: &Report) {
    let mut lines = Vec::new();
    for (policy, notices) in &report.policy_notices {
        lines.extend(
            notices.iter().map(|notice| format!("policy {policy}: {}: {}", notice.reason, notice.message)),
        );
    }
    for verdict in &report.volumes {
        let volume = format!("{}/{}", verdict.volume.namespace, verdict.volume.claim);
        lines.extend(
            verdict.notices.iter().map(|notice| format!("{volume}: {}: {}", notice.reason, notice.message)),
        );
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
