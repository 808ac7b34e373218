//! Since when backups are asked for.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::{Plan, Wish};
use jiff::Timestamp;
use velero::Cron;

use super::read_back::{Course, after_the_next};
use super::render::cron;
use super::rules::VeleroRegime;

/// Since when backups of each Schedule are asked for at the same times, as far as was seen.
///
/// The Schedule itself does not tell that where somebody else writes to it again and again: its times say then that it was
/// just changed, whatever the age of its newest backup. What is wanted of it is not theirs to change.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<String, Since>);

#[derive(Debug)]
struct Since {
    times: String,
    /// The same, read once.
    cron: Cron,
    at: Timestamp,
}

impl Asked {
    /// Takes up what is asked for now, of the Schedules that there are; of one that nothing is done about for the moment what was
    /// known stays.
    pub(super) fn see(
        &mut self,
        now: Timestamp,
        plans: &[Plan],
        regime: &VeleroRegime,
        courses: &BTreeMap<String, Course>,
    ) {
        let mut before = std::mem::take(&mut self.0);
        for plan in plans {
            let since = before.remove(&plan.name);
            let since = match plan.wish {
                Wish::Untouched(_) => since,
                Wish::Paused(_) | Wish::Removed(_) => None,
                Wish::Enabled => {
                    let rules =
                        plan.policy.as_ref().and_then(|policy| regime.policies.get(policy)?.as_ref().ok());
                    let Some(times) = rules.map(|rules| cron(&plan.namespace, rules)) else { continue };
                    let same = since.filter(|since| since.times == times);
                    same.or_else(|| {
                        let cron = courses.contains_key(&plan.name).then(|| times.parse().ok())??;
                        Some(Since { times, cron, at: now })
                    })
                }
            };
            self.0.extend(since.map(|since| (plan.name.clone(), since)));
        }
    }

    /// Finds overdue what had twice the time for a complete backup and has none, whatever was written to it meanwhile.
    pub(super) fn find_overdue(&self, now: Timestamp, courses: &mut BTreeMap<String, Course>) {
        for (name, since) in &self.0 {
            let Some(course) = courses.get_mut(name) else { continue };
            let at = course.last_success.map_or(since.at, |success| success.max(since.at));
            let Some((due, until)) = after_the_next(&since.cron, at, course.took.unwrap_or_default()) else {
                continue;
            };
            if now >= until {
                course.overdue = course.overdue.or(Some(due));
            } else {
                course.wake = course.wake.into_iter().chain([until]).min();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::schedules::Why;

    use super::*;
    use crate::api::{BackupPolicy, BackupPolicySpec};

    const HOURLY: &str = "0 * * * *";

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().expect("a time")
    }

    /// Takes up that backups of a namespace, which has its Schedule, are asked for at these times, or not at all.
    fn see(asked: &mut Asked, now: &str, times: &str, wish: Wish) {
        let there = BTreeMap::from([("east-team-a".to_owned(), Course::default())]);
        see_beside(asked, now, times, wish, &there);
    }

    fn see_beside(asked: &mut Asked, now: &str, times: &str, wish: Wish, courses: &BTreeMap<String, Course>) {
        let mut spec = BackupPolicySpec::default();
        (spec.velero.enabled, spec.velero.cron) = (true, times.to_owned());
        let regime = VeleroRegime::of([&BackupPolicy::new("gold", spec)], []);
        let plan = Plan {
            name: "east-team-a".into(),
            namespace: "team-a".into(),
            policy: Some("gold".into()),
            wish,
        };
        asked.see(at(now), &[plan], &regime, courses);
    }

    /// Since when one is overdue, at that time, with a complete backup from then.
    fn overdue(asked: &Asked, now: &str, success: Option<&str>) -> Option<Timestamp> {
        let course = Course { last_success: success.map(at), ..Course::default() };
        let mut courses = BTreeMap::from([("east-team-a".to_owned(), course)]);
        asked.find_overdue(at(now), &mut courses);
        let course = &courses["east-team-a"];
        assert!(
            course.overdue.is_some() || course.wake.is_some_and(|wake| wake > at(now)),
            "it is looked at again"
        );
        course.overdue
    }

    #[test]
    fn what_has_no_backup_after_twice_its_time_is_overdue_whoever_writes_to_it() {
        let mut asked = Asked::default();
        see(&mut asked, "09:30:00", HOURLY, Wish::Enabled);
        see(&mut asked, "11:00:00", HOURLY, Wish::Enabled);
        assert_eq!(overdue(&asked, "11:29:00", None), None);
        assert_eq!(overdue(&asked, "11:30:00", None), Some(at("10:00:00")));
        assert_eq!(
            overdue(&asked, "11:30:00", Some("07:00:00")),
            Some(at("10:00:00")),
            "it was not asked for then"
        );
        assert_eq!(overdue(&asked, "11:30:00", Some("10:00:30")), None);
        assert_eq!(overdue(&asked, "12:30:00", Some("10:00:30")), Some(at("11:00:00")));
    }

    #[test]
    fn one_that_was_paused_or_has_other_times_is_asked_for_anew() {
        for (times, wish) in [(HOURLY, Wish::Paused(Why::PolicySuspended)), ("30 * * * *", Wish::Enabled)] {
            let mut asked = Asked::default();
            see(&mut asked, "01:00:00", HOURLY, Wish::Enabled);
            see(&mut asked, "10:15:00", times, wish);
            see(&mut asked, "10:20:00", HOURLY, Wish::Enabled);
            assert_eq!(overdue(&asked, "12:29:00", None), None);
            assert_eq!(overdue(&asked, "12:30:00", None), Some(at("11:00:00")));
        }
    }

    #[test]
    fn one_that_is_not_there_yet_is_not_asked() {
        let mut asked = Asked::default();
        see_beside(&mut asked, "01:00:00", HOURLY, Wish::Enabled, &BTreeMap::new());
        see(&mut asked, "10:20:00", HOURLY, Wish::Enabled);
        assert_eq!(overdue(&asked, "12:29:00", None), None, "it could not be made until then");
        see_beside(&mut asked, "12:00:00", HOURLY, Wish::Enabled, &BTreeMap::new());
        see(&mut asked, "12:01:00", HOURLY, Wish::Enabled);
        assert_eq!(
            overdue(&asked, "12:30:00", None),
            Some(at("11:00:00")),
            "deleted by others it is asked all the same"
        );
    }

    #[test]
    fn while_nothing_is_done_about_one_what_is_known_of_it_stays() {
        let mut asked = Asked::default();
        see(&mut asked, "10:20:00", HOURLY, Wish::Enabled);
        see(&mut asked, "11:30:00", HOURLY, Wish::Untouched(Why::NotCertain));
        see(&mut asked, "11:31:00", HOURLY, Wish::Enabled);
        assert_eq!(overdue(&asked, "12:30:00", None), Some(at("11:00:00")));
    }
}
