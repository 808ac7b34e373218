//! A cluster with Velero in virtual time: its objects, what is about to happen, and one step after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use velero::{Schedule, ScheduleSpec};

use crate::controller::Controller;
use crate::dice::Dice;
use crate::hands::Hand;
use crate::store::Store;
use crate::velero_server::{Errand, VeleroServer};

/// So many versions of the store a cache may be behind.
const HISTORY: usize = 40;

pub(crate) const START: &str = "2026-06-01T00:00:00Z";

pub(crate) fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

pub(crate) fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

pub(crate) fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

/// What happens by itself.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Velero(Errand),
    Hand(Hand),
    /// A trouble is over.
    Over(Trouble),
}

/// What lasts for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Velero's server is down.
    VeleroDown,
    /// Our controller is down.
    Down,
    /// Its caches are some versions behind.
    Behind,
    /// Namespaces and policies are seen as they were, and it is known that they may be otherwise.
    Frozen,
    /// A policy cannot be read.
    Unreadable,
    /// Velero's kinds are gone, as far as the API server says.
    NoKinds,
    /// The right to read Schedules is gone.
    Forbidden,
    /// The watches of Velero's kinds fail.
    Unseen,
    /// The right to read backups is gone.
    NoBackups,
    /// Every write of ours fails.
    WritesFail,
}

/// How often what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) steps: u32,
    pub(crate) passes: u32,
    pub(crate) acts: u32,
    pub(crate) made: u32,
    pub(crate) kept: u32,
    pub(crate) maps: u32,
    pub(crate) removed: u32,
    pub(crate) conflicts: u32,
    pub(crate) failed_writes: u32,
    pub(crate) crashes: u32,
    pub(crate) edits: u32,
    pub(crate) deletions: u32,
    pub(crate) namesakes: u32,
    pub(crate) backups: u32,
    pub(crate) completed: u32,
    pub(crate) failed: u32,
    pub(crate) queued: u32,
    pub(crate) blocked: u32,
    pub(crate) skipped: u32,
    pub(crate) rejected: u32,
    pub(crate) expired: u32,
    pub(crate) missed_told: u32,
    pub(crate) failed_told: u32,
    pub(crate) overdue_told: u32,
    pub(crate) passes_behind: u32,
    pub(crate) passes_uncertain: u32,
    pub(crate) passes_obstructed: u32,
    pub(crate) settled: u32,
    pub(crate) fresh: u32,
    /// Passes in which a Schedule was known to fit.
    pub(crate) fitted: u32,
}

impl Counts {
    /// Everything that we have tried to write.
    pub(crate) fn writes(&self) -> u32 {
        self.made + self.kept + self.maps + self.removed + self.conflicts + self.failed_writes
    }
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) store: Store,
    history: VecDeque<Rc<Store>>,
    pub(crate) dice: Dice,
    events: BTreeMap<(Timestamp, u64), Event>,
    turn: u64,
    pub(crate) velero: VeleroServer,
    pub(crate) controller: Controller,
    troubles: BTreeMap<Trouble, Timestamp>,
    /// When something was last done to anything, and to each namespace.
    pub(crate) disturbed: Timestamp,
    pub(crate) touched: BTreeMap<String, Timestamp>,
    /// Since which disturbance everything was found as it is to be.
    pub(crate) settled: Option<Timestamp>,
    /// Every namespace that ever was or will be.
    pub(crate) teams: Vec<String>,
    /// UIDs of Schedules that are not ours.
    pub(crate) foreign: BTreeSet<String>,
    /// Names of all incidents that were told of.
    pub(crate) told: BTreeSet<String>,
    pub(crate) counts: Counts,
    /// By day: what we have tried to write, and what others have done.
    pub(crate) days: BTreeMap<i64, (u32, u32)>,
    /// What has happened, to be compared.
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, teams: usize) -> Self {
        let now: Timestamp = START.parse().expect("a time");
        let mut velero = VeleroServer::default();
        velero.at_once = 1;
        let mut world = Self {
            now,
            store: Store::default(),
            history: VecDeque::new(),
            dice: Dice(seed),
            events: BTreeMap::new(),
            turn: 0,
            velero,
            controller: Controller::default(),
            troubles: BTreeMap::new(),
            disturbed: now,
            touched: BTreeMap::new(),
            settled: None,
            teams: (0..teams).map(|n| format!("team-{n}")).collect(),
            foreign: BTreeSet::new(),
            told: BTreeSet::new(),
            counts: Counts::default(),
            days: BTreeMap::new(),
            trace: Vec::new(),
        };
        world.at(now + seconds(17), Event::Velero(Errand::Tick));
        world.at(now + minutes(25), Event::Velero(Errand::Expire));
        world
    }

    pub(crate) fn at(&mut self, at: Timestamp, event: Event) {
        self.turn += 1;
        self.events.insert((at, self.turn), event);
    }

    pub(crate) fn day(&self) -> i64 {
        self.now.as_second() / 86_400
    }

    pub(crate) fn is_in(&self, trouble: Trouble) -> bool {
        self.troubles.contains_key(&trouble)
    }

    pub(crate) fn troubles(&self) -> BTreeSet<Trouble> {
        self.troubles.keys().copied().collect()
    }

    /// Begins with a trouble, or draws it out.
    pub(crate) fn trouble(&mut self, trouble: Trouble, lasts: SignedDuration) {
        let until = self.now + lasts;
        self.touch_all();
        if trouble == Trouble::VeleroDown {
            self.velero_stops();
        }
        let known = self.troubles.entry(trouble).or_insert(until);
        *known = until.max(*known);
        let until = *known;
        self.at(until, Event::Over(trouble));
    }

    pub(crate) fn touch_all(&mut self) {
        self.disturbed = self.now;
        for team in &self.teams {
            self.touched.insert(team.clone(), self.now);
        }
    }

    pub(crate) fn touch(&mut self, team: &str) {
        self.disturbed = self.now;
        self.touched.insert(team.to_owned(), self.now);
    }

    /// Goes to the next moment before `end` at which something happens, and does it; false if there is none.
    pub(crate) fn step(&mut self, end: Timestamp) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let wake = self.controller.wake.filter(|_| !self.is_in(Trouble::Down));
        let next = [event, wake].into_iter().flatten().min().expect("Velero looks once a minute");
        if next >= end {
            return false;
        }
        self.now = next.max(self.now);
        self.counts.steps += 1;
        let before = self.store.version;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let event = entry.remove();
            self.happen(event);
        }
        let seen = Rc::clone(&self.store.schedules);
        self.passes();
        self.have_velero_look(&seen);
        self.note_due();
        self.check(before != self.store.version);
        true
    }

    fn happen(&mut self, event: Event) {
        if !matches!(event, Event::Velero(Errand::Tick | Errand::Expire)) {
            self.trace.push(format!("{} {event:?}", self.now));
        }
        let before = Rc::clone(&self.store.schedules);
        match event {
            Event::Velero(errand) => self.velero_does(errand),
            Event::Hand(hand) => {
                self.counts.acts += 1;
                self.days.entry(self.day()).or_default().1 += 1;
                self.act(hand);
                self.have_velero_look(&before);
            }
            // Another one may have drawn it out.
            Event::Over(trouble) if self.troubles.get(&trouble).is_some_and(|until| *until <= self.now) => {
                self.troubles.remove(&trouble);
                self.touch_all();
                match trouble {
                    Trouble::VeleroDown => self.velero_starts(),
                    Trouble::Down => self.controller = Controller::default(),
                    _ => {}
                }
            }
            Event::Over(_) => {}
        }
    }

    /// A watch tells Velero of every Schedule whose spec has changed since.
    fn have_velero_look(&mut self, before: &Rc<BTreeMap<String, Arc<Schedule>>>) {
        if Rc::ptr_eq(before, &self.store.schedules) {
            return;
        }
        let is_news =
            |name: &String, spec: &ScheduleSpec| before.get(name).is_none_or(|before| before.spec != *spec);
        let schedules = self.store.schedules.iter();
        let changed: Vec<String> = schedules
            .filter(|(name, live)| is_news(name, &live.spec))
            .map(|(name, _)| name.clone())
            .collect();
        for name in changed {
            self.at(self.now + seconds(1), Event::Velero(Errand::Look(name)));
        }
    }

    /// What the controller's caches show.
    pub(crate) fn shown(&mut self) -> Rc<Store> {
        if self.history.back().is_none_or(|newest| newest.version != self.store.version) {
            self.history.push_back(Rc::new(self.store.clone()));
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        let behind = if self.is_in(Trouble::Behind) { self.controller.behind } else { 0 };
        let newest = self.history.len() - 1;
        Rc::clone(&self.history[newest.saturating_sub(behind)])
    }
}
