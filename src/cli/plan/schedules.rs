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

/// Prints what becomes of each, and what is the matter, each after an empty line.
pub(super) fn print(outlook: &Outlook) {
    if let Some(Told { reason, message }) = &outlook.obstacle {
        println!("\nVelero: {reason}: {message}. Until then nothing of this is done:");
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
