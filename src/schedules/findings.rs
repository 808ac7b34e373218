//! What there is to say of the backups of each namespace, and of each policy.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::schedules::{Plan, Why, Wish};
use jiff::{SignedDuration, Timestamp};

use super::incident::Incident;
use super::read_back::Course;
use super::rules::{VeleroRegime, VeleroRules};
use super::site::{LocationTrouble, Obstacle};
use super::state::{State, state_of};
use super::why::{name_of, why_untouched};
use crate::observe::Invalid;

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
                match why {
                    Why::NotCertain => state = State::Unknown,
                    Why::NamespaceExcluded => state = State::Paused,
                    _ => {}
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
                    (None, Some(course)) => state_of(course),
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

#[cfg(test)]
mod tests {
    use super::*;

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
