//! Objects that somebody else writes again and again.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};

use super::orders::Order;
use crate::api::FIELD_MANAGER;
use crate::observe::owns_spec;

/// So often within [`WITHIN`] an object is put right at once. That is more than a person undoes.
const AT_ONCE: usize = 60;
const WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// From then on it is put right once in this time.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// How often what was put right lately, by name of the object.
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
        let by = match order {
            Order::KeepMap { live: Some(live), .. } => last_writer(live.as_ref()),
            Order::Keep { live: Some(live), .. } => last_writer(live.as_ref()),
            Order::KeepMap { live: None, .. } | Order::Keep { live: None, .. } | Order::Remove(_) => None,
        };
        let contest = self.0.entry(order.name()).or_default();
        contest.writes.push_back(now);
        contest.by = by.or(contest.by.take());
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
        let last = self.contested(name)?.writes.back()?;
        last.checked_add(PAUSE).ok()
    }

    /// What there is to say of an object.
    pub(super) fn told(&self, name: &str) -> Option<String> {
        let Contest { writes, by } = self.contested(name)?;
        let by = by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
        Some(format!(
            "it was put right {} times within the hour, for somebody else{by} writes it as well: have them leave it alone. \
             Meanwhile it is put right once a minute",
            writes.len()
        ))
    }

    fn contested(&self, name: &str) -> Option<&Contest> {
        self.0.get(name).filter(|contest| contest.writes.len() > AT_ONCE)
    }
}

/// Who wrote an object last, but for us and for Velero's server, which writes its status.
fn last_writer<K: Resource>(object: &K) -> Option<String> {
    let writers = object.managed_fields().iter().filter(|entry| owns_spec(entry));
    let others = writers.filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER));
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use velero::{Schedule, ScheduleSpec};

    use super::*;

    fn order() -> Order {
        let live: Schedule = serde_json::from_value(json!({
            "metadata": { "name": "east-team-a", "managedFields": [
                { "manager": "argocd", "time": "2026-01-01T00:00:01Z", "fieldsV1": { "f:spec": {} } },
                { "manager": "agenttier-backup", "time": "2026-01-01T00:00:02Z", "fieldsV1": { "f:spec": {} } },
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

    #[test]
    fn what_is_written_all_the_time_is_put_right_once_a_minute_and_told() {
        let mut contests = Contests::default();
        for second in 0..60 {
            contests.wrote(at(second), &order());
            assert_eq!(
                (contests.until("east-team-a"), contests.told("east-team-a")),
                (None, None),
                "{second}"
            );
        }
        contests.wrote(at(60), &order());
        assert_eq!(contests.until("east-team-a"), Some(at(120)));
        let told = contests.told("east-team-a").expect("it is told");
        assert!(told.contains("61 times") && told.contains("(argocd)"), "{told}");
        assert_eq!(contests.told("east-team-b"), None);

        contests.forget(at(3600));
        assert!(contests.told("east-team-a").is_some());
        contests.forget(at(3601));
        assert_eq!(contests.told("east-team-a"), None, "the first is more than an hour ago");
        contests.forget(at(90_000));
        assert!(contests.0.is_empty());
    }
}
