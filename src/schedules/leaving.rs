//! Schedules that were deleted, and stay.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::observe::VeleroSight;

/// What nothing holds is gone within moments.
const GONE_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// Since when each has been on its way out, and what holds it. While it stands another one of its name cannot be made.
pub(super) struct Leaving(BTreeMap<String, (Timestamp, String)>);

impl Leaving {
    pub(super) fn of(sight: &VeleroSight) -> Self {
        let schedules = sight.schedules.seen().unwrap_or_default().iter();
        let leaving = schedules.filter_map(|schedule| {
            let since = schedule.metadata.deletion_timestamp.as_ref()?.0;
            Some((schedule.name_any(), (since, schedule.finalizers().join(", "))))
        });
        Self(leaving.collect())
    }

    /// What there is to say of one.
    pub(super) fn told(&self, now: Timestamp, name: &str) -> Option<String> {
        let (since, finalizers) = self.0.get(name)?;
        (now.duration_since(*since) >= GONE_WITHIN).then(|| {
            format!(
                "it was deleted at {since}, and these finalizers hold it: {finalizers}. Until they let go of it Velero goes by it as \
                 it is"
            )
        })
    }

    /// When there is something to say of the next one.
    pub(super) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let told = self.0.values().filter_map(|(since, _)| since.checked_add(GONE_WITHIN).ok());
        told.filter(|told| *told > now).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn one_that_somebody_holds_is_told_of_after_a_minute() {
        let schedule = json!({
            "metadata": {
                "name": "east-team-a",
                "deletionTimestamp": "2026-01-01T12:00:00Z",
                "finalizers": ["example.org/hold"],
            },
            "spec": { "schedule": "@daily", "template": {} },
        });
        let schedule = Arc::new(serde_json::from_value(schedule).expect("a Schedule"));
        let leaving = Leaving::of(&VeleroSight::of_schedules("velero", vec![schedule]));
        let at = |time: &str| format!("2026-01-01T{time}Z").parse::<Timestamp>().expect("a time");
        assert_eq!(leaving.told(at("12:00:59"), "east-team-a"), None);
        assert_eq!(leaving.wake(at("12:00:59")), Some(at("12:01:00")));
        let told = leaving.told(at("12:01:00"), "east-team-a").expect("it is stuck");
        assert!(told.contains("example.org/hold"), "{told}");
        assert_eq!((leaving.told(at("13:00:00"), "east-team-b"), leaving.wake(at("12:01:00"))), (None, None));
    }
}
