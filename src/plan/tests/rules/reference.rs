//! A second planner, written from what is promised and not from the first one: slow, plain, and with a calendar, an
//! order and slots of its own. Both must say the same of every world.

use agenttier_backup_plan::{
    Action, AgentTierLoop, ClaimPhase, Governance, Note, Ownership, Policy, Pressure, Protection,
    RecoveryPoint, Retention, Verdict, Volume,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::world::{NOW, every, hours, minutes, wanted_prunes, wanted_snapshot};
use crate::worlds::{World, worlds};

const DAY: i64 = 86_400;

/// What both say.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    goes: Vec<String>,
    due: bool,
    /// That another retention is in force is noted.
    amends: bool,
    state: &'static str,
}

impl Word {
    fn of(verdict: &Verdict) -> Self {
        let mut goes: Vec<_> = wanted_prunes(verdict).iter().map(|prune| prune.name.clone()).collect();
        goes.sort();
        let state = match verdict.protection {
            Protection::Protected { .. } => "protected",
            Protection::Awaited { .. } => "awaited",
            Protection::Overdue { .. } => "overdue",
            Protection::Unprotected { .. } => "unprotected",
            Protection::Retired { .. } => "retired",
            Protection::Unknown { .. } => "unknown",
        };
        let amends = verdict.wants.iter().any(
            |want| matches!(want, Action::Mark(mark) if matches!(mark.note, Note::RetentionChanged { .. })),
        );
        Self { goes, due: wanted_snapshot(verdict).is_some(), amends, state }
    }
}

struct Reference<'w> {
    now: Timestamp,
    world: &'w World,
    policy: Policy,
}

/// Year and month of a day counted from 1970, by going through the years.
fn month_of(mut day: i64) -> (i64, i64) {
    let mut year = 1970;
    let is_leap = |year: i64| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    (year, i64::try_from(month).unwrap())
}

/// Whether two moments share a day (0), a week (1) or a month (2). The first of January 1970 was a Thursday.
fn share(stretch: usize, a: Timestamp, b: Timestamp) -> bool {
    let day = |at: Timestamp| at.as_second().div_euclid(DAY);
    match stretch {
        0 => day(a) == day(b),
        1 => (day(a) + 3).div_euclid(7) == (day(b) + 3).div_euclid(7),
        _ => month_of(day(a)) == month_of(day(b)),
    }
}

impl Reference<'_> {
    fn volume(&self) -> &Volume {
        &self.world.volume
    }

    fn ours(&self) -> Vec<&RecoveryPoint> {
        let is_ours =
            |point: &&RecoveryPoint| point.ownership == Ownership::Ours { volume: self.volume().uid.clone() };
        self.volume().points.iter().filter(is_ours).collect()
    }

    fn alive(&self) -> Vec<&RecoveryPoint> {
        self.ours().into_iter().filter(|point| !point.terminating()).collect()
    }

    fn age(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at)
    }

    fn failed(&self, point: &RecoveryPoint) -> bool {
        let age = self.age(point.created);
        !point.ready && (age >= hours(24) || point.error.is_some() && age >= self.policy.ready_timeout)
    }

    fn believable(&self, point: &RecoveryPoint, at: Option<Timestamp>) -> Option<Timestamp> {
        at.filter(|at| *at >= point.created && *at <= point.created + hours(24) && *at <= self.now)
    }

    fn taken_at(&self, point: &RecoveryPoint) -> Timestamp {
        self.believable(point, point.cut).unwrap_or(point.created)
    }

    fn covers(&self, point: &RecoveryPoint) -> Timestamp {
        self.believable(point, point.slot).unwrap_or(Timestamp::MIN).max(self.taken_at(point))
    }

    fn newer<'p>(than: &RecoveryPoint, among: &[&'p RecoveryPoint]) -> Vec<&'p RecoveryPoint> {
        let is_newer = |point: &&&RecoveryPoint| (point.created, &point.name) > (than.created, &than.name);
        among.iter().filter(is_newer).copied().collect()
    }

    /// Ready points that nobody deletes.
    fn ready(&self) -> Vec<&RecoveryPoint> {
        self.alive().into_iter().filter(|point| point.ready).collect()
    }

    /// Whether this retention keeps a Ready point.
    fn keeps(&self, retention: &Retention, point: &RecoveryPoint) -> bool {
        let newer = Self::newer(point, &self.ready());
        if newer.is_empty() || newer.len() < retention.keep_last as usize {
            return true;
        }
        let age = self.age(self.taken_at(point));
        if retention.max_count.is_some_and(|count| newer.len() >= count as usize) || age >= retention.max_age
        {
            return false;
        }
        let rules = [retention.thin.daily, retention.thin.weekly, retention.thin.monthly];
        let Some(longest) = (0..3).rev().find(|i| rules[*i].is_some_and(|from| age >= from)) else {
            return true;
        };
        (longest..3).filter(|i| rules[*i].is_some()).any(|stretch| {
            newer.iter().all(|other| !share(stretch, self.taken_at(other), self.taken_at(point)))
        })
    }

    /// Who said when which retention was in force, in order of time.
    fn witnesses(&self, recent: bool) -> Vec<(&RecoveryPoint, Retention)> {
        let mut all = vec![];
        for point in self.ours() {
            let amended = point.amendments.iter().map(|amendment| (amendment.since, amendment.retention));
            let told = point.retention.map(|retention| (point.created, retention)).into_iter().chain(amended);
            all.extend(told.map(|(at, retention)| (at, point, retention)));
        }
        all.retain(|(at, ..)| (self.age(*at) < hours(24)) == recent);
        all.sort_by_key(|(at, point, _)| (*at, point.name.clone()));
        all.into_iter().map(|(_, point, retention)| (point, retention)).collect()
    }

    fn promises(&self) -> Vec<Retention> {
        let recent = self.witnesses(true);
        recent.into_iter().chain(self.witnesses(false).pop()).map(|(_, retention)| retention).collect()
    }

    fn is_held(point: &RecoveryPoint) -> bool {
        point.pinned || !point.readers.is_empty() || point.class_retains
    }

    /// Of a workspace in use.
    fn goes(&self, point: &RecoveryPoint) -> bool {
        let ready = self.ready();
        let outlived = !Self::newer(point, &ready).is_empty();
        if point.terminating() || Self::is_held(point) || !outlived {
            return false;
        }
        if point.ownership == Ownership::AgentTier {
            let ages =
                self.promises().into_iter().chain([self.policy.retention]).map(|retention| retention.max_age);
            let of_this_claim = point.created >= self.volume().created;
            return self.policy.adopt_agenttier
                && of_this_claim
                && self.age(point.created) >= ages.max().unwrap();
        }
        if !self.ours().iter().any(|ours| ours.uid == point.uid) {
            return false;
        }
        if !point.ready {
            return self.failed(point);
        }
        let mut all = self.promises();
        all.push(self.policy.retention);
        let pressed = |mut retention: Retention| {
            let from = retention.thin.daily.unwrap_or(hours(48));
            retention.thin.daily = Some(from.min(hours(48)));
            retention
        };
        !all.iter().any(|retention| self.keeps(retention, point))
            || self.world.pressure != Pressure::None
                && !all.iter().any(|retention| self.keeps(&pressed(*retention), point))
    }

    /// The last word on what was in force stays while an older one would say something else.
    fn is_last_word(&self, point: &RecoveryPoint) -> bool {
        let mut before = self.witnesses(false);
        let Some((last, word)) = before.pop() else { return false };
        last.uid == point.uid
            && before.iter().any(|(older, retention)| older.uid != point.uid && *retention != word)
    }

    /// The retention to note on the newest good point, where no new one is about to carry it.
    fn amends(&self) -> bool {
        let mut all: Vec<(Timestamp, String, Retention)> = vec![];
        for point in self.ours() {
            all.extend(point.retention.map(|retention| (point.created, point.name.clone(), retention)));
            let amended = point.amendments.iter();
            all.extend(amended.map(|amended| (amended.since, point.name.clone(), amended.retention)));
        }
        all.sort_by_key(|(at, name, _)| (*at, name.clone()));
        let Some((at, _, word)) = all.pop() else { return false };
        let waited = self.age(at) >= self.objective() || self.is_unchanged() && at <= self.now;
        // That it is to be hidden from AgentTier's sweep is noted first.
        let hides = |newest: &RecoveryPoint| {
            newest.looks_like_agenttiers && self.volume().agenttier_loop != AgentTierLoop::Off
        };
        let newest = Self::latest(&self.ready());
        newest.is_some_and(|newest| !hides(newest)) && word != self.policy.retention && waited
    }

    fn slot_start(&self) -> Timestamp {
        let digest = Sha256::digest(self.volume().uid.as_str());
        let hash = u64::from_be_bytes(digest[..8].try_into().unwrap());
        let seconds = self.policy.interval.seconds();
        let offset = i64::try_from(hash % seconds.unsigned_abs()).unwrap();
        let since = (self.now.as_second() - offset).rem_euclid(seconds);
        Timestamp::from_second(self.now.as_second() - since).unwrap()
    }

    fn has_class(&self) -> bool {
        let Some(classes) = &self.world.classes else { return true };
        match &self.policy.class {
            Some(name) => classes.iter().any(|class| class.name == *name && class.driver == "dir.csi"),
            None => classes.iter().filter(|class| class.driver == "dir.csi" && class.is_default).count() == 1,
        }
    }

    fn latest<'p>(points: &[&'p RecoveryPoint]) -> Option<&'p RecoveryPoint> {
        points.iter().max_by_key(|point| (point.created, &point.name)).copied()
    }

    /// Nothing good or under way for the slot, and nothing failed there too short a time ago.
    fn is_turn(&self) -> bool {
        let start = self.slot_start();
        let alive = self.alive();
        let good: Vec<_> = alive.iter().copied().filter(|point| !self.failed(point)).collect();
        if good.iter().any(|point| !point.ready) {
            return false;
        }
        let after_switch = Self::latest(&good).is_some_and(|point| point.after_switch);
        let in_slot = good.iter().any(|point| self.covers(point) >= start);
        let switched = self.volume().switched_to.is_some();
        if switched && after_switch || !switched && in_slot && !after_switch {
            return false;
        }
        let failed: Vec<_> =
            alive.into_iter().filter(|point| self.failed(point) && self.covers(point) >= start).collect();
        let Some(last) = failed.iter().map(|point| point.created).max() else { return true };
        let pause = (1..failed.len()).fold(self.policy.ready_timeout, |pause, _| (pause * 2).min(hours(24)));
        self.age(last) >= pause.min(hours(24))
    }

    fn is_unchanged(&self) -> bool {
        let Volume { shared, attached, sandbox, switched_to, .. } = self.volume();
        let Some(sandbox) = sandbox else { return false };
        let Some(last) = Self::latest(&self.ready()) else { return false };
        self.policy.skip_unchanged
            && !shared
            && !attached
            && switched_to.is_none()
            && sandbox.phase == "Stopped"
            && last.at_rest_since.is_some_and(|since| since < last.created)
            && last.at_rest_since == sandbox.last_activity
    }

    /// The newest good point says that it was taken at rest, and that is to be noted first as being over.
    fn is_disturbed(&self) -> bool {
        let Volume { attached, sandbox, .. } = self.volume();
        let (Some(sandbox), Some(last)) = (sandbox, Self::latest(&self.ready())) else { return false };
        let since = last.at_rest_since.filter(|since| *since < last.created);
        since.is_some_and(|since| {
            *attached || sandbox.phase != "Stopped" || sandbox.last_activity != Some(since)
        })
    }

    fn objective(&self) -> SignedDuration {
        self.policy.interval.duration() + self.policy.ready_timeout
    }

    fn agenttiers_newest(&self) -> Option<Timestamp> {
        let its = self
            .volume()
            .points
            .iter()
            .filter(|point| point.ownership == Ownership::AgentTier && point.ready && !point.terminating())
            .filter(|point| point.created >= self.volume().created);
        its.map(|point| self.taken_at(point)).max()
    }

    fn is_left_to_agenttier(&self) -> bool {
        self.volume().agenttier_loop == AgentTierLoop::Covers
            && self.volume().switched_to.is_none()
            && self.age(self.agenttiers_newest().unwrap_or(self.volume().created)) < self.objective()
    }

    fn in_use(&self, holds_pruning: bool) -> Word {
        let going = |point: &&RecoveryPoint| !holds_pruning && self.goes(point) && !self.is_last_word(point);
        let mut newest = self.ready().iter().map(|point| self.taken_at(point)).max();
        if self.is_left_to_agenttier() {
            newest = newest.max(self.agenttiers_newest());
        }
        let in_time = self.age(newest.unwrap_or(self.volume().created)) < self.objective();
        let state = match (newest, in_time || newest.is_some() && self.is_unchanged()) {
            (Some(_), true) => "protected",
            (None, true) => "awaited",
            _ => "overdue",
        };
        let due = self.is_turn() && !self.is_unchanged() && self.has_class() && !self.is_left_to_agenttier();
        let amends = !holds_pruning && !self.is_disturbed() && self.amends();
        Word { goes: names(self.volume().points.iter().filter(going)), due, amends, state }
    }

    fn gone(&self) -> Word {
        // A note from before the newest good point was made is of another time.
        let newest = self.ours().iter().filter(|point| point.ready).map(|point| point.created).max();
        let since = self.ours().iter().filter_map(|point| point.gone_since).max();
        let since = since.filter(|since| newest.is_none_or(|newest| newest <= *since));
        let ages =
            self.promises().into_iter().chain([self.policy.retention]).map(|retention| retention.max_age);
        let over = since.is_some_and(|since| self.age(since) >= ages.max().unwrap());
        let free: Vec<_> = self
            .alive()
            .into_iter()
            .filter(|point| over && !Self::is_held(point) && (point.ready || self.failed(point)))
            .collect();
        let last = Self::latest(&self.ready()).map(|point| point.uid.clone());
        let leaving = self.ours().iter().any(|point| point.terminating());
        let others = free.iter().any(|point| Some(&point.uid) != last.as_ref()) || leaving;
        let goes = free.iter().filter(|point| Some(&point.uid) != last.as_ref() || !others).copied();
        Word { goes: names(goes), due: false, amends: false, state: "retired" }
    }

    fn closing(&self) -> Word {
        let hopeless = |point: &&RecoveryPoint| !Self::is_held(point) && self.failed(point);
        Word {
            goes: names(self.alive().into_iter().filter(hopeless)),
            due: false,
            amends: false,
            state: "unprotected",
        }
    }
}

fn names<'p>(points: impl Iterator<Item = &'p RecoveryPoint>) -> Vec<String> {
    let mut names: Vec<_> = points.map(|point| point.name.clone()).collect();
    names.sort();
    names
}

/// What the Sandbox asks for, of the few things that worlds make it ask for; `None` for what makes no sense.
fn asked(world: &World, mut policy: Policy) -> Option<Policy> {
    let Some(sandbox) = &world.volume.sandbox else { return Some(policy) };
    match sandbox.overrides.enabled.as_deref() {
        None | Some("true" | "false") => {}
        _ => return None,
    }
    match sandbox.overrides.interval.as_deref() {
        None => {}
        Some("1h") => policy.interval = every(minutes(60)),
        Some("6h") => policy.interval = every(hours(6)),
        _ => return None,
    }
    match sandbox.overrides.retention.as_deref() {
        None => {}
        Some("2d") => policy.retention.max_age = hours(48),
        Some("30d") => policy.retention.max_age = hours(720),
        _ => return None,
    }
    match sandbox.overrides.keep_last.as_deref() {
        None => {}
        Some("1") => policy.retention.keep_last = 1,
        Some("3") => policy.retention.keep_last = 3,
        _ => return None,
    }
    (policy.retention.max_age >= policy.interval.duration()).then_some(policy)
}

fn word(now: Timestamp, world: &World) -> Word {
    let nothing = |state| Word { goes: vec![], due: false, amends: false, state };
    let volume = &world.volume;
    let switched = volume.switched_to.is_some();
    let gone = volume.phase == ClaimPhase::Gone;
    let Governance::By(policy) = &world.governance else {
        let retired = gone || volume.phase == ClaimPhase::Abandoned;
        return nothing(match world.governance {
            _ if retired => "retired",
            Governance::Unknown => "unknown",
            _ => "unprotected",
        });
    };
    let asked = asked(world, policy.clone());
    let holds_pruning = asked.is_none();
    let opted_out =
        volume.sandbox.as_ref().is_some_and(|sandbox| sandbox.overrides.enabled.as_deref() == Some("false"));
    let opted_out = opted_out && !holds_pruning;
    let mut policy = asked.unwrap_or_else(|| policy.clone());
    if world.pressure == Pressure::AtLimit {
        policy.interval = every(policy.interval.duration() * 2);
    }
    let reference = Reference { now, world, policy };
    if volume.phase == ClaimPhase::Abandoned || gone && (switched || volume.sandbox.is_some()) {
        return nothing("retired");
    }
    if gone {
        return reference.gone();
    }
    if opted_out {
        return nothing("unprotected");
    }
    if volume.terminating {
        return reference.closing();
    }
    if volume.phase != ClaimPhase::Bound || volume.driver.is_none() {
        return nothing("unprotected");
    }
    if switched {
        return Word { due: reference.is_turn() && reference.has_class(), ..nothing("retired") };
    }
    reference.in_use(holds_pruning)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_planners_say_the_same(world in worlds(), ahead in 0_i64..30 * 24) {
        for now in [NOW, NOW + hours(ahead)] {
            prop_assert_eq!(Word::of(&world.judge(now)), word(now, &world));
        }
    }
}
