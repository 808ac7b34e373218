//! What there is to say of the backups of each namespace, and of each policy.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::{Plan, Why, Wish};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::incident::Incident;
use super::read_back::Course;
use super::site::{LocationTrouble, Obstacle};

/// How a namespace's backups by Velero stand. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// There is a complete backup from within the time between two.
    BackedUp,
    /// Its Schedule is new, and its first backup is to come.
    Awaited,
    /// It is paused on purpose.
    Paused,
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
    /// The time between two backups.
    pub period: Option<SignedDuration>,
    /// The backup that went wrong, and was not followed by one that did not.
    pub incident: Option<Incident>,
}

/// What there is to say of all of Layer 2.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Why no Schedule is made or kept.
    pub obstacle: Option<Obstacle>,
    /// What is wrong with the location that a policy's backups go to, by policy.
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
    /// Another cluster of the same name puts its backups where ours are.
    pub shared_name: Option<String>,
}

impl Findings {
    /// Which share of the time Velero is at work with backups of namespaces, 1 being all that there is. Where it is not known
    /// yet how long one takes, it counts like the others; `None` while no one has come to its end.
    #[must_use]
    pub fn load(&self) -> Option<f64> {
        let took: Vec<f64> =
            self.namespaces.iter().filter_map(|found| Some(found.took?.as_secs_f64())).collect();
        #[expect(clippy::cast_precision_loss, reason = "nobody has so many namespaces")]
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        let share = |found: &Finding| {
            let took = found.took.map_or(mean, |took| took.as_secs_f64());
            Some(took / found.period?.as_secs_f64())
        };
        let load = self.namespaces.iter().filter_map(share).sum::<f64>() / f64::from(self.at_once.max(1));
        (!took.is_empty()).then_some(load)
    }
}

impl Finding {
    /// Of a namespace whose Schedule is to be as planned. `failure` is why it could not be written.
    #[must_use]
    pub fn of(plan: &Plan, course: Option<&Course>, failure: Option<(&str, &str)>) -> Self {
        let told = |reason: &str, message: String| Some((reason.to_owned(), message));
        let mut state = State::Failing;
        let trouble = match (plan.wish, failure) {
            (_, Some((reason, message))) => told(reason, message.to_owned()),
            (Wish::Untouched(why), None) => told(name_of(why), why_untouched(why, &plan.name)),
            (Wish::Paused(why), None) => {
                state = State::Paused;
                told(name_of(why), "its Schedule is paused; its backups stay until their time is over".into())
            }
            (Wish::Removed(_) | Wish::Enabled, None) => {
                let (found, trouble) = course.map_or((State::Awaited, None), of_course);
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
            period: course.and_then(|course| course.period),
            incident: None,
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
    if let Some(failed) = &course.failed {
        let phase = match &failed.phase {
            velero::BackupPhase::PartiallyFailed => "BackupPartiallyFailed",
            _ => "BackupFailed",
        };
        return failing(phase, format!("{}: {}", failed.name, failed.message));
    }
    if let Some(missed) = course.missed {
        return failing("BackupMissed", format!("one is due since {missed}, and was not begun"));
    }
    (if course.last_success.is_some() { State::BackedUp } else { State::Awaited }, None)
}

/// The stable name of a reason.
pub(super) fn name_of(why: Why) -> &'static str {
    match why {
        Why::NamespaceGone => "NamespaceGone",
        Why::NamespaceTerminating => "NamespaceTerminating",
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
            "there is a Schedule {schedule} that is not ours, and it is left alone: delete it, or give this cluster another name"
        ),
        Why::PolicyInvalid => "its Schedule stays as it is until its policy makes sense again".into(),
        _ => "its Schedule stays as it is until policies and namespaces can be read again".into(),
    }
}
