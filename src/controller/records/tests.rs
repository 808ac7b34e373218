use agenttier_backup_plan::{COLLECTED_AFTER, Protection, Reason, Setback, VolumeId, VolumeUid};
use serde_json::{Value, json};

use super::*;
use crate::observe::{Holding, Library};

const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn id(claim: &str) -> VolumeId {
    VolumeId { namespace: "n".into(), claim: claim.into(), uid: VolumeUid::new(claim) }
}

/// A volume of sandbox `s1` that takes part in snapshots.
fn verdict(claim: &str) -> Verdict {
    let interval = agenttier_backup_plan::Interval::new(SignedDuration::from_hours(1));
    Verdict {
        sandbox: Some("s1".into()),
        interval: Some(interval.expect("an hour is one")),
        ..Verdict::of(id(claim), Protection::Awaited { by: NOW, reason: Reason::WaitingForTurn })
    }
}

/// The cluster with sandbox `s1`, changed, and no records.
fn observed(change: impl FnOnce(&mut Value)) -> Observed {
    let mut sandbox = json!({
        "metadata": { "namespace": "n", "name": "s1", "uid": "u1" },
        "status": { "phase": "Running", "pvcName": "s1-workspace" },
    });
    change(&mut sandbox);
    let sandbox: Sandbox = serde_json::from_value(sandbox).expect("a sandbox");
    let library = Library {
        records: Holding::Seen(vec![]),
        templates: Holding::Seen(vec![]),
        cluster_templates: Holding::Seen(vec![]),
    };
    Observed { sandboxes: vec![sandbox.into()], library, ..Observed::default() }
}

fn seen(records: &mut Records, now: Timestamp) -> Sighting {
    records.see(now, &observed(|_| {}), &[verdict("s1-workspace")])
}

fn record(name: &str, age: SignedDuration) -> RecordSight {
    RecordSight {
        namespace: "n".into(),
        name: name.into(),
        uid: name.into(),
        version: "1".into(),
        created: NOW - age,
        ours: true,
        terminating: false,
    }
}

fn key(name: &str) -> RecordKey {
    ("n".into(), name.into())
}

#[test]
fn a_sandbox_without_a_record_misses_one_until_it_is_made() {
    let mut records = Records::default();
    let sighting = seen(&mut records, NOW);
    let [missing] = &sighting.missing[..] else { panic!("{:?}", sighting.missing) };
    assert_eq!((missing.uid.as_str(), &missing.volume), ("u1", &id("s1-workspace")));
    assert!(sighting.whole && sighting.in_use.contains(&missing.record()), "it is what the sandbox is now");

    records.made.insert(missing.record(), NOW);
    let sighting = seen(&mut records, NOW + seconds(59));
    assert!(sighting.missing.is_empty(), "no watch shows it yet, but it was made");
    assert_eq!(sighting.well, [VolumeUid::new("s1-workspace")]);
    assert_eq!(seen(&mut records, NOW + seconds(60)).missing.len(), 1, "no watch has confirmed it");
}

#[test]
fn nothing_is_missed_by_what_takes_no_part_or_is_going_and_all_of_it_is_in_use() {
    let missing = |change: fn(&mut Value), verdicts: &[Verdict]| {
        let sighting = Records::default().see(NOW, &observed(change), verdicts);
        assert_eq!(sighting.in_use.len(), 1);
        sighting.missing.len()
    };
    assert_eq!(missing(|_| {}, &[verdict("s1-workspace")]), 1);
    assert_eq!(missing(|_| {}, &[]), 0);
    assert_eq!(missing(|_| {}, &[Verdict { interval: None, ..verdict("s1-workspace") }]), 0);
    let leaving = |sandbox: &mut Value| {
        sandbox["metadata"]["deletionTimestamp"] = json!("2023-11-14T00:00:00Z");
    };
    assert_eq!(missing(leaving, &[verdict("s1-workspace")]), 0);
}

/// It was switched: what it left behind is still saved under its name.
#[test]
fn the_volume_that_is_used_now_speaks_for_the_sandbox() {
    let sighting =
        Records::default().see(NOW, &observed(|_| {}), &[verdict("left-behind"), verdict("s1-workspace")]);
    assert_eq!(sighting.missing[0].volume, id("s1-workspace"));
}

#[test]
fn before_the_watches_have_shown_everything_nothing_is_said() {
    let mut observed = observed(|_| {});
    observed.library.templates = Holding::Unseen;
    let sighting = Records::default().see(NOW, &observed, &[verdict("s1-workspace")]);
    assert!(sighting.missing.is_empty() && !sighting.whole);
}

#[test]
fn one_that_is_too_large_is_not_tried() {
    let large = |sandbox: &mut Value| sandbox["spec"] = json!({ "env": "x".repeat(70_000) });
    let sighting = Records::default().see(NOW, &observed(large), &[verdict("s1-workspace")]);
    assert!(sighting.missing.is_empty() && sighting.too_large[0].1 > 70_000);
}

#[test]
fn what_has_just_failed_waits_and_says_until_when() {
    let held = |until| {
        let setback = Setback::new(Reason::Forbidden, String::new(), NOW, until);
        HeldBack::from([((VolumeUid::new("s1-workspace"), ActionKind::Record), setback)])
    };
    let later = NOW + seconds(30);
    for (records, held, until) in [
        (Records::default(), HeldBack::new(), NOW),
        (Records::default(), held(later), later),
        (Records::default(), held(NOW), NOW),
        (Records { quiet_until: Some(later), ..Records::default() }, HeldBack::new(), later),
        (
            Records { changed: [("u1".to_owned(), later)].into(), ..Records::default() },
            HeldBack::new(),
            later,
        ),
    ] {
        let mut records = records;
        let mut sighting = seen(&mut records, NOW);
        assert_eq!(records.wake(NOW, &sighting, &held), Some(until), "{records:?}");
        let taken = records.take(NOW, &mut sighting, &held, |_| true).len();
        assert_eq!(
            (taken, sighting.missing.len()),
            if until == NOW { (1, 0) } else { (0, 1) },
            "{records:?}"
        );
    }
}

#[test]
fn others_than_those_that_are_wanted_are_left_for_the_end_of_the_pass() {
    let mut records = Records::default();
    let mut sighting = seen(&mut records, NOW);
    assert!(records.take(NOW, &mut sighting, &HeldBack::new(), |subject| subject.uid == "u2").is_empty());
    assert_eq!(sighting.missing.len(), 1);
}

#[test]
fn what_was_removed_is_not_there_though_a_watch_shows_it_and_a_namespace_is_left_alone_for_a_while() {
    let mut records = Records::default();
    let sighting =
        Sighting { records: vec![record("old", COLLECTED_AFTER)], whole: true, ..Sighting::default() };
    assert_eq!(records.due(NOW, &sighting), sighting.records);
    assert_eq!(records.lay_over(NOW, &sighting.records), BTreeSet::from([key("old")]));

    records.gone.insert(key("old"), NOW);
    assert_eq!(records.lay_over(NOW, &sighting.records), BTreeSet::new());
    assert!(records.due(NOW, &sighting).is_empty());
    records.lay_over(NOW + FORGET_AFTER, &sighting.records);
    assert_eq!(records.due(NOW, &sighting), sighting.records, "no watch has confirmed it: it is tried again");

    let again = NOW + COLLECT_EVERY;
    records.collect_again.insert("n".into(), again);
    assert!(records.due(NOW, &sighting).is_empty());
    assert_eq!(records.wake(NOW, &sighting, &HeldBack::new()), Some(again));
    let hidden = Sighting { whole: false, ..sighting };
    assert_eq!(records.wake(NOW, &hidden, &HeldBack::new()), None, "what nobody needs cannot be told");
}
