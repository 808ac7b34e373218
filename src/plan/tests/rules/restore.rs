//! A restore, step by step, and against every interleaving of its steps with AgentTier's.

use std::cell::RefCell;

use agenttier_backup_plan::restore::{
    ClaimSight, OwnPod, Refusal, SandboxSight, Sight, SnapshotSight, Start, Step, next_step,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::agenttier::{Move, OWN_CLAIM, Sandbox, World};

const CLAIM: ClaimSight =
    ClaimSight { ours: true, bound: true, lost: false, terminating: false, owned_by_sandbox: true };

fn sandbox(phase: &str) -> SandboxSight {
    SandboxSight {
        ours: true,
        phase: phase.into(),
        has_pod_name: true,
        claim: Some(OWN_CLAIM.into()),
        mounted: (phase == "Running").then(|| OWN_CLAIM.into()),
        own_pod: if phase == "Running" { OwnPod::Up } else { OwnPod::Absent },
        ..SandboxSight::default()
    }
}

fn sight(claim: impl Into<Option<ClaimSight>>, sandbox: impl Into<Option<SandboxSight>>) -> Sight {
    let snapshot = Some(SnapshotSight { usable: true });
    Sight { snapshot, claim: claim.into(), sandbox: sandbox.into(), binds_on_first_use: false }
}

fn to_run(sight: &Sight) -> Step {
    next_step(sight, OWN_CLAIM, Start::Running)
}

fn to_stay_stopped(sight: &Sight) -> Step {
    next_step(sight, OWN_CLAIM, Start::Stopped)
}

#[test]
fn the_volume_comes_first_then_the_sandbox_parked_adopted_and_started() {
    let unbound = ClaimSight { bound: false, owned_by_sandbox: false, ..CLAIM };
    let unowned = ClaimSight { owned_by_sandbox: false, ..CLAIM };
    let unseen = SandboxSight { ours: true, ..SandboxSight::default() };
    assert_eq!(to_run(&sight(None, None)), Step::CreateClaim);
    assert_eq!(to_run(&sight(unbound, None)), Step::AwaitBound);
    assert_eq!(to_run(&sight(unowned, None)), Step::CreateSandbox);
    assert_eq!(to_run(&sight(unowned, unseen)), Step::Park);
    assert_eq!(to_run(&sight(unowned, sandbox("Stopped"))), Step::Adopt);
    assert_eq!(to_run(&sight(CLAIM, sandbox("Stopped"))), Step::Start);
    assert_eq!(to_run(&sight(CLAIM, sandbox("Creating"))), Step::AwaitRunning);
    assert_eq!(to_run(&sight(CLAIM, sandbox("Running"))), Step::Done);
    assert_eq!(to_stay_stopped(&sight(unowned, sandbox("Stopped"))), Step::Adopt);
    assert_eq!(to_stay_stopped(&sight(CLAIM, sandbox("Stopped"))), Step::Done);
}

#[test]
fn a_claim_that_waits_for_its_first_user_is_not_waited_for() {
    let unbound = ClaimSight { bound: false, ..CLAIM };
    let waiting = |sandbox| Sight { binds_on_first_use: true, ..sight(unbound, sandbox) };
    assert_eq!(to_run(&waiting(None)), Step::CreateSandbox);
    assert_eq!(to_run(&waiting(Some(sandbox("Stopped")))), Step::Start);
    assert_eq!(to_run(&waiting(Some(sandbox("Running")))), Step::AwaitRunning, "not bound: not its data");
}

#[test]
fn a_sandbox_without_a_pod_name_or_on_another_volume_is_parked_before_it_starts() {
    let nameless = SandboxSight { has_pod_name: false, ..sandbox("Stopped") };
    let elsewhere = SandboxSight { claim: Some("pool-1-pvc".into()), ..sandbox("Stopped") };
    for parked in [nameless, elsewhere] {
        assert_eq!(to_run(&sight(CLAIM, parked.clone())), Step::Park, "{parked:?}");
        assert_eq!(to_stay_stopped(&sight(CLAIM, parked.clone())), Step::Park, "{parked:?}");
    }
    // AgentTier may have made a pod by now, which would run on without anybody's word of it.
    let too_quick = SandboxSight { claim: None, has_pod_name: false, ..sandbox("Creating") };
    assert_eq!(to_run(&sight(CLAIM, too_quick.clone())), Step::AwaitRunning);
    assert_eq!(to_stay_stopped(&sight(CLAIM, too_quick)), Step::AwaitRunning);
}

#[test]
fn a_pod_that_is_going_is_neither_stopped_nor_running() {
    let stopped = SandboxSight { own_pod: OwnPod::Leaving, ..sandbox("Stopped") };
    let running = SandboxSight { mounted: None, ..sandbox("Running") };
    let unowned = ClaimSight { owned_by_sandbox: false, ..CLAIM };
    assert_eq!(to_run(&sight(CLAIM, stopped.clone())), Step::AwaitStopped);
    assert_eq!(to_stay_stopped(&sight(CLAIM, stopped.clone())), Step::AwaitStopped);
    assert_eq!(
        to_stay_stopped(&sight(unowned, stopped)),
        Step::Adopt,
        "whoever resumes it then is left alone"
    );
    assert_eq!(to_run(&sight(CLAIM, running.clone())), Step::AwaitRunning);
    assert_eq!(to_stay_stopped(&sight(unowned, running)), Step::StopUnasked, "whatever its pod does");
    // AgentTier says Running for as long as the pod of a dead node is there, and takes a stop.
    let robbed = SandboxSight { claim: Some("pool-1-pvc".into()), mounted: None, ..sandbox("Running") };
    assert_eq!(to_run(&sight(CLAIM, robbed)), Step::StopRobbed);
}

#[test]
fn one_that_runs_on_another_volume_is_stopped_and_awaited() {
    let by_status = SandboxSight { claim: Some("pool-1-pvc".into()), ..sandbox("Running") };
    let by_pod = SandboxSight { mounted: Some("pool-1-pvc".into()), ..sandbox("Running") };
    for robbed in [by_status, by_pod] {
        assert_eq!(to_run(&sight(CLAIM, robbed.clone())), Step::StopRobbed);
        let stopping = SandboxSight { stopping: true, ..robbed };
        assert_eq!(to_run(&sight(CLAIM, stopping)), Step::AwaitStopped);
    }
    let booting = SandboxSight { claim: Some("pool-1-pvc".into()), ..sandbox("Creating") };
    assert_eq!(to_run(&sight(CLAIM, booting)), Step::AwaitRunning, "AgentTier stops only what runs");
}

#[test]
fn done_means_seen_to_run_on_an_owned_volume() {
    let no_pod_seen = SandboxSight { mounted: None, ..sandbox("Running") };
    assert_eq!(to_run(&sight(CLAIM, no_pod_seen)), Step::AwaitRunning);
    let unowned = ClaimSight { owned_by_sandbox: false, ..CLAIM };
    assert_eq!(to_run(&sight(unowned, sandbox("Running"))), Step::Adopt);
}

#[test]
fn one_that_agenttier_booted_before_it_was_parked_is_stopped_again_where_it_is_to_stay_stopped() {
    let unowned = ClaimSight { owned_by_sandbox: false, ..CLAIM };
    assert_eq!(to_stay_stopped(&sight(unowned, sandbox("Running"))), Step::StopUnasked);
    assert_eq!(to_stay_stopped(&sight(CLAIM, sandbox("Running"))), Step::Done, "resumed by somebody since");
}

#[test]
fn a_pod_that_agenttier_has_lost_sight_of_is_taken_up_to_be_stopped() {
    let lost = SandboxSight { own_pod: OwnPod::Up, ..sandbox("Stopped") };
    assert_eq!(to_run(&sight(CLAIM, lost.clone())), Step::Start);
    assert_eq!(to_stay_stopped(&sight(CLAIM, lost.clone())), Step::StopUnasked);
    assert_eq!(to_stay_stopped(&sight(CLAIM, SandboxSight { stopping: true, ..lost })), Step::Start);
}

#[test]
fn a_phase_that_is_not_known_is_left_to_agenttier() {
    assert_eq!(to_run(&sight(CLAIM, sandbox("Hibernating"))), Step::AwaitRunning);
}

#[test]
fn what_is_in_the_way_is_said_before_anything_is_made() {
    let not_ours = |claim| ClaimSight { ours: false, ..claim };
    let others = SandboxSight { ours: false, ..sandbox("Running") };
    let leaving = SandboxSight { terminating: true, ..sandbox("Stopped") };
    let cases = [
        (sight(None, others.clone()), Refusal::SandboxExists),
        (sight(CLAIM, others), Refusal::SandboxExists),
        (sight(None, leaving.clone()), Refusal::SandboxLeaving),
        (sight(CLAIM, leaving), Refusal::SandboxLeaving),
        (Sight { snapshot: None, ..sight(None, None) }, Refusal::NoRecoveryPoint),
        (sight(not_ours(CLAIM), None), Refusal::VolumeExists),
        (sight(not_ours(CLAIM), sandbox("Stopped")), Refusal::VolumeExists),
        (sight(ClaimSight { terminating: true, ..CLAIM }, None), Refusal::VolumeLeaving),
        (sight(ClaimSight { lost: true, bound: false, ..CLAIM }, None), Refusal::VolumeLost),
    ];
    for (sight, refusal) in cases {
        assert_eq!(to_run(&sight), Step::Refuse(refusal), "{sight:?}");
    }
    let error = SandboxSight { message: "no template".into(), ..sandbox("Error") };
    let refusal = Refusal::SandboxError("no template".into());
    assert_eq!(refusal.to_string(), "AgentTier reports an error: no template");
    assert_eq!(to_run(&sight(CLAIM, error.clone())), Step::Refuse(refusal));
    assert_eq!(to_run(&sight(CLAIM, SandboxSight { heals: true, ..error })), Step::AwaitRunning);
}

/// Otherwise it would be waited for without end: nothing can be filled from what is gone.
#[test]
fn a_recovery_point_is_needed_until_the_claim_is_bound_and_no_longer() {
    let unbound = ClaimSight { bound: false, ..CLAIM };
    for (snapshot, refusal) in [
        (None, Refusal::NoRecoveryPoint),
        (Some(SnapshotSight { usable: false }), Refusal::RecoveryPointNotReady),
    ] {
        for first_use in [false, true] {
            let with = |claim| Sight { snapshot, binds_on_first_use: first_use, ..sight(claim, None) };
            assert_eq!(to_run(&with(None)), Step::Refuse(refusal.clone()));
            assert_eq!(to_run(&with(Some(unbound))), Step::Refuse(refusal.clone()));
            assert_eq!(to_run(&with(Some(CLAIM))), Step::CreateSandbox);
        }
    }
}

/// One thing that happens while a restore goes on.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The restore reads the world and decides, forgetting what it had decided before.
    Look,
    /// It does what it decided, however long ago.
    Act,
    /// It is killed, and run again later.
    Crash,
    World(Move),
    Break(Breakage),
}

/// What a restore cannot mend.
#[derive(Debug, Clone, Copy)]
enum Breakage {
    SnapshotGone,
    SnapshotLeaving,
    ClaimGone,
    ClaimLeaving,
    ClaimLost,
    ClaimByAnother,
    SandboxByAnother,
    SandboxLeaving,
    SandboxGone,
    SandboxError,
}

fn events(breaking: bool) -> impl Strategy<Value = Vec<Event>> {
    use Breakage as B;
    let moves = prop_oneof![
        8 => Just(Move::Reconcile),
        4 => Just(Move::Kubelet),
        3 => Just(Move::Provision),
        2 => Just(Move::FillPool),
        1 => Just(Move::LosePod),
        1 => Just(Move::CutOff),
        1 => Just(Move::Reconnect),
        1 => Just(Move::UserStops),
        1 => Just(Move::UserResumes),
    ];
    let breakages = prop::sample::select(vec![
        B::SnapshotGone,
        B::SnapshotLeaving,
        B::ClaimGone,
        B::ClaimLeaving,
        B::ClaimLost,
        B::ClaimByAnother,
        B::SandboxByAnother,
        B::SandboxLeaving,
        B::SandboxGone,
        B::SandboxError,
    ]);
    let event = prop_oneof![
        10 => Just(Event::Look),
        10 => Just(Event::Act),
        1 => Just(Event::Crash),
        20 => moves.prop_map(Event::World),
        u32::from(breaking) => breakages.prop_map(Event::Break),
    ];
    prop::collection::vec(event, 0..80)
}

fn break_it(world: &mut World, breakage: Breakage) {
    match breakage {
        Breakage::SnapshotGone => world.snapshot = None,
        Breakage::SnapshotLeaving => {
            world.snapshot = world.snapshot.map(|_| SnapshotSight { usable: false });
        }
        Breakage::ClaimGone => world.claim = None,
        Breakage::ClaimLeaving => world.claim = world.claim.map(|c| ClaimSight { terminating: true, ..c }),
        Breakage::ClaimLost => {
            world.claim = world.claim.map(|claim| ClaimSight { lost: true, bound: false, ..claim });
        }
        Breakage::ClaimByAnother => {
            world.claim.get_or_insert(ClaimSight { ours: false, owned_by_sandbox: false, ..CLAIM });
        }
        Breakage::SandboxByAnother => {
            world.sandbox.get_or_insert_with(Sandbox::of_another);
        }
        Breakage::SandboxGone => {
            world.sandbox = None;
            // Whoever comes under its name is not its owner.
            world.claim = world.claim.filter(|claim| !claim.owned_by_sandbox);
        }
        Breakage::SandboxLeaving => {
            if let Some(sandbox) = &mut world.sandbox {
                sandbox.terminating = true;
            }
        }
        Breakage::SandboxError => {
            if let Some(sandbox) = &mut world.sandbox {
                (sandbox.phase, sandbox.heals) = ("Error", false);
            }
        }
    }
}

/// A restore at work.
struct Restore {
    world: World,
    start: Start,
    /// With the version of the sandbox that it saw.
    decided: Option<(Step, Option<u32>)>,
    /// The sandbox was made, and its status is still to be written. That may take longer than whoever made it lives.
    parking: bool,
    stops: u32,
}

impl Restore {
    fn look(&mut self) -> Step {
        let step = next_step(&self.world.sight(), OWN_CLAIM, self.start);
        self.judge(&step);
        self.decided = Some((step.clone(), self.world.version()));
        step
    }

    fn act(&mut self) {
        if std::mem::take(&mut self.parking) {
            self.world.park_the_new_one();
        } else if let Some((step, seen)) = self.decided.take() {
            self.stops += u32::from(matches!(step, Step::StopRobbed | Step::StopUnasked));
            self.parking = self.world.act(&step, seen);
        }
    }

    /// A step makes only what is missing, touches only what is its own, and an end is what it says.
    fn judge(&self, step: &Step) {
        let World { snapshot, claim, sandbox, .. } = &self.world;
        let readable = snapshot.is_some_and(|snapshot| snapshot.usable);
        let our_claim = claim.is_some_and(|claim| claim.ours && !claim.terminating && !claim.lost);
        let our_sandbox = sandbox.as_ref().is_some_and(|sandbox| sandbox.ours && !sandbox.terminating);
        let phase = sandbox.as_ref().map_or("", |sandbox| sandbox.phase);
        let sound = match step {
            Step::CreateClaim => claim.is_none() && readable && (sandbox.is_none() || our_sandbox),
            Step::AwaitBound => our_claim && readable && (sandbox.is_none() || our_sandbox),
            Step::CreateSandbox => our_claim && sandbox.is_none(),
            Step::Park => our_claim && our_sandbox && ["", "Stopped"].contains(&phase),
            Step::Adopt => our_claim && our_sandbox,
            Step::Start => {
                let to_be_stopped =
                    self.world.has_own_pod() && sandbox.as_ref().is_some_and(|it| it.stop_asked);
                let asked_for = self.start == Start::Running || to_be_stopped;
                let takes_up_no_leaving_pod = self.world.rests() || self.world.has_own_pod();
                our_claim && our_sandbox && phase == "Stopped" && asked_for && takes_up_no_leaving_pod
            }
            Step::StopRobbed => our_sandbox && phase == "Running" && self.world.is_elsewhere(),
            Step::StopUnasked => {
                let unowned = claim.is_some_and(|claim| !claim.owned_by_sandbox);
                let runs = phase == "Running" && unowned || phase == "Stopped" && self.world.has_own_pod();
                our_sandbox && runs && self.start == Start::Stopped
            }
            Step::AwaitStopped => our_sandbox && (phase == "Running" || !self.world.rests()),
            Step::AwaitRunning => our_claim && our_sandbox && phase != "Stopped",
            Step::Done => {
                let sandbox = sandbox.as_ref().expect("a sandbox, or nothing is done");
                our_claim
                    && our_sandbox
                    && claim.is_some_and(|claim| claim.owned_by_sandbox)
                    && sandbox.claim == Some(OWN_CLAIM)
                    && sandbox.pod_name.is_some()
                    && match phase {
                        "Running" => {
                            let asked_for = self.start == Start::Running || self.world.resumed;
                            asked_for && self.world.runs_on_its_own()
                        }
                        "Stopped" => self.start == Start::Stopped && self.world.rests(),
                        _ => false,
                    }
            }
            Step::Refuse(refusal) => match refusal {
                Refusal::NoRecoveryPoint => snapshot.is_none() && claim.is_none_or(|claim| !claim.bound),
                Refusal::RecoveryPointNotReady => snapshot.is_some() && !readable,
                Refusal::VolumeExists => claim.is_some_and(|claim| !claim.ours),
                Refusal::VolumeLeaving => claim.is_some_and(|claim| claim.terminating),
                Refusal::VolumeLost => claim.is_some_and(|claim| claim.lost),
                Refusal::SandboxExists => sandbox.as_ref().is_some_and(|sandbox| !sandbox.ours),
                Refusal::SandboxLeaving => sandbox.as_ref().is_some_and(|sandbox| sandbox.terminating),
                Refusal::SandboxError(_) => phase == "Error" && sandbox.as_ref().is_some_and(|it| !it.heals),
            },
        };
        assert!(sound, "{step:?} in {:#?}", self.world);
    }

    /// From here on nobody disturbs, but a warm pod is ready at any time. Everybody moves in turn until the restore ends;
    /// how it ended. AgentTier is as much quicker as it takes to be done with a stop that was asked for twice, and pods
    /// take their time.
    fn finish(&mut self) -> Step {
        const ROUNDS: u32 = 96;
        self.world.make(Move::Reconnect);
        for round in 1..=ROUNDS {
            if let end @ (Step::Done | Step::Refuse(_)) = self.look() {
                return end;
            }
            self.act();
            self.world.pool = 1;
            for next in [Move::Reconcile, Move::Reconcile, Move::Reconcile, Move::Provision] {
                self.world.make(next);
            }
            if round % 4 == 0 {
                self.world.make(Move::Kubelet);
            }
        }
        panic!("no end after {ROUNDS} rounds: {:#?}", self.world);
    }
}

/// Plays `cases` random histories, each with whatever `check` demands of its end.
fn play(cases: u32, breaking: bool, check: impl Fn(&mut Restore, &Step)) {
    let worlds = (any::<bool>(), 0_u32..3, any::<bool>(), events(breaking));
    TestRunner::new(ProptestConfig::with_cases(cases))
        .run(&worlds, |(binds_on_first_use, pool, stopped, events)| {
            let start = if stopped { Start::Stopped } else { Start::Running };
            let world = World::new(binds_on_first_use, pool);
            let mut restore = Restore { world, start, decided: None, parking: false, stops: 0 };
            for event in events {
                match event {
                    Event::Look => drop(restore.look()),
                    Event::Act => restore.act(),
                    Event::Crash => (restore.decided, restore.parking) = (None, false),
                    Event::World(next) => restore.world.make(next),
                    Event::Break(breakage) => break_it(&mut restore.world, breakage),
                }
            }
            let end = restore.finish();
            check(&mut restore, &end);
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_interleaving_ends_on_its_own_volume_with_a_warm_pool_on() {
    let (robbed, stopped, cases) = (RefCell::new(0), RefCell::new(0), 2000);
    let somebodys_errors = RefCell::new(0);
    play(cases, false, |restore, end| {
        // Over what is left of the pod that was stopped, AgentTier puts a sandbox in Error for good. Whoever resumes it that
        // soon is told so; a restore never does.
        let is_somebodys_error = restore.world.resumed && restore.world.ended_pods_met > 0;
        if matches!(end, Step::Refuse(Refusal::SandboxError(_))) && is_somebodys_error {
            *somebodys_errors.borrow_mut() += 1;
            return;
        }
        assert_eq!(*end, Step::Done, "nothing was broken: {:#?}", restore.world);
        *robbed.borrow_mut() += u32::from(restore.world.thefts > 0);
        *stopped.borrow_mut() += u32::from(restore.stops > 0);
        // What was on its way for so long is of no harm.
        restore.act();
        for _ in 0..5 {
            for next in [Move::FillPool, Move::Reconcile, Move::Kubelet] {
                restore.world.make(next);
            }
            assert_eq!(restore.look(), Step::Done, "and stays there: {:#?}", restore.world);
        }
    });
    let (robbed, stopped) = (robbed.into_inner(), stopped.into_inner());
    assert!(robbed > cases / 10, "only {robbed} of {cases} were robbed: this proves little");
    assert!(stopped > cases / 20, "only {stopped} of {cases} were stopped and put back");
    let excused = somebodys_errors.into_inner();
    assert!(excused < cases / 200, "{excused} of {cases} were resumed too soon: too many to excuse");
}

#[test]
fn whatever_breaks_it_ends_on_its_own_volume_or_says_why_not() {
    let refused = RefCell::new(std::collections::BTreeSet::new());
    play(2000, true, |_, end| {
        // `judge` has checked that the end is what it says.
        if let Step::Refuse(refusal) = end {
            refused.borrow_mut().insert(refusal.to_string());
        }
    });
    let refused = refused.into_inner();
    assert_eq!(refused.len(), 8, "some refusal was never played: {refused:?}");
}
