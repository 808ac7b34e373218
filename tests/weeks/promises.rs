//! What has to hold after every step, whatever happens.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use agenttier_backup::api::BackupPolicy;
use agenttier_backup::schedules::{Course, Finding, Fitting, Order};
use agenttier_backup_plan::schedules::name;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use velero::{Backup, Schedule};

use crate::controller::{Found, Shown, cluster};
use crate::store::{Store, is_written_by_us};
use crate::velero_server::is_under_way;
use crate::world::{Trouble, World, hours, minutes};

const NAMESPACE: &str = "backup.agenttier.io/namespace";
const POLICY: &str = "backup.agenttier.io/policy";
const CLUSTER_UID: &str = "backup.agenttier.io/cluster-uid";

/// So long after the last disturbance everything is as it is to be: the longest pause after a failed write, and a bit.
const SETTLES: SignedDuration = SignedDuration::from_mins(6);
/// A backup that is not begun for so long is to be told of.
const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The same where the backup before is under way all the time.
const OVERRUN: SignedDuration = SignedDuration::from_mins(55);
/// One that is begun at its time has so long to come to its end at the least.
const LEAST_OVERDUE: SignedDuration = SignedDuration::from_mins(30);
/// What a backup may wait for others and take, on top of the time between two.
const ALLOWANCE: SignedDuration = SignedDuration::from_hours(4);

/// What the Schedule of a namespace is to be, as people would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Enabled,
    /// Paused, if it is there.
    Paused,
    /// Enabled, if it is there.
    Kept,
    Absent,
    /// Whatever it was.
    Untouched,
}

impl World {
    /// The policy of a namespace: the highest priority, then the first by name.
    fn policy_of(&self, team: &str) -> Option<&Arc<BackupPolicy>> {
        let tier = self.store.namespaces.get(team)?.labels().get("tier").cloned();
        let selects = |policy: &&Arc<BackupPolicy>| {
            let name = policy.name_any();
            name == "base" || tier.as_ref() == Some(&name)
        };
        let mut selecting: Vec<_> = self.store.policies.values().filter(selects).collect();
        selecting.sort_by_key(|policy| (-policy.spec.priority, policy.name_any()));
        selecting.first().copied()
    }

    fn expected(&self, team: &str) -> Expected {
        let Some(namespace) = self.store.namespaces.get(team) else {
            let live = self.store.schedules.get(&name(&cluster().name, team));
            let noted = live.and_then(|live| live.annotations().get(POLICY));
            let mut policies = self.store.policies.values();
            // One whose mark somebody took off may be of any.
            let is_on = policies.any(|policy| {
                policy.spec.velero.enabled && noted.is_none_or(|noted| *noted == policy.name_any())
            });
            return if is_on { Expected::Paused } else { Expected::Absent };
        };
        let Some(policy) = self.policy_of(team).filter(|policy| policy.spec.velero.enabled) else {
            return Expected::Absent;
        };
        match () {
            () if policy.spec.suspend => Expected::Paused,
            () if policy.spec.velero.cron == "at noon" => Expected::Untouched,
            () if namespace.metadata.deletion_timestamp.is_some() => Expected::Paused,
            () if self.store.sandboxes.contains_key(team) => Expected::Enabled,
            () => Expected::Kept,
        }
    }

    /// What a pass has written, object by object.
    pub(crate) fn check_writes(&mut self, before: &Store, shown: &Shown, orders: &[Order]) {
        assert!(Rc::ptr_eq(&before.backups, &self.store.backups), "only Velero deletes backups");
        if Rc::ptr_eq(&before.schedules, &self.store.schedules) {
            return;
        }
        for (name, live) in before.schedules.iter() {
            let now = self.store.schedules.get(name);
            let same = now.is_some_and(|now| Arc::ptr_eq(now, live));
            let is_foreign = live.uid().is_some_and(|uid| self.foreign.contains(&uid));
            assert!(same || !is_foreign, "{name} is somebody else's: {orders:?}");
            if same || shown.certain {
                continue;
            }
            let now =
                now.unwrap_or_else(|| panic!("{name} was deleted while nothing is certain, at {}", self.now));
            let noted = |schedule: &Schedule| schedule.annotations().get(POLICY).cloned();
            assert!(
                noted(live).is_none() || noted(now) == noted(live),
                "{name} was rendered under another policy while nothing is certain"
            );
            let team = live.name_any().replacen("east-", "", 1);
            let observed = &shown.observed;
            let namespace = observed.namespaces.iter().find(|namespace| namespace.name_any() == team);
            let is_terminating = namespace.is_some_and(|seen| seen.metadata.deletion_timestamp.is_some());
            let of_it = |policy: &&Arc<BackupPolicy>| Some(policy.name_any()) == noted(now);
            let is_suspended = observed.policies.iter().find(of_it).is_some_and(|policy| policy.spec.suspend);
            let newly_paused = now.spec.paused == Some(true) && live.spec.paused != Some(true);
            assert!(
                !newly_paused || is_terminating || is_suspended,
                "{name} was paused while nothing is certain, at {}",
                self.now
            );
        }
    }

    /// Everything, after a step.
    pub(crate) fn check(&mut self, changed: bool) {
        let is_now_and_then = self.counts.steps.is_multiple_of(50);
        if changed
            || is_now_and_then
            || self.controller.found.as_ref().is_some_and(|found| found.at == self.now)
        {
            self.check_told(is_now_and_then);
        }
        let since = self.now.duration_since(self.disturbed);
        let is_calm =
            self.troubles().is_subset(&[Trouble::VeleroDown, Trouble::NoBackups].into()) && since >= SETTLES;
        if is_calm && (self.counts.steps.is_multiple_of(100) || self.settled != Some(self.disturbed)) {
            self.check_nothing_was_missed();
            if self.settled != Some(self.disturbed) {
                self.settled = Some(self.disturbed);
                self.counts.settled += 1;
                self.check_settled();
            }
        }
        let bound = |(writes, acts): &(u32, u32)| *writes <= 60 + 25 * acts;
        let today = self.days.get(&self.day());
        assert!(today.is_none_or(bound), "too much is written at {}: {today:?}", self.now);
    }

    /// Everybody has one Schedule as it is to be, and there is nothing to do.
    fn check_settled(&self) {
        let mut ours: BTreeMap<&str, u32> = BTreeMap::new();
        for schedule in self.store.schedules.values().filter(|schedule| is_written_by_us(schedule.as_ref())) {
            // Where its policy makes no sense, somebody may have taken its labels.
            if let Some(team) = schedule.labels().get(NAMESPACE) {
                *ours.entry(team.as_str()).or_default() += 1;
            }
        }
        for team in &self.teams {
            let live = self.store.schedules.get(&name(&cluster().name, team));
            let is_taken = live.is_some_and(|live| !is_written_by_us(live.as_ref()));
            let paused = live.map(|live| live.spec.paused == Some(true));
            let fits = match self.expected(team) {
                _ if is_taken => true,
                Expected::Enabled => paused == Some(false),
                Expected::Paused => paused != Some(false),
                Expected::Kept => paused != Some(true),
                Expected::Absent => paused.is_none(),
                Expected::Untouched => true,
            };
            assert!(fits, "{team} at {}: {:?}, {live:?}", self.now, self.expected(team));
            let is_ours = u32::from(live.is_some() && !is_taken);
            let count = ours.get(team.as_str()).copied().unwrap_or(is_ours);
            assert_eq!(count, is_ours, "{team} at {}", self.now);
        }
        let orders = Shown::of(&self.store).standing(self.now, &mut Fitting::default()).orders.orders;
        assert!(orders.is_empty(), "something is left to do at {}: {orders:#?}", self.now);
    }

    /// What was found last is what would be found now: nobody is woken too late.
    fn check_nothing_was_missed(&self) {
        let Some(found) = &self.controller.found else { return };
        if found.version == self.store.version && !self.is_in(Trouble::NoBackups) {
            let now = Shown::of(&self.store).standing(self.now, &mut Fitting::default()).courses;
            let later = |of: &BTreeMap<String, Course>| {
                of.values().map(|course| (course.missed, course.overdue, course.unheeded)).collect::<Vec<_>>()
            };
            assert_eq!(later(&now), later(&found.courses), "at {}", self.now);
        }
    }

    /// What is told is so, and what is so is told.
    fn check_told(&mut self, is_now_and_then: bool) {
        let Some(found) = self.controller.found.take() else { return };
        if found.version == self.store.version
            && !self.is_in(Trouble::Down)
            && !self.is_in(Trouble::NoBackups)
        {
            self.check_found(&found, is_now_and_then);
        }
        self.controller.found = Some(found);
    }

    fn check_found(&mut self, found: &Found, is_now_and_then: bool) {
        for team in self.teams.clone() {
            let name = name(&cluster().name, &team);
            let Some(finding) = found.findings.get(&name) else { continue };
            let tells = |reason| finding.incidents.iter().any(|incident| incident.reason == reason);
            for incident in &finding.incidents {
                if !self.told.insert(incident.name()) {
                    continue;
                }
                self.counts.missed_told += u32::from(incident.reason == "VeleroBackupMissed");
                self.counts.failed_told += u32::from(incident.reason == "VeleroBackupFailed");
            }
            let due_since = self.velero.due_since.get(&name).copied();
            let overdue_since = self.velero.overdue_since.get(&name).copied();
            let is_old = |since: Option<Timestamp>, age| {
                since.is_some_and(|since| self.now.duration_since(since) >= age)
            };
            if tells("VeleroBackupMissed") {
                assert!(
                    is_old(due_since, MISSED_AFTER) || is_old(overdue_since, OVERRUN),
                    "{team} has missed none at {}: {finding:?}, due since {due_since:?}, {:?}",
                    self.now,
                    self.store.schedules[&name]
                );
            }
            let course = found.courses.get(&name).cloned().unwrap_or_default();
            if let Some((_, message)) =
                finding.trouble.as_ref().filter(|(reason, _)| reason == "BackupOverdue")
            {
                self.check_overdue(&team, &course);
                self.counts.overdue_told += u32::from(self.told.insert(message.clone()));
            }
            if tells("VeleroBackupFailed") {
                assert_eq!(self.newest_ended(&team), Some(false), "{team} at {}: {finding:?}", self.now);
            }
            let since = due_since.map(|since| since.max(self.touched.get(&team).copied().unwrap_or(since)));
            let is_beside = is_under_way(&name, &self.store.backups);
            if is_old(since, if is_beside { OVERRUN } else { MISSED_AFTER } + minutes(1)) {
                assert!(
                    finding.trouble.is_some(),
                    "{team} misses one at {} since {since:?}: {finding:?}",
                    self.now
                );
            }
            let is_as_wanted = found.certain && !found.wanted.contains(&name);
            if is_now_and_then && is_as_wanted && self.expected(&team) == Expected::Enabled {
                self.check_fresh(&team, finding, &course);
            }
        }
    }

    /// Where one is told to be overdue, no complete one has begun since its time, and it has had its time.
    fn check_overdue(&self, team: &str, course: &Course) {
        let newest = self.newest_complete(team);
        let due = course.overdue.expect("it is told");
        assert!(
            newest.is_none_or(|begun| begun < due) && self.now.duration_since(due) >= LEAST_OVERDUE,
            "{team} is not late at {}: {newest:?}, {course:?}",
            self.now
        );
    }

    /// The newest complete backup is no older than one period, and what the queue may take; or a reason is named. One that
    /// waits behind many, or takes hours, is Velero's to make, but not for ever.
    fn check_fresh(&mut self, team: &str, finding: &Finding, course: &Course) {
        let policy = self.policy_of(team).expect("it is enabled");
        let period = policy.spec.velero.every.duration().expect("a length");
        let period = if policy.spec.velero.cron.is_empty() { period } else { hours(4) };
        let quiet = self.touched.get(team).map_or(SignedDuration::ZERO, |at| self.now.duration_since(*at));
        let asked_for = self.store.backups.values().filter(|backup| is_of(team, backup));
        let is_slow = asked_for.count() > self.ended_of(team).count();
        let allowance = if is_slow {
            (period / 2).max(course.took.unwrap_or_default() * 3 / 2).max(ALLOWANCE) + hours(1)
        } else {
            ALLOWANCE
        };
        if quiet < period + allowance || finding.trouble.is_some() {
            return;
        }
        self.counts.fresh += 1;
        let newest = self.newest_complete(team);
        assert!(
            newest.is_some_and(|begun| self.now.duration_since(begun) <= period + allowance),
            "{team} at {}: {newest:?}, and nobody says why: {finding:?}",
            self.now
        );
    }

    /// When the newest complete backup of a team began.
    fn newest_complete(&self, team: &str) -> Option<Timestamp> {
        self.ended_of(team).filter(|(_, is_well)| *is_well).map(|(begun, _)| begun).max()
    }

    /// When each backup of a team began that has ended and is there, and whether it ended well.
    fn ended_of(&self, team: &str) -> impl Iterator<Item = (Timestamp, bool)> {
        let of_it = self.store.backups.iter().filter(move |(_, backup)| is_of(team, backup));
        of_it.filter_map(|(name, _)| self.velero.ended.get(name).copied())
    }

    fn newest_ended(&self, team: &str) -> Option<bool> {
        self.ended_of(team).max_by_key(|(begun, _)| *begun).map(|(_, is_well)| is_well)
    }

    /// How many backups of a team are there that are complete.
    pub(crate) fn complete(&self, team: &str) -> usize {
        self.ended_of(team).filter(|(_, is_well)| *is_well).count()
    }
}

fn is_of(team: &str, backup: &Backup) -> bool {
    let is_labelled = backup.labels().get(NAMESPACE).is_some_and(|of| of == team);
    is_labelled && backup.annotations().contains_key(CLUSTER_UID)
}
