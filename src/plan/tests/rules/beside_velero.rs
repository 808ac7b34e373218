//! Layer 1 while Velero backs the same claims up: it goes on as if Velero were not there, and touches nothing of Velero's.

use std::cell::RefCell;
use std::collections::BTreeSet;

use agenttier_backup_plan::{Foreign, Limits, Ownership, Pacer, Suspension, Verdict, admit};
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::cluster::{Cluster, Counts, Event, two_drivers};
use crate::simulation::{day, play, six_hourly};
use crate::velero::Backups;
use crate::world::{NOW, hours, seconds, wanted_prunes, wanted_snapshot, with};
use crate::worlds::{World, points, worlds};

const NAMESPACES: usize = 6;

/// A cluster whose namespaces Velero backs up so often.
fn beside_velero(seed: u64, every: SignedDuration, a: usize, b: usize) -> Cluster {
    let mut volumes = two_drivers(a, b, NOW - hours(1));
    for (n, volume) in volumes.iter_mut().enumerate() {
        volume.namespace = format!("team-{}", n % NAMESPACES);
    }
    let namespaces: BTreeSet<String> = volumes.iter().map(|volume| volume.namespace.clone()).collect();
    let mut cluster = Cluster::new(seed, NOW, volumes, six_hourly());
    cluster.velero = Backups::every(every, seed);
    for namespace in namespaces {
        let first = cluster.velero.next(&namespace, NOW);
        cluster.at(first, Event::Backup(namespace));
    }
    cluster
}

/// Enough happened at once for the week to say something.
fn is_fair(counts: &Counts, backups: u32) -> bool {
    counts.veleros >= backups
        && counts.taken >= 300
        && counts.pruned >= 50
        && counts.veleros_while_taking >= 10
        && counts.veleros_while_pruning >= 5
}

/// No storage fault: nobody is late for a moment, and each volume has one snapshot a slot, as without Velero.
#[test]
fn a_week_beside_velero_costs_no_snapshot_and_delays_none() {
    for (seed, every, backups) in [(21, hours(6), 300), (22, hours(1), 2500)] {
        let mut cluster = beside_velero(seed, every, 16, 0);
        cluster.faults = false;
        for hour in 0..7 * 24 {
            let at = NOW + hours(hour) + seconds(cluster.dice.between(0, 3599));
            let clock_error = seconds(cluster.dice.between(-20, 20));
            cluster.at(at, Event::Restart(clock_error));
        }
        play(&mut cluster, day(7), |now| now > NOW + hours(12));
        assert!(is_fair(&cluster.counts, backups), "{:?}", cluster.counts);
        for volume in &cluster.volumes {
            let ours = volume.points.iter().filter(|point| point.is_ours_of(&volume.uid));
            let mut slots: Vec<_> = ours.map(|point| point.slot.unwrap()).collect();
            slots.sort();
            assert!(slots.windows(2).all(|pair| pair[1].duration_since(pair[0]) == hours(6)), "{slots:?}");
            // Those of five days, and what has just come and is just going.
            assert!((20..=22).contains(&slots.len()), "{} of {}", slots.len(), volume.claim);
        }
    }
}

/// The storage loses snapshots and is slow, writes fail for hours, and nobody's snapshot is taken for another's.
#[test]
fn a_troubled_week_beside_velero_breaks_no_promise() {
    let mut cluster = beside_velero(23, hours(2), 16, 12);
    cluster.sick[..11].fill(true);
    let (from, to) = (day(3), day(3) + hours(6));
    cluster.at(from, Event::WritesFail(true));
    cluster.at(to, Event::WritesFail(false));
    for _ in 0..20 {
        let at = NOW + seconds(cluster.dice.between(0, 7 * 86_400));
        let clock_error = seconds(cluster.dice.between(-30, 30));
        cluster.at(at, Event::Restart(clock_error));
        let pinned = usize::try_from(cluster.dice.between(0, 27)).unwrap();
        let at = NOW + seconds(cluster.dice.between(0, 7 * 86_400));
        cluster.at(at, Event::Read(pinned));
    }
    play(&mut cluster, day(7), |now| now > NOW + hours(12) && !(from..to + hours(8)).contains(&now));
    let counts = &cluster.counts;
    let troubled = counts.lost >= 20 && counts.late >= 1 && counts.failed_writes >= 20;
    assert!(is_fair(counts, 1500) && troubled, "{counts:?}");
}

/// All that a verdict says but of Velero's points, and when to look again because they are told of otherwise.
fn of_layer_one(verdict: Verdict) -> Verdict {
    let points = verdict.points.into_iter().filter(|point| !point.name.starts_with("velero-"));
    Verdict { points: points.collect(), wake: None, ..verdict }
}

#[derive(Debug, Default)]
struct Coverage {
    worlds: u32,
    ready: u32,
    unready: u32,
    newest: u32,
    deleting: u32,
    taking: u32,
}

impl Coverage {
    fn count(&mut self, world: &World, verdict: &Verdict) {
        let mut veleros = world.volume.points.iter().filter(|point| point.name.starts_with("velero-"));
        let newest = world.volume.points.iter().max_by_key(|point| point.created);
        self.worlds += 1;
        self.ready += u32::from(veleros.clone().any(|point| point.ready));
        self.unready += u32::from(veleros.any(|point| !point.ready && !point.terminating()));
        self.newest += u32::from(newest.is_some_and(|newest| newest.name.starts_with("velero-")));
        self.deleting += u32::from(!wanted_prunes(verdict).is_empty());
        self.taking += u32::from(wanted_snapshot(verdict).is_some());
    }

    fn is_fair(&self) -> bool {
        let percent = |count: u32| 100 * count / self.worlds;
        percent(self.ready) >= 50
            && percent(self.unready) >= 20
            && percent(self.newest) >= 20
            && percent(self.deleting) >= 15
            && percent(self.taking) >= 10
    }
}

/// Whatever Velero has there, and in whatever state: what is said and done is what would be without it.
#[test]
fn whatever_velero_has_there_changes_nothing() {
    let coverage = RefCell::new(Coverage::default());
    let veleros = prop::collection::vec((points(), 0_i64..200), 1..6);
    TestRunner::new(ProptestConfig::with_cases(2500))
        .run(&(worlds(), veleros, 0_i64..10), |(without, veleros, places)| {
            let mut backups = Backups::every(hours(6), 0);
            let veleros = veleros.into_iter().map(|(point, age)| {
                let its = backups.snapshot(&without.volume, NOW - hours(age));
                agenttier_backup_plan::RecoveryPoint { name: its.name, ownership: its.ownership, ..point }
            });
            let veleros: Vec<_> = veleros.collect();
            let foreign = Ownership::Foreign(Foreign::Velero);
            prop_assert!(veleros.iter().all(|point| point.ownership == foreign), "{veleros:?}");
            let volume = with(without.volume.clone(), veleros);
            let beside = World { volume, ..without.clone() };
            let (alone, verdict) = (without.judge(NOW), beside.judge(NOW));
            coverage.borrow_mut().count(&beside, &verdict);
            let places = usize::try_from(places).unwrap();
            let limits = Limits {
                snapshots_in_flight: places,
                deletions_in_flight: places,
                snapshots: (places > 5).then_some(7),
            };
            let admitted = |verdict: &Verdict, suspended: &[Suspension]| {
                let held = agenttier_backup_plan::HeldBack::new();
                admit(NOW, Pacer::new(), &limits, suspended, &held, std::slice::from_ref(verdict))
            };
            for suspended in [&[][..], &[Suspension::ClockUnknown]] {
                prop_assert_eq!(admitted(&verdict, suspended), admitted(&alone, suspended));
            }
            let is_later = |wake| verdict.wake.is_none_or(|beside| beside > wake);
            prop_assert!(!alone.wake.is_some_and(is_later), "{:?}", verdict.wake);
            prop_assert_eq!(of_layer_one(verdict), of_layer_one(alone));
            Ok(())
        })
        .unwrap();
    let coverage = coverage.into_inner();
    assert!(coverage.is_fair(), "{coverage:?}");
}
