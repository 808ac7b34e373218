//! The promises over volumes at any point of their lives: in use, switched, gone, going; under policies that changed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use agenttier_backup_plan::{
    Action, ClaimPhase, FAILED_AFTER, Governance, Keep, Note, Ownership, RecoveryPoint, Safety, Spent,
    Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::world::{NOW, wanted_prunes, wanted_snapshot};
use crate::worlds::{World, worlds};

/// How often the rules below had something to say.
#[derive(Debug, Default)]
struct Coverage {
    worlds: u32,
    deleting: u32,
    with_pins: u32,
    with_a_changed_policy: u32,
    gone: u32,
    deleting_of_gone: u32,
    switched: u32,
    beside_agenttier: u32,
    thinned_out: u32,
    shortened: u32,
    taking: u32,
    marking: u32,
    hiding: u32,
}

impl Coverage {
    fn count(&mut self, world: &World, verdict: &Verdict) {
        let World { governance, volume, .. } = world;
        let prunes = wanted_prunes(verdict);
        let is_gone = volume.phase == ClaimPhase::Gone && volume.switched_to.is_none();
        let changed = |policy: &agenttier_backup_plan::Policy| {
            volume
                .points
                .iter()
                .any(|point| point.retention.is_some_and(|carried| carried != policy.retention))
        };
        let keeps = |keep: fn(&Keep) -> bool| {
            verdict
                .points
                .iter()
                .any(|point| matches!(&point.fate, agenttier_backup_plan::Fate::Keep(kept) if keep(kept)))
        };
        let notes = |note: fn(&Note) -> bool| {
            verdict.wants.iter().any(|action| matches!(action, Action::Mark(mark) if note(&mark.note)))
        };
        self.worlds += 1;
        self.deleting += u32::from(!prunes.is_empty());
        self.with_pins += u32::from(volume.points.iter().any(|point| point.pinned));
        self.with_a_changed_policy +=
            u32::from(matches!(governance, Governance::By(policy) if changed(policy)));
        self.gone += u32::from(is_gone);
        self.deleting_of_gone += u32::from(is_gone && !prunes.is_empty());
        self.switched += u32::from(volume.switched_to.is_some());
        self.beside_agenttier += u32::from(volume.agenttier_loop.sweeps());
        self.thinned_out += u32::from(prunes.iter().any(|prune| prune.reason == Spent::ThinnedOut));
        self.shortened += u32::from(keeps(|keep| matches!(keep, Keep::RetentionShortened { .. })));
        self.taking += u32::from(wanted_snapshot(verdict).is_some());
        self.marking += u32::from(notes(|note| matches!(note, Note::SandboxGone(_))));
        self.hiding += u32::from(notes(|note| *note == Note::HideFromAgentTier));
    }

    fn is_fair(&self) -> bool {
        let percent = |count: u32| 100 * count / self.worlds;
        percent(self.deleting) >= 20
            && percent(self.with_pins) >= 10
            && percent(self.with_a_changed_policy) >= 10
            && percent(self.gone) >= 10
            && percent(self.deleting_of_gone) >= 3
            && percent(self.switched) >= 5
            && percent(self.beside_agenttier) >= 10
            && percent(self.thinned_out) >= 1
            && percent(self.shortened) >= 5
            && percent(self.taking) >= 10
            && percent(self.marking) >= 2
            && percent(self.hiding) >= 5
    }
}

fn order(point: &RecoveryPoint) -> (jiff::Timestamp, &str) {
    (point.created, &point.name)
}

/// Promises 2 and 7.
fn breaks_no_promise(world: &World, verdict: &Verdict) -> Result<(), TestCaseError> {
    let World { governance, volume, .. } = world;
    let prunes = wanted_prunes(verdict);
    if prunes.is_empty() {
        return Ok(());
    }
    let Governance::By(policy) = governance else { panic!("nobody's policy deletes: {verdict:?}") };
    let good: Vec<_> = volume
        .points
        .iter()
        .filter(|point| point.ready && !point.terminating() && point.is_ours_of(&volume.uid))
        .collect();
    let newest = good.iter().max_by_key(|point| order(point));
    let going: BTreeSet<_> = prunes.iter().map(|prune| prune.name.as_str()).collect();
    prop_assert_eq!(going.len(), prunes.len(), "none is ordered twice");
    let is_gone =
        volume.phase == ClaimPhase::Gone && volume.sandbox.is_none() && volume.switched_to.is_none();
    prop_assert!(volume.switched_to.is_none() || volume.terminating, "what was left behind is frozen");
    prop_assert!(is_gone || !matches!(volume.phase, ClaimPhase::Gone | ClaimPhase::Abandoned));
    for prune in &prunes {
        let point = volume.points.iter().find(|point| point.name == prune.name).unwrap();
        let ours = point.is_ours_of(&volume.uid);
        let adopted = point.ownership == Ownership::AgentTier && policy.adopt_agenttier;
        prop_assert!((ours || adopted && prune.reason == Spent::Adopted) && !point.terminating());
        prop_assert!(!point.pinned && point.readers.is_empty() && !point.class_retains);
        prop_assert_eq!((&prune.uid, &prune.version), (&point.uid, &point.version));
        match &prune.safety {
            Safety::Keeper(keeper) => {
                let keeper = good.iter().find(|good| good.uid == keeper.uid);
                prop_assert!(keeper.is_some_and(|keeper| !going.contains(keeper.name.as_str())));
                let newer = keeper.is_some_and(|keeper| order(keeper) > order(point));
                prop_assert!(newer || !point.ready || is_gone);
            }
            Safety::Unready => prop_assert!(!point.ready && volume.terminating),
            Safety::Gone(_) => prop_assert!(is_gone),
        }
        if is_gone {
            let since = volume.points.iter().filter(|point| point.is_ours_of(&volume.uid));
            let since = since.filter_map(|point| point.gone_since).max();
            let kept_for = NOW.duration_since(since.unwrap());
            prop_assert!(kept_for >= policy.retention.max_age, "{kept_for:#} after it was found gone");
        } else if let Some(newest) = newest {
            prop_assert!(!going.contains(newest.name.as_str()), "the newest good point");
        }
        // What is under way may yet be the only copy.
        let age = NOW.duration_since(point.created);
        prop_assert!(
            point.ready || !ours || age >= FAILED_AFTER || age >= policy.ready_timeout,
            "{} is under way",
            point.name
        );
    }
    Ok(())
}

#[test]
fn no_promise_is_broken_at_any_point_of_a_life() {
    let coverage = RefCell::new(Coverage::default());
    TestRunner::new(ProptestConfig::with_cases(4000))
        .run(&worlds(), |world| {
            let verdict = world.judge(NOW);
            coverage.borrow_mut().count(&world, &verdict);
            breaks_no_promise(&world, &verdict)
        })
        .unwrap();
    let coverage = coverage.into_inner();
    assert!(coverage.is_fair(), "{coverage:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The dual: whoever does what is wanted, and looks again when he is told to, comes to an end; what is left then is
    /// held by somebody, or the volume is one that lives.
    #[test]
    fn all_of_what_is_gone_goes_in_the_end(mut world in worlds()) {
        prop_assume!(matches!(world.governance, Governance::By(_)));
        world.volume.phase = ClaimPhase::Gone;
        (world.volume.sandbox, world.volume.switched_to) = (None, None);
        // What is being deleted is gone some day.
        world.volume.points.retain(|point| !point.terminating());
        let mut now = NOW;
        for _ in 0..300 {
            let verdict = world.judge(now);
            for action in &verdict.wants {
                let points = &mut world.volume.points;
                match action {
                    Action::Prune(prune) => points.retain(|point| point.name != prune.name),
                    Action::Mark(mark) => {
                        let point = points.iter_mut().find(|point| point.name == mark.name).unwrap();
                        match mark.note.clone() {
                            Note::SandboxGone(_) => point.gone_since = Some(now),
                            Note::HideFromAgentTier => point.looks_like_agenttiers = false,
                            Note::NoLongerAtRest => point.at_rest_since = None,
                            Note::RetentionChanged { before, retention } => {
 point.amendments = before.amended(now, retention);
}
                        }
                    }
                    Action::TakeSnapshot(take) => prop_assert!(false, "of a claim that is gone: {take:?}"),
                }
            }
            match (verdict.wants.is_empty(), verdict.wake) {
                (true, Some(wake)) => now = wake,
                (true, None) => break,
                (false, _) => {}
            }
        }
        let verdict = world.judge(now);
        prop_assert!(verdict.wants.is_empty() && verdict.wake.is_none(), "it does not end: {verdict:?}");
        for point in &world.volume.points {
            let ours = point.is_ours_of(&world.volume.uid);
            let held = point.pinned || !point.readers.is_empty() || point.class_retains;
            prop_assert!(!ours || held, "{point:?}");
        }
    }
}
