//! `decide`: one volume in, one verdict out.

mod notes;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::closing::close;
use crate::course::{Course, Tailored};
use crate::gone::{gone_since, kept_for, leave, promised_until, to_mark};
use crate::history::{ages_change_at, history_changes_at, last_witness, lately_in_force, still_promised};
use crate::obstacle::{agenttier_covers_until, obstacle};
use crate::protection::{overdue_at, protection, unprotected};
use crate::sight::Sight;
use crate::turn::{Turn, is_unchanged};
use crate::{
    Action, ActionKind, Fate, FormerUser, Governance, Judged, Keep, Note, Notice, Policy, Prune, Readiness,
    Reason, RecoveryPoint, Rules, Safety, Setback, Slots, Spent, Surroundings, TakeSnapshot, Verdict, Volume,
    VolumeId, retain,
};

/// Judges one volume under the policy of its namespace.
#[must_use]
pub fn decide(
    now: Timestamp,
    governance: &Governance,
    volume: &Volume,
    around: &Surroundings<'_>,
) -> Verdict {
    let tailored = Tailored::of(governance, volume, around.pressure);
    let course = Course::of(&tailored, volume);
    let in_force = tailored.policy();
    let retention =
        in_force.filter(|_| !matches!(course, Course::Nothing(..))).map(|policy| policy.retention);
    let ready_timeout = in_force.map_or(crate::FAILED_AFTER, |policy| policy.ready_timeout);
    let readiness: Vec<Readiness> =
        volume.points.iter().map(|point| Readiness::of(point, now, ready_timeout)).collect();
    let sight = Sight::of(now, volume, &readiness);
    let judgement = Judgement { now, volume, around, readiness: &readiness, sight: &sight, id: id(volume) };
    let conclusion = match course {
        Course::BackUp(policy) => {
            judgement.back_up(policy, tailored.invalid.is_some() || volume.owner_unseen)
        }
        Course::LeftBehind(policy) => judgement.left_behind(policy),
        Course::Gone(policy) => judgement.gone(policy),
        Course::Closing => judgement.closing(),
        Course::Nothing(reason, fate) => judgement.nothing(reason, &fate),
    };
    let Conclusion { fates, mut wants, protection, interval, unchanged, mut notices, wake } = conclusion;
    let hidden = judgement.hidden_from_agenttier(&fates);
    // One note at a time: the second would fail for what the first has changed.
    wants.retain(|want| {
        want.kind() != ActionKind::Mark || hidden.iter().all(|hide| hide.snapshot() != want.snapshot())
    });
    wants.extend(hidden);
    notices.extend(tailored.invalid.map(|message| Notice { reason: Reason::OverrideInvalid, message }));
    let points = judged(now, volume, &readiness, fates, ready_timeout);
    notices.extend(deletion_slow(&points));
    // Foreign points too: they are shown as well.
    let judgements = volume.points.iter().zip(&readiness).flat_map(|(point, readiness)| {
        let stuck_at = stuck_at(point, ready_timeout);
        [readiness.changes_at(point, ready_timeout), point.dates_change_at(now), stuck_at]
            .into_iter()
            .flatten()
    });
    Verdict {
        sandbox: user_of(volume),
        policy: governance.policy_name().map(str::to_owned),
        driver: volume.driver.clone(),
        interval,
        retention,
        protection,
        wake: wake.into_iter().chain(judgements).filter(|at| *at > now).min(),
        points,
        failed_snapshots: sight.failed_since_ready,
        setbacks: setbacks(volume, around, &wants),
        unchanged,
        notices,
        deletions_confirmed: match governance {
            Governance::By(policy) => policy.deletions_confirmed,
            _ => None,
        },
        volume: judgement.id,
        wants,
    }
}

/// One volume being judged.
struct Judgement<'a> {
    now: Timestamp,
    volume: &'a Volume,
    around: &'a Surroundings<'a>,
    readiness: &'a [Readiness],
    sight: &'a Sight,
    id: VolumeId,
}

/// What is concluded, by the course that a volume is on.
struct Conclusion {
    /// In the order of the volume's points.
    fates: Vec<Fate>,
    wants: Vec<Action>,
    protection: crate::Protection,
    interval: Option<crate::Interval>,
    unchanged: bool,
    notices: Vec<Notice>,
    /// The moments at which any of this may change although no object does.
    wake: Vec<Timestamp>,
}

impl Judgement<'_> {
    /// Of a workspace in use. With an override that makes no sense, or that cannot be seen, nothing is pruned: it may ask
    /// for more.
    fn back_up(&self, policy: &Policy, holds_pruning: bool) -> Conclusion {
        let Self { now, volume, sight, readiness, .. } = *self;
        let lately = lately_in_force(now, &volume.uid, &volume.points);
        let retentions = lately.clone().into_iter().chain([policy.retention]);
        let pressure = self.around.pressure;
        let retentions =
            retentions.flat_map(|retention| [Some(retention), pressure.thinned(&retention)]).flatten();
        let ages_change = ages_change_at(now, retentions, &volume.uid, &volume.points, readiness);
        let rules = Rules {
            retention: policy.retention,
            lately,
            pressure,
            adopted_since: policy.adopt_agenttier.then_some(volume.created),
        };
        let mut fates = retain(now, &rules, &volume.uid, &volume.points, readiness);
        if let Some(witness) = last_witness(now, &volume.uid, &volume.points, &fates) {
            fates[witness] = Fate::Keep(Keep::RetentionShortened { until: None });
        }
        if holds_pruning {
            for fate in fates.iter_mut().filter(|fate| matches!(fate, Fate::Prune { .. })) {
                *fate = Fate::Keep(Keep::PruningHeld);
            }
        }
        let turn = Turn::of(now, policy, volume, readiness);
        let unchanged = !self.around.rest_in_doubt && is_unchanged(policy, volume, sight);
        let (class, in_the_way) = obstacle(now, policy, volume, sight, self.around.classes);
        let mut wants = self.prunes(&fates, &self.promised(&fates));
        wants.extend(self.no_longer_at_rest());
        if in_the_way.is_none() && !unchanged && turn.is_due(now, volume, sight) {
            wants.extend(
                turn.order(&self.id, volume, sight, class.name, policy)
                    .map(|take| Action::TakeSnapshot(self.of_known_rest(take))),
            );
        }
        let amended_at = self.amended_at(policy, unchanged).filter(|_| !holds_pruning);
        if amended_at.is_some_and(|at| at <= now) && !wants.iter().any(|want| want.kind() == ActionKind::Mark)
        {
            wants.extend(self.amend(policy));
        }
        let stands_back = in_the_way.as_ref().map(|notice| notice.reason);
        let setbacks = setbacks(volume, self.around, &wants);
        let mut wake = expiries(&fates);
        wake.extend(ages_change);
        wake.extend(turn.not_before);
        wake.extend(amended_at);
        wake.extend(agenttier_covers_until(policy, volume, sight));
        wake.push(overdue_at(policy, volume, sight, stands_back));
        if !unchanged {
            wake.push(Slots::of(&volume.uid, policy.interval).next_start(now));
        }
        wake.extend(history_changes_at(now, &volume.uid, &volume.points));
        Conclusion {
            protection: protection(now, policy, volume, sight, unchanged, stands_back, &setbacks),
            interval: (stands_back != Some(Reason::AgentTierLoop)).then_some(policy.interval),
            fates,
            wants,
            unchanged,
            notices: in_the_way.into_iter().chain(class.notice).collect(),
            wake,
        }
    }

    /// Of what a Sandbox left behind when it was switched to another volume: it is saved once more, and from then on
    /// nothing of it is touched.
    fn left_behind(&self, policy: &Policy) -> Conclusion {
        let Self { now, volume, sight, readiness, .. } = *self;
        let turn = Turn::of(now, policy, volume, readiness);
        let (class, in_the_way) = obstacle(now, policy, volume, sight, self.around.classes);
        let mut wants = Vec::new();
        if in_the_way.is_none() && turn.is_due(now, volume, sight) {
            wants.extend(turn.order(&self.id, volume, sight, class.name, policy).map(Action::TakeSnapshot));
        }
        let mut wake: Vec<Timestamp> = turn.not_before.into_iter().collect();
        wake.push(Slots::of(&volume.uid, policy.interval).next_start(now));
        Conclusion {
            wants,
            interval: (!sight.covered_after_switch).then_some(policy.interval),
            wake,
            notices: in_the_way.into_iter().chain([self.switched()]).collect(),
            ..self.nothing(Reason::WorkspaceSwitched, &Fate::Keep(Keep::Frozen))
        }
    }

    /// Of a volume that is gone together with its Sandbox: its time runs from when that was first noted.
    fn gone(&self, policy: &Policy) -> Conclusion {
        let Self { now, volume, readiness, .. } = *self;
        let points = &volume.points;
        let nothing = self.nothing(Reason::ClaimGone, &Fate::Keep(Keep::VolumeGone));
        let Some(since) = gone_since(&volume.uid, points) else {
            let mark = to_mark(&volume.uid, points, readiness);
            let note = || Note::SandboxGone(former_user(volume));
            return Conclusion {
                wants: mark.map(|point| self.mark(point, note())).into_iter().collect(),
                ..nothing
            };
        };
        let lately = lately_in_force(now, &volume.uid, points);
        let until = since.checked_add(kept_for(&policy.retention, &lately)).unwrap_or(Timestamp::MAX);
        let fates = leave(now, until, &volume.uid, points, readiness);
        let promised = points.iter().filter_map(|point| Some((point, promised_until(since, point)?)));
        let early = promised.clone().filter(|(_, until)| *until > now).map(|(point, _)| point.name.as_str());
        let mut wake = expiries(&fates);
        wake.extend(promised.map(|(_, until)| until));
        wake.extend(history_changes_at(now, &volume.uid, points));
        Conclusion { wants: self.prunes(&fates, &early.collect()), fates, wake, ..nothing }
    }

    /// Of a claim that is being deleted: only what keeps it from being so goes.
    fn closing(&self) -> Conclusion {
        let fates = close(&self.volume.uid, &self.volume.points, self.readiness);
        let nothing = self.nothing(Reason::ClaimTerminating, &Fate::Keep(Keep::PruningHeld));
        Conclusion { wants: self.prunes(&fates, &BTreeSet::new()), fates, ..nothing }
    }

    /// Of a volume that nothing is done for.
    fn nothing(&self, reason: Reason, fate: &Fate) -> Conclusion {
        let switched = self.volume.switched_to.is_some().then(|| self.switched());
        Conclusion {
            fates: vec![fate.clone(); self.volume.points.len()],
            wants: Vec::new(),
            protection: unprotected(reason, self.sight),
            interval: None,
            unchanged: false,
            notices: switched.into_iter().collect(),
            wake: Vec::new(),
        }
    }

    /// `early` are the names of points that were promised to stay for longer.
    fn prunes(&self, fates: &[Fate], early: &BTreeSet<&str>) -> Vec<Action> {
        let prunes = self.volume.points.iter().zip(fates).filter_map(|(point, fate)| {
            let Fate::Prune { reason, keeper } = fate else { return None };
            Some(Action::Prune(Prune {
                volume: self.id.clone(),
                name: point.name.clone(),
                uid: point.uid.clone(),
                version: point.version.clone(),
                taken_at: point.taken_at(self.now),
                reason: *reason,
                // What AgentTier made carries no promise: for safety of change all of it counts.
                early: *reason == Spent::Adopted || early.contains(point.name.as_str()),
                safety: match (keeper, reason) {
                    // That they are gone is read anew each time: somebody may have brought them back.
                    (_, Spent::SandboxGone) | (None, _) if *reason != Spent::HoldsClaim => {
                        Safety::Gone(former_user(self.volume))
                    }
                    (Some(keeper), _) => Safety::Keeper(keeper.clone()),
                    (None, _) => Safety::Unready,
                },
            }))
        });
        prunes.collect()
    }

    /// Where some may go, the names of the points that were promised to stay for longer when they were taken.
    fn promised(&self, fates: &[Fate]) -> BTreeSet<&str> {
        if !fates.iter().any(|fate| matches!(fate, Fate::Prune { .. })) {
            return BTreeSet::new();
        }
        still_promised(self.now, &self.volume.uid, &self.volume.points, self.readiness)
    }

    /// Where rest is in doubt, a snapshot does not say that it was taken at rest.
    fn of_known_rest(&self, take: TakeSnapshot) -> TakeSnapshot {
        let at_rest_since = take.at_rest_since.filter(|_| !self.around.rest_in_doubt);
        TakeSnapshot { at_rest_since, ..take }
    }

    fn switched(&self) -> Notice {
        let Volume { claim, sandbox, switched_to, .. } = self.volume;
        let name = sandbox.as_ref().map_or("its Sandbox", |sandbox| sandbox.name.as_str());
        let now_on = switched_to.as_deref().unwrap_or("another volume");
        let (what, work) = if now_on == format!("{name}-workspace") {
            ("its own", "what it did meanwhile")
        } else {
            ("most likely an empty one of the warm pool", "its work")
        };
        Notice {
            reason: Reason::WorkspaceSwitched,
            message: format!(
                "{name} uses the volume {now_on} now, {what}; {work} is on {claim}, and every recovery point of \
                 that is kept"
            ),
        }
    }
}

fn id(volume: &Volume) -> VolumeId {
    VolumeId { namespace: volume.namespace.clone(), claim: volume.claim.clone(), uid: volume.uid.clone() }
}

/// The Sandbox that uses the volume, or did when the newest of our points that names one was taken.
fn user_of(volume: &Volume) -> Option<String> {
    volume.sandbox.as_ref().map(|sandbox| sandbox.name.clone()).or_else(|| former_user(volume).sandbox)
}

/// Who used the volume when the newest of our points that names a Sandbox was taken.
fn former_user(volume: &Volume) -> FormerUser {
    let ours = volume.points.iter().filter(|point| point.is_ours_of(&volume.uid) && point.sandbox.is_some());
    let last = ours.max_by_key(|point| (point.created, &point.name));
    FormerUser {
        sandbox: last.and_then(|point| point.sandbox.clone()),
        sandbox_uid: last.and_then(|point| point.sandbox_uid.clone()),
    }
}

fn setbacks(volume: &Volume, around: &Surroundings<'_>, wants: &[Action]) -> BTreeMap<ActionKind, Setback> {
    let of = |kind| Some((kind, around.held.get(&(volume.uid.clone(), kind))?.clone()));
    let all = ActionKind::ALL.into_iter().filter_map(of);
    all.filter(|(kind, setback)| setback.matters(*kind, wants)).collect()
}

/// When points change their fate by time alone.
fn expiries(fates: &[Fate]) -> Vec<Timestamp> {
    let expiries = fates.iter().filter_map(|fate| match fate {
        Fate::Keep(keep) => keep.until(),
        _ => None,
    });
    expiries.collect()
}

/// From when on the deletion of a point takes too long.
fn stuck_at(point: &RecoveryPoint, ready_timeout: SignedDuration) -> Option<Timestamp> {
    point.deleting_since.map(|since| since.checked_add(ready_timeout).unwrap_or(Timestamp::MAX))
}

fn deletion_slow(points: &[Judged]) -> Option<Notice> {
    let stuck: Vec<&str> =
        points.iter().filter(|point| point.ours && point.stuck).map(|point| point.name.as_str()).collect();
    let first = stuck.first()?;
    let others = match stuck.len() - 1 {
        0 => String::new(),
        1 => " and another".to_owned(),
        others => format!(" and {others} others"),
    };
    Some(Notice {
        reason: Reason::DeletionSlow,
        message: format!(
            "{first}{others} should have been deleted long ago: its finalizers say who is to see to that, and its \
             VolumeSnapshotContent what the storage says"
        ),
    })
}

fn judged(
    now: Timestamp,
    volume: &Volume,
    readiness: &[Readiness],
    fates: Vec<Fate>,
    ready_timeout: SignedDuration,
) -> Vec<Judged> {
    let mut judged: Vec<Judged> = volume
        .points
        .iter()
        .zip(readiness)
        .zip(fates)
        .map(|((point, readiness), fate)| Judged {
            name: point.name.clone(),
            taken_at: point.taken_at(now),
            readiness: *readiness,
            error: point.error.clone(),
            ours: point.is_ours_of(&volume.uid),
            policy: point.policy.clone(),
            terminating: point.terminating(),
            stuck: stuck_at(point, ready_timeout).is_some_and(|at| at <= now),
            fate,
        })
        .collect();
    judged.sort_by(|a, b| (b.taken_at, &b.name).cmp(&(a.taken_at, &a.name)));
    judged
}
