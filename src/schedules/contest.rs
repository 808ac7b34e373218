//! Objects that somebody else writes again and again.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Resource;

use super::orders::Order;
use crate::api::FIELD_MANAGER;

/// So often within [`WITHIN`] an object is put right at once. That is more than a person undoes, and less than a program
/// does that looks once a minute.
const AT_ONCE: usize = 45;
const WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// From then on it is put right once in this time.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// When it had not to be put right for so long, it is over.
const OVER_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How often was put right lately what somebody else had changed or deleted, by name of the object.
///
/// A program that has our object among its own, such as one that applies what a Git repository holds, would otherwise go on
/// with us for ever, some writes a second, and nobody would know.
#[derive(Debug, Default)]
pub(super) struct Contests(BTreeMap<String, Contest>);

#[derive(Debug, Default)]
struct Contest {
    writes: VecDeque<Timestamp>,
    /// Who wrote it last but us, as its manager.
    by: Option<String>,
}

impl Contests {
    /// Notes that an order was carried out.
    pub(super) fn wrote(&mut self, now: Timestamp, order: &Order) {
        let (is_theirs, by) = match order {
            Order::KeepMap { live: Some(live), .. } => told(rival(live.as_ref())),
            Order::Keep { live: Some(live), .. } => told(rival(live.as_ref())),
            // It was there once, and was not removed by us.
            Order::KeepMap { live: None, .. } | Order::Keep { live: None, .. } => (true, None),
            Order::Remove(_) => {
                self.0.remove(&order.name());
                return;
            }
        };
        // Otherwise it is our own wish that has changed.
        if is_theirs {
            let contest = self.0.entry(order.name()).or_default();
            contest.writes.push_back(now);
            contest.by = by.or(contest.by.take());
        }
    }

    /// Forgets what is long ago.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, contest| {
            while contest.writes.front().is_some_and(|first| now.duration_since(*first) > WITHIN) {
                contest.writes.pop_front();
            }
            !contest.writes.is_empty()
        });
    }

    /// Until when an object is left as it is.
    pub(super) fn until(&self, name: &str) -> Option<Timestamp> {
        let (_, last) = self.0.get(name)?.stands()?;
        last.checked_add(PAUSE).ok()
    }

    /// What there is to say of an object.
    pub(super) fn told(&self, now: Timestamp, name: &str) -> Option<String> {
        let contest = self.0.get(name)?;
        let (times, _) = contest.stands().filter(|(_, last)| now.duration_since(*last) < OVER_AFTER)?;
        let by = contest.by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
        Some(format!(
            "it was put right {times} times within the hour, for somebody else{by} changes or deletes it: have them leave it \
             alone. Meanwhile it is put right once a minute"
        ))
    }

    /// When the next one of those that are told of is over.
    pub(super) fn mended(&self, now: Timestamp) -> Option<Timestamp> {
        let over = self.0.values().filter_map(|contest| contest.stands()?.1.checked_add(OVER_AFTER).ok());
        over.filter(|over| *over > now).min()
    }
}

impl Contest {
    /// How often, and when last; `None` while that is nothing.
    fn stands(&self) -> Option<(usize, Timestamp)> {
        let times = self.writes.len();
        Some((times, *self.writes.back()?)).filter(|(times, _)| *times > AT_ONCE)
    }
}

/// What somebody else has written to an object since we last did.
fn rival<K: Resource>(object: &K) -> Option<&ManagedFieldsEntry> {
    let writers = object.meta().managed_fields.iter().flatten();
    let time = |entry: &&ManagedFieldsEntry| entry.time.as_ref().map(|time| time.0);
    let (ours, others): (Vec<_>, Vec<_>) =
        writers.partition(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    let ours = ours.iter().filter_map(time).max();
    // Times are told in seconds.
    others.into_iter().max_by_key(time).filter(|last| time(last) >= ours)
}

/// Whether there is one, and its manager.
fn told(rival: Option<&ManagedFieldsEntry>) -> (bool, Option<String>) {
    (rival.is_some(), rival.and_then(|rival| rival.manager.clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use velero::{Schedule, ScheduleSpec};

    use super::*;

    /// Last written by that manager, a minute after us or before.
    fn order(by: &str, is_later: bool) -> Order {
        let time = if is_later { "2026-01-01T00:02:00Z" } else { "2026-01-01T00:00:00Z" };
        let live: Schedule = serde_json::from_value(json!({
            "metadata": { "name": "east-team-a", "managedFields": [
                { "manager": by, "time": time },
                { "manager": "agenttier-backup", "time": "2026-01-01T00:01:00Z" },
            ]},
            "spec": { "schedule": "@daily", "template": {} },
        }))
        .expect("a Schedule");
        let wanted = Schedule::new("east-team-a", ScheduleSpec::default());
        Order::Keep { live: Some(Arc::new(live)), wanted }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    const NAME: &str = "east-team-a";

    #[test]
    fn what_is_written_all_the_time_is_put_right_once_a_minute_and_told_until_it_ends() {
        let mut contests = Contests::default();
        for second in 0..45 {
            contests.wrote(at(second), &order("argocd", true));
            assert_eq!((contests.until(NAME), contests.told(at(second), NAME)), (None, None), "{second}");
        }
        assert_eq!(contests.mended(at(45)), None);
        contests.wrote(at(60), &order("argocd", true));
        assert_eq!(contests.until(NAME), Some(at(120)));
        let told = contests.told(at(60), NAME).expect("it is told");
        assert!(told.contains("46 times") && told.contains("(argocd)"), "{told}");
        assert_eq!(contests.told(at(60), "east-team-b"), None);

        assert!(contests.told(at(359), NAME).is_some());
        assert_eq!(contests.mended(at(359)), Some(at(360)));
        assert_eq!((contests.told(at(360), NAME), contests.mended(at(360))), (None, None), "it has ended");
        contests.forget(at(90_000));
        assert!(contests.0.is_empty());
    }

    #[test]
    fn what_we_want_otherwise_ourselves_is_no_contest() {
        let mut contests = Contests::default();
        for second in 0..100 {
            contests.wrote(at(second), &order("argocd", false));
        }
        assert_eq!(contests.told(at(100), NAME), None);

        let wanted = || Schedule::new(NAME, ScheduleSpec::default());
        for second in 0..100 {
            contests.wrote(at(second), &Order::Keep { live: None, wanted: wanted() });
            contests.wrote(at(second), &Order::Remove(Arc::new(wanted())));
        }
        assert_eq!(contests.told(at(100), NAME), None, "it comes and goes with its namespace");
        for second in 0..46 {
            contests.wrote(at(second), &Order::Keep { live: None, wanted: wanted() });
        }
        assert!(contests.told(at(46), NAME).is_some(), "somebody deletes it each time");
    }
}
