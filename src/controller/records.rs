//! Records of Sandboxes within a pass: made before the snapshots that are to name them, and the others after; collected
//! last. A record that cannot be made keeps no snapshot waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agenttier_backup_plan::{
    Action, ActionKind, HeldBack, RecordKey, RecordSight, Subject, Verdict, collection, marks,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use crate::act::{Executor, Failure};
use crate::agenttier::Sandbox;
use crate::observe::{Lineage, Observed};

/// A pass spends so long on records before its snapshots, and once more after them.
const LIMIT: Duration = Duration::from_secs(10);
/// So many records are made, or removed, at the end of a pass; the others in the next ones.
const A_PASS: usize = 200;
/// So long none are made after the API server gave no answer: snapshots would be kept waiting in pass after pass.
const QUIET: SignedDuration = SignedDuration::from_mins(1);
/// So long the watches have to catch up with a Sandbox that has changed.
const CATCH_UP: SignedDuration = SignedDuration::from_secs(5);
/// Records of one namespace are collected at most once in this time: it takes a list of its snapshots.
const COLLECT_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// After a failure.
const COLLECT_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// A write of ours that no watch has confirmed after this long is forgotten: names say what records hold, so that
/// making one again is harmless.
const FORGET_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What came of one record.
pub(super) type Recorded = (Subject, Result<(), Failure>);

/// What one pass leaves for the next.
#[derive(Debug, Default)]
pub(super) struct Records {
    made: BTreeMap<RecordKey, Timestamp>,
    gone: BTreeMap<RecordKey, Timestamp>,
    quiet_until: Option<Timestamp>,
    /// Sandboxes, by UID, that are not what the watches say, until they should.
    changed: BTreeMap<String, Timestamp>,
    /// By namespace.
    collect_again: BTreeMap<String, Timestamp>,
}

/// What a pass knows of records.
#[derive(Debug, Default)]
pub(super) struct Sighting {
    /// Sandboxes, by UID, with the name of the record that says what they are now.
    recorded: BTreeMap<String, String>,
    /// The volumes of these.
    pub(super) well: Vec<agenttier_backup_plan::VolumeUid>,
    /// Sandboxes without such a record, that can have one.
    missing: Vec<Subject>,
    /// Sandboxes that cannot, and the bytes that it would take.
    pub(super) too_large: Vec<(Subject, usize)>,
    records: Vec<RecordSight>,
    /// What living Sandboxes are now, and what recovery points name.
    in_use: BTreeSet<RecordKey>,
    /// Nothing is hidden: it can be told which records nobody needs.
    whole: bool,
}

impl Records {
    /// What there is, with our own writes laid over it. Nothing, as long as the watches have not shown everything.
    pub(super) fn see(&mut self, now: Timestamp, observed: &Observed, verdicts: &[Verdict]) -> Sighting {
        self.changed.retain(|_, until| *until > now);
        let Some(records) = observed.library.records() else { return Sighting::default() };
        let there = self.lay_over(now, &records);
        let lineage = Lineage::of(&observed.library);
        let mut volumes: BTreeMap<(&str, &str), Vec<&Verdict>> = BTreeMap::new();
        for verdict in verdicts.iter().filter(|verdict| verdict.interval.is_some()) {
            if let Some(sandbox) = &verdict.sandbox {
                volumes.entry((&verdict.volume.namespace, sandbox)).or_default().push(verdict);
            }
        }
        let mut sighting = Sighting { records, whole: observed.library.is_whole(), ..Sighting::default() };
        for sandbox in &observed.sandboxes {
            let contents = lineage.contents(sandbox);
            let (namespace, uid) =
                (sandbox.namespace().unwrap_or_default(), sandbox.uid().unwrap_or_default());
            let key = (namespace, contents.name());
            let is_there = there.contains(&key);
            if is_there {
                sighting.recorded.insert(uid.clone(), key.1.clone());
            }
            let its = volumes.get(&(key.0.as_str(), contents.sandbox.as_str()));
            // AgentTier may have moved it to another volume: the one that it uses now speaks for it.
            let uses = |verdict: &&&Verdict| sandbox.claim() == Some(verdict.volume.claim.as_str());
            if let Some(verdict) = its.and_then(|its| its.iter().find(uses).or(its.first())) {
                let volume = verdict.volume.clone();
                if is_there {
                    sighting.well.push(volume.uid);
                } else if is_living(sandbox) {
                    let fits = contents.portions();
                    let subject = Subject { volume, uid, contents };
                    match fits {
                        Ok(_) => sighting.missing.push(subject),
                        Err(size) => sighting.too_large.push((subject, size)),
                    }
                }
            }
            sighting.in_use.insert(key);
        }
        let named = observed.snapshots.iter().filter_map(|snapshot| {
            Some((snapshot.namespace()?, snapshot.annotations().get(marks::RECORD)?.clone()))
        });
        sighting.in_use.extend(named);
        sighting
    }

    /// The records that there are, and forgets the writes that the watch shows by itself.
    fn lay_over(&mut self, now: Timestamp, records: &[RecordSight]) -> BTreeSet<RecordKey> {
        let fresh = |at: &Timestamp| now.duration_since(*at) < FORGET_AFTER;
        let mut there: BTreeSet<RecordKey> =
            records.iter().filter(|record| !record.terminating).map(RecordSight::key).collect();
        self.made.retain(|key, at| fresh(at) && !there.contains(key));
        self.gone.retain(|key, at| fresh(at) && there.contains(key));
        there.extend(self.made.keys().cloned());
        there.retain(|key| !self.gone.contains_key(key));
        there
    }

    /// Makes the records that the snapshots of these orders are to name, and has them name what there is by then.
    pub(super) async fn make_for(
        &mut self,
        now: Timestamp,
        sighting: &mut Sighting,
        orders: &mut [Action],
        held: &HeldBack,
        (executor, stop): (&Executor, &CancellationToken),
    ) -> Vec<Recorded> {
        let of: BTreeSet<String> =
            orders.iter().filter_map(|action| Some(user(action)?.uid.clone())).collect();
        let wanted = self.take(now, sighting, held, |subject| of.contains(&subject.uid));
        let outcomes = self.make(now, sighting, wanted, (executor, stop)).await;
        for action in orders {
            if let Action::TakeSnapshot(take) = action
                && let Some(sandbox) = &mut take.sandbox
            {
                sandbox.record = sighting.recorded.get(&sandbox.uid).cloned();
            }
        }
        outcomes
    }

    /// Makes records that no snapshot waits for.
    pub(super) async fn make_others(
        &mut self,
        now: Timestamp,
        sighting: &mut Sighting,
        held: &HeldBack,
        (executor, stop): (&Executor, &CancellationToken),
    ) -> Vec<Recorded> {
        let mut wanted = self.take(now, sighting, held, |_| true);
        sighting.missing.extend(wanted.split_off(wanted.len().min(A_PASS)));
        self.make(now, sighting, wanted, (executor, stop)).await
    }

    /// Takes what may be tried now out of what is missing.
    fn take(
        &self,
        now: Timestamp,
        sighting: &mut Sighting,
        held: &HeldBack,
        wanted: impl Fn(&Subject) -> bool,
    ) -> Vec<Subject> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return vec![];
        }
        let may = |subject: &Subject| {
            let key = (subject.volume.uid.clone(), ActionKind::Record);
            let held = held.get(&key).is_some_and(|setback| setback.until > now);
            !held && !self.changed.contains_key(&subject.uid) && wanted(subject)
        };
        let (taken, left) = std::mem::take(&mut sighting.missing).into_iter().partition(may);
        sighting.missing = left;
        taken
    }

    async fn make(
        &mut self,
        now: Timestamp,
        sighting: &mut Sighting,
        wanted: Vec<Subject>,
        (executor, stop): (&Executor, &CancellationToken),
    ) -> Vec<Recorded> {
        let outcomes = executor.record(wanted.clone(), LIMIT, stop).await;
        for (subject, made) in &outcomes {
            match made {
                Ok(()) => {
                    let key = subject.record();
                    sighting.recorded.insert(subject.uid.clone(), key.1.clone());
                    self.gone.remove(&key);
                    self.made.insert(key, now);
                }
                Err(Failure::NoAnswer) => self.quiet_until = now.checked_add(QUIET).ok(),
                Err(Failure::Changed) => {
                    let until = now.checked_add(CATCH_UP).unwrap_or(Timestamp::MAX);
                    self.changed.insert(subject.uid.clone(), until);
                }
                Err(_) => {}
            }
        }
        let still = wanted.into_iter().filter(|subject| !sighting.recorded.contains_key(&subject.uid));
        sighting.missing.extend(still);
        outcomes
    }

    /// Removes records that nobody needs, where everything can be seen.
    pub(super) async fn collect(
        &mut self,
        now: Timestamp,
        sighting: &Sighting,
        (executor, stop): (&Executor, &CancellationToken),
    ) {
        self.collect_again.retain(|_, at| *at > now);
        if !sighting.whole {
            return;
        }
        let mut by_namespace: BTreeMap<String, Vec<RecordSight>> = BTreeMap::new();
        for record in self.due(now, sighting).into_iter().take(A_PASS) {
            by_namespace.entry(record.namespace.clone()).or_default().push(record);
        }
        for (namespace, records) in by_namespace {
            if stop.is_cancelled() {
                return;
            }
            let mut pause = COLLECT_EVERY;
            for (record, gone) in executor.collect(&namespace, records, LIMIT, stop).await {
                let name = &record.name;
                match gone {
                    Ok(()) => {
                        tracing::info!(%namespace, record = %name, "record collected: nothing refers to it");
                        self.gone.insert(record.key(), now);
                    }
                    Err(failure) if failure.is_stale_plan() || matches!(failure, Failure::NotLeading(_)) => {
                        pause = COLLECT_AGAIN_AFTER;
                    }
                    Err(failure) => {
                        let reason = failure.reason();
                        tracing::warn!(%namespace, record = %name, reason, %failure, "cannot collect");
                        pause = COLLECT_AGAIN_AFTER;
                    }
                }
            }
            let again = now.checked_add(pause).unwrap_or(Timestamp::MAX);
            self.collect_again.insert(namespace, again);
        }
    }

    fn due(&self, now: Timestamp, sighting: &Sighting) -> Vec<RecordSight> {
        let may = |record: &RecordSight| {
            !self.gone.contains_key(&record.key()) && !self.collect_again.contains_key(&record.namespace)
        };
        collection(now, &sighting.records, &sighting.in_use).due.into_iter().filter(may).collect()
    }

    /// When the next pass is due for the sake of records.
    pub(super) fn wake(&self, now: Timestamp, sighting: &Sighting, held: &HeldBack) -> Option<Timestamp> {
        let untried = sighting.missing.iter().map(|subject| {
            let held =
                held.get(&(subject.volume.uid.clone(), ActionKind::Record)).map(|setback| setback.until);
            let changed = self.changed.get(&subject.uid).copied();
            held.into_iter().chain(changed).chain(self.quiet_until).fold(now, Timestamp::max)
        });
        let collections = collection(now, &sighting.records, &sighting.in_use);
        let again =
            (!collections.due.is_empty()).then(|| self.collect_again.values().min().copied()).flatten();
        untried.chain(collections.wake.into_iter().chain(again).filter(|_| sighting.whole)).min()
    }
}

/// The Sandbox that a snapshot is taken for.
fn user(action: &Action) -> Option<&agenttier_backup_plan::SandboxRef> {
    match action {
        Action::TakeSnapshot(take) => take.sandbox.as_ref(),
        Action::Prune(_) | Action::Mark(_) => None,
    }
}

/// One that is on its way out changes with every step of that.
fn is_living(sandbox: &Sandbox) -> bool {
    sandbox.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests;
