//! Velero at work on the same claims: when it comes, and what it leaves there for a while.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::Spread;
use agenttier_backup_plan::{Ownership, RecoveryPoint, Volume, marks, ownership};
use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Cluster, Dice, Event};
use crate::world::{hours, minutes, seconds, unready};

/// A label that Velero's plugin for CSI puts on its snapshots, beside all labels of the claim.
const BACKUP_NAME: &str = "velero.io/backup-name";

/// The backups of all namespaces.
#[derive(Debug)]
pub(crate) struct Backups {
    every: SignedDuration,
    pub(crate) dice: Dice,
    made: u32,
    /// Velero's snapshots as Velero and the storage have left them.
    points: BTreeMap<String, RecoveryPoint>,
}

impl Default for Backups {
    fn default() -> Self {
        Self::every(hours(6), 0)
    }
}

impl Backups {
    pub(crate) fn every(every: SignedDuration, seed: u64) -> Self {
        Self { every, dice: Dice(seed), made: 0, points: BTreeMap::new() }
    }

    /// When the next backup of a namespace is due after this moment.
    pub(crate) fn next(&self, namespace: &str, after: Timestamp) -> Timestamp {
        next(&Spread::every(self.every).unwrap().cron(namespace), after)
    }

    /// Velero's snapshot of a claim. It copies the claim's labels, which may well be those by which others find theirs; to be
    /// sure of it, in some the annotations fit as well, and it is Velero's own label alone that tells whose it is.
    pub(crate) fn snapshot(&mut self, volume: &Volume, now: Timestamp) -> RecoveryPoint {
        self.made += 1;
        let name = format!("velero-{}-{:05x}", volume.claim, self.made);
        let copied = usize::try_from(self.made % 4).unwrap();
        let point = RecoveryPoint {
            ownership: ownership_of(volume, copied),
            looks_like_agenttiers: copied > 1,
            ..unready(volume, &name, now)
        };
        self.points.insert(name, point.clone());
        point
    }

    /// It is otherwise from here on, and that is right.
    pub(crate) fn note(&mut self, point: &RecoveryPoint) {
        if let Some(known) = self.points.get_mut(&point.name) {
            known.clone_from(point);
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.points.remove(name);
    }

    /// Nobody but Velero and the storage has touched what is Velero's, and none of it is gone.
    pub(crate) fn check(&self, volume: &Volume) {
        let its = |name: &str| name.starts_with(&format!("velero-{}-", volume.claim));
        let mut there = volume.points.iter().filter(|point| its(&point.name));
        for known in self.points.values().filter(|point| its(&point.name)) {
            assert_eq!(there.next(), Some(known), "{} is Velero's", known.name);
        }
        assert_eq!(there.next(), None);
    }
}

fn ownership_of(volume: &Volume, copied: usize) -> Ownership {
    let labels = [
        (BACKUP_NAME, "east-team-a-20231114221320"),
        (marks::MANAGED, "true"),
        (marks::SNAPSHOT_KIND, marks::SCHEDULED_BACKUP),
        (marks::MANAGED_BY, marks::US),
    ];
    let labels = labels.into_iter().take(1 + copied).map(|(key, value)| (key.into(), value.into())).collect();
    let annotations = [(marks::VOLUME_UID, volume.uid.to_string()), (marks::CLAIM, volume.claim.clone())];
    let annotations = annotations.into_iter().filter(|_| copied == 3).map(|(key, value)| (key.into(), value));
    ownership(&labels, &annotations.collect(), Some(&volume.claim))
}

impl Cluster {
    /// Velero goes from claim to claim.
    pub(crate) fn begin_backup(&mut self, namespace: &str) {
        let mut at = self.now;
        for index in 0..self.volumes.len() {
            if self.volumes[index].namespace == namespace {
                at += seconds(self.velero.dice.between(1, 40));
                self.at(at, Event::Snapshot(index));
            }
        }
        let next = self.velero.next(namespace, self.now);
        self.at(next, Event::Backup(namespace.to_owned()));
    }

    pub(crate) fn snapshot_for_velero(&mut self, index: usize) {
        let point = self.velero.snapshot(&self.volumes[index], self.now);
        let name = point.name.clone();
        let volume = &mut self.volumes[index];
        std::sync::Arc::make_mut(&mut volume.taken_names).insert(name.clone());
        volume.points.push(point);
        self.counts.veleros += 1;
        // One in twenty does not get ready in the time that Velero waits.
        let dice = &mut self.velero.dice;
        let waits = if dice.one_in(20) { minutes(10) } else { seconds(dice.between(20, 540)) };
        if waits < minutes(10) {
            self.at(self.now + waits, Event::Ready(index, name.clone()));
        }
        let lingers = seconds(self.velero.dice.between(1, 1200));
        self.at(self.now + waits + lingers, Event::Drop(index, name));
    }

    pub(crate) fn drop_for_velero(&mut self, index: usize, name: String) {
        let points = &mut self.volumes[index].points;
        let point = points.iter_mut().find(|point| point.name == name).expect("nobody else deletes it");
        point.deleting_since = Some(self.now);
        self.velero.note(point);
        let gone = self.now + seconds(self.velero.dice.between(1, 600));
        self.at(gone, Event::Gone(index, name));
    }
}

/// Whether a snapshot of Velero's is there that is not on its way out.
pub(crate) fn is_at_work(volume: &Volume) -> bool {
    volume.points.iter().any(|point| point.name.starts_with("velero-") && !point.terminating())
}

/// The first time after this moment, of what [`Spread`] says: a minute, an hour or hours `a-23/n`, and a day of the week.
fn next(cron: &str, after: Timestamp) -> Timestamp {
    let fields: Vec<&str> = cron.split(' ').collect();
    let [minute, hour, "*", "*", day] = fields[..] else { panic!("{cron}") };
    let minute: i64 = minute.parse().unwrap();
    let (first, step) = match (hour, hour.split_once("-23/")) {
        ("*", _) => (0, 1),
        (_, Some((first, step))) => (first.parse().unwrap(), step.parse().unwrap()),
        (hour, None) => (hour.parse().unwrap(), 24),
    };
    let fits = |at: &Timestamp| {
        let hours: i64 = at.as_second() / 3600;
        let (hour, days) = (hours % 24, hours / 24);
        // The first of January 1970 was a Thursday.
        let fits_day = day == "*" || day.parse() == Ok((days + 4) % 7);
        hour >= first && (hour - first) % step == 0 && fits_day
    };
    let hour = Timestamp::from_second(after.as_second() / 3600 * 3600).unwrap() + minutes(minute);
    let mut all = (0..=8 * 24).map(|ahead| hour + hours(ahead)).filter(|at| *at > after);
    all.find(fits).expect("it comes every week")
}

#[test]
fn times_are_read_as_they_are_meant() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    // A Tuesday.
    let after = at("2023-11-14T22:13:20Z");
    for (cron, then) in [
        ("36 * * * *", "2023-11-14T22:36:00Z"),
        ("13 * * * *", "2023-11-14T23:13:00Z"),
        ("36 4-23/6 * * *", "2023-11-14T22:36:00Z"),
        ("5 4-23/6 * * *", "2023-11-15T04:05:00Z"),
        ("36 4 * * *", "2023-11-15T04:36:00Z"),
        ("36 4 * * 0", "2023-11-19T04:36:00Z"),
        ("5 22 * * 2", "2023-11-21T22:05:00Z"),
    ] {
        assert_eq!(next(cron, after), at(then), "{cron}");
    }
    assert_eq!(
        next("36 * * * *", at("2023-11-14T22:36:00Z")),
        at("2023-11-14T23:36:00Z"),
        "later, not again"
    );
}
