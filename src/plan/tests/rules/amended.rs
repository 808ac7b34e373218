//! Where no new point is taken, the newest one says that another retention is in force by now.

use agenttier_backup_plan::{
    Action, AgentTierLoop, Amendment, Amendments, HeldBack, Limits, Mark, Note, Overrides, Pacer, Policy,
    Reason, RecoveryPoint, Retention, SandboxRef, Suspension, Verdict, Volume, admit,
};
use jiff::{SignedDuration, Timestamp};

use crate::world::*;

const DAY: i64 = 24;

fn keeping(days: i64) -> Policy {
    Policy { retention: Retention::for_at_least(hours(DAY * days)), ..policy() }
}

fn taken(volume: &Volume, name: &str, ago: SignedDuration, days: i64) -> RecoveryPoint {
    RecoveryPoint { retention: Some(keeping(days).retention), ..ready(volume, name, NOW - ago) }
}

fn at(hours_ago: i64, days: i64) -> Amendment {
    Amendment { since: NOW - hours(hours_ago), retention: keeping(days).retention }
}

/// Points of 20, 10 and 5 days ago, taken while 30 days were promised; the last one at rest, and the Sandbox has not run
/// since.
fn at_rest() -> Volume {
    let sandbox = SandboxRef { last_activity: Some(NOW - hours(6 * DAY)), ..sandbox("v", "Stopped") };
    let volume = Volume { sandbox: Some(sandbox), ..volume("v") };
    let resting = RecoveryPoint {
        at_rest_since: Some(NOW - hours(6 * DAY)),
        ..taken(&volume, "newest", hours(5 * DAY), 30)
    };
    let older = [(20, "20d"), (10, "10d")].map(|(days, name)| taken(&volume, name, hours(DAY * days), 30));
    with(volume, older.into_iter().chain([resting]))
}

fn running(newest: SignedDuration) -> Volume {
    let volume = volume("v");
    with(volume.clone(), [taken(&volume, "old", hours(10 * DAY), 30), taken(&volume, "newest", newest, 30)])
}

/// What is to be noted now, and on which point.
fn amendments(verdict: &Verdict) -> Option<(&str, Amendments)> {
    amendments_at(NOW, verdict)
}

fn amendments_at(now: Timestamp, verdict: &Verdict) -> Option<(&str, Amendments)> {
    verdict.wants.iter().find_map(|want| match want {
        Action::Mark(Mark { name, note: Note::RetentionChanged { before, retention }, .. }) => {
            Some((name.as_str(), before.amended(now, *retention)))
        }
        _ => None,
    })
}

fn pruned(verdict: &Verdict) -> Vec<&str> {
    wanted_prunes(verdict).iter().map(|prune| prune.name.as_str()).collect()
}

fn amended(mut volume: Volume, amendments: impl IntoIterator<Item = Amendment>) -> Volume {
    volume.points.iter_mut().find(|point| point.name == "newest").unwrap().amendments =
        amendments.into_iter().collect();
    volume
}

#[test]
fn of_a_sandbox_at_rest_it_is_noted_at_once_and_a_day_later_it_counts() {
    let verdict = judge(NOW, &keeping(7), &at_rest());
    assert_eq!((verdict.unchanged, pruned(&verdict)), (true, vec![]));
    assert_eq!(amendments(&verdict), Some(("newest", [at(0, 7)].into_iter().collect())));

    let noted = amended(at_rest(), [at(0, 7)]);
    let later = |later: SignedDuration| judge(NOW + later, &keeping(7), &noted);
    assert_eq!((amendments(&later(hours(0))), pruned(&later(hours(0)))), (None, vec![]));
    assert_eq!(later(hours(0)).wake, Some(NOW + hours(DAY)));
    assert_eq!(pruned(&later(hours(DAY) - seconds(1))), [""; 0]);
    assert_eq!(pruned(&later(hours(DAY))), ["20d", "10d"]);
    assert!(
        wanted_prunes(&later(hours(DAY))).iter().all(|prune| prune.early),
        "a mass of them waits for a word"
    );
    // A longer one again applies at once, and is noted as well: it is a promise from then on.
    let longer = judge(NOW + hours(DAY), &keeping(14), &noted);
    assert_eq!(pruned(&longer), ["20d"]);
    let both = [at(0, 7), at(-DAY, 14)].into_iter().collect();
    assert_eq!(amendments_at(NOW + hours(DAY), &longer), Some(("newest", both)));
}

#[test]
fn while_the_next_point_is_to_be_expected_nothing_is_noted() {
    // Every 6 h, ready within 1 h.
    let verdict = |newest| judge(NOW, &keeping(7), &running(newest));
    let just_before = verdict(hours(7) - seconds(1));
    assert_eq!(amendments(&just_before), None);
    assert_eq!(just_before.wake, Some(NOW + seconds(1)));
    assert_eq!(amendments(&verdict(hours(7))), Some(("newest", [at(0, 7)].into_iter().collect())));
    assert!(wanted_snapshot(&verdict(hours(7))).is_some(), "and a snapshot is as due as before");
    assert_eq!(amendments(&judge(NOW, &keeping(30), &running(hours(70)))), None, "nothing has changed");
}

/// One that was noted is a promise like any other when the next one comes.
#[test]
fn each_of_them_holds_for_a_day_beyond_its_end() {
    // 30 days until 50 h ago, then 12 days; since 5 h it is a week.
    let volume = amended(at_rest(), [at(50, 12), at(5, 7)]);
    assert_eq!(pruned(&judge(NOW, &keeping(7), &volume)), ["20d"]);
    assert_eq!(pruned(&judge(NOW + hours(19) - seconds(1), &keeping(7), &volume)), ["20d"]);
    assert_eq!(pruned(&judge(NOW + hours(19), &keeping(7), &volume)), ["20d", "10d"]);
}

/// What tells stays for as long as an older one would say something else.
#[test]
fn the_last_that_tells_is_not_the_first_to_go() {
    let empty = volume("v");
    let teller = RecoveryPoint {
        amendments: [at(2 * DAY, 1)].into_iter().collect(),
        ..taken(&empty, "teller", hours(3 * DAY), 30)
    };
    let newest = taken(&empty, "newest", hours(1), 1);
    let whole =
        with(empty.clone(), [taken(&empty, "old", hours(9 * DAY), 30), teller.clone(), newest.clone()]);
    assert_eq!(pruned(&judge(NOW, &keeping(1), &whole)), ["old"]);
    assert_eq!(pruned(&judge(NOW, &keeping(1), &with(empty, [teller, newest]))), ["teller"]);
}

#[test]
fn without_a_ready_point_or_a_word_on_what_was_in_force_there_is_nothing_to_note() {
    let volume = volume("v");
    let silent = ready(&volume, "silent", NOW - hours(100));
    assert_eq!(amendments(&judge(NOW, &keeping(7), &with(volume.clone(), [silent]))), None);
    let under_way = RecoveryPoint { ready: false, ..taken(&volume, "under-way", hours(8), 30) };
    assert_eq!(amendments(&judge(NOW, &keeping(7), &with(volume, [under_way]))), None);
}

/// What an annotation that makes no sense asks for is not known.
#[test]
fn under_an_override_that_makes_no_sense_nothing_is_noted() {
    let mut volume = at_rest();
    let sandbox = volume.sandbox.as_mut().unwrap();
    sandbox.overrides = Overrides { retention: Some("?".into()), ..Overrides::default() };
    assert_eq!(amendments(&judge(NOW, &keeping(7), &volume)), None);
    let sandbox = volume.sandbox.as_mut().unwrap();
    sandbox.overrides = Overrides { retention: Some("8d".into()), ..Overrides::default() };
    assert_eq!(
        amendments(&judge(NOW, &keeping(7), &volume)),
        Some(("newest", [at(0, 8)].into_iter().collect()))
    );
}

/// Notes are written one by one: the second would fail for what the first has changed.
#[test]
fn that_it_rests_no_more_is_noted_first() {
    let mut volume = at_rest();
    volume.sandbox.as_mut().unwrap().phase = "Running".into();
    let notes: Vec<_> = judge(NOW, &keeping(7), &volume)
        .wants
        .into_iter()
        .filter_map(|want| match want {
            Action::Mark(mark) => Some(mark.note),
            _ => None,
        })
        .collect();
    assert_eq!(notes, [Note::NoLongerAtRest]);
}

/// Nobody flips a policy that often; until the first of them is a day old, the next one is not noted.
#[test]
fn of_many_changes_in_a_day_the_next_waits() {
    let many = |first: Timestamp| {
        let eight = (0..8_i64).map(|n| Amendment { since: first + minutes(n), ..at(0, 8 + n % 2) });
        judge(NOW, &keeping(7), &amended(at_rest(), eight))
    };
    let verdict = many(NOW - hours(23));
    assert_eq!((amendments(&verdict), verdict.wake), (None, Some(NOW + hours(1))));
    // What is past but for the last says nothing any more.
    let verdict = many(NOW - hours(26));
    assert_eq!(amendments(&verdict).unwrap().1.iter().count(), 2);
}

/// A day after the note a shortened retention counts. While a policy cannot be read, another one may seem to be in force.
#[test]
fn while_deletions_are_suspended_nothing_is_noted() {
    let verdicts = [judge(NOW, &keeping(7), &at_rest())];
    let written = |suspended: &[Suspension]| {
        let admission = admit(NOW, Pacer::new(), &Limits::default(), suspended, &HeldBack::new(), &verdicts);
        admission.actions.len()
    };
    assert_eq!((written(&[]), written(&[Suspension::ClockUnknown])), (1, 0));
}

/// An edit asks for a note on each of ten thousand volumes: snapshots do not wait for all of them.
#[test]
fn notes_are_written_a_few_hundred_at_a_time() {
    let verdicts = vec![judge(NOW, &keeping(7), &at_rest()); 300];
    let admission = admit(NOW, Pacer::new(), &Limits::default(), &[], &HeldBack::new(), &verdicts);
    assert_eq!((admission.actions.len(), admission.waiting.len()), (200, 100));
    assert!(admission.waiting.iter().all(|waiting| waiting.reason == Reason::Paced));
}

/// The clock was an hour ahead when the last point was taken: a note of now would be no later word.
#[test]
fn what_is_of_the_future_is_waited_for() {
    let mut volume = at_rest();
    volume.points.last_mut().unwrap().amendments = [at(-1, 14)].into_iter().collect();
    let verdict = judge(NOW, &keeping(7), &volume);
    assert_eq!((amendments(&verdict), verdict.wake), (None, Some(NOW + hours(1))));
    assert!(amendments_at(NOW + hours(1), &judge(NOW + hours(1), &keeping(7), &volume)).is_some());
}

/// The sweep may come at any time; the note can wait.
#[test]
fn that_it_is_hidden_from_agenttier_is_noted_first() {
    let mut volume = at_rest();
    volume.agenttier_loop = AgentTierLoop::Sweeps;
    let verdict = judge(NOW, &keeping(7), &volume);
    assert_eq!(amendments(&verdict), None);
    volume.points.last_mut().unwrap().looks_like_agenttiers = false;
    assert!(amendments(&judge(NOW, &keeping(7), &volume)).is_some(), "of others it does not matter");
}

#[test]
fn what_was_taken_this_very_moment_is_as_young_as_any() {
    assert_eq!(amendments(&judge(NOW, &keeping(7), &running(seconds(0)))), None);
}
