use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::{
    ActionKind, Admission, Fate, Judged, Keep, Pacer, Protection, Readiness, Reason, Suspension, VolumeUid,
    Waiting,
};
use jiff::{SignedDuration, Timestamp};

use super::super::verdict_fixture::verdict;
use super::*;
use crate::observe::Invalid;
use crate::schedules::{Finding, Findings, LocationTrouble, Obstacle, State};

fn point(name: &str, readiness: Readiness) -> Judged {
    Judged {
        name: name.into(),
        taken_at: Timestamp::UNIX_EPOCH,
        readiness,
        error: None,
        ours: true,
        policy: None,
        terminating: false,
        stuck: false,
        fate: Fate::Keep(Keep::Newest),
    }
}

fn admission() -> Admission {
    let waiting = |kind, reason| Waiting { volume: VolumeUid::new("a"), kind, reason };
    Admission {
        actions: vec![],
        pacer: Pacer::new(),
        waiting: vec![
            waiting(ActionKind::Prune, Reason::CacheStale),
            waiting(ActionKind::Prune, Reason::CacheStale),
            waiting(ActionKind::TakeSnapshot, Reason::Paced),
        ],
        wake: None,
        per_minute: 1.25,
        mass: BTreeMap::new(),
    }
}

/// Metrics of which every one has a value.
fn metrics() -> Metrics {
    let metrics = Metrics::new(ServerClock::default());
    let now = Timestamp::now();
    let hours = |hours| now - SignedDuration::from_hours(hours);
    let protected = |claim, age| verdict(claim, Some("gold"), Protection::Protected { newest: hours(age) });
    let mut a = protected("a", 1);
    let terminating = Judged { terminating: true, ..point("leaving", Readiness::Ready) };
    let foreign = Judged { ours: false, ..point("clone", Readiness::Ready) };
    a.points = vec![point("1", Readiness::Ready), point("2", Readiness::Slow), terminating, foreign];
    let verdicts = [
        a,
        protected("b", 3),
        verdict("c", Some("gold"), Protection::Awaited { by: now, reason: Reason::Paced }),
        verdict(
            "d",
            Some("gold"),
            Protection::Retired { newest: Some(hours(99)), reason: Reason::ClaimGone },
        ),
        verdict("e", None, Protection::Unprotected { reason: Reason::NoPolicy }),
    ];
    let suspended = [Suspension::StaleCache { kind: "namespaces".into(), cause: "forbidden".into() }];
    metrics.term_begins();
    metrics.created();
    metrics.created();
    metrics.pruned();
    metrics.failed(ActionKind::TakeSnapshot, "QuotaExceeded");
    metrics.passed(
        now,
        Duration::from_millis(70),
        Figures::of(&verdicts, &admission(), &suspended, &velero()),
    );
    metrics
}

/// Four namespaces, one of them gone, and how their backups stand.
fn velero() -> Findings {
    let found = |namespace: &str, state, trouble: Option<&str>, hours_ago: Option<i64>| Finding {
        namespace: namespace.into(),
        schedule: format!("east-{namespace}"),
        policy: "gold".into(),
        state,
        trouble: trouble.map(|reason| (reason.to_owned(), String::new())),
        scheduled: true,
        last_success: hours_ago.map(|ago| Timestamp::now() - SignedDuration::from_hours(ago)),
        took: Some(SignedDuration::from_mins(30)),
        period: Some(SignedDuration::from_hours(1)),
        held: None,
        incidents: vec![],
    };
    let invalid = Invalid { field: "spec.velero.cron", problem: "x".into() };
    Findings {
        namespaces: vec![
            found("a", State::BackedUp, None, Some(2)),
            found("b", State::Failing, Some("BackupMissed"), Some(30)),
            found("c", State::Awaited, None, None),
            Finding { period: None, ..found("gone", State::Paused, Some("NamespaceGone"), Some(700)) },
        ],
        locations: BTreeMap::from([("gold".to_owned(), LocationTrouble::LocationReadOnly("s3".into()))]),
        unrenderable: BTreeMap::from([("silver".to_owned(), "not a list".to_owned())]),
        invalid: ["bronze", "asleep"].map(|policy| (policy.to_owned(), invalid.clone())).into(),
        suspended: BTreeSet::from(["asleep".to_owned()]),
        volume_policy: Some("no right".into()),
        without_csi: true,
        unread: Some(Obstacle::VeleroForbidden("backups.velero.io".into())),
        at_once: 2,
        ..Findings::default()
    }
}

/// What a gauge of the policy gold says.
fn seconds(text: &str, gauge: &str) -> f64 {
    let prefix = format!("{gauge}{{policy=\"gold\"}} ");
    let told = text.lines().find_map(|line| line.strip_prefix(&prefix)).expect("it is told");
    told.parse().expect("a number")
}

#[test]
fn layer_2_is_counted_by_namespace() {
    let text = metrics().text();
    for line in [
        r#"velero_namespaces{policy="gold",state="BackedUp",reason=""} 1.0"#,
        r#"velero_namespaces{policy="gold",state="Failing",reason="BackupMissed"} 1.0"#,
        r#"velero_namespaces{policy="gold",state="Awaited",reason=""} 1.0"#,
        r#"velero_namespaces{policy="gold",state="Paused",reason="NamespaceGone"} 1.0"#,
        r#"velero_policy_trouble{policy="gold",reason="LocationReadOnly"} 1.0"#,
        r#"velero_policy_trouble{policy="gold",reason="VolumePolicyRefused"} 1.0"#,
        r#"velero_policy_trouble{policy="gold",reason="VeleroWithoutCsi"} 1.0"#,
        r#"velero_policy_trouble{policy="gold",reason="VeleroForbidden"} 1.0"#,
        r#"velero_policy_trouble{policy="silver",reason="TemplateInvalid"} 1.0"#,
        r#"velero_policy_trouble{policy="bronze",reason="InvalidSpec"} 1.0"#,
        // Three times half of each hour, two at a time.
        "velero_queue_load_ratio 0.75",
    ] {
        let line = format!("agenttier_backup_{line}");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    let age = seconds(&text, "agenttier_backup_oldest_newest_velero_backup_age_seconds");
    assert!((108_000.0..108_060.0).contains(&age), "that of b, 30 h, and not of the one that is gone: {age}");
    assert!(!text.contains("velero_unusable{"), "{text}");
    assert!(!text.contains("asleep"), "it is suspended: {text}");
}

#[test]
fn the_figures_are_those_of_the_verdicts() {
    let text = metrics().text();
    for line in [
        r#"volumes{policy="gold",protection="Protected",reason=""} 2.0"#,
        r#"volumes{policy="gold",protection="Awaited",reason="Paced"} 1.0"#,
        r#"volumes{policy="gold",protection="Retired",reason="ClaimGone"} 1.0"#,
        r#"volumes{policy="",protection="Unprotected",reason="NoPolicy"} 1.0"#,
        r#"recovery_points{policy="gold",readiness="Ready"} 1.0"#,
        r#"recovery_points{policy="gold",readiness="Slow"} 1.0"#,
        r#"orders_wanted{action="Prune"} 0.0"#,
        r#"orders_waiting{action="Prune",reason="CacheStale"} 2.0"#,
        r#"orders_waiting{action="TakeSnapshot",reason="Paced"} 1.0"#,
        r#"deletions_suspended{reason="CacheStale"} 1.0"#,
        r#"deletions_suspended{reason="ClockSkew"} 0.0"#,
        "snapshots_per_minute_allowed 1.25",
        "snapshots_created_total 2",
        "snapshots_pruned_total 1",
        r#"orders_failed_total{action="TakeSnapshot",reason="QuotaExceeded"} 1"#,
        "leader 1.0",
        r#"pass_duration_seconds_bucket{le="0.1"} 1"#,
        r#"pass_duration_seconds_bucket{le="0.05"} 0"#,
    ] {
        let line = format!("agenttier_backup_{line}\n");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    let age = seconds(&text, "agenttier_backup_oldest_newest_recovery_point_age_seconds");
    assert!((10_800.0..10_860.0).contains(&age), "that of b, 3 h: {age}");
}

#[test]
fn only_the_leader_counts_volumes() {
    let metrics = metrics();
    metrics.term_ends();
    let text = metrics.text();
    assert!(text.contains("agenttier_backup_leader 0.0\n"), "{text}");
    assert!(!text.contains("agenttier_backup_volumes") && !text.contains("last_pass"), "{text}");
    assert!(text.contains("agenttier_backup_snapshots_created_total 2\n"), "what it did stays done: {text}");
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_served() {
    let text = metrics().text();
    let served: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = std::fs::read_to_string(page).expect("docs/metrics.md is there");
    let mut documented = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `agenttier_backup_")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, kind, labels, ..] = cells[..] else { panic!("{row}") };
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let base = name.strip_suffix(suffix).unwrap_or_else(|| panic!("{name}: a {kind} ends in {suffix}"));
        documented.insert(base, kind);
        let labels: BTreeSet<&str> = labels.split(", ").map(|label| label.trim_matches('`')).collect();
        let labels: BTreeSet<&str> = labels.into_iter().filter(|label| !label.is_empty()).collect();
        for line in text.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
            assert_eq!(labels_of(line), labels, "{line}");
        }
    }
    assert_eq!(documented, served);
    assert!(served.len() > 10, "{served:?}");
}

fn labels_of(line: &str) -> BTreeSet<&str> {
    let (_, rest) = line.split_once('{').expect("it has labels");
    let (labels, _) = rest.split_once('}').expect("they end");
    labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect()
}
