//! A cluster in virtual time: volumes of two drivers, a storage that is slow, loses snapshots and tells the wrong
//! time, an API server that goes away, people who pin, suspend and re-create, a Velero that backs the same claims up;
//! and a controller that restarts wherever it is. Everything follows from the seed.

use std::collections::BTreeMap;

use agenttier_backup_plan::{
    Action, ActionKind, Admission, Foreign, Governance, HeldBack, Limits, Mark, Note, Ownership, Pacer,
    Policy, Prune, Readiness, Reason, RecoveryPoint, Setback, Slots, TakeSnapshot, Verdict, Volume,
    VolumeUid, admit, snapshot_name,
};
use jiff::{SignedDuration, Timestamp};

use crate::velero::{self, Backups};
use crate::world::{decide, keeper, minutes, seconds, unready, volume};

/// Numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let range = (high - low).unsigned_abs() + 1;
        low + ((z ^ (z >> 31)) % range).cast_signed()
    }

    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.between(1, n) == 1
    }
}

/// What happens without the controller.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A snapshot gets ready.
    Ready(usize, String),
    /// A deleted snapshot is gone for good.
    Gone(usize, String),
    /// The controller starts anew, with a clock that is off by so much.
    Restart(SignedDuration),
    /// Every write fails from here on, or works again.
    WritesFail(bool),
    /// The storage of the sick volumes works again, and no snapshot is lost or late any more.
    FaultsEnd,
    /// The sandbox is deleted and made again with its old name.
    Recreate(usize),
    /// Somebody takes the name that the next slot's snapshot would have.
    TakeName(usize),
    /// Somebody pins the oldest point, or unpins it.
    Pin(usize),
    /// Something reads from the oldest point, or has read it.
    Read(usize),
    Governance(Box<Governance>),
    /// Velero begins with the backup of a namespace.
    Backup(String),
    /// Velero has got to a volume.
    Snapshot(usize),
    /// Velero is done with its snapshot, whatever became of it, and deletes it.
    Drop(usize, String),
}

/// How often what happened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u32,
    pub(crate) taken: u32,
    pub(crate) further_attempts: u32,
    pub(crate) lost: u32,
    pub(crate) cleared: u32,
    pub(crate) late: u32,
    pub(crate) pruned: u32,
    pub(crate) restarts: u32,
    pub(crate) crashes_amid_writes: u32,
    pub(crate) failed_writes: u32,
    pub(crate) spared_pins: u32,
    pub(crate) spared_reads: u32,
    pub(crate) waits: u32,
    pub(crate) veleros: u32,
    pub(crate) veleros_while_taking: u32,
    pub(crate) veleros_while_pruning: u32,
}

pub(crate) struct Cluster {
    pub(crate) now: Timestamp,
    pub(crate) volumes: Vec<Volume>,
    /// Volumes of which no snapshot gets ready until faults end.
    pub(crate) sick: Vec<bool>,
    /// Volumes for which the API server refuses every write: a quota is full, a right is missing.
    pub(crate) refused: Vec<bool>,
    pub(crate) faults: bool,
    pub(crate) governance: Governance,
    /// Of every policy that it is given.
    ready_timeout: SignedDuration,
    pub(crate) counts: Counts,
    pub(crate) dice: Dice,
    writes_fail: bool,
    pub(crate) velero: Backups,
    events: BTreeMap<(Timestamp, u32), Event>,
    controller: Controller,
}

/// All that is lost in a restart.
struct Controller {
    clock_error: SignedDuration,
    pacer: Pacer,
    held: HeldBack,
    failures: BTreeMap<(VolumeUid, ActionKind), u32>,
    verdicts: Vec<Verdict>,
    /// Which volumes changed since their verdict.
    changed: Vec<bool>,
    wake: Option<Timestamp>,
}

impl Controller {
    fn new(clock_error: SignedDuration, volumes: usize) -> Self {
        Self {
            clock_error,
            pacer: Pacer::new(),
            held: HeldBack::new(),
            failures: BTreeMap::new(),
            verdicts: Vec::new(),
            changed: vec![true; volumes],
            wake: None,
        }
    }
}

impl Cluster {
    pub(crate) fn new(seed: u64, start: Timestamp, volumes: Vec<Volume>, policy: Policy) -> Self {
        let mut controller = Controller::new(SignedDuration::ZERO, volumes.len());
        controller.wake = Some(start);
        Self {
            now: start,
            sick: vec![false; volumes.len()],
            refused: vec![false; volumes.len()],
            faults: true,
            ready_timeout: policy.ready_timeout,
            governance: Governance::By(policy),
            counts: Counts::default(),
            dice: Dice(seed),
            writes_fail: false,
            velero: Backups::default(),
            events: BTreeMap::new(),
            controller,
            volumes,
        }
    }

    pub(crate) fn at(&mut self, at: Timestamp, event: Event) {
        let turn = u32::try_from(self.events.len()).unwrap() + self.counts.steps * 1000;
        self.events.insert((at, turn), event);
    }

    /// The controller's clock.
    pub(crate) fn controller_now(&self) -> Timestamp {
        self.now + self.controller.clock_error
    }

    pub(crate) fn verdicts(&self) -> &[Verdict] {
        &self.controller.verdicts
    }

    /// Goes to the next moment before `end` at which something happens, and does it; false if there is none.
    pub(crate) fn step(&mut self, end: Timestamp) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let wake = self.controller.wake.map(|wake| wake - self.controller.clock_error);
        let next = [event, wake].into_iter().flatten().min().expect("there is always a next slot");
        assert!(next >= self.now, "time goes one way");
        if next >= end {
            return false;
        }
        self.now = next;
        self.counts.steps += 1;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= next) {
            let event = entry.remove();
            self.happen(event);
        }
        self.pass();
        true
    }

    /// One pass of the controller. It judges again only what changed and what asked to be woken.
    fn pass(&mut self) {
        let local = self.controller_now();
        self.judge();
        let Controller { pacer, held, verdicts, .. } = &self.controller;
        let Admission { actions, pacer, waiting, wake, .. } =
            admit(local, *pacer, &Limits::default(), &[], held, verdicts);
        self.controller.pacer = pacer;
        self.counts.waits += u32::try_from(waiting.len()).unwrap();
        let crash_after = self.dice.one_in(200).then(|| self.dice.between(0, 3));
        for (done, action) in (0..).zip(actions) {
            if crash_after.is_some_and(|after| done >= after) {
                self.counts.crashes_amid_writes += 1;
                self.happen(Event::Restart(self.controller.clock_error));
                return self.pass();
            }
            self.write(&action);
        }
        self.judge();
        // What a failed write holds back in this very pass has its moment as well.
        let held = self.controller.held.values().map(|setback| setback.until).filter(|until| *until > local);
        let wakes = self.verdicts().iter().filter_map(|verdict| verdict.wake).chain(wake).chain(held);
        self.controller.wake = wakes.min();
    }

    fn judge(&mut self) {
        let local = self.controller_now();
        for (index, volume) in self.volumes.iter().enumerate() {
            let Controller { verdicts, changed, held, .. } = &mut self.controller;
            match verdicts.get_mut(index) {
                None => verdicts.push(decide(local, &self.governance, volume, held)),
                Some(verdict) if changed[index] || verdict.wake.is_some_and(|wake| wake <= local) => {
                    *verdict = decide(local, &self.governance, volume, held);
                }
                Some(_) => {}
            }
            changed[index] = false;
        }
    }

    fn write(&mut self, action: &Action) {
        let uid = &action.volume().uid;
        let index = self.volumes.iter().position(|volume| volume.uid == *uid).expect("it was just judged");
        let key = (uid.clone(), action.kind());
        self.controller.changed[index] = true;
        if self.writes_fail || self.refused[index] {
            self.counts.failed_writes += 1;
            let now = self.now + self.controller.clock_error;
            let failures = self.controller.failures.entry(key.clone()).or_default();
            *failures += 1;
            let until = now + seconds((5 << (*failures).min(6)).min(300));
            let setback = Setback::new(Reason::Unavailable, String::new(), now, until);
            self.controller.held.insert(key, setback);
            return;
        }
        self.controller.failures.remove(&key);
        self.controller.held.remove(&key);
        match action {
            Action::TakeSnapshot(take) => self.take(index, take),
            Action::Prune(prune) => self.delete(index, prune),
            Action::Mark(mark) => self.note(index, mark),
        }
    }

    /// Nobody is gone and none is at rest, no loop of AgentTier's runs: only that the policy was edited has to be noted.
    fn note(&mut self, index: usize, mark: &Mark) {
        let Note::RetentionChanged { before, retention } = &mark.note else { panic!("{mark:?}") };
        let points = &mut self.volumes[index].points;
        let point = points.iter_mut().find(|point| point.uid == mark.uid).expect("it is there");
        assert!(matches!(point.ownership, Ownership::Ours { .. }), "{mark:?}");
        point.amendments = before.amended(self.now, *retention);
    }

    fn take(&mut self, index: usize, take: &TakeSnapshot) {
        let volume = &mut self.volumes[index];
        self.counts.veleros_while_taking += u32::from(velero::is_at_work(volume));
        let mut point = unready(volume, &take.name, self.now);
        point.slot = Some(take.slot.start());
        point.retention = Some(take.retention);
        point.uid = format!("{}@{}", take.name, self.now);
        let sick = self.faults && self.sick[index];
        point.error = (sick && self.dice.one_in(2)).then(|| "the storage is full".to_owned());
        let is_new = std::sync::Arc::make_mut(&mut volume.taken_names).insert(take.name.clone());
        assert!(is_new, "{} is taken", take.name);
        volume.points.push(point);
        let other_driver = volume.driver.as_deref() == Some("b");
        self.counts.taken += 1;
        self.counts.further_attempts += u32::from(take.name.contains("-r"));

        let mut delay = minutes(self.dice.between(1, 90));
        if self.faults && (self.sick[index] || other_driver && self.dice.one_in(25)) {
            self.counts.lost += 1;
            return;
        }
        if self.faults && other_driver && self.dice.one_in(25) {
            self.counts.late += 1;
            delay = minutes(self.dice.between(150, 1200));
        }
        self.at(self.now + delay, Event::Ready(index, take.name.clone()));
    }

    /// Deletes a point, if that breaks no promise.
    fn delete(&mut self, index: usize, prune: &Prune) {
        let volume = &mut self.volumes[index];
        self.counts.veleros_while_pruning += u32::from(velero::is_at_work(volume));
        let good =
            |point: &&RecoveryPoint| point.ready && !point.terminating() && point.is_ours_of(&volume.uid);
        let newest = volume.points.iter().filter(good).max_by_key(|point| point.created);
        let newest = newest.expect("a volume is not pruned without a good point").name.clone();
        assert_ne!(prune.name, newest, "the newest Ready point of {} would go", volume.claim);
        assert_eq!(keeper(prune).name, newest);
        let local = self.now + self.controller.clock_error;
        let point = volume.points.iter_mut().find(|point| point.name == prune.name).unwrap();
        assert!(point.is_ours_of(&volume.uid) && point.uid == prune.uid && !point.terminating());
        let readiness = Readiness::of(point, local, self.ready_timeout);
        assert!(matches!(readiness, Readiness::Ready | Readiness::Failed), "{point:?}");
        self.counts.cleared += u32::from(readiness == Readiness::Failed);
        assert!(!point.pinned && point.readers.is_empty(), "{point:?}");
        point.deleting_since = Some(self.now);
        self.counts.pruned += 1;
        let gone = self.now + minutes(self.dice.between(1, 10));
        self.at(gone, Event::Gone(index, prune.name.clone()));
    }

    fn happen(&mut self, event: Event) {
        let all = 0..self.volumes.len();
        let changed = match event {
            Event::Ready(index, name) => {
                let skewed = self.volumes[index].driver.as_deref() == Some("b");
                let skew = if skewed { minutes(self.dice.between(-90, 90)) } else { seconds(2) };
                if let Some(point) = self.volumes[index].points.iter_mut().find(|point| point.name == name) {
                    point.ready = true;
                    point.cut = Some(point.created + skew);
                    self.velero.note(point);
                }
                index..index + 1
            }
            Event::Gone(index, name) => {
                let volume = &mut self.volumes[index];
                volume.points.retain(|point| point.name != name);
                self.velero.forget(&name);
                std::sync::Arc::make_mut(&mut volume.taken_names).remove(&name);
                index..index + 1
            }
            Event::Restart(clock_error) => {
                self.counts.restarts += 1;
                self.controller = Controller::new(clock_error, self.volumes.len());
                all
            }
            Event::WritesFail(fail) => {
                self.writes_fail = fail;
                0..0
            }
            Event::FaultsEnd => {
                self.faults = false;
                0..0
            }
            Event::Governance(governance) => {
                self.governance = *governance;
                all
            }
            Event::Recreate(index) => {
                let volume = &mut self.volumes[index];
                volume.uid = VolumeUid::new(format!("{}+", volume.uid));
                volume.created = self.now;
                index..index + 1
            }
            Event::TakeName(index) => {
                self.take_name(index);
                index..index + 1
            }
            Event::Pin(index) => {
                if let Some(point) = self.volumes[index].points.first_mut() {
                    point.pinned = !point.pinned;
                }
                index..index + 1
            }
            Event::Read(index) => {
                if let Some(point) = self.volumes[index].points.first_mut()
                    && !point.readers.remove("claim/x")
                {
                    point.readers.insert("claim/x".into());
                }
                index..index + 1
            }
            Event::Backup(namespace) => {
                self.begin_backup(&namespace);
                0..0
            }
            Event::Snapshot(index) => {
                self.snapshot_for_velero(index);
                index..index + 1
            }
            Event::Drop(index, name) => {
                self.drop_for_velero(index, name);
                index..index + 1
            }
        };
        for index in changed {
            self.controller.changed[index] = true;
        }
    }

    fn take_name(&mut self, index: usize) {
        let Governance::By(policy) = &self.governance else { return };
        let volume = &mut self.volumes[index];
        let slots = Slots::of(&volume.uid, policy.interval);
        let name = snapshot_name(&volume.claim, slots.at(slots.next_start(self.now)), 0);
        if std::sync::Arc::make_mut(&mut volume.taken_names).insert(name.clone()) {
            let mut point = unready(volume, &name, self.now);
            point.ownership = Ownership::Foreign(Foreign::Unmarked);
            point.ready = true;
            volume.points.push(point);
        }
    }

    /// What was kept of a verdict is what would be said now: nobody was woken too late.
    pub(crate) fn check_nothing_was_missed(&mut self) {
        let local = self.controller_now();
        for (volume, verdict) in self.volumes.iter().zip(&self.controller.verdicts) {
            assert_eq!(*verdict, decide(local, &self.governance, volume, &self.controller.held));
            for point in &verdict.points {
                let fate = point.fate.to_string();
                self.counts.spared_pins += u32::from(fate == "keep: pinned");
                self.counts.spared_reads += u32::from(fate.starts_with("keep: read by"));
            }
        }
    }

    /// The promises that hold at any moment, of every volume.
    pub(crate) fn check_points(&self) {
        let local = self.controller_now();
        for volume in &self.volumes {
            let mut in_flight = 0;
            let mut slots = BTreeMap::new();
            for point in &volume.points {
                if !point.is_ours_of(&volume.uid) || point.terminating() {
                    continue;
                }
                let readiness = Readiness::of(point, local, self.ready_timeout);
                in_flight += usize::from(readiness.is_in_flight());
                if readiness != Readiness::Failed
                    && let Some(other) = slots.insert(point.slot, &point.name)
                {
                    panic!("{other} and {} are of one slot", point.name);
                }
            }
            assert!(in_flight <= 1, "{in_flight} in flight of {}", volume.claim);
            self.velero.check(volume);
        }
    }

    pub(crate) fn suspended() -> Governance {
        Governance::Held { policy: "default".into(), reason: Reason::PolicySuspended }
    }
}

/// `count` volumes of each of two drivers, `a` and `b`.
pub(crate) fn two_drivers(a: usize, b: usize, created: Timestamp) -> Vec<Volume> {
    let of = |driver: &'static str, count| {
        (0..count).map(move |n| Volume {
            driver: Some(driver.into()),
            created,
            ..volume(&format!("{driver}{n}"))
        })
    };
    of("a", a).chain(of("b", b)).collect()
}
