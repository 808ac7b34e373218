//! What people and other programs do: teams come and go, policies are edited, and somebody meddles with Schedules.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use agenttier_backup_plan::schedules::name;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;
use velero::{Schedule, ScheduleSpec};

use crate::controller::cluster;
use crate::store::is_written_by_us;
use crate::world::{Event, Trouble, World, hours, minutes, seconds};

/// What somebody does.
#[derive(Debug, Clone)]
pub(crate) enum Hand {
    /// A namespace is there, with a Sandbox in it or without.
    Team(String, bool),
    /// Its name is given away again.
    Gone(String),
    /// Something, to be drawn when the time has come.
    Anything,
    /// Whatever it takes that everything is in order again.
    PutRight,
    /// The Schedule that took a name of ours is deleted.
    GiveBack(String),
}

/// Longer than these no trouble lasts.
const TROUBLES: [(Trouble, i64); 12] = [
    (Trouble::VeleroDown, 300),
    (Trouble::VeleroDown, 300),
    (Trouble::VeleroDown, 60),
    (Trouble::Down, 200),
    (Trouble::Behind, 240),
    (Trouble::Behind, 240),
    (Trouble::Frozen, 240),
    (Trouble::Unreadable, 240),
    (Trouble::NoKinds, 90),
    (Trouble::Forbidden, 90),
    (Trouble::Unseen, 90),
    (Trouble::NoBackups, 90),
];

/// The policies, and how often each makes backups before anybody edits it.
pub(crate) const FIRST: [(&str, &str); 3] = [("gold", "2h"), ("silver", "6h"), ("base", "1d")];

pub(crate) fn policy(name: &str, every: &str, change: impl FnOnce(&mut BackupPolicySpec)) -> BackupPolicy {
    let mut spec = BackupPolicySpec::default();
    spec.velero.enabled = true;
    spec.velero.every = every.into();
    spec.velero.ttl = if every == "7d" { "8d".into() } else { "2d".into() };
    if name != "base" {
        let selector = json!({ "matchLabels": { "tier": name } });
        spec.namespace_selector = serde_json::from_value(selector).expect("a selector");
    }
    spec.priority = if name == "base" { -10 } else { 0 };
    change(&mut spec);
    BackupPolicy::new(name, spec)
}

impl World {
    pub(crate) fn act(&mut self, hand: Hand) {
        match hand {
            Hand::Team(team, has_sandbox) => {
                self.touch(&team);
                self.make_team(&team, has_sandbox);
            }
            Hand::Gone(team) => {
                self.touch(&team);
                self.store.version += 1;
                self.store.namespaces.remove(&team);
                self.store.sandboxes.remove(&team);
            }
            Hand::GiveBack(name) => {
                let is_theirs =
                    |live: &Arc<Schedule>| live.uid().is_some_and(|uid| self.foreign.contains(&uid));
                if self.store.schedules.get(&name).is_some_and(is_theirs) {
                    self.delete_schedule(&name);
                }
            }
            Hand::Anything => self.do_anything(),
            Hand::PutRight => self.put_right(),
        }
    }

    /// Acts of all kinds between two moments.
    pub(crate) fn meddle(&mut self, from: Timestamp, to: Timestamp, times: usize) {
        for _ in 0..times {
            let after = self.dice.between(0, to.duration_since(from).as_secs());
            self.at(from + seconds(after), Event::Hand(Hand::Anything));
        }
    }

    fn do_anything(&mut self) {
        let team = self.dice.one_of(&self.teams.clone());
        match self.dice.between(1, 20) {
            1..=3 => self.team_lives_on(&team),
            4..=6 => self.edit_policy(),
            7..=12 => self.edit_schedule(&team),
            13 => self.take_name(&team),
            14 => {
                self.disturbed = self.now;
                let edited =
                    self.store.map.as_deref().cloned().filter(|_| self.dice.one_in(2)).map(|mut map| {
                        map.data =
                            Some(BTreeMap::from([("policy.yaml".to_owned(), "version: v1".to_owned())]));
                        map
                    });
                self.store.apply_map(None, edited).expect("nobody is in the way");
                self.counts.edits += 1;
            }
            15 => {
                let lasts = minutes(self.dice.between(2, 20));
                self.trouble(Trouble::WritesFail, lasts);
            }
            _ => {
                let (trouble, longest) = self.dice.one_of(&TROUBLES);
                self.controller.behind = usize::try_from(self.dice.between(1, 12)).expect("few");
                if trouble == Trouble::Frozen && !self.is_in(trouble) {
                    let seen = (self.store.namespaces.clone(), self.store.policies.clone());
                    self.controller.frozen = Some(seen);
                }
                // Its watches begin anew with it.
                if trouble != Trouble::Down || !self.is_in(Trouble::Frozen) {
                    let lasts = minutes(self.dice.between(1, longest));
                    self.trouble(trouble, lasts);
                }
            }
        }
    }

    fn make_team(&mut self, team: &str, has_sandbox: bool) {
        if !self.store.namespaces.contains_key(team) {
            let tier = self.dice.one_of(&["gold", "silver", "none"]);
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(team.to_owned());
            namespace.metadata.uid = Some(self.store.next());
            namespace.metadata.labels = Some(BTreeMap::from([("tier".to_owned(), tier.to_owned())]));
            self.store.put_namespace(namespace);
        }
        if has_sandbox {
            self.store.version += 1;
            let sandbox = json!({ "metadata": { "name": "s1", "namespace": team } });
            let sandbox = Arc::new(serde_json::from_value(sandbox).expect("a Sandbox"));
            self.store.sandboxes.insert(team.to_owned(), sandbox);
        }
    }

    fn team_lives_on(&mut self, team: &str) {
        self.touch(team);
        let Some(live) = self.store.namespaces.get(team).cloned() else {
            return self.make_team(team, true);
        };
        let mut namespace = live.as_ref().clone();
        if namespace.metadata.deletion_timestamp.is_some() {
            return;
        }
        match self.dice.between(1, 6) {
            1 | 2 => {
                namespace.metadata.deletion_timestamp = Some(Time(self.now));
                self.store.put_namespace(namespace);
                let gone = self.now + minutes(self.dice.between(1, 120));
                self.at(gone, Event::Hand(Hand::Gone(team.to_owned())));
                if !self.dice.one_in(4) {
                    let (after, has_sandbox) = (minutes(self.dice.between(0, 900)), self.dice.one_in(2));
                    self.at(gone + after, Event::Hand(Hand::Team(team.to_owned(), has_sandbox)));
                }
            }
            3 | 4 => {
                let tier = self.dice.one_of(&["gold", "silver", "none"]);
                namespace.metadata.labels = Some(BTreeMap::from([("tier".to_owned(), tier.to_owned())]));
                self.store.put_namespace(namespace);
            }
            5 => {
                self.store.version += 1;
                self.store.sandboxes.remove(team);
            }
            _ => self.make_team(team, true),
        }
    }

    fn edit_policy(&mut self) {
        self.touch_all();
        let name = self.dice.one_of(&["gold", "silver", "base"]);
        let every = self.dice.one_of(&["1h", "2h", "6h", "6h", "1d", "7d"]);
        match self.dice.between(1, 12) {
            1 => self.store.put_policy(policy(name, every, |spec| spec.suspend = true)),
            2 => self.store.put_policy(policy(name, every, |spec| spec.velero.cron = "at noon".into())),
            3 => self.store.put_policy(policy(name, every, |spec| spec.velero.enabled = false)),
            4 => self.store.put_policy(policy(name, "4h", |spec| spec.velero.cron = "30 */4 * * *".into())),
            5 => {
                self.store.version += 1;
                self.store.policies.remove(name);
            }
            _ => self.store.put_policy(policy(name, every, |_| {})),
        }
    }

    fn put_right(&mut self) {
        self.touch_all();
        for (name, every) in FIRST {
            self.store.put_policy(policy(name, every, |_| {}));
        }
        for team in self.teams.clone() {
            if self.store.namespaces.get(&team).is_none_or(|live| live.metadata.deletion_timestamp.is_none())
            {
                self.make_team(&team, true);
            }
        }
    }

    /// Somebody else's hands on the Schedule of a team, if that is ours.
    fn edit_schedule(&mut self, team: &str) {
        let name = name(&cluster().name, team);
        let Some(live) =
            self.store.schedules.get(&name).filter(|live| is_written_by_us(live.as_ref())).cloned()
        else {
            return;
        };
        self.touch(team);
        let mut schedule = live.as_ref().clone();
        let spec = &mut schedule.spec;
        match self.dice.between(1, 12) {
            1 => spec.paused = Some(spec.paused != Some(true)),
            2 => spec.schedule = "15 * * * *".into(),
            3 => spec.schedule = "at noon".into(),
            4 => spec.template.included_namespaces = Some(vec!["kube-system".into()]),
            5 => spec.template.excluded_resources = Some(vec!["secrets".into()]),
            6 => spec.template.ttl = "1h".parse().ok(),
            7 => schedule.metadata.labels = None,
            8 => {
                // The other one says which cluster its backups are of.
                schedule.annotations_mut().remove("backup.agenttier.io/policy");
            }
            9 => spec.skip_immediately = Some(true),
            _ => {
                self.counts.deletions += 1;
                return self.delete_schedule(&name);
            }
        }
        self.counts.edits += 1;
        self.store.put_schedule(self.now, "kubectl", schedule);
    }

    fn delete_schedule(&mut self, name: &str) {
        if let Some(team) = self.teams.iter().find(|team| name.ends_with(*team)).cloned() {
            self.touch(&team);
        }
        self.store.version += 1;
        Rc::make_mut(&mut self.store.schedules).remove(name);
    }

    /// Somebody has a Schedule of the name that ours has, or would have.
    fn take_name(&mut self, team: &str) {
        let name = name(&cluster().name, team);
        self.delete_schedule(&name);
        let mut theirs =
            Schedule::new(&name, ScheduleSpec { schedule: "0 */3 * * *".into(), ..Default::default() });
        theirs.spec.template.included_namespaces = Some(vec![team.to_owned()]);
        theirs.spec.template.ttl = "24h".parse().ok();
        self.store.put_schedule(self.now, "helm", theirs);
        let uid = self.store.schedules[&name].uid().expect("it was made");
        self.foreign.insert(uid);
        self.counts.namesakes += 1;
        let lasts: SignedDuration = hours(self.dice.between(1, 9));
        self.at(self.now + lasts, Event::Hand(Hand::GiveBack(name)));
    }
}
