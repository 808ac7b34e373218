//! What there is to say of the backups of each namespace, and of each policy.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::schedules::{Plan, Why, Wish};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::incident::Incident;
use super::read_back::{Course, VolumesMissing};
use super::rules::{VeleroRegime, VeleroRules};
use super::site::{LocationTrouble, Obstacle};
use crate::observe::Invalid;

/// How a namespace's backups by Velero stand. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// There is a complete backup from within the time between two.
    BackedUp,
    /// Its Schedule is new, or was changed after the last backup had grown old; one is to come.
    Awaited,
    /// It is paused on purpose.
    Paused,
    /// Its backups, or what is wanted of them, cannot be seen for the moment.
    Unknown,
    /// Something is wrong.
    Failing,
}

/// What there is to say of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The namespace.
    pub namespace: String,
    /// Name of its Schedule.
    pub schedule: String,
    /// Name of the policy.
    pub policy: String,
    /// How it stands.
    pub state: State,
    /// Why it is not backed up, and the same at length.
    pub trouble: Option<(String, String)>,
    /// Velero has accepted its Schedule.
    pub scheduled: bool,
    /// When its newest complete backup was begun.
    pub last_success: Option<Timestamp>,
    /// How long that one took.
    pub took: Option<SignedDuration>,
    /// How long the last one that was seen held its place in Velero's queue.
    pub held: Option<SignedDuration>,
    /// The time between two backups.
    pub period: Option<SignedDuration>,
    /// The backups that went wrong, or were never begun, and were not followed by one that went well.
    pub incidents: Vec<Incident>,
}

/// What there is to say of all of Layer 2.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Why no Schedule is made or kept.
    pub obstacle: Option<Obstacle>,
    /// Why nothing can be said of what became of the Schedules.
    pub unread: Option<Obstacle>,
    /// Velero's server takes no snapshots of CSI volumes.
    pub without_csi: bool,
    /// What makes no sense in a policy, by policy.
    pub invalid: BTreeMap<String, Invalid>,
    /// The policies that are suspended: no backups are to be made.
    pub suspended: BTreeSet<String>,
    /// What is wrong with the location that a policy's backups go to, by policy; of one that is suspended, nothing.
    pub locations: BTreeMap<String, LocationTrouble>,
    /// By policy, fields of its extraTemplate that have no part in its Schedules.
    pub conflicts: BTreeMap<String, Vec<String>>,
    /// By policy, why its Schedules cannot be rendered.
    pub unrenderable: BTreeMap<String, String>,
    /// Why the volume policy that every Schedule names cannot be put in place.
    pub volume_policy: Option<String>,
    /// What there is to say of each namespace, by the name of its Schedule.
    pub namespaces: Vec<Finding>,
    /// By policy, claims of Sandboxes that the backups leave out, as `namespace/name`.
    pub left_out: BTreeMap<String, Vec<String>>,
    /// How many backups Velero makes at once.
    pub at_once: u32,
    /// The policies under which a backup that fails may leave none.
    pub kept_briefly: BTreeSet<String>,
    /// Another cluster of the same name puts its backups where ours are.
    pub shared_name: Option<String>,
}

impl Findings {
    /// What there is to say of the policies by themselves, whatever there is of Velero.
    pub(super) fn of_policies(regime: &VeleroRegime, obstacle: Option<Obstacle>) -> Self {
        let kept_briefly = |(policy, rules): (&String, &Result<VeleroRules, Invalid>)| {
            rules.as_ref().is_ok_and(VeleroRules::is_kept_briefly).then(|| policy.clone())
        };
        Self {
            obstacle,
            invalid: regime.invalid(),
            suspended: regime.suspended.clone(),
            kept_briefly: regime.policies.iter().filter_map(kept_briefly).collect(),
            ..Self::default()
        }
    }

    /// Which share of the time Velero is at work with backups of namespaces, 1 being all that there is: a backup counts for as
    /// long as it holds a place in the queue. Where that was not seen yet it counts like the others; while it was seen of
    /// none, as long as it took in all, which is more. `None` while no one has come to its end.
    #[must_use]
    pub fn load(&self) -> Option<f64> {
        let known = |of: fn(&Finding) -> Option<SignedDuration>| {
            self.namespaces.iter().map(|found| Some(of(found)?.as_secs_f64())).collect::<Vec<_>>()
        };
        let held = known(|found| found.held);
        let lengths = if held.iter().any(Option::is_some) { held } else { known(|found| found.took) };
        let seen = lengths.iter().flatten();
        let count = seen.clone().count();
        #[expect(clippy::cast_precision_loss, reason = "nobody has so many namespaces")]
        let mean = seen.sum::<f64>() / count as f64;
        let share = |(found, length): (&Finding, Option<f64>)| {
            Some(length.unwrap_or(mean) / found.period?.as_secs_f64())
        };
        let load = self.namespaces.iter().zip(lengths).filter_map(share).sum::<f64>();
        (count > 0).then_some(load / f64::from(self.at_once.max(1)))
    }
}

impl Finding {
    /// Of a namespace whose Schedule is to be as planned. `failure` is why it could not be written, `unread` why nothing can be
    /// said of its backups.
    #[must_use]
    pub fn of(
        plan: &Plan,
        course: Option<&Course>,
        failure: Option<(&str, String)>,
        unread: Option<&Obstacle>,
    ) -> Self {
        let told = |reason: &str, message: String| Some((reason.to_owned(), message));
        let mut state = State::Failing;
        let trouble = match (plan.wish, failure) {
            (_, Some((reason, message))) => told(reason, message),
            (Wish::Untouched(why), None) => {
                if why == Why::NotCertain {
                    state = State::Unknown;
                }
                told(name_of(why), why_untouched(why, &plan.name))
            }
            (Wish::Paused(why), None) => {
                state = State::Paused;
                told(name_of(why), "its Schedule is paused; its backups stay until their time is over".into())
            }
            (Wish::Removed(_) | Wish::Enabled, None) => {
                let (found, trouble) = match (unread, course) {
                    (Some(unread), _) => {
                        (State::Unknown, Some((unread.reason().to_owned(), unread.message())))
                    }
                    (None, Some(course)) => of_course(course),
                    (None, None) => (State::Awaited, None),
                };
                state = found;
                trouble
            }
        };
        Self {
            namespace: plan.namespace.clone(),
            schedule: plan.name.clone(),
            policy: plan.policy.clone().unwrap_or_default(),
            state,
            trouble,
            scheduled: course.is_some_and(|course| course.accepted),
            last_success: course.and_then(|course| course.last_success),
            took: course.and_then(|course| course.took),
            held: None,
            period: course.and_then(|course| course.period),
            incidents: Vec::new(),
        }
    }
}

fn of_course(course: &Course) -> (State, Option<(String, String)>) {
    let failing = |reason: &str, message: String| (State::Failing, Some((reason.to_owned(), message)));
    if let Some(errors) = &course.rejected {
        return failing("ScheduleRejected", format!("Velero does not accept it: {errors}"));
    }
    if course.unheeded {
        let message =
            "Velero has not looked at its Schedule: is its server running, and does it watch this namespace?";
        return failing("VeleroSilent", message.into());
    }
    let missed = course.missed.map(|missed| {
        failing(
            "BackupMissed",
            format!("one is due since {missed}, and was not begun: is Velero's server running?"),
        )
    });
    let is_newer =
        |failed: &super::read_back::FailedBackup| course.missed_since.is_none_or(|since| failed.at >= since);
    if let Some(failed) = course.failed.as_ref().filter(|failed| is_newer(failed)) {
        let phase = match &failed.phase {
            velero::BackupPhase::PartiallyFailed => "BackupPartiallyFailed",
            _ => "BackupFailed",
        };
        return failing(phase, format!("{}: {}", failed.name, failed.message));
    }
    if let Some(missed) = missed {
        return missed;
    }
    if let Some(due) = course.overdue {
        let since = course.last_success.map_or_else(
            || "no complete backup yet".to_owned(),
            |success| format!("no complete backup since that of {success}"),
        );
        let why = "is Velero's queue too long, or a backup stuck? velero backup get";
        return failing(
            "BackupOverdue",
            format!("{since}; the one due at {due} should be complete by now: {why}"),
        );
    }
    if let Some(VolumesMissing { backup, saved, bound }) = &course.volumes_missing {
        let why = "are they CSI volumes, and is Velero's server run with --features=EnableCSI?";
        return failing(
            "VolumesMissing",
            format!("{backup} is complete, but of {bound} bound volumes it holds {saved}: {why}"),
        );
    }
    let is_fresh = course.last_success.is_some() && !course.stale;
    (if is_fresh { State::BackedUp } else { State::Awaited }, None)
}

/// The stable name of a reason.
pub(super) fn name_of(why: Why) -> &'static str {
    match why {
        Why::NamespaceGone => "NamespaceGone",
        Why::NamespaceTerminating => "NamespaceTerminating",
        Why::NamespaceExcluded => "NamespaceExcluded",
        Why::PolicySuspended => "PolicySuspended",
        Why::PolicyInvalid => "PolicyInvalid",
        Why::PolicyOff => "PolicyOff",
        Why::NotSelected => "NotSelected",
        Why::ClusterRenamed => "ClusterRenamed",
        Why::ScheduleTaken => "ScheduleTaken",
        Why::NotCertain => "NotCertain",
    }
}

/// Why a Schedule is left alone, at length.
pub(super) fn why_untouched(why: Why, schedule: &str) -> String {
    match why {
        Why::ScheduleTaken => format!(
            "there is a Schedule {schedule} that is not ours, and it is left alone: delete it, or give this cluster another name \
             (optional.backup.velero.clusterName in the chart's values)"
        ),
        Why::PolicyInvalid => "its Schedule stays as it is until its policy makes sense again".into(),
        _ => "its Schedule stays as it is until policies and namespaces can be read again".into(),
    }
}

#[cfg(test)]
mod tests {
    use velero::BackupPhase;

    use super::*;
    use crate::schedules::read_back::FailedBackup;

    fn found(period_hours: i64, held: Option<i64>, took: Option<i64>) -> Finding {
        let plan = Plan {
            name: "east-team-a".into(),
            namespace: "team-a".into(),
            policy: Some("gold".into()),
            wish: Wish::Enabled,
        };
        Finding {
            period: Some(SignedDuration::from_hours(period_hours)),
            held: held.map(SignedDuration::from_mins),
            took: took.map(SignedDuration::from_mins),
            ..Finding::of(&plan, None, None, None)
        }
    }

    fn load(at_once: u32, namespaces: Vec<Finding>) -> Option<f64> {
        Findings { namespaces, at_once, ..Findings::default() }.load().map(|load| (load * 100.0).round())
    }

    #[test]
    fn the_queue_is_full_of_what_holds_a_place_in_it() {
        assert_eq!(load(1, vec![found(1, None, None)]), None);
        // Hours of copying hold none.
        let moved = || found(1, Some(6), Some(600));
        assert_eq!(load(1, vec![moved(), moved()]), Some(20.0));
        assert_eq!(load(2, vec![moved(), moved()]), Some(10.0));
        assert_eq!(load(1, vec![moved(), found(1, None, Some(600))]), Some(20.0), "it is like the others");
        assert_eq!(load(1, vec![found(1, None, Some(30)), found(2, None, None)]), Some(75.0));
    }

    /// The names are alerted on.
    #[test]
    fn whatever_is_wrong_has_its_reason_and_its_words() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let good = || Course { last_success: Some(at(1)), ..Course::default() };
        let failed = |phase| {
            let (name, message) = ("b1".to_owned(), "2 errors".to_owned());
            let failed = FailedBackup { name, phase, message, at: at(2), errors: None, to_come: false };
            Course { failed: Some(failed), ..good() }
        };
        let missing = VolumesMissing { backup: "b1".into(), saved: 1, bound: 2 };
        for (course, reason, words) in [
            (Course { rejected: Some("no cron".into()), ..good() }, "ScheduleRejected", "no cron"),
            (Course { unheeded: true, ..Course::default() }, "VeleroSilent", "is its server running"),
            (failed(BackupPhase::PartiallyFailed), "BackupPartiallyFailed", "b1: 2 errors"),
            (failed(BackupPhase::Failed), "BackupFailed", "b1: 2 errors"),
            (failed(BackupPhase::FailedValidation), "BackupFailed", "b1: 2 errors"),
            (Course { missed: Some(at(3)), ..good() }, "BackupMissed", "1970-01-01T00:00:03Z"),
            (
                Course { overdue: Some(at(4)), ..good() },
                "BackupOverdue",
                "since that of 1970-01-01T00:00:01Z",
            ),
            (Course { overdue: Some(at(4)), ..Course::default() }, "BackupOverdue", "no complete backup yet"),
            (
                Course { volumes_missing: Some(missing), ..good() },
                "VolumesMissing",
                "of 2 bound volumes it holds 1",
            ),
        ] {
            let (state, trouble) = of_course(&course);
            let (told, message) = trouble.expect(reason);
            assert_eq!((state, told.as_str()), (State::Failing, reason));
            assert!(message.contains(words), "{reason}: {message}");
        }
        assert_eq!(of_course(&good()), (State::BackedUp, None));
        assert_eq!(of_course(&Course { stale: true, ..good() }), (State::Awaited, None));
        assert_eq!(of_course(&Course::default()), (State::Awaited, None));
    }

    #[test]
    fn the_newest_of_what_went_wrong_is_told() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let failed = FailedBackup {
            name: "b1".into(),
            phase: BackupPhase::Failed,
            message: "no".into(),
            at: at(100),
            errors: None,
            to_come: false,
        };
        let course = |missed_since: Option<i64>| Course {
            failed: Some(failed.clone()),
            missed: missed_since.map(at),
            missed_since: missed_since.map(at),
            overdue: Some(at(1)),
            ..Course::default()
        };
        let told = |missed_since| of_course(&course(missed_since)).1.expect("something is wrong").0;
        assert_eq!((told(None).as_str(), told(Some(99)).as_str()), ("BackupFailed", "BackupFailed"));
        assert_eq!(told(Some(101)), "BackupMissed");
    }

    #[test]
    fn what_cannot_be_seen_is_not_told_as_awaited() {
        let unread = Obstacle::VeleroForbidden("backups".into());
        let course = Course { last_success: Some(Timestamp::UNIX_EPOCH), ..Course::default() };
        let plan = Plan {
            name: "east-team-a".into(),
            namespace: "team-a".into(),
            policy: None,
            wish: Wish::Enabled,
        };
        assert_eq!(Finding::of(&plan, Some(&course), None, Some(&unread)).state, State::Unknown);
        assert_eq!(Finding::of(&plan, Some(&course), None, None).state, State::BackedUp);
    }
}
