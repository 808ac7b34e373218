//! What a Sandbox's own annotations ask for, within the bounds that its policy sets.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{Interval, Policy, marks, read_period};

/// The annotations, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overrides {
    /// [`marks::OVERRIDE_ENABLED`].
    pub enabled: Option<String>,
    /// [`marks::OVERRIDE_INTERVAL`].
    pub interval: Option<String>,
    /// [`marks::OVERRIDE_RETENTION`].
    pub retention: Option<String>,
    /// [`marks::OVERRIDE_KEEP_LAST`].
    pub keep_last: Option<String>,
}

/// What a Sandbox asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To be backed up like this.
    Policy(Box<Policy>),
    /// To be left alone.
    OptedOut,
    /// One of the annotations makes no sense, and why.
    Nonsense(String),
}

impl Overrides {
    /// What they ask for, of this policy.
    pub(crate) fn of(&self, policy: &Policy) -> Asked {
        match self.read(policy) {
            Ok(Some(policy)) => Asked::Policy(Box::new(policy)),
            Ok(None) => Asked::OptedOut,
            Err(problem) => Asked::Nonsense(problem),
        }
    }

    fn read(&self, policy: &Policy) -> Result<Option<Policy>, String> {
        let of_policy = policy.points_per_volume();
        let mut policy = policy.clone();
        let enabled = match self.enabled.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(problem(marks::OVERRIDE_ENABLED, other, "is neither true nor false")),
        };
        if let Some(text) = &self.interval {
            let bad = |what: &str| problem(marks::OVERRIDE_INTERVAL, text, what);
            let interval = read_period(text).ok_or_else(|| bad("is not a length of time such as 1h"))?;
            let min = policy.bounds.min_interval;
            if interval < min {
                return Err(bad(&format!("is below the policy's overrides.minInterval of {min:#}")));
            }
            policy.interval =
                Interval::new(interval).map_err(|error| bad(&format!("is too short: {error}")))?;
        }
        if let Some(text) = &self.retention {
            let bad = |what: &str| problem(marks::OVERRIDE_RETENTION, text, what);
            let max_age = read_period(text).ok_or_else(|| bad("is not a length of time such as 30d"))?;
            let max = policy.bounds.max_retention;
            if max_age > max {
                return Err(bad(&format!(
                    "is above the policy's overrides.maxRetention of {}",
                    in_days(max)
                )));
            }
            // Whole seconds are what a recovery point carries.
            policy.retention.max_age = SignedDuration::from_secs(max_age.as_secs());
        }
        if let Some(text) = &self.keep_last {
            let bad = |what: &str| problem(marks::OVERRIDE_KEEP_LAST, text, what);
            let keep_last: u32 = text.parse().map_err(|_| bad("is not a number from 1 to 1000"))?;
            if !(1..=1000).contains(&keep_last) {
                return Err(bad("is not a number from 1 to 1000"));
            }
            policy.retention.keep_last = keep_last;
        }
        if policy.retention.max_age < policy.interval.duration() {
            return Err(format!(
                "its retention is shorter than its interval: every snapshot would be past its age before the next one \
                 ({}, {})",
                marks::OVERRIDE_RETENTION,
                marks::OVERRIDE_INTERVAL
            ));
        }
        if !enabled {
            return Ok(None);
        }
        let (points, most) = (policy.points_per_volume(), of_policy.max(u64::from(policy.bounds.max_points)));
        if points > most {
            return Err(format!(
                "what annotations of its Sandbox ask for comes to {points} recovery points of one volume, and more than \
                 {most} would hamper the storage (the policy's overrides.maxPoints): take a longer {}, a shorter {} or a lower {}",
                marks::OVERRIDE_INTERVAL,
                marks::OVERRIDE_RETENTION,
                marks::OVERRIDE_KEEP_LAST
            ));
        }
        Ok(Some(policy))
    }
}

fn problem(annotation: &str, value: &str, what: &str) -> String {
    // Whatever somebody wrote there is shown, but not at any length.
    let value: String = value.chars().take(40).collect();
    format!("annotation {annotation}={value:?} of its Sandbox {what}")
}

fn in_days(duration: SignedDuration) -> String {
    match duration.as_hours() {
        hours if hours % 24 == 0 => format!("{}d", hours / 24),
        _ => format!("{duration:#}"),
    }
}
