//! A model of Velero's server, after the source of 1.18: its schedule, queue, backup and expiry controllers.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt;
use velero::{Backup, BackupPhase, BackupSpec, BackupStatus, Cron, Schedule, SchedulePhase, labels};

use crate::world::{Event, World, minutes, seconds};

/// What it does next.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// The look at all Schedules, once a minute.
    Tick,
    /// A Schedule's spec has changed.
    Look(String),
    /// A backup that was asked for takes its place in the queue.
    Queue(String),
    /// All objects of a backup are read, if its server has lived through it.
    Read(String, u32),
    /// The copying is done.
    Copied(String),
    Expire,
}

/// A backup that was asked for.
#[derive(Debug, Clone)]
struct Job {
    namespace: String,
    takes: SignedDuration,
    /// How long the copying goes on after that.
    copies: Option<SignedDuration>,
    ttl: SignedDuration,
    fails: bool,
}

/// The server.
#[derive(Debug, Default)]
pub(crate) struct VeleroServer {
    down: bool,
    /// How often it was started.
    starts: u32,
    pub(crate) at_once: usize,
    /// Backups take a few minutes, and none fails.
    pub(crate) is_calm: bool,
    jobs: BTreeMap<String, Job>,
    /// In the order in which they came.
    queue: Vec<String>,
    running: BTreeSet<String>,
    /// When each backup began that has ended, by its name, and whether it ended well.
    pub(crate) ended: BTreeMap<String, (Timestamp, bool)>,
    due: BTreeMap<String, (String, Timestamp, Option<Timestamp>)>,
    /// Since when a Schedule is due that Velero would serve if it were there.
    pub(crate) due_since: BTreeMap<String, Timestamp>,
    /// The same, also while a backup before it is in its way.
    pub(crate) overdue_since: BTreeMap<String, Timestamp>,
    judged: Option<Timestamp>,
}

impl VeleroServer {
    pub(crate) fn is_up(&self) -> bool {
        !self.down
    }

    /// When the next backup is due; `None` where it accepts nothing.
    pub(crate) fn due(&mut self, schedule: &Schedule) -> Option<Timestamp> {
        let status = schedule.status.clone().unwrap_or_default();
        let created = schedule.creation_timestamp().expect("it was made").0;
        let last = status.last_backup.map_or(created, |last| last.0);
        let after = status.last_skipped.map_or(last, |skipped| skipped.0.max(last));
        let known = self.due.get(&schedule.name_any());
        if let Some((cron, since, due)) = known
            && *cron == schedule.spec.schedule
            && *since == after
        {
            return *due;
        }
        let cron: Option<Cron> = schedule.spec.schedule.parse().ok();
        let due = cron.and_then(|cron| cron.next(after, &TimeZone::UTC));
        self.due.insert(schedule.name_any(), (schedule.spec.schedule.clone(), after, due));
        due
    }
}

/// Whether one of its backups keeps the next one from being asked for.
fn is_blocked(
    schedule: &str,
    backups: &BTreeMap<String, Arc<Backup>>,
    counts: impl Fn(&Backup) -> bool,
) -> bool {
    let mut named =
        backups.range(format!("{schedule}-")..).take_while(|(name, _)| name.starts_with(schedule));
    named.any(|(_, backup)| {
        let is_its = backup.labels().get(labels::SCHEDULE_NAME).is_some_and(|of| of == schedule);
        let phase = backup.status.as_ref().and_then(|status| status.phase.clone());
        is_its && counts(backup) && matches!(phase, None | Some(BackupPhase::New | BackupPhase::InProgress))
    })
}

/// Whether one of its backups has begun and not ended.
pub(crate) fn is_under_way(schedule: &str, backups: &BTreeMap<String, Arc<Backup>>) -> bool {
    let mut named =
        backups.range(format!("{schedule}-")..).take_while(|(name, _)| name.starts_with(schedule));
    named.any(|(_, backup)| {
        let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
        phase.is_some_and(|phase| phase.may_change() && *phase != BackupPhase::Queued)
    })
}

impl World {
    pub(crate) fn velero_does(&mut self, errand: Errand) {
        let errand_at = |world: &mut Self, after, errand| world.at(world.now + after, Event::Velero(errand));
        match errand {
            Errand::Tick => {
                errand_at(self, minutes(1), Errand::Tick);
                self.look_at_all();
            }
            Errand::Look(name) => self.look(&name),
            Errand::Queue(name) if self.velero.is_up() => {
                self.velero.queue.push(name.clone());
                self.set_phase(&name, BackupPhase::Queued);
                self.dequeue();
                self.counts.queued += u32::from(self.velero.queue.contains(&name));
            }
            Errand::Queue(name) => errand_at(self, minutes(1), Errand::Queue(name)),
            Errand::Read(name, start) if start == self.velero.starts && self.velero.is_up() => {
                self.velero.running.remove(&name);
                match self.velero.jobs[&name].copies {
                    Some(copies) => {
                        self.set_phase(&name, BackupPhase::WaitingForPluginOperations);
                        errand_at(self, copies, Errand::Copied(name));
                    }
                    None => self.end(&name, None),
                }
                self.dequeue();
            }
            Errand::Read(..) => {}
            Errand::Copied(name) if self.velero.is_up() => self.end(&name, None),
            Errand::Copied(name) => errand_at(self, minutes(1), Errand::Copied(name)),
            Errand::Expire => {
                errand_at(self, minutes(60), Errand::Expire);
                if self.velero.is_up() {
                    self.expire();
                }
            }
        }
    }

    /// The server goes, and what it was at with it.
    pub(crate) fn velero_stops(&mut self) {
        self.velero.down = true;
        self.velero.starts += 1;
    }

    pub(crate) fn velero_starts(&mut self) {
        self.velero.down = false;
        for name in std::mem::take(&mut self.velero.running) {
            self.end(&name, Some("found a backup with status \"InProgress\" during the server starting"));
        }
        self.look_at_all();
    }

    fn look_at_all(&mut self) {
        let names: Vec<String> = self.store.schedules.keys().cloned().collect();
        for name in &names {
            self.look(name);
        }
        self.dequeue();
    }

    /// Reconciles one Schedule, as `schedule_controller.go` does.
    fn look(&mut self, name: &str) {
        let Some(live) = self.store.schedules.get(name).filter(|_| self.velero.is_up()).cloned() else {
            return;
        };
        if live.spec.paused == Some(true) || live.metadata.deletion_timestamp.is_some() {
            return;
        }
        let is_settled = live.spec.skip_immediately == Some(false)
            && live.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&SchedulePhase::Enabled);
        if is_settled && self.velero.due(&live).is_some_and(|due| due >= self.now) {
            return;
        }
        let mut schedule = live.as_ref().clone();
        let status = schedule.status.get_or_insert_default();
        if schedule.spec.skip_immediately == Some(true) {
            status.last_skipped = Some(Time(self.now));
            self.counts.skipped += 1;
        }
        schedule.spec.skip_immediately = Some(false);
        let cron = schedule.spec.schedule.parse::<Cron>();
        status.validation_errors =
            cron.as_ref().err().map(|error| vec![format!("invalid schedule: {error}")]);
        let phase = if cron.is_ok() { SchedulePhase::Enabled } else { SchedulePhase::FailedValidation };
        self.counts.rejected += u32::from(cron.is_err() && status.phase.as_ref() != Some(&phase));
        status.phase = Some(phase);
        if *live != schedule {
            self.store.put_schedule(self.now, "velero-server", schedule.clone());
        }
        if cron.is_err() || self.velero.due(&schedule).is_none_or(|due| due >= self.now) {
            return;
        }
        if is_blocked(name, &self.store.backups, |_| true) {
            self.counts.blocked += 1;
            return;
        }
        self.submit(schedule);
    }

    fn submit(&mut self, mut schedule: Schedule) {
        let name = velero::scheduled_backup_name(&schedule.name_any(), self.now, &TimeZone::UTC);
        if self.store.backups.contains_key(&name) {
            return;
        }
        let template = &schedule.spec.template;
        let own = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
        let mut marks = own.unwrap_or_else(|| schedule.labels().clone());
        marks.insert(labels::SCHEDULE_NAME.to_owned(), schedule.name_any());
        let backup = Backup {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(marks),
                annotations: schedule.metadata.annotations.clone(),
                creation_timestamp: Some(Time(self.now)),
                ..ObjectMeta::default()
            },
            // As the caches hold it.
            spec: BackupSpec::default(),
            status: Some(BackupStatus { phase: Some(BackupPhase::New), ..BackupStatus::default() }),
        };
        let namespace = template.included_namespaces.iter().flatten().next().cloned().unwrap_or_default();
        let ttl = template.ttl.map_or(minutes(30 * 24 * 60), SignedDuration::from);
        let dice = &mut self.dice;
        let usual = seconds(dice.between(60, 600));
        let (takes, copies, fails) = if self.velero.is_calm {
            (usual, None, false)
        } else {
            let takes = match dice.between(1, 300) {
                1..=20 => minutes(dice.between(40, 160)),
                // A plugin that hangs, and everybody else with it.
                21 => minutes(dice.between(600, 1800)),
                _ => usual,
            };
            let copies = dice.one_in(4).then(|| minutes(dice.between(1, 90)));
            (takes, copies, dice.one_in(12))
        };
        self.velero.jobs.insert(name.clone(), Job { namespace, takes, copies, ttl, fails });
        self.store.put_backup(backup);
        self.counts.backups += 1;
        schedule.status.get_or_insert_default().last_backup = Some(Time(self.now));
        self.store.put_schedule(self.now, "velero-server", schedule);
        self.at(self.now + seconds(1), Event::Velero(Errand::Queue(name)));
    }

    /// Begins with as many as may run at once, in their order; two of one namespace never run side by side.
    fn dequeue(&mut self) {
        while self.velero.is_up() && self.velero.running.len() < self.velero.at_once {
            let namespace = |name: &String| self.velero.jobs[name].namespace.clone();
            let busy: BTreeSet<String> = self.velero.running.iter().map(namespace).collect();
            let Some(next) = self.velero.queue.iter().position(|name| !busy.contains(&namespace(name)))
            else {
                return;
            };
            let name = self.velero.queue.remove(next);
            self.velero.running.insert(name.clone());
            let job = self.velero.jobs[&name].clone();
            let is_there = self.store.namespaces.contains_key(&job.namespace);
            self.velero.jobs.entry(name.clone()).and_modify(|job| job.fails |= !is_there);
            let (now, start) = (self.now, self.velero.starts);
            self.change(&name, |status| {
                status.phase = Some(BackupPhase::InProgress);
                status.start_timestamp = Some(Time(now));
                status.expiration = Some(Time(now + job.ttl));
            });
            self.at(now + job.takes, Event::Velero(Errand::Read(name, start)));
        }
    }

    fn end(&mut self, name: &str, broken: Option<&str>) {
        let job = &self.velero.jobs[name];
        let is_well = broken.is_none() && !job.fails;
        let phase = match broken {
            Some(_) => BackupPhase::Failed,
            None if is_well => BackupPhase::Completed,
            None => BackupPhase::PartiallyFailed,
        };
        let now = self.now;
        self.change(name, |status| {
            status.phase = Some(phase);
            status.completion_timestamp = Some(Time(now));
            status.failure_reason = broken.map(str::to_owned);
        });
        let begun =
            self.store.backups[name].status.as_ref().and_then(|status| status.start_timestamp.clone());
        let begun = begun.expect("it was begun").0;
        self.velero.ended.insert(name.to_owned(), (begun, is_well));
        self.counts.completed += u32::from(is_well);
        self.counts.failed += u32::from(!is_well);
    }

    /// What is under way is not deleted.
    fn expire(&mut self) {
        let is_over = |name: &String| {
            let status = self.store.backups[name].status.as_ref();
            let expiration = status.and_then(|status| status.expiration.as_ref());
            expiration.is_some_and(|at| at.0 <= self.now)
        };
        let over: Vec<String> = self.velero.ended.keys().filter(|name| is_over(name)).cloned().collect();
        for name in &over {
            self.store.version += 1;
            Rc::make_mut(&mut self.store.backups).remove(name);
            self.velero.jobs.remove(name);
            self.velero.ended.remove(name);
            self.counts.expired += 1;
        }
    }

    fn set_phase(&mut self, name: &str, phase: BackupPhase) {
        self.change(name, |status| status.phase = Some(phase));
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut BackupStatus)) {
        let mut backup = self.store.backups[name].as_ref().clone();
        change(backup.status.get_or_insert_default());
        self.store.put_backup(backup);
    }

    /// Notes since when each Schedule is due that Velero would serve.
    pub(crate) fn note_due(&mut self) {
        let before = self.velero.judged.replace(self.now).unwrap_or(self.now);
        let (mut due_since, mut overdue_since) = (BTreeMap::new(), BTreeMap::new());
        for (name, schedule) in self.store.schedules.iter() {
            let status = schedule.status.as_ref();
            let is_enabled = status.and_then(|status| status.phase.as_ref()) == Some(&SchedulePhase::Enabled);
            if !is_enabled || schedule.spec.paused == Some(true) {
                continue;
            }
            let Some(due) = self.velero.due(schedule).filter(|due| *due < self.now) else { continue };
            let since = due.max(before);
            let known = self.velero.overdue_since.get(name).copied();
            overdue_since.insert(name.clone(), known.unwrap_or(since));
            // Those that are left of somebody else's Schedule of that name are in the way as well, but none of ours to know.
            let is_ours = |backup: &Backup| backup.labels().contains_key("backup.agenttier.io/namespace");
            if !is_blocked(name, &self.store.backups, is_ours) {
                let known = self.velero.due_since.get(name).copied();
                due_since.insert(name.clone(), known.unwrap_or(since));
            }
        }
        self.velero.due_since = due_since;
        self.velero.overdue_since = overdue_since;
    }
}
