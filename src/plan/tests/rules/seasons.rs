//! Two months of a few volumes in virtual time: sandboxes stop, resume, are switched and deleted, policies change,
//! AgentTier's loop comes and goes with its sweep, deletions are suspended. The promises are checked at every order.

use agenttier_backup_plan::{
    Action, AgentTierLoop, ClaimPhase, HeldBack, Limits, Note, Ownership, Pacer, Policy, Protection, Prune,
    RecoveryPoint, Retention, Suspension, TakeSnapshot, Thinning, Verdict, Volume, admit,
};
use jiff::Timestamp;

use crate::cluster::Dice;
use crate::world::{NOW, every, hours, judge, policy, ready, sandbox, unready, volume, with};

const VOLUMES: usize = 12;
const DAYS: i64 = 60;
const PLENTY: Limits = Limits { snapshots_in_flight: 1000, deletions_in_flight: 1000, snapshots: None };

#[derive(Debug, Default)]
struct Counts {
    taken: u32,
    pruned: u32,
    pruned_of_gone: u32,
    swept: u32,
    hidden: u32,
    amended: u32,
    rested: u32,
    saved_after_switch: u32,
    suspended: u32,
}

struct Seasons {
    now: Timestamp,
    volumes: Vec<Volume>,
    deleted: Vec<Option<Timestamp>>,
    policy: Policy,
    suspended: bool,
    dice: Dice,
    counts: Counts,
}

impl Seasons {
    fn new(seed: u64) -> Self {
        let new = |n| Volume {
            created: NOW,
            sandbox: Some(sandbox(&format!("s{n}"), "Running")),
            ..volume(&format!("v{n}"))
        };
        Self {
            now: NOW,
            volumes: (0..VOLUMES).map(new).collect(),
            deleted: vec![None; VOLUMES],
            policy: policy(),
            suspended: false,
            dice: Dice(seed),
            counts: Counts::default(),
        }
    }

    /// Storage and API server do what was ordered an hour ago; AgentTier's loop does its own.
    fn hour(&mut self) {
        self.now += hours(1);
        for volume in &mut self.volumes {
            volume.points.retain(|point| !point.terminating());
            for point in volume.points.iter_mut().filter(|point| !point.ready) {
                (point.ready, point.cut) = (true, Some(point.created));
            }
            if volume.agenttier_loop.sweeps() {
                let before = volume.points.len();
                let now = self.now;
                volume.points.retain(|point| {
                    !point.looks_like_agenttiers || now.duration_since(point.created) < hours(48)
                });
                self.counts.swept += u32::try_from(before - volume.points.len()).unwrap();
            }
            if volume.agenttier_loop == AgentTierLoop::Covers && self.now.as_second() / 3600 % 6 == 0 {
                let name = format!("its-{}-{}", volume.claim, self.now);
                let its = RecoveryPoint { ownership: Ownership::AgentTier, ..ready(volume, &name, self.now) };
                *volume = with(volume.clone(), [its]);
            }
        }
    }

    fn happen(&mut self) {
        let dice = &mut self.dice;
        for (volume, deleted) in self.volumes.iter_mut().zip(&mut self.deleted) {
            if deleted.is_some() {
                continue;
            }
            if let Some(sandbox) = volume.sandbox.as_mut().filter(|_| dice.one_in(60)) {
                let resumes = sandbox.phase == "Stopped";
                sandbox.phase = if resumes { "Running" } else { "Stopped" }.into();
                sandbox.last_activity = if resumes { Some(self.now) } else { sandbox.last_activity };
            }
            if dice.one_in(500) {
                volume.switched_to = volume.switched_to.is_none().then(|| "pool-1".to_owned());
            } else if dice.one_in(2500) {
                (volume.phase, volume.sandbox, volume.switched_to) = (ClaimPhase::Gone, None, None);
                *deleted = Some(self.now);
            }
            if dice.one_in(200)
                && let Some(point) = volume.points.first_mut()
            {
                point.pinned = !point.pinned;
            }
        }
        if dice.one_in(100) {
            let thin = dice.one_in(2).then_some(hours(48));
            let retention = Retention {
                keep_last: u32::try_from(dice.between(1, 3)).unwrap(),
                thin: Thinning { daily: thin, ..Thinning::default() },
                ..Retention::for_at_least(hours(24 * dice.between(2, 12)))
            };
            let confirmed = dice.one_in(2).then_some(self.now);
            let interval = every(hours(dice.between(2, 24)));
            self.policy = Policy { interval, retention, deletions_confirmed: confirmed, ..policy() };
        }
        if dice.one_in(120) {
            let state = [AgentTierLoop::Off, AgentTierLoop::Sweeps, AgentTierLoop::Covers];
            let state = state[usize::try_from(dice.between(0, 2)).unwrap()];
            self.volumes.iter_mut().for_each(|volume| volume.agenttier_loop = state);
        }
        if dice.one_in(60) {
            self.suspended = !self.suspended;
        }
    }

    fn pass(&mut self) -> Vec<Verdict> {
        let verdicts: Vec<_> =
            self.volumes.iter().map(|volume| judge(self.now, &self.policy, volume)).collect();
        let suspended = if self.suspended { vec![Suspension::ClockUnknown] } else { vec![] };
        self.counts.suspended += u32::from(self.suspended);
        self.counts.rested += verdicts.iter().map(|verdict| u32::from(verdict.unchanged)).sum::<u32>();
        let pacer = Pacer::with_floor(1000);
        let admission = admit(self.now, pacer, &PLENTY, &suspended, &HeldBack::new(), &verdicts);
        for action in &admission.actions {
            let index = self.volumes.iter().position(|volume| volume.uid == action.volume().uid).unwrap();
            match action {
                Action::TakeSnapshot(take) => self.take(index, take),
                Action::Prune(prune) => self.prune(index, prune),
                Action::Mark(mark) => {
                    let point = self.volumes[index].points.iter_mut().find(|point| point.uid == mark.uid);
                    let point = point.unwrap();
                    match mark.note.clone() {
                        Note::HideFromAgentTier => {
                            point.looks_like_agenttiers = false;
                            self.counts.hidden += 1;
                        }
                        Note::NoLongerAtRest => point.at_rest_since = None,
                        Note::RetentionChanged { before, retention } => {
                            point.amendments = before.amended(self.now, retention);
                            self.counts.amended += 1;
                        }
                        Note::SandboxGone(_) => {
                            assert!(self.deleted[index].is_some() && !self.suspended, "{mark:?}");
                            point.gone_since = Some(self.now);
                        }
                    }
                }
            }
        }
        verdicts
    }

    fn take(&mut self, index: usize, take: &TakeSnapshot) {
        let volume = &self.volumes[index];
        let alive =
            || volume.points.iter().filter(|point| point.is_ours_of(&volume.uid) && !point.terminating());
        assert!(alive().all(|point| point.ready), "one is under way: {take:?}");
        // What was left behind, and what is come back to, is saved within a slot.
        let switched = take.after_switch || alive().any(|point| point.after_switch);
        let twice = !switched && alive().any(|point| point.slot == Some(take.slot.start()));
        assert!(!twice, "a second one of its slot: {take:?}");
        let point = RecoveryPoint {
            slot: Some(take.slot.start()),
            retention: Some(take.retention),
            at_rest_since: take.at_rest_since,
            after_switch: take.after_switch,
            looks_like_agenttiers: !take.hidden_from_agenttier,
            ..unready(volume, &take.name, self.now)
        };
        self.counts.taken += 1;
        self.counts.saved_after_switch += u32::from(take.after_switch);
        self.volumes[index] = with(volume.clone(), [point]);
    }

    fn prune(&mut self, index: usize, prune: &Prune) {
        assert!(!self.suspended, "{prune:?}");
        let volume = &mut self.volumes[index];
        let point = volume.points.iter().position(|point| point.uid == prune.uid).unwrap();
        let Volume { points, uid, .. } = volume;
        assert!(points[point].is_ours_of(uid) && !points[point].pinned, "{prune:?}");
        let newer = points.iter().any(|other| {
            other.ready
                && !other.terminating()
                && other.is_ours_of(uid)
                && other.created > points[point].created
        });
        assert!(volume.switched_to.is_none(), "what was left behind is frozen: {prune:?}");
        if let Some(deleted) = self.deleted[index] {
            let since = self.now.duration_since(deleted);
            assert!(since >= self.policy.retention.max_age, "{since:#} after it was deleted: {prune:?}");
            self.counts.pruned_of_gone += 1;
        } else {
            assert!(newer, "the last good one: {prune:?}");
        }
        points[point].deleting_since = Some(NOW);
        self.counts.pruned += 1;
    }

    fn good(&self) -> Vec<bool> {
        let is_good = |volume: &Volume| {
            volume
                .points
                .iter()
                .any(|point| point.ready && !point.terminating() && point.is_ours_of(&volume.uid))
        };
        self.volumes.iter().map(is_good).collect()
    }
}

fn two_months_break_no_promise(seed: u64) {
    let mut seasons = Seasons::new(seed);
    let mut had = seasons.good();
    while seasons.now < NOW + hours(24 * DAYS) {
        seasons.happen();
        seasons.pass();
        seasons.hour();
        let has = seasons.good();
        for (index, (had, has)) in had.iter().zip(&has).enumerate() {
            let alive = seasons.deleted[index].is_none();
            assert!(!alive || !had || *has, "v{index} lost its last good point by {}", seasons.now);
        }
        had = has;
    }
    // Then all is calm: in bounded time every volume that lives is well again.
    seasons.suspended = false;
    seasons.volumes.iter_mut().for_each(|volume| volume.agenttier_loop = AgentTierLoop::Off);
    let mut verdicts = seasons.pass();
    for _ in 0..4 {
        seasons.hour();
        verdicts = seasons.pass();
    }
    for (verdict, volume) in verdicts.iter().zip(&seasons.volumes) {
        let lives = volume.phase == ClaimPhase::Bound && volume.switched_to.is_none();
        let is_well = matches!(verdict.protection, Protection::Protected { .. });
        assert!(!lives || is_well, "{} {:?}", volume.claim, verdict.protection);
    }
    let counts = &seasons.counts;
    let fair = counts.taken > 400
        && counts.pruned > 100
        && counts.pruned_of_gone >= 5
        && counts.swept >= 20
        && counts.hidden >= 10
        && counts.amended >= 5
        && counts.rested >= 50
        && counts.saved_after_switch >= 5
        && counts.suspended >= 100;
    assert!(fair, "seed {seed} proves little: {counts:?}");
}

#[test]
fn two_months_break_no_promise_1() {
    two_months_break_no_promise(1);
}

#[test]
fn two_months_break_no_promise_2() {
    two_months_break_no_promise(2);
}
