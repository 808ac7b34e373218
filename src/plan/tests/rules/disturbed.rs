//! What a volume that was at rest, or a sandbox that was gone, is no longer.

use agenttier_backup_plan::{
    Action, AgentTierLoop, ClaimPhase, Fate, Keep, Note, Ownership, Policy, Protection, RecoveryPoint,
    Surroundings, Verdict, Volume,
};

use crate::world::*;

/// Stopped, with a point at rest in the slot before this one.
fn resting() -> Volume {
    let volume = Volume { sandbox: Some(sandbox("s1", "Stopped")), ..volume("s1") };
    let mut point = ready(&volume, "at-rest", NOW - hours(20));
    point.at_rest_since = Some(NOW - hours(48));
    with(volume, [point])
}

fn disturbed(verdict: &Verdict) -> Vec<&str> {
    let marks = verdict.wants.iter().filter_map(|action| match action {
        Action::Mark(mark) if mark.note == Note::NoLongerAtRest => Some(mark.name.as_str()),
        _ => None,
    });
    marks.collect()
}

/// A maintenance pod may come and go between two slots: the point is told so while it is seen.
#[test]
fn a_point_at_rest_is_told_once_something_can_write() {
    let calm = judge(NOW, &policy(), &resting());
    assert!(calm.unchanged && calm.wants.is_empty(), "{calm:?}");
    let mut resumed = resting();
    resumed.sandbox = Some(sandbox("s1", "Creating"));
    let mut run_since = resting();
    run_since.sandbox.as_mut().unwrap().last_activity = Some(NOW - hours(1));
    for volume in [Volume { attached: true, ..resting() }, resumed, run_since] {
        let verdict = judge(NOW, &policy(), &volume);
        assert_eq!((disturbed(&verdict), verdict.unchanged), (vec!["at-rest"], false), "{volume:?}");
        let mut told = volume.clone();
        told.points[0].at_rest_since = None;
        assert_eq!(disturbed(&judge(NOW, &policy(), &told)), [""; 0], "once");
    }
}

#[test]
fn what_cannot_be_known_is_not_taken_for_unchanged() {
    let held = agenttier_backup_plan::HeldBack::new();
    let around = Surroundings { rest_in_doubt: true, ..Surroundings::of(&held) };
    let volume = Volume { attached: true, ..resting() };
    let governance = agenttier_backup_plan::Governance::By(policy());
    let verdict = agenttier_backup_plan::decide(NOW, &governance, &volume, &around);
    assert!(!verdict.unchanged && wanted_snapshot(&verdict).is_some());
    assert_eq!(disturbed(&verdict), [""; 0], "but nothing is concluded either");
    let verdict = agenttier_backup_plan::decide(NOW, &governance, &resting(), &around);
    assert_eq!(wanted_snapshot(&verdict).unwrap().at_rest_since, None, "not even of the next one");
}

#[test]
fn a_note_from_before_the_newest_point_says_nothing() {
    let volume = Volume { phase: ClaimPhase::Gone, ..volume("s1") };
    let mut old = ready(&volume, "old", NOW - hours(24 * 40));
    old.gone_since = Some(NOW - hours(24 * 39));
    let new = ready(&volume, "new", NOW - hours(2));
    let verdict = judge(NOW, &policy(), &with(volume, [old, new]));
    assert_eq!(*fate(&verdict, "old"), Fate::Keep(Keep::VolumeGone));
    let [Action::Mark(mark)] = &verdict.wants[..] else { panic!("it is noted anew: {verdict:?}") };
    assert_eq!(mark.name, "new");
}

/// AgentTier knows a claim by its name: what is older than this one is of an earlier one.
#[test]
fn agenttiers_snapshots_of_an_earlier_namesake_are_neither_adopted_nor_counted() {
    let adopting = Policy { adopt_agenttier: true, ..policy() };
    let young = Volume { created: NOW - hours(20), ..volume("s1") };
    let mut of_before = ready(&young, "agenttiers", NOW - hours(24 * 30));
    of_before.ownership = Ownership::AgentTier;
    let own = ready(&young, "own", NOW - hours(1));
    let verdict = judge(NOW, &adopting, &with(young.clone(), [of_before.clone(), own]));
    assert_eq!(*fate(&verdict, "agenttiers"), Fate::Keep(Keep::AgentTiers));
    // Of the volume's own first second it is the volume's: Kubernetes counts no finer.
    let (old, created) = (Volume { created: NOW - hours(24 * 60), ..young.clone() }, NOW - hours(24 * 60));
    let of_old = RecoveryPoint { created, cut: Some(created), ..of_before.clone() };
    let own = ready(&old, "own", NOW - hours(1));
    let verdict = judge(NOW, &adopting, &with(old, [of_old, own]));
    assert!(matches!(fate(&verdict, "agenttiers"), Fate::Prune { .. }), "{:?}", fate(&verdict, "agenttiers"));
    let covered = Volume { agenttier_loop: AgentTierLoop::Covers, created: NOW - minutes(30), ..young };
    of_before.created = NOW - hours(2);
    of_before.cut = Some(of_before.created);
    let verdict = judge(NOW, &policy(), &with(covered, [of_before]));
    assert!(matches!(verdict.protection, Protection::Awaited { .. }), "{verdict:?}");
}

/// An override that cannot be seen may ask to keep more.
#[test]
fn while_its_owner_cannot_be_seen_nothing_is_pruned() {
    let points = |volume: &Volume| [1, 900].map(|age| ready(volume, &age.to_string(), NOW - hours(age)));
    let seen = with(volume("s1"), points(&volume("s1")));
    assert_eq!(wanted_prunes(&judge(NOW, &policy(), &seen)).len(), 1);
    let unseen = Volume { owner_unseen: true, ..seen };
    let verdict = judge(NOW, &policy(), &unseen);
    assert_eq!(*fate(&verdict, "900"), Fate::Keep(Keep::PruningHeld));
}
