//! What becomes of Velero's Schedules, for people.

use std::io::IsTerminal as _;

use clap::ValueEnum;

use crate::cli::output::table;
use crate::schedules::{Outlook, Prospect, Step, Told};

/// How Schedules are shown by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Show {
    /// What changes, as a unified diff from the cluster's to these
    Diff,
    /// Whole, as manifests
    Yaml,
}

/// Of files that stand for a cluster.
pub(super) const NONE_GIVEN: &str = "no Schedule (schedules.velero.io) is among the files: each that is wanted shows as one to \
                                     make";

/// What an obstacle does not keep the controller from.
const MEANWHILE: &str =
    "Until then nothing of this is done, but for removing and pausing Schedules that the controller sees";

/// Where there are none, and none are to be.
const NO_SANDBOX: &str = "there is no Schedule to show: of the namespaces looked at, none that a policy with Velero selects \
                          holds a sandbox";

/// Prints what becomes of each, and what is the matter, each after an empty line.
pub(super) fn print(outlook: &Outlook) {
    if let Some(Told { reason, message }) = &outlook.obstacle {
        println!("\nVelero: {reason}: {message}. {MEANWHILE}:");
    }
    if !outlook.schedules.is_empty() {
        let mut rows = table(&["SCHEDULE", "NAMESPACE", "POLICY", "TIMES", "DO", "WHY"]);
        for prospect in &outlook.schedules {
            rows.add_row([
                prospect.name.clone(),
                prospect.backs_up.clone().unwrap_or_default(),
                prospect.policy.clone().unwrap_or_else(|| "-".into()),
                times(prospect).unwrap_or_else(|| "-".into()),
                verb(prospect.step).to_owned(),
                prospect.why.as_ref().map_or_else(|| "-".into(), told),
            ]);
        }
        println!("\n{}", rows.trim_fmt());
    }
    let mut lines: Vec<String> = Vec::new();
    if let Some(map) = &outlook.volume_policy {
        lines.push(format!("ConfigMap {}, which the Schedules name: {}", map.name, verb(map.step)));
    }
    for (policy, troubles) in &outlook.policies {
        lines.extend(troubles.iter().map(|trouble| format!("policy {policy}: {}", told(trouble))));
    }
    if lines.is_empty() && outlook.schedules.is_empty() {
        lines.push(
            "No namespace that a policy with Velero selects holds a sandbox: there are no Schedules.".into(),
        );
    }
    if !lines.is_empty() {
        println!("\n{}", lines.join("\n"));
    }
}

/// What nobody could tell from the objects alone, a sentence each: what is in the way, what is the matter, which Schedules
/// are left alone, and why there is nothing to show. `wanted` says whether a policy wants any, where that can be told.
pub(super) fn notes(outlook: Option<&Outlook>, wanted: Option<bool>) -> Vec<String> {
    let mut notes = Vec::new();
    if wanted == Some(false) {
        notes.push(
            "no BackupPolicy wants backups by Velero: spec.velero.enabled of one turns them on, or \
             optional.backup.velero.enabled in the chart's values"
                .to_owned(),
        );
    }
    let Some(Outlook { obstacle, schedules, volume_policy, policies, .. }) = outlook else {
        if wanted == Some(true) {
            notes.push("what becomes of the Schedules cannot be told".to_owned());
        }
        return notes;
    };
    notes.extend(obstacle.iter().map(|it| format!("Velero: {}. {MEANWHILE}", told(it))));
    for (policy, troubles) in policies {
        notes.extend(troubles.iter().map(|trouble| format!("policy {policy}: {}", told(trouble))));
    }
    let alone = || schedules.iter().filter(|prospect| prospect.step == Step::LeaveAlone);
    notes.extend(alone().map(|prospect| {
        let why = prospect.why.as_ref().map(|why| format!(": {}", told(why))).unwrap_or_default();
        format!("Schedule {} is left alone{why}", prospect.name)
    }));
    if schedules.is_empty() && wanted == Some(true) {
        notes.push(NO_SANDBOX.to_owned());
    }
    let kept = schedules.iter().filter(|prospect| prospect.step == Step::Keep).count();
    if kept > 0 && kept == schedules.len() && volume_policy.is_none() {
        notes.push(match kept {
            1 => "in sync: the one Schedule is as it is to be".to_owned(),
            kept => format!("in sync: all {kept} Schedules are as they are to be"),
        });
    }
    notes
}

/// Prints nothing but the objects in Velero's namespace.
pub(super) fn print_only(outlook: Option<&Outlook>, show: Show) {
    let all = outlook.into_iter().flat_map(|outlook| outlook.volume_policy.iter().chain(&outlook.schedules));
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for prospect in all {
        match show {
            Show::Yaml => print!("{}", document(prospect).unwrap_or_default()),
            Show::Diff => print!("{}", titled_diff(prospect, colours).unwrap_or_default()),
        }
    }
}

fn document(prospect: &Prospect) -> Option<String> {
    let text = serde_saphyr::to_string(prospect.manifest.as_ref()?).ok()?;
    Some(format!("---\n{text}"))
}

/// Under its name; nothing where nothing changes.
fn titled_diff(prospect: &Prospect, colours: bool) -> Option<String> {
    if prospect.diff.is_empty() {
        return None;
    }
    let why = prospect.why.as_ref().map(|why| format!(" ({})", why.reason)).unwrap_or_default();
    let title = format!("{}: {}{why}\n", prospect.name, verb(prospect.step));
    let lines = prospect.diff.lines().map(|line| if colours { coloured(line) } else { format!("{line}\n") });
    Some(title + &lines.collect::<String>())
}

fn coloured(line: &str) -> String {
    let colour = match line.get(..1) {
        Some("+") => 32,
        Some("-") => 31,
        Some("@") => 36,
        _ => return format!("{line}\n"),
    };
    format!("\u{1b}[{colour}m{line}\u{1b}[0m\n")
}

fn times(prospect: &Prospect) -> Option<String> {
    Some(prospect.manifest.as_ref()?["spec"]["schedule"].as_str()?.to_owned())
}

fn verb(step: Step) -> &'static str {
    match step {
        Step::Make => "make",
        Step::Keep => "keep",
        Step::Change => "change",
        Step::Pause => "pause",
        Step::Remove => "remove",
        Step::LeaveAlone => "leave alone",
    }
}

fn told(Told { reason, message }: &Told) -> String {
    format!("{reason}: {message}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn prospect() -> Prospect {
        Prospect {
            name: "east-team-a".into(),
            backs_up: Some("team-a".into()),
            policy: Some("gold".into()),
            step: Step::Change,
            why: None,
            manifest: Some(json!({ "kind": "Schedule", "spec": { "schedule": "@daily" } })),
            diff: "--- cluster\n+++ plan\n@@ -1 +1 @@\n-a\n+b\n c\n".into(),
        }
    }

    fn outlook(schedules: Vec<Prospect>) -> Outlook {
        Outlook {
            cluster: "east".into(),
            namespace: "velero".into(),
            obstacle: None,
            schedules,
            volume_policy: None,
            policies: BTreeMap::new(),
        }
    }

    fn as_told(reason: &str, message: &str) -> Told {
        Told { reason: reason.into(), message: message.into() }
    }

    /// A diff or a manifest says nothing of what is not written, and an empty one nothing at all.
    #[test]
    fn what_the_objects_do_not_say_is_noted() {
        let none = |wanted| notes(None, wanted);
        assert!(none(Some(false))[0].contains("spec.velero.enabled"), "how to turn it on");
        assert_eq!(none(Some(true)), ["what becomes of the Schedules cannot be told"]);
        assert_eq!(none(None), [""; 0], "the rights that are missing are told of by themselves");
        assert_eq!(notes(Some(&outlook(vec![])), Some(true)), [NO_SANDBOX]);

        let at = |step| Prospect { step, diff: String::new(), ..prospect() };
        assert_eq!(notes(Some(&outlook(vec![prospect()])), Some(true)), [""; 0], "the diff says it all");
        let kept = outlook(vec![at(Step::Keep), at(Step::Keep)]);
        assert_eq!(notes(Some(&kept), Some(true)), ["in sync: all 2 Schedules are as they are to be"]);
        let map = Outlook { volume_policy: Some(at(Step::Make)), ..kept.clone() };
        assert_eq!(notes(Some(&map), Some(true)), [""; 0]);

        let why = Some(as_told("ScheduleTaken", "it is not ours"));
        let alone = Outlook {
            obstacle: Some(as_told("VeleroServerMissing", "there is none")),
            policies: BTreeMap::from([(
                "gold".to_owned(),
                vec![as_told("LocationMissing", "there is no store")],
            )]),
            ..outlook(vec![at(Step::Keep), Prospect { why, ..at(Step::LeaveAlone) }])
        };
        assert_eq!(
            notes(Some(&alone), Some(true)),
            [
                "Velero: VeleroServerMissing: there is none. Until then nothing of this is done, but for removing and \
                 pausing Schedules that the controller sees",
                "policy gold: LocationMissing: there is no store",
                "Schedule east-team-a is left alone: ScheduleTaken: it is not ours",
            ]
        );
    }

    #[test]
    fn a_diff_has_colours_on_a_terminal_alone() {
        let plain = titled_diff(&prospect(), false).expect("something changes");
        assert_eq!(plain, "east-team-a: change\n--- cluster\n+++ plan\n@@ -1 +1 @@\n-a\n+b\n c\n");
        let coloured = titled_diff(&prospect(), true).expect("something changes");
        assert!(coloured.contains("\u{1b}[31m-a\u{1b}[0m\n\u{1b}[32m+b\u{1b}[0m\n c\n"), "{coloured:?}");
        assert_eq!(titled_diff(&Prospect { diff: String::new(), ..prospect() }, false), None);
    }

    #[test]
    fn whole_ones_can_be_applied() {
        let text = document(&prospect()).expect("it is to be");
        assert_eq!(text, "---\nkind: Schedule\nspec:\n  schedule: \"@daily\"\n");
        assert_eq!(document(&Prospect { manifest: None, ..prospect() }), None);
    }
}
